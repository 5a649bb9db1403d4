"""The rows of the API's table that keep promises about personal data."""

from __future__ import annotations

from typing import Any

from backend.api import consents, erasure, oversight, policies, retention, support, visits
from backend.api.oversight import DigestsReply, LogQuery, LogReply, OwnLogQuery, ProcessorsReply, SignRequest
from backend.api.route import HTML, Route
from backend.api.rows import get, post


def privacy_routes() -> tuple[Route[Any], ...]:
    """The rows."""
    return (*_oversight(), *_choices(), *_kept(), *_erasure(), *_visits())


def _oversight() -> tuple[Route[Any], ...]:
    return (
        get(
            "/v1/audit",
            oversight.own_log,
            "own",
            "Who saw data of your account",
            LogReply,
            OwnLogQuery,
        ),
        get("/v1/staff/audit", oversight.whole_log, "oversee", "The audit log", LogReply, LogQuery),
        get("/v1/staff/audit/digests", oversight.digests_listed, "oversee", "Its digests", DigestsReply),
        post("/v1/staff/audit/sign", oversight.sign, "oversee", "Sign that you read a digest", SignRequest),
        get(
            "/v1/processors",
            oversight.processors_listed,
            "public",
            "Who handles data for us",
            ProcessorsReply,
        ),
    )


def _visits() -> tuple[Route[Any], ...]:
    return (
        get("/v1/visits", visits.listed, "oversee", "Log data of the pages", visits.VisitsReply, visits.VisitsQuery),
        post(
            "/v1/visits/spent",
            visits.Spending().post,
            "public",
            "Say how long a page was open, which a page does by itself",
            visits.SpentRequest,
        ),
    )


def _choices() -> tuple[Route[Any], ...]:
    return (
        get("/v1/policy", policies.current, "public", "The privacy policy", policies.PolicyReply, problems=(404,)),
        get("/v1/consents", consents.listed, "privacy", "What your data is used for", consents.PurposesReply),
        post("/v1/consents", consents.say, "privacy", "Agree, take it back, object", consents.ConsentRequest),
        Route(
            method="GET",
            path="/v1/unsubscribe",
            handler=consents.ask,
            access="public",
            summary="A button that ends promotion",
            query=consents.TokenQuery,
            media_type=HTML,
        ),
        Route(
            method="POST",
            path="/v1/unsubscribe",
            handler=consents.unsubscribe,
            access="public",
            summary="End promotion, without logging in (RFC 8058)",
            query=consents.TokenQuery,
            media_type="text/plain",
            problems=(404,),
        ),
    )


def _kept() -> tuple[Route[Any], ...]:
    return (
        post(
            "/v1/support",
            support.send_bundle,
            "agent",
            "Send a support bundle, once by its id; Content-Encoding gzip, zstd or none",
            support.BundleRequest,
            support.BundleReply,
            201,
            (400,),
        ),
        post(
            "/v1/feedback",
            support.give_feedback,
            "privacy",
            "Say what you think",
            support.FeedbackRequest,
            support.FeedbackReply,
            201,
        ),
        get("/v1/retention", retention.listed, "privacy", "How long your data is kept", retention.RetentionReply),
        post("/v1/retention", retention.choose, "own", "Keep a class longer or shorter", retention.WindowRequest),
    )


def _erasure() -> tuple[Route[Any], ...]:
    return (
        post("/v1/erase", erasure.erase, "own", "Delete a part for good", erasure.EraseRequest, erasure.Receipt),
        get("/v1/erase", erasure.receipts, "own", "What was deleted", erasure.ReceiptsReply),
        get("/v1/account/cancel", erasure.before_cancelling, "own", "What stays afterwards", erasure.CancelReply),
        post(
            "/v1/account/cancel",
            erasure.cancel,
            "own",
            "Erase the whole account for good",
            erasure.CancelRequest,
            erasure.Receipt,
        ),
    )
