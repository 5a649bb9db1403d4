"""The API as a table: every address, who may use it, what goes in and what comes out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from agent.wire import Batch
from backend.api import costs, health, machines, series, sites, totals, warnings
from backend.api.account_routes import account_routes
from backend.api.enrolment import Enrolment, EnrolReply, EnrolRequest
from backend.api.ingest import BatchReply, Ingest
from backend.api.notify_routes import notify_routes
from backend.api.openapi import described_by
from backend.api.privacy_routes import privacy_routes
from backend.api.rights_routes import rights_routes
from backend.api.route import Query, Route
from backend.api.sharing_routes import sharing_routes
from backend.api.warning_routes import warning_routes
from backend.config import Accounts, Limits

COLLECTING: Final = frozenset({
    "/v1/batches", "/v1/enroll", "/v1/register", "/v1/invitations", "/v1/invitations/accept", "/v1/support",
    "/v1/feedback",
})  # fmt: skip
"""By what data comes in: closed when the service ends."""
_ACCOUNTS: Final = Accounts()


def routes(limits: Limits, accounts: Accounts = _ACCOUNTS) -> tuple[Route[Any], ...]:
    """The table; the state of handlers that count (tries, batches at once) is that of this table."""
    table: tuple[Route[Any], ...] = (
        Route(
            method="POST",
            path="/v1/enroll",
            handler=Enrolment(limits.enrolments_per_min).post,
            access="public",
            summary="Turn a one-time code into an agent's token",
            query=Query,
            body=EnrolRequest,
            reply=EnrolReply,
            status=201,
            problems=(403, 413, 415, 422, 429),
        ),
        Route(
            method="POST",
            path="/v1/batches",
            handler=Ingest().post,
            access="agent",
            summary="Store a batch of readings, once by its id; Content-Encoding gzip, zstd or none",
            query=Query,
            body=Batch,
            reply=BatchReply,
            problems=(400, 408, 413, 415, 422, 503),
        ),
        Route(
            method="GET",
            path="/v1/machines",
            handler=machines.listed,
            access="read",
            summary="Each machine's newest reading",
            query=machines.MachinesQuery,
            reply=machines.MachinesReply,
            problems=(404,),
        ),
        Route(
            method="GET",
            path="/v1/series",
            handler=series.answered,
            access="read",
            summary="One metric over time",
            query=series.Parameters,
            reply=series.SeriesOrRows,
            problems=(404, 422),
        ),
        Route(
            method="GET",
            path="/v1/totals",
            handler=totals.listed,
            access="read",
            summary="What sites tell that send no readings of single machines",
            query=totals.TotalsQuery,
            reply=totals.TotalsReply,
            problems=(404, 422),
        ),
        Route(
            method="GET",
            path="/v1/costs",
            handler=costs.listed,
            access="read",
            summary="What sites took yesterday or on other days, and what it cost",
            query=costs.CostsQuery,
            reply=costs.CostsReply,
            problems=(404,),
        ),
        Route(
            method="GET",
            path="/v1/metrics",
            handler=series.catalogue,
            access="read",
            summary="The metrics that there are",
            query=Query,
            reply=series.MetricsReply,
        ),
        Route(
            method="GET",
            path="/v1/sites",
            handler=sites.listed,
            access="read",
            summary="The account's sites",
            query=Query,
            reply=sites.SitesReply,
        ),
        Route(
            method="GET",
            path="/v1/warnings",
            handler=warnings.listed,
            access="read",
            summary="What fires now, and what did",
            query=warnings.WarningsQuery,
            reply=warnings.WarningsReply,
            problems=(404,),
        ),
        Route(
            method="GET",
            path="/healthz",
            handler=health.healthz,
            access="public",
            summary="Whether the service works",
            query=Query,
            reply=health.HealthReply,
            problems=(503,),
        ),
        Route(
            method="GET",
            path="/metrics",
            handler=health.metrics,
            access="public",
            summary="The service's own numbers, for Prometheus",
            query=Query,
            media_type="text/plain",
        ),
    )
    table = (
        *table,
        *account_routes(accounts),
        *privacy_routes(),
        *rights_routes(),
        *sharing_routes(),
        *notify_routes(),
        *warning_routes(),
    )
    table = tuple(_collecting(route) if route.path in COLLECTING else route for route in table)
    return (*table, described_by(table))


def _collecting(route: Route[Any]) -> Route[Any]:
    return replace(route, collects=True, problems=(*route.problems, 410))
