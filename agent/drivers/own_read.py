"""A small read of our own beside the library's, for machines that speak cgminer's protocol on port 4028.

It supplies shares with stale ones, the age of the last share, hottest chips, fans that stand still, pause and
fault codes where the libraries do not: `answers` says what and why. It is an extra: whatever goes wrong here,
the library's reading stands.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final, TypeVar

from agent.drivers import rpc
from agent.drivers.answers import Answers, Extra, hashrate_ths, rows, understand
from agent.drivers.floods import Floods
from agent.drivers.rests import Rests
from agent.errors import BadReply, MinerUnreachable, TooMuch
from agent.reading import Live, RawBoard

LIMIT_S: Final = 3.0
"""So that a machine whose port 4028 hangs is still read by its web page within the usual deadline of 10 s."""

_GENERAL: Final = ("summary", "pools")
_OF_MAKE: Final = {"Antminer": ("stats",), "Avalon": ("stats",), "Whatsminer": ("devs",)}
_ALONE_OF_MAKE: Final = {"Whatsminer": ("status", "get_error_code")}
"""Commands that cgminer never had, so that they cannot be asked together with others."""
_AT_A_STANDSTILL: Final = frozenset({"status"})
"""Whether it was paused; nobody asks that of a machine that hashes."""

_PORT: Final = "port"

Value = TypeVar("Value")


class OwnRead:
    """Asks one machine, and learns in which way it can be asked."""

    def __init__(self, address: str, make: str | None, floods: Floods) -> None:
        self._address = address
        self._floods = floods
        self._make = make
        self._together = (*_GENERAL, *_OF_MAKE.get(make or "", ()))
        self._alone = _ALONE_OF_MAKE.get(make or "", ())
        self._takes_many = True
        self._unknown: set[str] = set()  # commands that it answers with an error
        self._rests = Rests()

    def reconsider(self) -> None:
        """Forget what was learnt: firmware changes, and a restart closes ports for a while."""
        self._takes_many = True
        self._unknown.clear()
        self._rests.clear()

    async def read(self) -> Extra:
        """Raises nothing but cancellation; what could not be had is missing. Takes at most `LIMIT_S`.

        Of a machine that floods `Floods` is told: it floods the library, which is asking it as well.
        """
        answers: dict[str, rpc.Answer] = {}
        self._rests.next_read()
        if _PORT in self._rests:
            return Extra()
        try:
            async with asyncio.timeout(LIMIT_S):
                await self._ask_all(answers)
        except TooMuch:
            self._floods.seen(self._address)
        except (TimeoutError, MinerUnreachable):
            pass  # what came before it is kept
        if answers:
            self._rests.worked(_PORT)
        else:
            self._rests.failed(_PORT)
        return understand(answers, self._make)

    async def _ask_all(self, answers: dict[str, rpc.Answer]) -> None:
        if self._takes_many:
            answers |= await self._ask_many()
        for command in (*self._together, *self._alone):
            if command in answers or command in self._unknown:
                continue
            if command in _AT_A_STANDSTILL and hashrate_ths(answers):
                continue
            try:
                answer = await rpc.ask(self._address, command)
            except TooMuch:
                raise
            except BadReply:
                continue
            if _is_error(answer):
                self._unknown.add(command)
            else:
                answers[command] = answer

    async def _ask_many(self) -> Answers:
        """All in one question. Firmware that does not know how answers with an error, and is not asked so again."""
        try:
            whole = await rpc.ask(self._address, "+".join(self._together))
        except TooMuch:
            raise
        except BadReply:
            whole = {}
        parts = {command: part[0] for command in self._together if (part := rows(whole, command))}
        self._takes_many = bool(parts)
        return parts


def _is_error(answer: rpc.Answer) -> bool:
    status = answer.get("STATUS")
    if isinstance(status, list):
        status = status[0].get("STATUS") if status and isinstance(status[0], dict) else None
    return status in ("E", "F")


def complete(live: Live, extra: Extra) -> Live:
    """The library's reading with what only we know.

    Where both know, the library's number stands, but for shares, fans and the hottest sensors of a board. Boards
    of which nobody said anything are none: the libraries list each that the model has.
    """
    is_meant_to_mine = live.is_meant_to_mine
    if extra.is_paused is not None and not live.hashrate_ths:
        is_meant_to_mine = not extra.is_paused
    boards = _complete_boards(live.boards or (), extra.boards or ())
    codes = None
    if live.fault_codes is not None or extra.fault_codes is not None:
        codes = tuple(dict.fromkeys((*(live.fault_codes or ()), *(extra.fault_codes or ()))))
    return replace(
        live,
        is_meant_to_mine=is_meant_to_mine,
        hashrate_ths=_first(live.hashrate_ths, extra.hashrate_ths),
        power_w=_first(live.power_w, extra.power_w),
        uptime_s=_first(live.uptime_s, extra.uptime_s),
        inlet_temp_c=_first(live.inlet_temp_c, extra.inlet_temp_c),
        fans_rpm=_first(extra.fans_rpm, live.fans_rpm),
        boards=boards if any(_says_anything(board) for board in boards) else None,
        shares_accepted=_first(extra.shares_accepted, live.shares_accepted),
        shares_rejected=_first(extra.shares_rejected, live.shares_rejected),
        shares_stale=_first(extra.shares_stale, live.shares_stale),
        last_share_age_s=_first(extra.last_share_age_s, live.last_share_age_s),
        fault_codes=codes,
    )


def _first(first: Value | None, second: Value | None) -> Value | None:
    return second if first is None else first


def _complete_boards(boards: tuple[RawBoard, ...], own: tuple[RawBoard, ...]) -> tuple[RawBoard, ...]:
    """Boards of the library, each completed by index; ours when it has none. Never a board more than it has:
    firmware counts a lost board's neighbours in different ways."""
    by_index = {board.index: board for board in own}
    return tuple(_complete_board(board, by_index.get(board.index)) for board in boards) or own


def said_nothing(live: Live) -> bool:
    """Whether this is what a library makes of a machine that is dead: no hashrate and no uptime. pyasic makes a
    hashrate of 0 of some; a machine that really makes no hashes says something else as well."""
    if live.uptime_s is not None or live.hashrate_ths:
        return False
    if live.hashrate_ths is None:
        return True
    boards = live.boards or ()
    return not (live.fans_rpm or live.power_w or live.pools) and not any(
        board.hashrate_ths or board.board_temp_c or board.chip_temp_c or board.chips_working for board in boards
    )


def _says_anything(board: RawBoard) -> bool:
    return any(
        value is not None for value in (board.hashrate_ths, board.board_temp_c, board.chip_temp_c, board.chips_working)
    )


def _complete_board(board: RawBoard, own: RawBoard | None) -> RawBoard:
    if own is None:
        return board
    return replace(
        board,
        hashrate_ths=_first(board.hashrate_ths, own.hashrate_ths),
        expected_ths=_first(board.expected_ths, own.expected_ths),
        board_temp_c=_first(own.board_temp_c, board.board_temp_c),
        chip_temp_c=_first(own.chip_temp_c, board.chip_temp_c),
        chips_working=_first(board.chips_working, own.chips_working),
        frequency_mhz=_first(board.frequency_mhz, own.frequency_mhz),
    )
