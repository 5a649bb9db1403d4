"""The rows of the API's table that are about people: becoming one, logging in, members, tokens, staff."""

from __future__ import annotations

from typing import Any

from backend.api import costs, logins, people, registering, staff
from backend.api.route import Route
from backend.api.rows import get, post
from backend.api.sites import Site
from backend.config import Accounts


def account_routes(settings: Accounts) -> tuple[Route[Any], ...]:
    """The rows; the tries that are counted are those of this table."""
    return (*_joining(settings), *_own(settings), *_account(), *_staff())


def _joining(settings: Accounts) -> tuple[Route[Any], ...]:
    desk = registering.Registering(settings)
    told = registering.RegisterReply
    return (
        post("/v1/register", desk.register, "public", "Open an account", registering.RegisterRequest, told, 202),
        post(
            "/v1/register/email",
            desk.verify_email,
            "public",
            "Show that the e-mail address is yours",
            registering.VerifyRequest,
            registering.VerifyReply,
        ),
        post(
            "/v1/register/phone",
            desk.verify_phone,
            "public",
            "Show that the phone is yours",
            registering.VerifyRequest,
            registering.VerifyReply,
        ),
        post("/v1/guardian", desk.guardian, "public", "Agree as a guardian", registering.TokenRequest),
        post("/v1/invitations/accept", desk.join, "public", "Join an account", registering.JoinRequest, told, 202),
        post(
            "/v1/password/forgot",
            desk.forgot,
            "public",
            "Ask for a link that sets a new password",
            registering.ForgotRequest,
            status=202,
        ),
        post("/v1/password/reset", desk.reset, "public", "Set a new password", registering.ResetRequest),
    )


def _own(settings: Accounts) -> tuple[Route[Any], ...]:
    log_in = logins.LoggingIn(settings).post
    return (
        post("/v1/login", log_in, "public", "Log in", logins.LoginRequest, logins.LoginReply, 201, (401,)),
        post("/v1/logout", logins.log_out, "self", "Log out"),
        get("/v1/me", logins.me, "self", "Who is logged in", logins.MeReply),
        get("/v1/sessions", logins.listed, "self", "Your log-ins that last", logins.SessionsReply),
        post("/v1/sessions/end", logins.end, "self", "End one of your log-ins", logins.EndRequest),
        post("/v1/sessions/end-all", logins.end_all, "self", "Log out everywhere", logins.EndAllRequest),
        post("/v1/password", logins.change_password, "self", "Change your password", logins.PasswordRequest),
        post(
            "/v1/second-factor",
            logins.begin_second_factor,
            "self",
            "Make a secret for an authenticator app",
            reply=logins.SecondFactorReply,
        ),
        post(
            "/v1/second-factor/confirm",
            logins.confirm_second_factor,
            "self",
            "Switch the second factor on",
            logins.CodeRequest,
            logins.RecoveryReply,
        ),
        post(
            "/v1/second-factor/codes",
            logins.renew_recovery_codes,
            "self",
            "Make new recovery codes",
            logins.ConfirmedRequest,
            logins.RecoveryReply,
            201,
        ),
        post(
            "/v1/second-factor/drop",
            logins.drop_second_factor,
            "self",
            "Switch the second factor off",
            logins.ConfirmedRequest,
        ),
    )


def _account() -> tuple[Route[Any], ...]:
    return (
        get("/v1/members", people.listed, "manage_members", "The account's members", people.MembersReply),
        post("/v1/invitations", people.invite, "manage_members", "Invite somebody", people.InviteRequest, status=202),
        post("/v1/members/role", people.change_role, "own", "Give a member another role", people.RoleRequest),
        post("/v1/members/remove", people.remove, "own", "Remove a member", people.MemberRequest),
        post(
            "/v1/account/second-factor",
            people.require_second_factor,
            "own",
            "Say whether members need a second factor",
            people.SecondFactorRequest,
        ),
        get("/v1/tokens", people.tokens_listed, "manage_members", "The account's tokens", people.TokensReply),
        post(
            "/v1/tokens",
            people.make_token,
            "manage_members",
            "Make a token for a program",
            people.TokenRequest,
            people.TokenReply,
            201,
        ),
        post("/v1/tokens/revoke", people.revoke_token, "manage_members", "Revoke a token", people.RevokeRequest),
        post("/v1/sites", people.add_site, "manage", "Add a site", people.NewSiteRequest, Site, 201),
        post(
            "/v1/sites/code",
            people.enrolment_code,
            "manage",
            "Make a code that enrols a site's agent",
            people.SiteRequest,
            people.CodeReply,
            201,
        ),
        post(
            "/v1/sites/change",
            costs.change,
            "manage",
            "A site's tariff, time zone, name, page",
            costs.SiteChangeRequest,
        ),
        post("/v1/sites/revoke", people.revoke_agent, "manage", "Lock a site's agent out", people.SiteRequest),
        post(
            "/v1/agent/token",
            people.rotate,
            "agent",
            "Change the agent's token",
            people.RotateRequest,
            people.RotateReply,
            201,
        ),
    )


def _staff() -> tuple[Route[Any], ...]:
    return (
        get("/v1/staff", staff.listed, "oversee", "Who works for the service", staff.StaffReply),
        get("/v1/staff/grants", staff.own_grants, "staff", "Your grants that hold now", staff.GrantsReply),
        get("/v1/staff/grants/all", staff.all_grants, "oversee", "All grants", staff.GrantsReply),
        post(
            "/v1/staff/grants",
            staff.open_grant,
            "support",
            "Open a grant: an account, a reason, an end",
            staff.GrantRequest,
            staff.Grant,
            201,
        ),
        post("/v1/staff/grants/end", staff.end_grant, "staff", "End a grant", staff.GrantIdRequest),
        Route(
            method="GET",
            path="/v1/staff/members",
            handler=staff.members_of,
            access="support",
            summary="An account's members, under a grant",
            query=staff.AccountQuery,
            reply=people.MembersReply,
        ),
        post(
            "/v1/staff/erase-child",
            staff.erase_child,
            "admin",
            "Erase the account of a child under 14",
            staff.AccountRequest,
        ),
    )
