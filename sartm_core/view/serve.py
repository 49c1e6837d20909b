"""From a source to a page that stays until Ctrl-C, and the command line of the commands that do so."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from sartm_core.support.cli import add_config_options, build_config, finish, new_parser, parse
from sartm_core.view.config import PageConfig
from sartm_core.view.model import Masks
from sartm_core.view.source import Listed, Live

C = TypeVar("C", bound=PageConfig)
Open = Callable[[Path | None, C, Masks], AbstractContextManager[Listed | Live]]
"""Makes a source of what stands first on the command line, for as long as the page is there."""
END_S = 1.0
"""Answers that are under way at the end get this long."""


def command(
    name: str, doc: str | None, what: str, config_class: type[C], open_source: Open[C], argv: Sequence[str] | None
) -> int:
    """A command line of one place and the fields of a config; serve what `open_source` makes of it. The exit code."""
    parser = new_parser(name, doc)
    parser.add_argument("what", nargs="?", type=Path, metavar=what.split(":")[0], help=what.split(": ")[1])
    add_config_options(parser, config_class)
    args = parse(parser, argv)

    def work() -> int:
        config = build_config(config_class, args)
        needs()
        masks = Masks(config, getattr(config, "threshold", 0.0))
        with open_source(args.what, config, masks) as source:
            serve(name, source, config, masks)
        return 0

    return finish(parser, work)


def needs() -> None:
    """ValueError says how to install what the server is made of."""
    try:
        import aiohttp  # noqa: F401
    except ImportError as error:
        raise ValueError(f'the page needs aiohttp ({error}): pip install "sartm_ros[view]"') from error


def serve(name: str, source: Listed | Live, config: PageConfig, masks: Masks) -> None:
    """Serve until Ctrl-C or SIGTERM. OSError names the port that is in use."""
    asyncio.run(_serve(name, source, config, masks))


async def _serve(name: str, source: Listed | Live, config: PageConfig, masks: Masks) -> None:
    from aiohttp import web

    from sartm_core.view.server import Server

    runner = web.AppRunner(
        Server(source, config, masks, name).app(), access_log=None, handler_cancellation=True, shutdown_timeout=END_S
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, config.host, config.port).start()
    except OSError as error:
        await runner.cleanup()
        raise ValueError(f"--host {config.host} --port {config.port}: {error.strerror}; give another --port") from error
    host, port = runner.addresses[0][:2]
    place = f"[{host}]" if ":" in host else host
    print(f"{name}: {source.title}: http://{place}:{port}/   (Ctrl-C ends)", flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()
    await runner.cleanup()
