"""A real, headless Chromium that a test fills forms in, over its DevTools protocol; it reaches loopback only."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MISSING = "no Chromium here: Debian has it as the package chromium"
PATIENCE_S = 30


@dataclass
class Page:
    """One tab."""

    socket: aiohttp.ClientWebSocketResponse
    complaints: list[str] = field(default_factory=list)
    """Uncaught errors, and what the policy of a page refused."""
    _numbers: Any = field(default_factory=lambda: count(1))

    async def command(self, method: str, **parameters: Any) -> Any:
        """A command of the protocol; its result."""
        number = next(self._numbers)
        await self.socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            told = json.loads((await self.socket.receive(PATIENCE_S)).data)
            match told.get("method"):
                case "Runtime.exceptionThrown":
                    self.complaints.append(str(told["params"]["exceptionDetails"]))
                case "Log.entryAdded" if told["params"]["entry"]["source"] == "security":
                    self.complaints.append(told["params"]["entry"]["text"])
            if told.get("id") == number:
                assert "error" not in told, (method, told)
                return told["result"]

    async def open(self, url: str) -> None:
        """Go there; another fragment of the same page is a page anew, as in a new tab."""
        await self.command("Page.navigate", url="about:blank")
        await self.command("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def run(self, script: str) -> Any:
        """The value of an expression."""
        told = await self.command("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        return told["result"].get("value")

    async def until(self, script: str) -> Any:
        """Wait until an expression is something; that. A page may be on its way meanwhile."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not (value := await self.run(script)):  # noqa: ASYNC110 (of another program)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(
                f"{script} came to nothing at {await self.run('location.href')}:\n{await self.text()}"
            ) from None
        return value

    async def text(self) -> str:
        """What the page says."""
        return str(await self.run("document.body.innerText"))

    async def says(self, words: str) -> None:
        """Wait until it says so."""
        await self.until(f"document.body.innerText.includes({json.dumps(words)})")

    async def at(self, path: str) -> None:
        """Wait until the tab is there, and the page is complete."""
        await self.until(f"location.pathname === {json.dumps(path)} && document.readyState === 'complete'")

    async def fill(self, **values: str) -> None:
        """Type into fields by their ids, `_` for `-`."""
        for name, value in values.items():
            at = f"document.getElementById({json.dumps(name.replace('_', '-'))})"
            await self.until(f"{at} !== null && {at}.checkVisibility()")
            await self.run(f"{at}.value = {json.dumps(value)}")

    async def press(self, words: str) -> None:
        """The visible button of this name."""
        named = f"(b.getAttribute('aria-label') || b.innerText) === {json.dumps(words)} && b.checkVisibility()"
        script = f"[...document.querySelectorAll('button')].find((b) => {named})"
        await self.until(f"{script} !== undefined")
        await self.run(f"{script}.click()")

    async def look(self, file: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """A picture of the whole page."""
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.command("Emulation.setEmulatedMedia", features=[scheme])
        shot = await self.command("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))  # noqa: ASYNC240 (for people who look, not in a test run)


@contextlib.asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Page]:
    """Start one with nothing remembered; it is ended with this block. Raises `LookupError` where there is none."""
    if PROGRAM is None:
        raise LookupError(MISSING)
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        *(
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--remote-debugging-port=0",
        ),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={folder}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as client:
            port = await _port(folder / "DevToolsActivePort")
            async with client.get(f"http://127.0.0.1:{port}/json/list") as answer:
                tab = next(each for each in await answer.json(content_type=None) if each["type"] == "page")
            async with client.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                for domain in ("Page", "Runtime", "Log"):
                    await page.command(f"{domain}.enable")
                yield page
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _port(file: Path) -> str:
    """Where it listens; it writes that down when it does."""
    async with asyncio.timeout(PATIENCE_S):
        while not (file.exists() and "\n" in file.read_text()):  # noqa: ASYNC110, ASYNC240 (of another program)
            await asyncio.sleep(0.05)
    return file.read_text().splitlines()[0]  # noqa: ASYNC240
