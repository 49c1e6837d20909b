"""The page in a real Chromium: what it draws is what `visualize` draws, and all of it works from the keyboard.

`pytest -m slow test/core/view/test_page.py` also makes the pictures of docs/view.md, into the folder SARTM_PICTURES.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sartm_core.browse.labels import Labels
from sartm_core.support.classes import MFNET
from sartm_core.support.visualize import overlay, thermal_to_gray
from sartm_core.synthetic import SceneConfig, render_scene
from sartm_core.view.config import ViewConfig
from sartm_core.view.folder import open_frames
from sartm_core.view.model import Masks
from sartm_core.view.server import Server
from sartm_core.view.source import Listed, Live
from test.core.layouts import save, save_index, write_lists
from test.core.view.pages import PALETTE, Frames, page, shown

chromium = pytest.importorskip("test.chromium")
if chromium.executable() is None:
    pytest.skip("no Chromium here: apt install chromium", allow_module_level=True)

LOUDEST = 6.0
"""Mean difference of a channel that a JPEG of these pictures may make."""
LARGEST, WIDEST = 300_000, 1024
"""Of a picture for the docs: bytes, pixels."""
DESKTOP, PHONE = (1280, 800), (390, 844)
RIGHT, SPACE = ("ArrowRight", 39), (" ", 32)


@asynccontextmanager
async def opened(source: Listed | Live, folder: Path, **config: Any) -> AsyncIterator[tuple[Any, Server]]:
    """A browser on the page of a source."""
    async with (
        page(source, **config) as (client, server),
        chromium.opened(folder / "profile", str(client.make_url("/"))) as browser,
    ):
        yield browser, server


async def text(browser: Any, of: str) -> str:
    return await browser.run(f"document.querySelector('{of}').textContent")


async def says(browser: Any, of: str, wanted: str) -> None:
    """Wait until an element's text is this."""
    await browser.until(f"document.querySelector('{of}').textContent === {json.dumps(wanted)}")


async def choose(browser: Any, name: str, value: str) -> None:
    """Choose a value of a filter."""
    select = f"document.querySelector('#filters select[name={name}]')"
    await browser.run(f"{select}.value = '{value}', {select}.dispatchEvent(new Event('input', {{bubbles: true}}))")


