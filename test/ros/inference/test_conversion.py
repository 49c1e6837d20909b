"""Frames converted while the model is busy: the newest wins, none is converted twice, a bad one costs its own mask."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from sartm_ros.inference.server import ModelServer
from sartm_ros.node.parameters import MODEL
from test.ros.fake_segmenter import DEADLINE_S, FakeSegmenter
from test.ros.server_rig import Client, ready

pytestmark = pytest.mark.alone


class Converting(Client):
    """Notes what it converts and in which thread; conversions of names in `held` wait for their event."""

    def __init__(self, name: str = "a", ahead: bool = True) -> None:
        super().__init__(name)
        self.wants_ahead = ahead
        self.converted: list[tuple[str, str]] = []
        self.held: dict[str, threading.Event] = {}
        self.begun: dict[str, threading.Event] = {}

    def ahead(self):
        return self.wants_ahead

    def request(self, job):
        with self.changed:
            self.converted.append((str(job), threading.current_thread().name))
            self.changed.notify_all()
        if job in self.held:
            assert self.held[job].wait(DEADLINE_S)
        return super().request(job)

    def wait_until(self, condition) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, DEADLINE_S), (self.converted, self.events)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.converted]


@pytest.fixture
def busy() -> Iterator[tuple[ModelServer, FakeSegmenter]]:
    """A server whose model waits for `model.gate` in every batch."""
    server = ModelServer(lambda values: FakeSegmenter(), MODEL)
    model = ready(server)
    model.gate = threading.Event()
    yield server, model
    model.gate.set()
    for box in list(server.inference._clients):
        server.inference.close(box)
    assert not [t for t in threading.enumerate() if t.name in ("sartm-worker", "sartm-decode")]


def occupy(model: FakeSegmenter, client: Converting, box) -> None:
    """Return once the model is at work on a first job."""
    taken, batch = threading.Event(), model.batch

    def told(requests):
        taken.set()
        return batch(requests)

    model.batch = told
    box.put("first")
    assert taken.wait(DEADLINE_S)


def test_what_waits_is_converted_beside_the_busy_model_and_only_once(busy):
    server, model = busy
    client = Converting()
    box = server.inference.open(client)
    occupy(model, client, box)
    box.put("next")
    client.wait_until(lambda: len(client.converted) == 2)
    assert client.converted[1] == ("next", "sartm-decode")  # "first" by whichever thread was up first
    model.gate.set()
    assert client.wait_for(2) == [("mask", "first"), ("mask", "next")]
    assert client.names == ["first", "next"]


def test_without_it_the_models_thread_converts(busy):
    server, model = busy
    client = Converting(ahead=False)
    box = server.inference.open(client)
    occupy(model, client, box)
    box.put("next")
    model.gate.set()
    client.wait_for(2)
    assert client.converted == [("first", "sartm-worker"), ("next", "sartm-worker")]


def test_the_newest_job_wins_over_a_converted_older_one(busy):
    server, model = busy
    client = Converting()
    box = server.inference.open(client)
    occupy(model, client, box)
    for name in ("old", "older than the newest", "newest"):
        box.put(name)
        client.wait_until(lambda name=name: name in client.names)
    model.gate.set()
    assert client.wait_for(2) == [("mask", "first"), ("mask", "newest")]
    assert box.dropped == 2 and len(model.calls) == 2


def test_the_models_thread_does_not_wait_for_the_conversion_of_an_old_job(busy):
    server, model = busy
    client = Converting()
    client.held["old"] = threading.Event()
    box = server.inference.open(client)
    occupy(model, client, box)
    box.put("old")
    client.wait_until(lambda: "old" in client.names)  # the decoding thread is at it
    box.put("newest")
    model.gate.set()
    assert client.wait_for(2) == [("mask", "first"), ("mask", "newest")]
    assert client.converted[-1] == ("newest", "sartm-worker")
    client.held["old"].set()


def test_the_models_thread_waits_for_the_conversion_of_the_newest_job(busy):
    server, model = busy
    client = Converting()
    client.held["newest"] = threading.Event()
    box = server.inference.open(client)
    occupy(model, client, box)
    box.put("newest")
    client.wait_until(lambda: "newest" in client.names)
    model.gate.set()
    client.wait_for(1)
    client.held["newest"].set()
    assert client.wait_for(2)[1] == ("mask", "newest") and client.names == ["first", "newest"]


def test_a_frame_that_fails_ahead_costs_its_own_mask(busy):
    server, model = busy
    client = Converting()
    box = server.inference.open(client)
    occupy(model, client, box)
    box.put(ValueError("truncated"))
    client.wait_until(lambda: len(client.converted) == 2)
    model.gate.set()
    assert client.wait_for(2)[1] == ("failed", "truncated")
    box.put("good")
    assert client.wait_for(3)[2] == ("mask", "good")


def test_a_bad_frame_that_a_newer_one_replaces_costs_nothing(busy):
    server, model = busy
    client = Converting()
    box = server.inference.open(client)
    occupy(model, client, box)
    box.put(ValueError("truncated"))
    client.wait_until(lambda: len(client.converted) == 2)
    box.put("good")
    model.gate.set()
    assert client.wait_for(2) == [("mask", "first"), ("mask", "good")]


def test_several_cameras_are_converted_ahead_and_share_a_batch(busy):
    server, model = busy
    clients = [Converting(name) for name in "abc"]
    boxes = [server.inference.open(client) for client in clients]
    occupy(model, clients[0], boxes[0])
    for client, box in zip(clients, boxes, strict=True):
        box.put(f"next of {client.name}")
    for client in clients:
        client.wait_until(lambda client=client: f"next of {client.name}" in client.names)
    model.gate.set()
    clients[0].wait_for(2)
    for client in clients[1:]:
        client.wait_for(1)
    assert model.batches == [1, 3]
    assert all(client.converted[-1][1] == "sartm-decode" for client in clients)


def test_closing_drops_what_was_converted_and_reopening_works(busy):
    server, model = busy
    client = Converting()
    box = server.inference.open(client)
    other = server.inference.open(Converting("other"))  # keeps the threads
    occupy(model, client, box)
    box.put("converted")
    client.wait_until(lambda: "converted" in client.names)
    server.inference.close(box)
    model.gate.set()
    again = server.inference.open(client)
    again.put("after")
    assert client.wait_for(1) == [("mask", "after")]
    server.inference.close(other)


def test_each_job_is_converted_once_whichever_thread_comes_first(busy):
    server, model = busy
    model.gate.set()
    client = Converting()
    box = server.inference.open(client)
    for number in range(300):
        box.put(number)
        client.wait_for(number + 1)
    assert client.names == [str(number) for number in range(300)]
