"""A real PostgreSQL for tests: started in a folder of its own on a free port of loopback, not as root."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DEBIAN = Path("/usr/lib/postgresql")
_USER = "postgres"  # Debian's; PostgreSQL refuses to run as root


def found() -> Path | None:
    """The folder of its programs; None where there is none."""
    if program := shutil.which("initdb"):
        return Path(program).parent
    return max(_DEBIAN.glob("*/bin"), default=None)


def runner() -> str | None:
    """Who is to run it: None is whoever runs the tests. Raises `LookupError` where only root could."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(_USER)
    except KeyError as error:
        raise LookupError(f"PostgreSQL does not run as root, and there is no user {_USER}") from error
    return _USER


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The URL of a server that ends with the block."""
    programs, user = found(), runner()
    if programs is None:
        raise LookupError("no PostgreSQL: install Debian's package postgresql")
    data = folder / "data"
    data.mkdir()
    if user is not None:
        shutil.chown(folder, user)
        shutil.chown(data, user)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, timeout=60, user=user, cwd=folder)

    run(str(programs / "initdb"), "-D", str(data), "-U", "itsminer", "--auth=trust", "-E", "UTF8", "--no-sync")
    options = f"-h 127.0.0.1 -p {port} -k {folder} -F"
    control = str(programs / "pg_ctl")
    run(control, "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql://itsminer@127.0.0.1:{port}/postgres"
    finally:
        run(control, "-D", str(data), "-m", "immediate", "-w", "stop")