async def drawn(browser: Any, kind: str) -> np.ndarray:
    """The pixels of a canvas, (H, W, 3) uint8."""
    url = await browser.run(f"document.querySelector('#{kind} canvas').toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))


async def put_pointer(browser: Any, kind: str, x: float, y: float) -> None:
    """Move the mouse to a place in a picture, 0..1."""
    box = await browser.run(f"document.querySelector('#{kind} canvas').getBoundingClientRect().toJSON()")
    await browser.call(
        "Input.dispatchMouseEvent", type="mouseMoved", x=box["x"] + x * box["width"], y=box["y"] + y * box["height"]
    )


def test_the_page_draws_what_visualize_draws(tmp_path: Path) -> None:
    async def body() -> None:
        async with opened(Frames(2), tmp_path) as (browser, _):
            await browser.until("document.querySelector('#name').textContent.includes('frame0')")
            want = shown("frame0", 1)
            np.testing.assert_array_equal(await drawn(browser, "thermal"), thermal_to_gray(want.thermal))
            np.testing.assert_array_equal((await drawn(browser, "confidence"))[..., 0], want.confidence)
            rgb = await drawn(browser, "rgb")
            assert np.abs(rgb.astype(int) - want.rgb).mean() < LOUDEST
            for opacity in (0.5, 1.0, 0.0):
                await browser.run(f"(o => {{ o.value = {opacity}; o.oninput(); }})(document.querySelector('#opacity'))")
                found = (await drawn(browser, "overlay")).astype(int)
                assert np.abs(found - overlay(rgb, want.mask, PALETTE, opacity)).max() <= 1
            assert browser.complaints == []

    asyncio.run(body())


def test_what_is_under_the_pointer(tmp_path: Path) -> None:
    async def body() -> None:
        async with opened(Frames(1), tmp_path, celsius=(0.01, -10.0)) as (browser, _):
            await browser.until("document.querySelector('#name').textContent")
            await put_pointer(browser, "rgb", 0.3, 0.25)  # column 9 of 32, of thermal 4 of 16
            assert (await text(browser, "#pointer")).split("\n") == ["car", "confidence 80.0 %", "thermal -9.0 °C"]
            await put_pointer(browser, "thermal", 0.99, 0.1)
            assert (await text(browser, "#pointer")).split("\n")[0::2] == ["ignored", "thermal -8.8 °C"]

    asyncio.run(body())


def test_the_keyboard_does_all_of_it(tmp_path: Path) -> None:
    async def body() -> None:
        tags = {"split": [["train"], ["val"], ["val"], []], "finding": [[], [], [], []]}
        async with opened(Frames(4, broken=(3,), tags=tags), tmp_path) as (browser, _):
            await says(browser, "#name", "1 of 4: frame0")
            await browser.press(*RIGHT)
            await says(browser, "#name", "2 of 4: frame1")
            await browser.press(*SPACE)  # plays to the end; the last frame cannot be read, and says so
            await says(browser, "#name", "4 of 4: frame3")
            await browser.until("document.querySelector('#problem').textContent.includes('not a readable image')")
            await says(browser, "#play", "play")
            # a filter: only split has values
            assert await browser.run("document.querySelectorAll('#filters select').length") == 1
            await choose(browser, "split", "val")
            await says(browser, "#name", "1 of 2: frame1")
            # the pointer: focus on a picture, then arrows
            await browser.run("document.querySelector('#overlay canvas').focus()")
            await browser.press(*RIGHT)
            assert (await text(browser, "#pointer")).startswith("person")
            assert await text(browser, "#name") == "1 of 2: frame1"
            # a class is hidden with Enter on its button, and the focus stays there
            await browser.run("document.querySelector('#legend [data-id=\"1\"]').focus()")
            await browser.press("\r", 13)
            await browser.until("document.activeElement.getAttribute('aria-pressed') === 'false'")
            unnamed = "[...document.querySelectorAll('button,input,select,canvas')].filter(e => !(e.ariaLabel || "
            unnamed += "e.textContent.trim() || (e.labels && e.labels.length))).length"
            assert await browser.run(unnamed) == 0
            label = "document.querySelector('#overlay canvas').ariaLabel"
            assert await browser.run(label) == (
                "mask over the frame: unlabeled 25.0 %, car 25.0 %, person 25.0 %, ignored 25.0 %, frame frame1"
            )

    asyncio.run(body())


def test_a_live_page_pauses_steps_and_goes_on(tmp_path: Path) -> None:
    async def body() -> None:
        source = Live("a test")
        async with opened(source, tmp_path) as (browser, _):
            await says(browser, "#badge", "")
            source.tell({"state": "degraded: rgb silent", "masks": "9.5 Hz"})
            await says(browser, "#badge", "degraded: rgb silent")
            await browser.until("document.querySelector('#badge').className === 'bad'")
            source.show(shown("one", 1))
            await says(browser, "#name", "one")
            await browser.press(*SPACE)
            await says(browser, "#play", "play")
            source.show(shown("two", 2))
            source.show(shown("three", 3))
            await browser.press(*RIGHT)
            await says(browser, "#name", "three")
            await browser.press(*SPACE)
            source.show(shown("four", 4))
            await says(browser, "#name", "four")
            assert browser.complaints == []

    asyncio.run(body())


def test_dropping_a_pair_and_saving_its_mask(tmp_path: Path) -> None:
    async def body() -> None:
        async with opened(Frames(2), tmp_path) as (browser, server):
            await browser.until("document.querySelector('#name').textContent")
            want = shown("x", 3)
            files = []
            for name, array in (("street.png", want.rgb), ("street_ir.png", want.thermal)):
                Image.fromarray(array).save(tmp_path / name)
                files.append(str(tmp_path / name))
            node = (await browser.call("Runtime.evaluate", expression="document.querySelector('#files')"))["result"]
            await browser.call("DOM.setFileInputFiles", files=files, objectId=node["objectId"])
            await says(browser, "#name", "street.png and street_ir.png")
            np.testing.assert_array_equal(server._masks.given[0][1], want.thermal)  # type: ignore[attr-defined]
            out = tmp_path / "saved"
            await browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(out))
            await browser.run("document.querySelector('#save').click()")
            for _ in range(600):
                if {path.name for path in out.glob("*.png")} >= {f"{NAME}_mask.png", f"{NAME}_overlay.png"}:
                    break
                await asyncio.sleep(0.05)
            with Image.open(out / f"{NAME}_mask.png") as mask:
                assert mask.mode == "P" and mask.getpalette()[:9] == [c for color in PALETTE for c in color]
                np.testing.assert_array_equal(np.asarray(mask), np.ones(want.rgb.shape[:2], np.uint8))
            with Image.open(out / f"{NAME}_overlay.png") as picture:
                assert picture.size == (32, 24)

    asyncio.run(body())


