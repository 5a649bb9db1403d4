"""The rows of the API's table by which data leaves to others: shares that accounts agree to, legal disclosures."""

from __future__ import annotations

from typing import Any

from backend.api import disclosures, machines, series, sharing, warnings
from backend.api.exports import Export
from backend.api.route import Route
from backend.api.rows import get, post


def sharing_routes() -> tuple[Route[Any], ...]:
    """The rows."""
    return (*_agreed(), *_shared(), *_legal())


def _agreed() -> tuple[Route[Any], ...]:
    told = sharing.Share
    return (
        get("/v1/account/sharing", sharing.state, "own", "Do not sell or share", sharing.SharingReply),
        post(
            "/v1/account/sharing",
            sharing.switch,
            "own",
            "Stop all sharing at once, or allow it",
            sharing.SwitchRequest,
            sharing.SharingReply,
        ),
        get("/v1/shares", sharing.listed, "own", "What is shared with whom, and what for", sharing.SharesReply),
        post("/v1/shares", sharing.propose, "own", "Say what would be shared", sharing.ProposeRequest, told, 201),
        post(
            "/v1/shares/consent",
            sharing.consent,
            "own",
            "Agree to a share",
            sharing.ShareRequest,
            sharing.ConsentReply,
            201,
        ),
        post("/v1/shares/end", sharing.end, "own", "End a share at once", sharing.ShareRequest),
        get(
            "/v1/disclosures",
            sharing.disclosed,
            "own",
            "What recipients were given",
            sharing.DisclosuresReply,
            sharing.DisclosuresQuery,
        ),
        post(
            "/v1/staff/shares",
            sharing.propose_to,
            "admin",
            "Ask an account to share",
            sharing.StaffProposeRequest,
            told,
            201,
        ),
    )


def _shared() -> tuple[Route[Any], ...]:
    return (
        get(
            "/v1/shared/machines",
            sharing.shared_machines,
            "share",
            "For recipients: each machine's newest reading",
            machines.MachinesReply,
            machines.MachinesQuery,
        ),
        get(
            "/v1/shared/series",
            sharing.shared_series,
            "share",
            "For recipients: one metric over time",
            series.SeriesReply,
            series.Parameters,
            (422,),
        ),
        get(
            "/v1/shared/warnings",
            sharing.shared_warnings,
            "share",
            "For recipients: what fires and what did",
            warnings.WarningsReply,
            warnings.WarningsQuery,
        ),
    )


def _legal() -> tuple[Route[Any], ...]:
    which = disclosures.DisclosureRequest
    told = disclosures.Disclosure
    return (
        post(
            "/v1/staff/disclosures",
            disclosures.record,
            "support",
            "Record what an authority demands",
            disclosures.DemandRequest,
            told,
            201,
        ),
        get("/v1/staff/disclosures", disclosures.listed, "support", "Legal disclosures", disclosures.DisclosuresReply),
        post("/v1/staff/disclosures/approve", disclosures.approve, "support", "Approve, one of two", which, told),
        post("/v1/staff/disclosures/prepare", disclosures.prepare, "support", "Have it made", which, Export, 202),
        Route(
            method="GET",
            path="/v1/staff/disclosures/archive",
            handler=disclosures.handed_over,
            access="support",
            summary="Fetch what is to be handed over",
            query=disclosures.DisclosureQuery,
            media_type="application/zip",
            problems=(403, 404),
        ),
    )
