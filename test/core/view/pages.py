"""A page without a model: a list and a server in this process, and what its answers mean."""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

pytest.importorskip("aiohttp", reason="no aiohttp here: pip install '.[view]'")
from aiohttp.test_utils import TestClient, TestServer

from sartm_core.view.config import PageConfig
from sartm_core.view.server import Server
from sartm_core.view.source import Listed, Live, Shown

CLASSES = ("unlabeled", "car", "person")
PALETTE = ((0, 0, 0), (64, 0, 128), (64, 64, 0))
SIZE = (24, 32)


def shown(name: str, value: int = 7) -> Shown:
    """A frame that is told by its value: thermal 100 * value, classes in stripes, colour ramps."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    rgb = np.stack([rows * 10, columns * 7, np.full(SIZE, value)], -1).astype(np.uint8)  # (H, W, 3)
    thermal = np.full((12, 16), 100 * value, np.uint16)
    thermal[:6] += np.arange(16, dtype=np.uint16)
    mask = (columns // 8).astype(np.uint8)
    mask[mask == 3] = 255
    return Shown(name, rgb, thermal, mask, np.full(SIZE, 204, np.uint8), CLASSES, PALETTE, {"weights": "tiny"})


class Frames(Listed):
    """Numbered frames; those in `broken` cannot be read."""

    def __init__(self, count: int, broken: tuple[int, ...] = (), tags: Mapping[str, list[list[str]]] | None = None):
        self.title, self.names, self.tags = "frames of a test", [f"frame{i}" for i in range(count)], tags or {}
        self.broken, self.reads = broken, 0

    def read(self, index: int) -> Shown:
        self.reads += 1
        if index in self.broken:
            raise ValueError(f"{self.names[index]}: not a readable image")
        return shown(self.names[index], index + 1)


class FakeMasks:
    """Stands for the model: says what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[np.ndarray | None, np.ndarray | None]] = []
        self.segmenter = self

    def __call__(self, name: str, rgb: Any, thermal: Any, told: Mapping[str, str] | None = None) -> Shown:
        self.given.append((rgb, thermal))
        size = (rgb if rgb is not None else thermal).shape[:2]
        return Shown(name, rgb, thermal, np.ones(size, np.uint8), None, CLASSES, PALETTE, dict(told or {}))


@asynccontextmanager
async def page(
    source: Listed | Live, masks: Any = None, name: str = "sartm view", **config: Any
) -> AsyncIterator[tuple[TestClient, Server]]:
    """A client and the server."""
    server = Server(source, PageConfig(**config), masks or FakeMasks(), name)
    async with TestClient(TestServer(server.app())) as client:
        yield client, server


def unpack(body: bytes) -> dict[str, Any]:
    """The head with the pictures in it: arrays, or the bytes of a JPEG."""
    length = int.from_bytes(body[:4], "little")
    head, at = json.loads(body[4 : 4 + length]), 4 + length
    for part in head.get("parts", ()):
        data = body[at : at + part["size"]]
        at += part["size"]
        if part["type"] != "image/jpeg":
            data = np.frombuffer(zlib.decompress(data), part["type"]).reshape(part["height"], part["width"])
        head[part["kind"]] = data
    assert at == len(body)
    return head
