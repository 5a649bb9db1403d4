"""What pages say that stands in no template: translators find it here."""

from __future__ import annotations

from typing import Final

SCRIPTS: Final = (
    "The server cannot be reached. Please try again.", "The server cannot be reached. Please reload the page.",
    "Log out", "Forget token", "Log in", "Go on", "not connected", "Still to do: ", "Still to verify: ",
    "The phone is verified.", "You can log in now.", "Connection lost since ", "No connection since ",
    "What you see is old. Trying again by itself.", "Trying again by itself.", "no connection for ", "live", " ago",
    "The server does not take that token: it was mistyped, revoked or has ended. Log in again, or enter another.",
    "Is this address yours?", "Your address is verified.", "Do you agree as a guardian?",
    "Thank you. You agreed, and your address is forgotten.", "Set a new password",
    "Your password is set. Please log in with it.", "Join the account", "Nearly done: we sent a code to your phone.",
    "Send warnings to this address?", "Warnings go to it from now on.",
)  # fmt: skip
"""What the pages' scripts say; `words` in them."""

NAMES_OF_CLASSES: Final = {
    "telemetry_raw": "Readings",
    "telemetry_rollup": "Hourly means",
    "warnings": "Warnings",
    "notifications": "Messages",
    "support": "Support bundles",
    "feedback": "Feedback",
    "disclosures": "What recipients were given",
    "access_log": "Visits of pages",
}
"""Class of data → what people call it."""

NAMES: Final = (
    "Farm", "Costs", "Declared", "Rules", "Silences", "Contacts", "Your data", "Manage", "Account",
    "Log in", "Register",
    "fault", "unreachable", "silent", "idle", "paused", "hashing", "all", "with a warning",
    "critical", "warning", "info", "owner", "manager", "operator", "viewer", "read", "operate", "manage",
    "agent", "share",
    "catalogue", "catalogue, by model", "settings", "account", "site", "model", "machine",
    "email", "sms", "webhook", "given", "withdrawn", "objected", "contract", "law", "interest", "consent",
    "access", "correction", "deletion", "restriction", "objection", "portability", "withdrawal", "cancellation",
    "done", "refused", "began", "fired", "escalated", "eased", "acknowledged", "recovered", "switched_off",
    "Hashrate", "Power", "Efficiency", "Hottest chip", "Hottest board", "Inlet air", "Slowest fan",
    "Hashing", "Warnings",
    "Machine", "Chip", "Rejected", "Up",
)  # fmt: skip
"""What is said of what the API names: states, roles, kinds; and what templates pass on."""
