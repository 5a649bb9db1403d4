"""The rows of the API's table that are about warnings: rules, silences, one warning, declared machines."""

from __future__ import annotations

from typing import Any

from backend.api import declared, explaining, reviewing, rules, silences
from backend.api.route import Route
from backend.api.rows import changing, get, post
from backend.api.warnings import WarningQuery


def warning_routes() -> tuple[Route[Any], ...]:
    """The rows."""
    return (*_rules(), *_silences(), *_one(), *_declared())


def _rules() -> tuple[Route[Any], ...]:
    return (
        get("/v1/rules", rules.listed, "read", "The rules and their numbers", rules.RulesReply, rules.RulesQuery),
        changing(
            "PUT", "/v1/rules", rules.change, "manage", "Give a rule other numbers", rules.RuleRequest, rules.RuleShown
        ),
        get(
            "/v1/rules/history",
            rules.history,
            "read",
            "Who changed the rules, when, from what to what",
            rules.HistoryReply,
            rules.HistoryQuery,
        ),
    )


def _silences() -> tuple[Route[Any], ...]:
    shown, all_of_them, which = silences.SilenceShown, silences.SilencesReply, silences.SilenceQuery
    return (
        get("/v1/silences", silences.listed, "read", "Of what nobody is told", all_of_them),
        post("/v1/silences", silences.make, "operate", "Tell nobody for a while", silences.SilenceRequest, shown, 201),
        changing("DELETE", "/v1/silences/{silence}", silences.end, "operate", "Tell again, at once", query=which),
        get("/v1/maintenance", silences.maintenance_listed, "read", "When people work at sites", all_of_them),
        post(
            "/v1/maintenance",
            silences.maintain,
            "operate",
            "People work at a site: tell nobody",
            silences.MaintenanceRequest,
            shown,
            201,
        ),
        changing("DELETE", "/v1/maintenance/{silence}", silences.end, "operate", "The work is done", query=which),
        post("/v1/mutes", silences.mute, "privacy", "Tell me no more of a rule", silences.MuteRequest, shown, 201),
        changing("DELETE", "/v1/mutes/{silence}", silences.unmute, "privacy", "Tell me again", query=which),
    )


def _one() -> tuple[Route[Any], ...]:
    return (
        get(
            "/v1/warnings/{warning}/explain",
            explaining.explain,
            "read",
            "Why a warning fired, and who was told or not and why",
            explaining.ExplainReply,
            WarningQuery,
        ),
        changing(
            "POST",
            "/v1/warnings/{warning}/acknowledge",
            explaining.acknowledge,
            "operate",
            "Say that somebody cares for it",
            query=WarningQuery,
        ),
        changing(
            "POST",
            "/v1/warnings/{warning}/review",
            reviewing.ask_for_review,
            "privacy",
            "Ask for a person to look at it",
            reviewing.ReviewRequest,
            reviewing.ReviewShown,
            WarningQuery,
            status=201,
        ),
        get("/v1/staff/reviews", reviewing.waiting, "support", "Reviews that wait", reviewing.StaffReviewsReply),
        get(
            "/v1/staff/review",
            reviewing.one_waiting,
            "support",
            "The whole of one, under a grant",
            reviewing.StaffReviewReply,
            reviewing.ReviewQuery,
        ),
        post(
            "/v1/staff/reviews/answer",
            reviewing.answer,
            "support",
            "Answer a review, under a grant",
            reviewing.AnswerRequest,
        ),
    )


def _declared() -> tuple[Route[Any], ...]:
    return (
        get(
            "/v1/declared",
            declared.listed,
            "read",
            "Declared and discovered machines, and what differs",
            declared.DeclaredReply,
        ),
        changing("PUT", "/v1/declared", declared.declare, "manage", "Declare the machines", declared.DeclareRequest),
    )
