"""The model server: one model, one thread, any number of nodes; and what it does when GPU memory runs out."""

from __future__ import annotations

import threading

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from fake_segmenter import DEADLINE_S, FakeSegmenter

from sartm_ros import parameters
from sartm_ros.inference import Request
from sartm_ros.parameters import SPECS, ParameterError
from sartm_ros.server import ModelServer

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

    def request(self, job):
        if isinstance(job, Exception):
            raise job
        return None if job == "nobody listens" else Request(FRAME, None, job)

    def taken(self):
        self.given += 1

    def deliver(self, request, result, inference_ms):
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


@pytest.fixture
def server():
    made = ModelServer(lambda values: FakeSegmenter(values["checkpoint"]))
    yield made
    for box in list(made.inference._clients):
        made.inference.close(box)
    assert not [t for t in threading.enumerate() if t.name == "sartm-worker"]


def ready(server: ModelServer, user: str = "node", **changes) -> FakeSegmenter:
    loading = server.request(user, VALUES | changes)
    assert loading.wait(DEADLINE_S)
    return server.join(user, loading, VALUES | changes)


def test_what_waits_at_the_same_moment_is_one_batch(server):
    model = ready(server)
    model.gate = threading.Event()
    clients = [Client(name) for name in "abc"]
    boxes = [server.inference.open(client) for client in clients]
    boxes[0].put("busy")
    while not model.batches:
        pass
    for number, box in enumerate(boxes):
        box.put(f"old {number}")
        box.put(f"new {number}")
    model.gate.set()
    assert clients[0].wait_for(2) == [("mask", "busy"), ("mask", "new 0")]
    assert clients[1].wait_for(1) == [("mask", "new 1")] and clients[2].wait_for(1) == [("mask", "new 2")]
    assert model.batches == [1, 3] and [box.dropped for box in boxes] == [1, 1, 1]


def test_a_bad_frame_and_a_bad_pair_cost_only_their_own_mask(server):
    model = ready(server)
    whole = model.batch

    def batch(requests):
        if any(request.registration == "poison" for request in requests):
            raise ValueError("views share nothing")
        return whole(requests)

    model.batch = batch
    a, b, c = Client("a"), Client("b"), Client("c")
    model.gate = threading.Event()
    boxes = [server.inference.open(client) for client in (a, b, c)]
    boxes[0].put("first")
    while not model.batches:
        pass
    boxes[0].put("good")
    boxes[1].put("poison")
    boxes[2].put(ValueError("truncated"))
    model.gate.set()
    assert a.wait_for(2)[1] == ("mask", "good")
    assert b.wait_for(1) == [("failed", "views share nothing")]
    assert c.wait_for(1)[0] == ("failed", "truncated")


def test_nothing_is_computed_for_who_does_not_listen(server):
    model = ready(server)
    client = Client()
    box = server.inference.open(client)
    box.put("nobody listens")
    box.put("frame")
    client.wait_for(1)
    assert len(model.calls) == 1


def test_nothing_reaches_a_node_after_close_and_nobody_waits_for_the_model(server):
    model = ready(server)
    model.gate = threading.Event()
    a, b = Client("a"), Client("b")
    box_a, box_b = server.inference.open(a), server.inference.open(b)
    box_a.put("running")
    while not model.batches:
        pass
    server.inference.close(box_a)  # returns although the model is still at it
    model.gate.set()
    box_b.put("goes on")
    assert b.wait_for(1) == [("mask", "goes on")] and a.events == []


@pytest.mark.parametrize("fault", ["too few results", "no results at all", "publisher gone"])
def test_nothing_ends_the_models_thread(server, fault):
    model = ready(server)
    whole, client = model.batch, Client()
    box = server.inference.open(client)
    if fault != "publisher gone":
        model.batch = lambda requests: [] if fault == "too few results" else None
    box.put(fault)
    assert client.wait_for(1)[0][0] == "failed"
    model.batch = whole
    box.put("good")
    assert client.wait_for(2)[1] == ("mask", "good")


def test_a_model_that_fails_to_shrink_does_not_end_the_thread(server):
    model = Hungry(fits=0, shrinks=1)
    server.load = lambda values: model
    ready(server)

    def broken():
        raise RuntimeError("cannot shrink")

    model.shrink = broken
    client = Client()
    box = server.inference.open(client)
    box.put("one")
    client.wait_for(1)
    model.fits = 1
    server.inference.go_on()
    box.put("two")
    assert client.wait_for(len(client.events) + 1)[-1] == ("mask", "two")


def test_nodes_share_one_model_until_the_last_one_leaves(server):
    first = ready(server, "front")
    assert ready(server, "rear") is first
    server.leave("front")
    assert server.model is first
    server.leave("rear")
    assert server.model is None
    assert ready(server, "front", checkpoint="other").name == "other"


@pytest.mark.parametrize("loaded", [True, False])
def test_other_model_parameters_in_the_same_process_are_refused(server, loaded):
    if loaded:
        ready(server, "front")
    else:
        server.request("front", VALUES)
    with pytest.raises(ParameterError, match="checkpoint: got 'other'.*share one model.*'default'"):
        server.request("rear", VALUES | {"checkpoint": "other"})


def test_a_node_that_changes_its_mind_while_loading_gets_the_later_weights(server):
    server.request("node", VALUES)
    assert ready(server, checkpoint="later").name == "later"


