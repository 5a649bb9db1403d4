"""An InfluxDB for tests: a real 2.x named by the environment, else the v2 front over Debian's 1.6, else a skip.

`ITSMINER_TEST_INFLUX_URL`, `ITSMINER_TEST_INFLUX_TOKEN` (all-access) and `ITSMINER_TEST_INFLUX_ORG` name a real one;
its buckets of the test are deleted afterwards. They have no rules there: the tests' time is not the server's.
"""

from __future__ import annotations

import atexit
import os
import secrets
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest
from influxdb_client import InfluxDBClient
from pydantic import SecretStr

from backend.store.influx import tiers
from backend.store.influx.engine import InfluxStore
from backend.store.influx.settings import InfluxSettings
from tests.backend.readings import NOW
from tests.fakes import influx_v2, influxd

_URL = "ITSMINER_TEST_INFLUX_URL"

_running = ExitStack()
_front: influx_v2.InfluxV2 | None = None
_last: tuple[Path, InfluxSettings] | None = None


def settings(folder: Path) -> InfluxSettings:
    """An empty place on the server for a test's folder; the same one for the same folder. One at a time."""
    global _last
    if _last is not None and _last[0] == folder:
        return _last[1]
    url = os.environ.get(_URL)
    if url:
        made = InfluxSettings(
            url=url,
            org=os.environ["ITSMINER_TEST_INFLUX_ORG"],
            token=SecretStr(os.environ["ITSMINER_TEST_INFLUX_TOKEN"]),
            prefix=f"itsminertest{secrets.token_hex(4)}",
        )
        _make(made)
        _running.callback(_drop, made)
    else:
        server = front()
        server.wipe()
        made = InfluxSettings(url=server.url, org=influx_v2.ORG, token=SecretStr(influx_v2.TOKEN))
    _last = (folder, made)
    return made


def front() -> influx_v2.InfluxV2:
    """The v2 front, started for this process when it is first asked for."""
    global _front
    if influxd.found() is None:
        pytest.skip("no InfluxDB: set ITSMINER_TEST_INFLUX_URL or install Debian's package influxdb")
    if _front is None:
        folder = Path(_running.enter_context(tempfile.TemporaryDirectory(prefix="influxd-")))
        _front = _running.enter_context(influx_v2.serving(_running.enter_context(influxd.running(folder))))
    return _front


def store(folder: Path, clock: Callable[[], datetime] = lambda: NOW) -> InfluxStore:
    """A store in the place for a folder."""
    made = InfluxStore(settings(folder), clock)
    made._is_prepared = bool(os.environ.get(_URL))
    return made


def stop() -> None:
    """Stop what was started. Safe to call twice."""
    global _front, _last
    _running.close()
    _front = _last = None


def _make(made: InfluxSettings) -> None:
    with InfluxDBClient(url=made.url, token=made.token.get_secret_value(), org=made.org) as client:
        for name in tiers.rules(made.prefix):
            client.buckets_api().create_bucket(bucket_name=name, org=made.org)


def _drop(made: InfluxSettings) -> None:
    with InfluxDBClient(url=made.url, token=made.token.get_secret_value(), org=made.org) as client:
        buckets = client.buckets_api()
        for bucket in list(buckets.find_buckets_iter(org=made.org, limit=100)):
            if bucket.name.startswith(made.prefix):
                buckets.delete_bucket(bucket)


atexit.register(stop)  # also where no fixture calls it
