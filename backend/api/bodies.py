"""Bodies of requests: read within limits, decompressed within limits.

A decompression bomb costs as much as the limit and no more: decompression stops there.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import zlib
from typing import Final, TypeVar

import zstandard
from aiohttp import web
from pydantic import BaseModel, ValidationError

from agent import wire
from backend.api.problems import Problem
from backend.api.route import JSON

ENCODINGS: Final = ("gzip", "zstd", "identity")

SMALL: Final = 64 * 1024
"""Bytes of a body that is not a batch."""

SENT: Final = web.RequestKey("itsminer.sent", object)
"""Where a request keeps its parsed body, for the audit log."""

_MAX_WINDOW: Final = 2**25  # of a zstd frame: what a decoder has to hold, whatever the frame asks for

M = TypeVar("M", bound=BaseModel)


async def model(request: web.Request, of: type[M], patience_s: float) -> M:
    """A small JSON body. Raises `Problem` 408, 413, 415 or 422."""
    if encoding(request) != "identity":
        raise Problem(415, "this body is small: send it uncompressed", headers={"Accept-Encoding": "identity"})
    require_json(request)
    try:
        sent = of.model_validate_json(await received(request, SMALL, patience_s))
    except ValidationError as error:
        raise Problem(422, wire.describe(error), kind="body") from error
    request[SENT] = sent
    return sent


async def received(request: web.Request, limit: int, patience_s: float) -> bytes:
    """The body as sent, at most `limit` bytes in `patience_s`. Raises `Problem` 400, 408 or, very early, 413."""
    if (request.content_length or 0) > limit:
        raise too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(patience_s):
            async for chunk in request.content.iter_any():
                size += len(chunk)
                if size > limit:
                    raise too_large(limit)
                chunks.append(chunk)
    except TimeoutError as error:
        raise Problem(408, f"the body did not arrive within {patience_s:g} s") from error
    except ConnectionError as error:
        raise Problem(400, "the body ended before its end", kind="damaged") from error
    return b"".join(chunks)


def decompressed(data: bytes, encoding: str, limit: int) -> bytes:
    """What the sender compressed, of one frame or several. Raises `Problem` 400 or 413."""
    try:
        if encoding == "zstd":
            decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
            with decompressor.stream_reader(data, read_across_frames=True) as frames:
                plain = frames.read(limit + 1)
        elif encoding == "gzip":
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as members:
                plain = members.read(limit + 1)
        else:
            plain = data
    except (zstandard.ZstdError, zlib.error, gzip.BadGzipFile, EOFError) as error:
        raise Problem(400, f"the body is not {encoding}, or damaged", kind="damaged") from error
    if len(plain) > limit:
        raise too_large(limit)
    return plain


def encoding(request: web.Request) -> str:
    """How the body is compressed. Raises `Problem` 415 for what we cannot read."""
    sent = request.headers.get("Content-Encoding", "identity").strip().lower()
    name = "gzip" if sent == "x-gzip" else sent
    if name not in ENCODINGS:
        raise Problem(
            415, f"send it as one of {', '.join(ENCODINGS)}", headers={"Accept-Encoding": ", ".join(ENCODINGS)}
        )
    return name


def require_json(request: web.Request) -> None:
    """Raises `Problem` 415 for a body that says it is something else."""
    if request.content_type != JSON:
        raise Problem(415, f"send it as Content-Type: {JSON}", headers={"Accept": JSON})


def too_large(limit: int) -> Problem:
    """For a body over a limit, compressed or not."""
    return Problem(413, f"the body is larger than {limit} bytes: send smaller ones", kind="too-large", limit=limit)
