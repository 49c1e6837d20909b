"""A headless Chromium under the DevTools protocol, spoken over aiohttp: for tests of pages."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from test.patience import patience

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
DEADLINE_S = 60.0
ASK_AGAIN_S = 0.05
PHONE = 600
"""A narrower window is that of a phone."""


def executable() -> str | None:
    """Where a Chromium is, None where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session: str) -> None:
        self._socket, self._session = socket, session
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        """What the page logged as errors, and exceptions that nobody caught."""

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One DevTools command and its answer; events in between are looked at and dropped."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        await self._socket.send_json(message | ({"sessionId": self._session} if self._session else {}))
        while True:
            answer = json.loads((await self._socket.receive()).data)
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.complaints.append(json.dumps(answer["params"])[:500])
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    async def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page; a promise is waited for."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, script: str, what: str = "") -> None:
        """Return once an expression is true."""
        for _ in range(round(DEADLINE_S * patience() / ASK_AGAIN_S)):
            if await self.run(f"Boolean({script})"):
                return
            await asyncio.sleep(ASK_AGAIN_S)
        raise AssertionError(f"not within {DEADLINE_S:g} s: {what or script}; the page: {self.complaints}")

    async def screen(self, width: int, height: int, dark: bool = False) -> None:
        """The window's size, and which colours the user prefers."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < PHONE}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def press(self, key: str, code: int) -> None:
        """One key, down and up."""
        event = {"key": key, "windowsVirtualKeyCode": code}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **event, **({"text": key} if len(key) == 1 else {}))
        await self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    async def picture(self, path: Path) -> None:
        """A screenshot."""
        path.write_bytes(base64.b64decode((await self.call("Page.captureScreenshot"))["data"]))


@asynccontextmanager
async def opened(folder: Path, url: str) -> AsyncIterator[Browser]:
    """A browser with its profile in `folder`, on a page that has been loaded."""
    path = executable()
    assert path is not None
    process = await asyncio.create_subprocess_exec(
        path, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage",
        "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        while b"DevTools listening on " not in (line := await process.stderr.readline()):
            assert line, "chromium ended without a DevTools port"
        drain = asyncio.create_task(process.stderr.read())
        address = line.decode().split("DevTools listening on ")[1].strip()
        async with aiohttp.ClientSession() as client, client.ws_connect(address, max_msg_size=0) as socket:
            root = Browser(socket, "")
            target = (await root.call("Target.createTarget", url="about:blank"))["targetId"]
            session = (await root.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
            browser = Browser(socket, session)
            for domain in ("Page", "Runtime", "Log"):
                await browser.call(f"{domain}.enable")
            await browser.screen(1280, 800)
            await browser.call("Page.navigate", url=url)
            await browser.until("location.href !== 'about:blank' && document.readyState === 'complete'")
            yield browser
            await root.call("Browser.close")
        await drain
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
