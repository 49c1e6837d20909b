"""The model server: one model, one thread, any number of nodes."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from sartm_ros.errors import ParameterError
from sartm_ros.inference.jobs import Request
from sartm_ros.inference.server import ModelServer
from sartm_ros.node import parameters
from sartm_ros.node.parameters import MODEL
from test.ros.fake_segmenter import FakeSegmenter
from test.ros.server_rig import VALUES, Client, ready

pytestmark = pytest.mark.alone


@pytest.fixture
def server():
    made = ModelServer(lambda values: FakeSegmenter(values["checkpoint"]), MODEL)
    yield made
    for box in list(made.inference._clients):
        made.inference.close(box)
    assert not [t for t in threading.enumerate() if t.name == "sartm-worker"]


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


def test_the_engines_are_those_of_the_core():
    from sartm_core.runtime.engines import ENGINES

    assert list(parameters.ENGINES) == ["auto", *ENGINES]


def test_requests_have_the_fields_the_model_needs():
    from dataclasses import fields

    from sartm_core.runtime.segmenter import FramePair

    needed = [f.name for f in fields(FramePair)]
    assert [f.name for f in fields(Request)][: len(needed)] == needed