def test_a_failed_loading_is_forgotten(server):
    outcomes = iter([FileNotFoundError("no such weights"), FakeSegmenter("good")])

    def load(values):
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    server.load = load
    with pytest.raises(FileNotFoundError, match="no such weights"):
        ready(server)
    assert ready(server).name == "good"


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
    server = ModelServer(lambda values: on_cpu() if values["device"] == "cpu" else model)
    ready(server, oom_fallback=fallback)
    return server, Client()


def test_out_of_memory_first_takes_a_smaller_input():
    server, client = hungry_server(Hungry(fits=0, shrinks=1), "smaller")
    box = server.inference.open(client)
    box.put("one")
    assert {event[0] for event in client.wait_for(2)} == {"failed", "fell back"}
    assert server.model.note.startswith("input 336x448")
    box.put("two")
    assert client.wait_for(3)[2] == ("mask", "two")
    server.inference.close(box)


def test_out_of_memory_with_several_cameras_first_takes_fewer_at_a_time():
    server, client = hungry_server(Hungry(fits=1), "smaller")
    inference = server.inference
    box = inference.open(client)
    for _ in range(3):  # 4 at a time, then 2, then 1
        inference._serve([(box, client, n) for n in range(4)], inference._going)
    assert [event for event in client.events if event[0] == "mask"][-4:] == [("mask", n) for n in range(4)]
    notes = [event[1] for event in client.events if event[0] == "fell back"]
    assert [note[0] for note in notes] == ["2", "1"]
    server.swap(FakeSegmenter("new"), VALUES)
    assert inference.batch > 1, "new weights start with everything"
    inference.close(box)


@pytest.mark.parametrize("fallback", ["smaller", "cpu"])
def test_out_of_memory_goes_to_the_cpu_when_nothing_smaller_fits(fallback):
    server, client = hungry_server(Hungry(fits=0), fallback)
    box = server.inference.open(client)
    box.put("one")
    client.wait_for(2)
    assert server.model.device == "cpu" and "on the CPU after the GPU ran out of memory" in server.model.note
    box.put("two")
    assert client.wait_for(3)[2] == ("mask", "two")
    server.inference.close(box)


@pytest.mark.parametrize("fallback", ["inactive", "cpu", "smaller"])
def test_out_of_memory_with_no_way_out_gives_up_and_says_so(fallback):
    def no_cpu():
        raise MemoryError("none left here either")

    server, client = hungry_server(Hungry(fits=0), fallback, no_cpu)
    box = server.inference.open(client)
    box.put("one")
    (gave_up,) = [event for event in client.wait_for(2) if event[0] == "gave up"]
    assert "2.00 GiB" in gave_up[1]
    server.inference.close(box)


def test_weights_that_changed_on_disk_do_not_come_in_by_the_back_door():
    server, client = hungry_server(Hungry(fits=0), "cpu", on_cpu=lambda: FakeSegmenter("other"))
    box = server.inference.open(client)
    box.put("one")
    (gave_up,) = [event for event in client.wait_for(2) if event[0] == "gave up"]
    assert "has changed" in gave_up[1] and server.model.name == "hungry"
    server.inference.close(box)


def test_a_reload_meanwhile_wins_over_the_copy_on_the_cpu():
    go_on = threading.Event()
    server, client = hungry_server(Hungry(fits=0), "cpu", on_cpu=lambda: go_on.wait(DEADLINE_S) and FakeSegmenter())
    done = threading.Event()
    client.in_executor = lambda task: (task(), done.set() if go_on.is_set() else None)
    box = server.inference.open(client)
    box.put("one")
    client.wait_for(1)
    new = FakeSegmenter("new")
    server.swap(new, VALUES)
    go_on.set()
    assert done.wait(DEADLINE_S) and server.model is new
    box.put("two")
    assert client.wait_for(2)[-1] == ("mask", "two")
    server.inference.close(box)


def test_out_of_memory_while_reloading_spares_the_running_model():
    model = Hungry(fits=0, shrinks=1)
    server, client = hungry_server(model, "smaller")
    server.reloading = True
    server.relieve(model, 1, "CUDA out of memory")
    assert model.shrinks == 1 and "both models" in server.reload_obstacle and not client.events


def test_of_several_nodes_the_strictest_wins():
    model = Hungry(fits=0, shrinks=5)
    server, client = hungry_server(model, "smaller")
    box = server.inference.open(client)
    server.prefer("other", "inactive")
    box.put("one")
    assert "gave up" in {event[0] for event in client.wait_for(2)}
    server.inference.close(box)


@pytest.mark.parametrize("fallback", ["smaller", "cpu", "inactive"])
def test_out_of_memory_while_loading(fallback):
    def load(values):
        if values["device"] != "cpu":
            raise OutOfMemoryError("CUDA out of memory")
        return FakeSegmenter("cpu copy")

    server = ModelServer(load)
    if fallback == "inactive":
        with pytest.raises(OutOfMemoryError):
            ready(server, oom_fallback=fallback)
    else:
        assert "on the CPU" in ready(server, oom_fallback=fallback).note


def test_the_engines_are_those_of_the_core():
    from sartm_core.segmenter import ENGINES

    assert set(ENGINES) == set(parameters.ENGINES)


def test_requests_have_the_fields_the_model_needs():
    from dataclasses import fields

    from sartm_core.segmenter import FramePair

    needed = [f.name for f in fields(FramePair)]
    assert [f.name for f in fields(Request)][: len(needed)] == needed
