"""HTTP to the server: write lines, ask questions, delete. Our own, because the client's library never retries.

`write` returns only after the server's 204, which it gives when the lines are on its disk. Short troubles are waited
out, longer ones are `StoreUnavailable`.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import aiohttp
import structlog

from backend.store.errors import Refused, StoreMisconfigured, StoreUnavailable
from backend.store.influx.errors import AnswerTooLarge, BadAnswer
from backend.store.influx.names import name
from backend.store.influx.queries import Delete, Question
from backend.store.influx.settings import InfluxSettings
from backend.store.influx.times import moment

_WAITS_S: Final = (0.2, 0.8)
"""Before the second and the third try; the agent waits out whatever lasts longer."""
_RETRY_AFTER_S: Final = 5.0
_RETRY_AFTER_MISCONFIGURED_S: Final = 60.0
_LARGE: Final = 200_000
"""Bytes from which an answer is parsed in a thread."""
_MOST_OF_A_MESSAGE: Final = 200

log = structlog.get_logger()

Row = list[Any]


@dataclass(frozen=True, slots=True)
class Table:
    """One group of an answer: its tags as names, and rows of time (µs since 1970) and the question's columns."""

    tags: dict[str, str]
    rows: list[Row]


class Client:
    """One server. Connections are made when needed and closed by `close`."""

    def __init__(self, settings: InfluxSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._trouble: str | None = None

    async def write(self, bucket: str, lines: Sequence[str], *, precision: Literal["us", "ns"] = "us") -> None:
        """Store lines; on return they are durable. Raises `Refused` and `StoreUnavailable`.

        When it raises, some lines may be stored: writing them again changes nothing.
        """
        if not lines:
            return
        body = await asyncio.to_thread(_packed, lines)
        parameters = {"org": self._settings.org, "bucket": bucket, "precision": precision}
        headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "gzip"}
        status, answer = await self._ask("write", "/api/v2/write", params=parameters, headers=headers, data=body)
        if status == 413 and len(lines) > 1:
            half = len(lines) // 2
            await self.write(bucket, lines[:half], precision=precision)
            await self.write(bucket, lines[half:], precision=precision)
        elif status != 204:
            raise Refused(f"the server refused a write ({status}): {_message(answer)}")

    async def select(self, bucket: str, *questions: Question, most_bytes: int = 1 << 28) -> list[list[Table]]:
        """Ask; one list of groups for each question, in the server's order (by tags, oldest or newest first).

        Raises `StoreUnavailable`, `AnswerTooLarge` and `BadAnswer`.
        """
        parameters = {"db": bucket, "epoch": "u"}
        text = ";".join(question.text() for question in questions)
        status, answer = await self._ask("query", "/query", params=parameters, data={"q": text}, most_bytes=most_bytes)
        if status != 200:
            raise BadAnswer(f"a question failed ({status}): {_message(answer)}")
        if len(answer) > _LARGE:
            return await asyncio.to_thread(self._tables, answer, len(questions))
        return self._tables(answer, len(questions))

    async def delete(self, bucket: str, delete: Delete) -> None:
        """Delete points; on return none of them is read again. Raises `StoreUnavailable` and `BadAnswer`."""
        # `stop` is in some versions the last moment deleted and in others the first one kept; between two whole
        # microseconds, where our points are, it is the same.
        body = {
            "start": moment(delete.start_us).isoformat().replace("+00:00", "Z"),
            "stop": moment(delete.end_us - 1).isoformat(timespec="microseconds").replace("+00:00", "999Z"),
            "predicate": delete.predicate(),
        }
        parameters = {"org": self._settings.org, "bucket": bucket}
        status, answer = await self._ask("delete", "/api/v2/delete", params=parameters, json=body)
        if status != 204:
            raise BadAnswer(f"a delete failed ({status}): {_message(answer)}")

    async def close(self) -> None:
        """Close connections. Safe to call twice."""
        if self._session is not None:
            await self._session.close()

    async def _ask(self, doing: str, path: str, *, most_bytes: int = 1 << 20, **request: Any) -> tuple[int, bytes]:
        """One POST, tried again after short troubles; what comes back is neither of them nor a question of rights."""
        for wait_s in (*_WAITS_S, None):
            retry_after_s = _RETRY_AFTER_S
            try:
                async with self._open().post(self._settings.url.rstrip("/") + path, **request) as response:
                    status, answer = response.status, await _read(response, most_bytes)
                if status in (401, 403, 404):
                    self._alarm(doing, status, _message(answer))
                if status != 429 and status < 500:
                    self._recovered()
                    return status, answer
                trouble = f"status {status}: {_message(answer)}"
                retry_after_s = _seconds(response.headers.get("Retry-After"), default=_RETRY_AFTER_S)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                trouble = type(error).__name__
            if wait_s is None or retry_after_s > _RETRY_AFTER_S:
                break
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
        self._report("influx.unavailable", doing=doing, trouble=trouble)
        raise StoreUnavailable(f"the time series server does not {doing} now ({trouble})", retry_after_s=retry_after_s)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            secure = ssl.create_default_context(cafile=self._settings.ca_file)
            self._session = aiohttp.ClientSession(
                headers={"Authorization": f"Token {self._settings.token.get_secret_value()}"},
                connector=aiohttp.TCPConnector(limit=32, ssl=secure),
                timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s),
                auto_decompress=True,
            )
        return self._session

    def _tables(self, answer: bytes, count: int) -> list[list[Table]]:
        try:
            results = json.loads(answer)["results"]
            for result in results:
                if "error" in result:
                    self._failed(str(result["error"]))
            if len(results) != count:
                raise BadAnswer(f"{count} questions and {len(results)} answers")
            return [[_table(series) for series in result.get("series", ())] for result in results]
        except (ValueError, KeyError, TypeError) as error:
            raise BadAnswer(f"an answer of no known shape: {type(error).__name__}") from error

    def _failed(self, message: str) -> None:
        message = message[:_MOST_OF_A_MESSAGE]
        if "not found" in message:  # the bucket, by any of the names that the versions have for it
            self._alarm("query", 404, message)
        raise BadAnswer(f"a question failed: {message}")

    def _alarm(self, doing: str, status: int, message: str) -> None:
        self._report("influx.misconfigured", doing=doing, status=status, message=message)
        raise StoreMisconfigured(
            f"the time series server refuses to {doing} ({status}): check url, org, token and buckets ({message})",
            retry_after_s=_RETRY_AFTER_MISCONFIGURED_S,
        )

    def _report(self, event: str, **details: object) -> None:
        """Say so once, until it works again or is another trouble."""
        if self._trouble != event:
            self._trouble = event
            log.error(event, **details)

    def _recovered(self) -> None:
        if self._trouble is not None:
            log.info("influx.recovered", after=self._trouble)
            self._trouble = None


def _packed(lines: Sequence[str]) -> bytes:
    # Level 1: a third of the time of the default for a tenth more bytes.
    return gzip.compress("\n".join(lines).encode(), compresslevel=1, mtime=0)


async def _read(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > most_bytes:
            raise AnswerTooLarge(f"the answer has more than {most_bytes} bytes")
        parts.append(part)
    return b"".join(parts)


def _table(series: dict[str, Any]) -> Table:
    tags = {key: name(value) for key, value in series.get("tags", {}).items()}
    return Table(tags=tags, rows=series["values"])


def _message(answer: bytes) -> str:
    """What the server says of an error, in any of its versions' shapes; shortened."""
    try:
        body = json.loads(answer)
        found = body.get("message") or body.get("error") or ""
    except (ValueError, AttributeError):
        found = answer.decode(errors="replace")
    return " ".join(str(found).split())[:_MOST_OF_A_MESSAGE]


def _seconds(header: str | None, *, default: float) -> float:
    try:
        return max(float(header or ""), 0.0)
    except ValueError:
        return default
