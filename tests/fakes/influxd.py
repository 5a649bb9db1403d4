"""Debian's `influxd` (1.6), started by hand on loopback: a real engine for line protocol and InfluxQL."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

_START_S = 30.0
_STOP_S = 10.0

_CONFIG = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  index-version = "{index}"
  query-log-enabled = false
[retention]
  enabled = false
[monitor]
  store-enabled = false
[continuous_queries]
  enabled = false
[http]
  bind-address = "127.0.0.1:{http}"
  log-enabled = false
[logging]
  level = "warn"
"""


def found() -> str | None:
    """Where `influxd` is; None when it is not installed."""
    return shutil.which("influxd")


@contextmanager
def running(folder: Path, *, index: Literal["inmem", "tsi1"] = "inmem") -> Iterator[str]:
    """Its URL while it runs, with everything it keeps in `folder`; the index in memory starts fastest."""
    program = found()
    if program is None:
        raise FileNotFoundError("there is no influxd here")
    http, rpc = _free_ports(2)
    config = folder / "influxdb.conf"
    config.write_text(_CONFIG.format(folder=folder, http=http, rpc=rpc, index=index))
    url = f"http://127.0.0.1:{http}"
    with (folder / "influxd.log").open("wb") as log:
        process = subprocess.Popen([program, "-config", str(config)], stdout=log, stderr=log)
        try:
            wait(url, process)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def wait(url: str, process: subprocess.Popen[bytes]) -> None:
    """Until it answers `/ping`. Raises `RuntimeError` when the program ends instead."""
    deadline = time.monotonic() + _START_S
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode} while it started")
        try:
            with urllib.request.urlopen(f"{url}/ping", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
