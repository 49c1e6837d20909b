"""The page's server: what it sends, to whom, and how much it holds while clients are slow or many."""

from __future__ import annotations

import asyncio
import gc
import io
import weakref

import numpy as np
import pytest
from aiohttp.test_utils import TestClient
from PIL import Image

from sartm_core.support.visualize import display_colors, gray_range
from sartm_core.view.server import KEPT, PAGE
from sartm_core.view.source import WATCHED_S, Live
from test.core.view.pages import PALETTE, Frames, page, shown, unpack

CLIENTS = 20


def test_the_page_is_complete_and_nothing_else_is_there() -> None:
    async def body() -> None:
        async with page(Frames(1)) as (client, _):
            html = await (await client.get("/")).text()
            for path in PAGE:
                response = await client.get(path)
                assert response.status == 200 and "default-src 'none'" in response.headers["Content-Security-Policy"]
                text = await response.text()
                assert "http://" not in text and "https://" not in text  # nothing from elsewhere
            assert 'src="page.js"' in html and 'href="page.css"' in html
            for path in ("/server.py", "/page/index.html", "/..%2fserver.py", "/%2e%2e/server.py", "/frame/../about/x"):
                assert (await client.get(path)).status == 404, path
            assert (await client.post("/frame/0")).status == 405

    asyncio.run(body())


def test_a_frame_arrives_as_it_is() -> None:
    async def body() -> None:
        async with page(Frames(3), celsius=(0.01, -273.15)) as (client, _):
            about = await (await client.get("/about")).json()
            assert about["names"] == ["frame0", "frame1", "frame2"] and about["live"] is False
            head = unpack(await (await client.get("/frame/2")).read())
        want = shown("frame2", 3)
        for kind in ("thermal", "mask", "confidence"):
            np.testing.assert_array_equal(head[kind], getattr(want, kind))
        got = np.asarray(Image.open(io.BytesIO(head["rgb"]))).astype(int)
        assert got.shape == want.rgb.shape and np.abs(got - want.rgb).mean() < 8  # a JPEG
        assert head["gray"] == list(gray_range(want.thermal)) and head["celsius"] == [0.01, -273.15]
        assert [row["name"] for row in head["legend"]] == ["unlabeled", "car", "person", "ignored"]
        assert [row["share"] for row in head["legend"]] == [0.25] * 4
        assert [tuple(row["color"]) for row in head["legend"][:3]] == list(display_colors(PALETTE))
        assert head["state"] == {"weights": "tiny"} and head["error"] == ""

    asyncio.run(body())


def test_frames_that_are_not_there_and_frames_that_cannot_be_read() -> None:
    async def body() -> None:
        async with page(Frames(3, broken=(1,))) as (client, _):
            missing = await client.get("/frame/3")
            assert missing.status == 404 and "there are 3" in await missing.text()
            assert (await client.get("/frame/-1")).status == 404
            head = unpack(await (await client.get("/frame/1")).read())
            assert head["error"] == "frame1: not a readable image" and head["parts"] == []
            assert unpack(await (await client.get("/frame/0")).read())["error"] == ""

    asyncio.run(body())


def test_a_list_keeps_few_frames_and_makes_each_once() -> None:
    async def body() -> None:
        source = Frames(KEPT + 9)
        async with page(source) as (client, server):
            for index in range(len(source.names)):
                await (await client.get(f"/frame/{index}")).read()
            assert len(server.kept) == KEPT
            await asyncio.gather(*(client.get(f"/frame/{len(source.names) - 1}") for _ in range(CLIENTS)))
            assert source.reads == server.made == len(source.names)

    asyncio.run(body())


async def live(client: TestClient, frame: int = 0, state: int = 0) -> dict:
    return unpack(await (await client.get(f"/live?frame={frame}&state={state}")).read())


def test_a_live_client_gets_the_newest_frame_and_no_frame_twice() -> None:
    async def body() -> None:
        source = Live("a test")
        for value in (1, 2, 3):
            source.show(shown(f"number{value}", value))
        source.tell({"state": "ok"})
        async with page(source) as (client, server):
            head = await live(client)
            assert (head["name"], head["frame"], head["live"]) == ("number3", 3, {"state": "ok"})
            waiting = asyncio.ensure_future(live(client, 3, 1))
            await asyncio.sleep(0)
            source.tell({"state": "degraded"})
            head = await waiting
            assert "parts" not in head and head["live"] == {"state": "degraded"}
            assert server.made == 1
            assert (await live(client, 99, 99))["frame"] == 3  # of a server that was started again

    asyncio.run(body())


def test_twenty_clients_cost_one_picture_a_frame() -> None:
    async def body() -> None:
        source = Live("a test")
        async with page(source) as (client, server):
            for number in (1, 2, 3):
                waiting = [asyncio.ensure_future(live(client, number - 1)) for _ in range(CLIENTS)]
                await asyncio.sleep(0)
                source.show(shown(f"number{number}", number))
                heads = await asyncio.gather(*waiting)
                assert {head["name"] for head in heads} == {f"number{number}"}
            assert server.made == 3 and len(server.kept) == 1

    asyncio.run(body())


def test_a_client_that_does_not_read_delays_nobody_and_holds_one_frame() -> None:
    async def body() -> None:
        source = Live("a test")
        frames: list[weakref.ref] = []

        def show(value: int) -> None:
            frame = shown(f"number{value}", value)
            frames.append(weakref.ref(frame))
            source.show(frame)

        show(1)
        async with page(source) as (client, server):
            _, slow = await asyncio.open_connection(client.host, client.port)
            try:
                slow.write(b"GET /live?frame=0&state=0 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)  # and reads nothing
                await slow.drain()
                for value in range(2, 60):
                    show(value)
                    assert (await live(client, value - 1))["name"] == f"number{value}"
                    assert len(server.kept) == 1
                gc.collect()
                assert sum(ref() is not None for ref in frames) <= 2
            finally:
                slow.close()

    asyncio.run(body())


def test_nobody_looks_when_nobody_has_asked_for_a_while() -> None:
    now = [100.0]
    source = Live("a test", clock=lambda: now[0])
    assert not source.watched()
    source.newest()
    now[0] += WATCHED_S
    assert source.watched()
    now[0] += 0.1
    assert not source.watched()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:9000"}, 200),  # through a tunnel of ssh
        ({"Host": "[::1]:8710"}, 200),
        ({"Host": "evil.example"}, 403),  # DNS rebinding
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost:9000", "Origin": "http://localhost:9000"}, 200),
        ({"Host": "localhost:9000", "Origin": "http://evil.example"}, 403),
    ],
)
def test_other_sites_are_refused(headers: dict[str, str], status: int) -> None:
    async def body() -> None:
        async with page(Frames(1)) as (client, _):
            response = await client.get("/about", headers=headers)
            assert response.status == status and response.headers["X-Content-Type-Options"] == "nosniff"

    asyncio.run(body())


def test_a_page_for_the_network_answers_to_any_name() -> None:
    async def body() -> None:
        async with page(Frames(1), host="0.0.0.0") as (client, _):
            assert (await client.get("/about", headers={"Host": "robot.local"})).status == 200
            other = {"Host": "robot.local", "Origin": "http://evil.example"}
            assert (await client.get("/about", headers=other)).status == 403

    asyncio.run(body())
