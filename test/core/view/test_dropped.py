"""Files that are dropped on the page: told apart, segmented, or refused in words before they are decoded."""

from __future__ import annotations

import asyncio
import io
import zlib

import numpy as np
import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestClient
from PIL import Image

from sartm_core.view.source import Live
from test.core.view.pages import FakeMasks, Frames, page, shown, unpack


def png(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


def huge(side: int) -> bytes:
    """A PNG that says it has side x side pixels, and holds 16."""
    small = bytearray(png(np.zeros((4, 4, 3), np.uint8)))
    small[16:24] = side.to_bytes(4, "big") * 2
    small[29:33] = zlib.crc32(small[12:29]).to_bytes(4, "big")
    return bytes(small)


COLOR, GRAY = shown("x").rgb, shown("x").thermal
assert COLOR is not None and GRAY is not None


async def drop(client: TestClient, *files: bytes, names: tuple[str, ...] = ("a.png", "b.png", "c.png")):
    form = FormData()
    for name, data in zip(names, files, strict=False):
        form.add_field("file", data, filename=name)
    return await client.post("/segment", data=form)


@pytest.mark.parametrize("turned", [False, True])
def test_a_dropped_pair_is_told_apart_and_segmented(turned: bool) -> None:
    async def body() -> None:
        files = [png(COLOR), png(GRAY)][:: -1 if turned else 1]
        async with page(Live("a test")) as (client, server):
            response = await drop(client, *files)
            assert response.status == 200
            head = unpack(await response.read())
            masks: FakeMasks = server._masks  # type: ignore[assignment]
        np.testing.assert_array_equal(masks.given[0][0], COLOR)
        np.testing.assert_array_equal(masks.given[0][1], GRAY)
        rgb, thermal = ("b.png", "a.png") if turned else ("a.png", "b.png")
        assert head["state"] == {"taken as rgb": rgb, "taken as thermal": thermal}

    asyncio.run(body())


def test_a_pair_of_the_night_is_told_apart_too() -> None:
    async def body() -> None:
        dark = np.zeros((24, 32, 3), np.uint8)
        dark[4, 4] = 0, 0, 60  # hardly any colour
        async with page(Frames(1)) as (client, server):
            assert (await drop(client, png(np.full((24, 32), 9, np.uint8)), png(dark))).status == 200
            np.testing.assert_array_equal(server._masks.given[0][0], dark)  # type: ignore[attr-defined]

    asyncio.run(body())


def test_one_dropped_picture_is_a_frame_of_one_camera() -> None:
    async def body() -> None:
        async with page(Frames(1)) as (client, server):
            assert (await drop(client, png(GRAY))).status == 200
            rgb, thermal = server._masks.given[0]  # type: ignore[attr-defined]
            assert rgb is None and thermal.dtype == np.uint16

    asyncio.run(body())


@pytest.mark.parametrize(
    ("files", "status", "text"),
    [
        ([b"no picture"], 400, "a.png: not a readable image"),
        ([png(COLOR)[:60]], 400, "a.png: not a readable"),
        ([huge(7000)], 400, "a.png: 7000x7000 is 49000000 pixels, at most 40000000 are read"),
        ([huge(30000)], 400, "a.png: not a readable"),  # Pillow itself says no
        ([png(COLOR), png(COLOR)], 400, "a.png and b.png are both in colour"),
        ([png(GRAY), png(GRAY)], 400, "a.png and b.png are both grey"),
        ([png(COLOR), png(GRAY), png(GRAY)], 413, "at most 2 files"),
        ([bytes(1_000_001)], 413, "together 1 MB"),
        ([bytes(600_000), bytes(600_000)], 413, "together 1 MB"),
        ([], 400, ""),
    ],
)  # fmt: skip
def test_bad_drops_are_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, files: list[bytes], status: int, text: str
) -> None:
    monkeypatch.setenv("SARTM_MAX_PIXELS", "40000000")

    async def body() -> None:
        async with page(Frames(1), upload_mb=1) as (client, server):
            response = await drop(client, *files)
            assert response.status == status and text in await response.text()
            assert server._masks.given == []  # type: ignore[attr-defined]
            assert (await client.get("/frame/0")).status == 200

    asyncio.run(body())


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"--x\r\n\r\n--x--"),  # no boundary
        ("multipart/form-data; boundary=x", b"rubbish"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y--\r\n--x--"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\nhalf a"),
    ],
)
def test_rubbish_instead_of_files_is_refused(kind: str, body: bytes) -> None:
    async def run() -> None:
        async with page(Frames(1)) as (client, _):
            response = await client.post("/segment", data=body, headers={"Content-Type": kind})
            assert response.status == 400

    asyncio.run(run())


def test_the_name_of_a_dropped_file_is_only_shown() -> None:
    async def body() -> None:
        async with page(Frames(1)) as (client, _):
            response = await drop(client, png(COLOR), names=("../../etc/passwd",))
            assert response.status == 200 and "passwd" in unpack(await response.read())["name"]

    asyncio.run(body())
