"""What the service manager is told, over a real socket of its kind, and what counts as progress."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.daemon import Manager, Progress, Signs

WORKING = Signs(resting=False, machines=3, readings=10, uplink="idle", waiting_batches=0, tries=1, settled_batches=1)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(5)
        yield made


def test_systemd_is_told_in_its_own_words(listening: socket.socket) -> None:
    environment = {"NOTIFY_SOCKET": listening.getsockname(), "WATCHDOG_USEC": "30000000"}
    manager = Manager(environment)
    manager.ready()
    manager.words("3 of 3 machines answer")
    manager.words("3 of 3 machines answer")
    manager.alive()
    manager.reloading()
    manager.stopping()
    told = [listening.recv(1_000).decode() for _ in range(5)]
    assert told[:3] == ["READY=1", "STATUS=3 of 3 machines answer", "WATCHDOG=1"]
    assert told[3].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert told[4] == "STOPPING=1"
    assert manager.watchdog_s == 30
    assert environment == {}, "programs that we start are not to speak for us"


def test_an_abstract_socket_is_found() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(f"\0itsminer-test-{os.getpid()}")
        made.settimeout(5)
        Manager({"NOTIFY_SOCKET": f"@itsminer-test-{os.getpid()}"}).ready()
        assert made.recv(100) == b"READY=1"


def test_a_line_of_status_stays_one_line(listening: socket.socket) -> None:
    Manager({"NOTIFY_SOCKET": listening.getsockname()}).words("a\nREADY=1")
    assert listening.recv(100) == b"STATUS=a READY=1"


def test_the_watchdog_of_another_process_is_not_ours(tmp_path: Path) -> None:
    asked = {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}
    assert Manager(asked).watchdog_s is None


def test_without_a_manager_and_with_one_that_is_gone_nothing_happens(tmp_path: Path) -> None:
    Manager({}).ready()
    Manager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()


def test_a_manager_that_does_not_listen_holds_nobody_up(listening: socket.socket) -> None:
    manager = Manager({"NOTIFY_SOCKET": listening.getsockname()})
    for _ in range(2_000):
        manager.alive()


class TestProgress:
    clock = Clock()

    def progress(self) -> Progress:
        self.clock = Clock()
        return Progress(60, self.clock)

    def later(self, progress: Progress, seconds: float, signs: Signs) -> str:
        self.clock.now_s += seconds
        return progress.stuck(signs)

    def test_rounds_without_a_machine_finished_with_are_none(self) -> None:
        progress = self.progress()
        assert self.later(progress, 0, WORKING) == ""
        assert self.later(progress, 200, WORKING) == ""
        assert "no machine was finished with for 250 s" in self.later(progress, 50, WORKING)
        assert self.later(progress, 1, WORKING._replace(readings=11)) == ""

    @pytest.mark.parametrize("signs", [WORKING._replace(machines=0), WORKING._replace(resting=True)])
    def test_where_there_is_nothing_to_do_doing_nothing_is_right(self, signs: Signs) -> None:
        progress = self.progress()
        assert [self.later(progress, 1_000, signs) for _ in range(3)] == ["", "", ""]

    def test_a_request_that_hangs_is_none(self) -> None:
        progress = self.progress()
        said = [
            self.later(progress, 100, WORKING._replace(readings=turn, uplink="sending", waiting_batches=1))
            for turn in range(8)
        ]
        assert said[:7] == [""] * 7
        assert "nothing was sent or tried for 700 s" in said[7]

    def test_waiting_as_long_as_the_backend_asked_is_some(self) -> None:
        progress = self.progress()
        said = [
            self.later(progress, 100, WORKING._replace(readings=turn, uplink="waiting", waiting_batches=9))
            for turn in range(47)
        ]
        assert set(said[:46]) == {""}
        assert said[46]
