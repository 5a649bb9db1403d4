"""A registry with an account, its contact and its site."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backend.registry.database import Database
from tests import registry_file
from tests.agent.certificates import self_signed
from tests.backend.farm import Farm, farm
from tests.backend.notify.desk import Desk
from tests.backend.notify.servers import Authority


@pytest.fixture
async def north(tmp_path: Path) -> AsyncIterator[Farm]:
    """A site and its contact, reached by e-mail and phone. Power does not fail in these tests; processes do."""
    registry_file.put(tmp_path)
    database = Database(f"sqlite:///{tmp_path / 'registry.db'}", is_disposable=True)
    yield await farm(tmp_path, database)
    await database.close()


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """A server's certificate for an address or name, by an authority that this process trusts."""

    def make(name: str) -> ssl.SSLContext:
        file, context = self_signed(tmp_path, name)
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        return context

    return make


@pytest.fixture
def desk(north: Farm) -> Desk:
    """All channels over that site."""
    return Desk(north)
