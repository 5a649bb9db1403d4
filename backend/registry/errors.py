"""What can go wrong in the registry; the class says what the caller does.

RegistryError
├── Missing   there is no such thing in this account: say so, in the same words for what is somebody else's
├── Taken     the name or address is in use: choose another
├── Invalid   the value cannot be what it should be: correct it
└── Forbidden they may not: nothing to correct
"""

from __future__ import annotations


class RegistryError(Exception):
    """Root of what the registry raises on purpose; the message is for whoever asked."""


class Missing(RegistryError):
    """No such account, site, member or token."""


class Taken(RegistryError):
    """Somebody has this name already."""


class Invalid(RegistryError):
    """Not a name, e-mail address, phone number, language or role."""


class Forbidden(RegistryError):
    """Who asks may not do it."""