NAME = "street.png_and_street_ir.png"


@pytest.mark.parametrize(("size", "dark"), [(DESKTOP, False), (DESKTOP, True), (PHONE, False), (PHONE, True)])
def test_nothing_is_cut_off(tmp_path: Path, size: tuple[int, int], dark: bool) -> None:
    async def body() -> None:
        async with opened(Frames(1), tmp_path) as (browser, _):
            await browser.until("document.querySelector('#name').textContent")
            await browser.screen(*size, dark)
            wide = "[...document.querySelectorAll('body *')]"
            wide += ".filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
            assert await browser.run(f"{wide}.map(e => e.outerHTML.slice(0, 80))") == []
            await browser.picture(tmp_path / "page.png")
            with Image.open(tmp_path / "page.png") as picture:
                assert picture.size == size
                light = np.asarray(picture.convert("L"))[:4].mean()  # above everything: the page itself
            assert light < 60 if dark else light > 200

    asyncio.run(body())


def scenes(root: Path, count: int) -> Path:
    """Synthetic scenes as a data set: day and night in turn, thermal in hundredths of a kelvin, labels, lists."""
    for index in range(count):
        scene = render_scene(100 + index, SceneConfig(conditions=(("day", "night")[index % 2],)))
        name = f"{index + 1:05d}{'DN'[index % 2]}"
        save(root / "rgb" / f"{name}.png", scene.rgb)
        save(root / "thermal" / f"{name}.png", (scene.kelvin * 100).round().astype(np.uint16))
        save_index(root / "labels" / f"{name}.png", scene.label, MFNET)
    names = sorted(path.stem for path in (root / "rgb").iterdir())
    write_lists(root, {"train": tuple(names[:-2]), "val": tuple(names[-2:])})
    return root


async def small_picture(browser: Any, path: Path) -> None:
    """A screenshot in few colours, for the docs."""
    await browser.picture(path)
    with Image.open(path) as picture:
        small = picture.convert("RGB")
        small.thumbnail((WIDEST, WIDEST))
    coarse = np.asarray(small) >> 3  # 5 bits a channel: half of the bytes
    Image.fromarray(coarse << 3 | coarse >> 2).save(path, optimize=True)
    assert path.stat().st_size < LARGEST


@pytest.mark.slow
def test_pictures_for_the_docs(tmp_path: Path) -> None:
    out = Path(os.environ.get("SARTM_PICTURES", tmp_path))
    root = scenes(tmp_path / "scenes", 6)
    config = ViewConfig(celsius=(0.01, -273.15))
    masks = Masks(config)
    (root / "labels" / "00003D.png").write_bytes(b"no picture")
    findings = {root / "labels" / "00003D.png": [("fault: unreadable", "not a readable image")]}

    async def body() -> None:
        folder = open_frames(config, root, masks)
        folder.title = "scenes"
        folder.read(0)
        async with opened(folder, tmp_path / "one", masks=masks, celsius=config.celsius) as (browser, _):
            await says(browser, "#name", "1 of 6: 00001D")
            await put_pointer(browser, "overlay", 0.32, 0.55)
            await small_picture(browser, out / "view.png")
            await browser.screen(*PHONE)
            await small_picture(browser, out / "view_phone.png")
            await browser.screen(*DESKTOP, dark=True)
            await browser.press(*RIGHT)
            await says(browser, "#name", "2 of 6: 00002N")
            await small_picture(browser, out / "view_dark.png")
        labels = Labels("folder", root, None, findings)
        labels.title = "scenes"
        async with opened(labels, tmp_path / "two", masks=masks, name="sartm browse") as (browser, _):
            await browser.until("document.querySelector('#legend li')")
            assert await text(browser, "h1") == "sartm browse"
            await choose(browser, "class", "person")
            await browser.until("document.querySelector('#name').textContent.includes('00001D')")
            await small_picture(browser, out / "browse.png")

    asyncio.run(body())
