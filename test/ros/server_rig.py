"""A node and a model as the model server sees them, for its tests."""

from __future__ import annotations

import threading

import numpy as np

from sartm_ros.inference.jobs import Request
from sartm_ros.inference.server import ModelServer
from sartm_ros.node.parameters import MODEL, SPECS
from test.ros.fake_segmenter import DEADLINE_S, FakeSegmenter

VALUES = {spec.name: spec.default for spec in SPECS}
FRAME = np.zeros((8, 8, 3), np.uint8)


class OutOfMemoryError(RuntimeError):
    """By the name of torch's."""


class Client:
    """A node as the server sees it; `events` keeps what it was told."""

    def __init__(self, name: str = "a") -> None:
        self.name = name
        self.events: list = []
        self.given = 0
        self.changed = threading.Condition()

    def _note(self, *event) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def wait_for(self, count: int) -> list:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.events) >= count, DEADLINE_S), self.events
            return list(self.events)

    def ahead(self):
        return False

    def request(self, job):
        if isinstance(job, Exception):
            raise job
        return None if job == "nobody listens" else Request(FRAME, None, job)

    def taken(self):
        self.given += 1

    def deliver(self, request, result, trace):
        if request.registration == "publisher gone":
            raise RuntimeError("publisher gone")
        self._note("mask", request.registration)

    def failed(self, error):
        self._note("failed", str(error))

    def in_executor(self, task):
        task()

    def fell_back(self, note):
        self._note("fell back", note)

    def give_up(self, reason):
        self._note("gave up", reason)


def ready(server: ModelServer, user: str = "node", **changes) -> FakeSegmenter:
    loading = server.request(user, VALUES | changes)
    assert loading.wait(DEADLINE_S)
    return server.join(user, loading, VALUES | changes)


class Hungry(FakeSegmenter):
    """Needs more memory than there is for more than `fits` pairs; `shrinks` times it can get smaller."""

    def __init__(self, fits: int, shrinks: int = 0, device: str = "cuda:0") -> None:
        super().__init__("hungry")
        self.fits, self.shrinks, self.device = fits, shrinks, device

    def batch(self, requests):
        if len(requests) > self.fits:
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().batch(requests)

    def shrink(self):
        self.shrinks -= 1
        if self.shrinks < 0:
            return ""
        self.fits = 1
        return "input 336x448 instead of 480x640"


def hungry_server(model: Hungry, fallback: str, on_cpu=lambda: FakeSegmenter("hungry")) -> tuple[ModelServer, Client]:
    server = ModelServer(lambda values: on_cpu() if values["device"] == "cpu" else model, MODEL)
    ready(server, oom_fallback=fallback)
    return server, Client()
