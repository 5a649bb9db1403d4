"""The socket for whoever runs the service: where it is, who may use it, what it says when something is wrong."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest
from pydantic import BaseModel

from backend.operator_socket import NAME, NotAnswered, answering, ask


class Told(BaseModel):
    about: str


async def told(about: str) -> Told:
    if about == "acc_broken":
        raise LookupError(about)
    return Told(about=about)


async def test_it_answers_in_a_folder_with_a_long_name_for_its_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 150)
    folder.mkdir()
    async with answering(folder, {"echo": told}):
        assert await ask(folder, "echo", "acc_a") == {"about": "acc_a"}
        assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o600
    assert not (folder / NAME).exists()


async def test_what_a_killed_service_left_is_in_nobodys_way(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / NAME))
    async with answering(tmp_path, {"echo": told}):
        assert await ask(tmp_path, "echo", "acc_a") == {"about": "acc_a"}


async def test_who_does_not_answer_and_who_fails_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotAnswered, match="does not answer"):
        await ask(tmp_path, "echo", "acc_a")
    async with answering(tmp_path, {"echo": told}):
        for name, about in (("echo", "acc_broken"), ("nonsense", "acc_a")):
            with pytest.raises(NotAnswered, match="its log says why"):
                await ask(tmp_path, name, about)
