"""The gateways that there are, by the name that the settings call them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from backend.config import Sms as Settings
from backend.notify.protocol import NotConfigured, Notifier
from backend.notify.sms.dry import Dry
from backend.notify.sms.gateway import Gateway, Sms
from backend.notify.sms.template import Template
from backend.notify.sms.twilio import Twilio
from backend.notify.sms.vonage import Vonage

PROVIDERS: Final[Mapping[str, Callable[[Settings, str | None], Gateway]]] = {
    "twilio": Twilio,
    "vonage": Vonage,
    "http": Template,
}
"""`public_url`: where the gateway can say later what became of a text; None: it is not asked to."""


def notifier(settings: Settings, public_url: str | None, folder: Path) -> Notifier | None:
    """What sends texts; None when nothing is set up. Raises `NotConfigured`."""
    if settings.provider == "file":
        if settings.file is None:
            raise NotConfigured("sms: the provider file needs a file to write texts to")
        return Dry(folder / settings.file)
    if settings.url is None:
        return None
    can_be_called = public_url is not None and public_url.startswith("https://")
    return Sms(PROVIDERS[settings.provider](settings, public_url if can_be_called else None))
