"""The page's web server: aiohttp, read-only, the page and its frames and nothing else.

    GET  /                      the page (with its style and scripts)
    GET  /about                 what is shown: title, names of the frames, filters
    GET  /frame/N               a frame of a list (`sartm_core.view.wire`)
    GET  /live?frame=N&state=M  waits for a newer frame or state than these, then sends the newest
    POST /segment               one or two files, answered with their frame

A client asks for its next frame when it has shown the last one, so it gets the newest then: there is no queue. A slow
client delays nobody, and the memory in use is one frame for each client that is being answered.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from aiohttp import BodyPartReader, web

from sartm_core.view.config import PageConfig
from sartm_core.view.dropped import MAX_FILES, Upload, read_dropped
from sartm_core.view.model import Masks
from sartm_core.view.source import WAIT_S, Listed, Live, Shown
from sartm_core.view.wire import Encoded, body, encode

SCRIPTS = ("page.js", "frames.js", "draw.js", "png.js")
PAGE = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    **{f"/{name}": (name, "text/javascript") for name in SCRIPTS},
}
"""All files that are ever sent."""
KEPT = 16
"""Frames of a list that are kept, ready to be sent again."""
UPLOADS = 4
"""Clients that may send files at the same time."""
MB = 1_000_000
CHUNK = 65536
SECURE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """One source and its clients. All work on pixels is done by one thread, one frame at a time."""

    def __init__(self, source: Listed | Live, config: PageConfig, masks: Masks, name: str = "sartm view") -> None:
        self.source, self.config, self._masks, self.name = source, config, masks, name
        self.kept: OrderedDict[int, Encoded] = OrderedDict()
        """The latest frames of a list; of a live source the newest one, by its number."""
        self.made = 0
        """Frames that were encoded."""
        self._worker = ThreadPoolExecutor(1, "sartm-view")
        self._turn = asyncio.Lock()
        self._uploads = asyncio.Semaphore(UPLOADS)
        self._changed = asyncio.Event()

    def app(self) -> web.Application:
        """What aiohttp runs. Call it inside the event loop."""
        app = web.Application(middlewares=[self._guard], client_max_size=self.config.upload_mb * MB)
        app.add_routes([web.get(path, self._page) for path in PAGE])
        app.router.add_get("/about", self._about)
        app.router.add_post("/segment", self._segment)
        if isinstance(self.source, Live):
            loop = asyncio.get_running_loop()
            self.source.on_change = lambda: ring(loop, self._ring)
            app.router.add_get("/live", self._live)
        else:
            app.router.add_get(r"/frame/{index:\d{1,9}}", self._frame)
        app.on_response_prepare.append(secure)
        app.on_shutdown.append(self._wake)
        app.on_cleanup.append(self._close)
        return app

    async def _wake(self, _: web.Application) -> None:
        """Nobody waits any longer: the server ends."""
        self._ring()

    async def _close(self, _: web.Application) -> None:
        self._worker.shutdown(wait=False, cancel_futures=True)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse other sites: by name while only this machine may look (DNS rebinding), by origin always."""
        name = urlsplit(f"//{request.host}").hostname or ""
        if is_loopback(self.config.host) and not is_loopback(name):
            raise web.HTTPForbidden(text=f"this page is for this machine; it is not at {name!r}")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="this page does not answer other sites")
        return await handler(request)

    async def _page(self, request: web.Request) -> web.Response:
        name, kind = PAGE[request.path]
        return web.Response(text=(files("sartm_core.view") / "page" / name).read_text("utf-8"), content_type=kind)

    async def _about(self, _: web.Request) -> web.Response:
        source = self.source
        about: dict[str, Any] = {"name": self.name, "title": source.title, "live": isinstance(source, Live)}
        if isinstance(source, Listed):
            about |= {"names": source.names, "tags": source.tags, "rate": source.rate}
        return web.json_response(about)

    async def _frame(self, request: web.Request) -> web.Response:
        source = self.source
        assert isinstance(source, Listed)
        index = int(request.match_info["index"])
        if index >= len(source.names):
            raise web.HTTPNotFound(text=f"frame {index}: there are {len(source.names)}")
        async with self._turn:
            frame = await self._encoded(index, lambda: read(source, index), KEPT)
        return answer(frame.head, frame.pictures)

    async def _live(self, request: web.Request) -> web.Response:
        source = self.source
        assert isinstance(source, Live)
        seen, told = (number(request.query.get(name)) for name in ("frame", "state"))
        (count, _), (states, _) = source.newest()
        if (count, states) == (seen, told):
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), WAIT_S)
        async with self._turn:  # only now: while others had their turn, newer frames may have come
            (count, shown), (states, state) = source.newest()
            head = {"frame": count, "told": states, "live": dict(state)}
            if shown is None or count == seen:
                return answer(head)
            newest = shown
            frame = await self._encoded(count, lambda: newest, 1)
        return answer(frame.head | head, frame.pictures)

    async def _segment(self, request: web.Request) -> web.Response:
        try:
            async with self._uploads:
                dropped = await self._receive(request)
            frame = await self._work(lambda: self._segmented(dropped))
        except (ValueError, OSError) as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        return answer(frame.head, frame.pictures)

    async def _receive(self, request: web.Request) -> list[Upload]:
        """The files of a request, no more bytes and no more files than are allowed."""
        limit = self.config.upload_mb * MB
        if not request.content_type.startswith("multipart/"):
            raise web.HTTPBadRequest(text="expected one or two files as multipart/form-data")
        received: list[Upload] = []
        size = 0
        reader = await request.multipart()
        while (field := await reader.next()) is not None:
            if not isinstance(field, BodyPartReader):
                raise web.HTTPBadRequest(text="expected files, got another multipart within")
            data = bytearray()
            while chunk := await field.read_chunk(CHUNK):
                size += len(chunk)
                if size > limit or len(received) == MAX_FILES:
                    raise web.HTTPRequestEntityTooLarge(
                        limit, size, text=f"at most {MAX_FILES} files of together {self.config.upload_mb} MB"
                    )
                data += chunk
            received.append(Upload(field.filename or "file", bytes(data)))
        return received

    def _segmented(self, files: list[Upload]) -> Encoded:
        dropped = read_dropped(files)
        name = " and ".join(file.name for file in files)
        return self._encode(self._masks(name, dropped.rgb, dropped.thermal, dropped.told))

    def _encode(self, shown: Shown) -> Encoded:
        self.made += 1
        return encode(shown, self.config.to_celsius)

    async def _encoded(self, key: int, make: Callable[[], Shown], keep: int) -> Encoded:
        """A frame by its number, made once for all who ask while it is kept. For the one whose turn it is."""
        if key not in self.kept:
            self.kept[key] = await self._work(lambda: self._encode(make()))
        self.kept.move_to_end(key)
        while len(self.kept) > keep:
            self.kept.popitem(last=False)
        return self.kept[key]

    async def _work(self, do: Callable[[], Encoded]) -> Encoded:
        return await asyncio.get_running_loop().run_in_executor(self._worker, do)

    def _ring(self) -> None:
        """Wake all who wait for something newer."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


async def secure(_: web.Request, response: web.StreamResponse) -> None:
    """Every answer tells the browser to load nothing from elsewhere, and to give nothing to others."""
    response.headers.update(SECURE)


def ring(loop: asyncio.AbstractEventLoop, bell: Callable[[], None]) -> None:
    """Call `bell` in the loop's thread, unless that has ended."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(bell)


def read(source: Listed, index: int) -> Shown:
    """A frame of a list; one that cannot be shown says why."""
    try:
        return source.read(index)
    except (ValueError, OSError) as error:
        return Shown(source.names[index], error=str(error))


def answer(head: dict[str, Any], pictures: bytes = b"") -> web.Response:
    return web.Response(body=body(head, pictures), content_type="application/octet-stream")


def number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by name or number."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
