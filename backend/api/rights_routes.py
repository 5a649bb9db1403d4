"""The rows of the API's table by which people use their rights, and staff serve them."""

from __future__ import annotations

from typing import Any

from backend.api import announcements, corrections, exports, requests, restrictions
from backend.api.route import HTML, Query, Route
from backend.api.rows import get, post


def rights_routes() -> tuple[Route[Any], ...]:
    """The rows."""
    return (*_requests(), *_restriction(), *_export(), *_correction(), *_told())


def _requests() -> tuple[Route[Any], ...]:
    return (
        post("/v1/requests", requests.ask, "privacy", "Ask for a right", requests.AskRequest, requests.Request, 201),
        get("/v1/requests", requests.own, "privacy", "What you asked for", requests.RequestsReply),
        Route(
            method="GET",
            path="/v1/requests/confirm",
            handler=requests.ask_to_confirm,
            access="public",
            summary="A button that says: it was me who wrote",
            query=requests.ConfirmQuery,
            media_type=HTML,
        ),
        Route(
            method="POST",
            path="/v1/requests/confirm",
            handler=requests.confirm,
            access="public",
            summary="Say that it was you who wrote",
            query=requests.ConfirmQuery,
            media_type="text/plain",
            problems=(404,),
        ),
        post(
            "/v1/staff/requests",
            requests.record,
            "support",
            "Record a written request",
            requests.WrittenRequest,
            requests.Asked,
            201,
        ),
        get("/v1/staff/requests", requests.listed, "support", "All requests", requests.AskedReply),
        get(
            "/v1/staff/request",
            requests.opened,
            "support",
            "One request, under a grant",
            requests.Request,
            requests.RequestQuery,
        ),
        post(
            "/v1/staff/requests/identify",
            requests.identify,
            "support",
            "Say how you made sure who asks",
            requests.IdentifyRequest,
        ),
        post("/v1/staff/requests/answer", requests.answer, "support", "Answer a request", requests.AnswerRequest),
    )


def _restriction() -> tuple[Route[Any], ...]:
    return (
        get(
            "/v1/account/restriction",
            restrictions.listed,
            "privacy",
            "Whether your data is kept only",
            restrictions.RestrictionsReply,
        ),
        post(
            "/v1/account/restriction",
            restrictions.of_account,
            "own",
            "Restrict the account's data, or lift it",
            restrictions.RestrictRequest,
        ),
        post(
            "/v1/me/restriction",
            restrictions.of_member,
            "privacy",
            "Restrict your own data, or lift it",
            restrictions.RestrictRequest,
        ),
        post(
            "/v1/staff/restriction",
            restrictions.on_request,
            "support",
            "Restrict or lift, for a request",
            restrictions.StaffRestrictRequest,
        ),
    )


def _export() -> tuple[Route[Any], ...]:
    return (
        post("/v1/export", exports.ask, "own", "Ask for a copy of everything", None, exports.Export, 202, (409,)),
        Route(
            method="GET",
            path="/v1/me/copy",
            handler=exports.own,
            access="privacy",
            summary="What is held about you, one JSON object a line",
            query=Query,
            media_type="application/x-ndjson",
        ),
        get("/v1/export", exports.listed, "own", "Your copies: being made, ready, failed", exports.ExportsReply),
        Route(
            method="GET",
            path="/v1/export/archive",
            handler=exports.fetched,
            access="own",
            summary="Fetch a copy, a ZIP of JSON, Parquet and CSV",
            query=exports.ExportQuery,
            media_type="application/zip",
            problems=(404,),
        ),
    )


def _correction() -> tuple[Route[Any], ...]:
    return (
        post(
            "/v1/corrections",
            corrections.correct,
            "privacy",
            "Correct your data",
            corrections.CorrectRequest,
            corrections.CorrectReply,
        ),
        post(
            "/v1/corrections/confirm",
            corrections.confirm,
            "privacy",
            "Show that a new contact is yours",
            corrections.ConfirmRequest,
        ),
        get("/v1/corrections", corrections.listed, "privacy", "What was corrected", corrections.CorrectionsReply),
        post(
            "/v1/staff/corrections",
            corrections.correct_for,
            "support",
            "Correct for a request",
            corrections.StaffCorrectRequest,
            corrections.CorrectReply,
        ),
    )


def _told() -> tuple[Route[Any], ...]:
    return (
        get("/v1/announcements", announcements.listed, "public", "Announcements", announcements.AnnouncementsReply),
        Route(
            method="GET",
            path="/announcements",
            handler=announcements.page,
            access="public",
            summary="Announcements, to read",
            query=Query,
            media_type=HTML,
        ),
        get("/v1/cessation", announcements.cessation, "public", "Whether it ends", announcements.CessationReply),
        get(
            "/v1/staff/incidents",
            announcements.incidents_listed,
            "oversee",
            "Incidents, and who was told",
            announcements.IncidentsReply,
        ),
    )
