"""What the model server does when GPU memory runs out: fewer pairs, a smaller input, the CPU, or nothing any more."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from sartm_ros.inference.conversion import Conversion
from sartm_ros.inference.server import ModelServer
from sartm_ros.node.parameters import MODEL
from test.ros.fake_segmenter import DEADLINE_S, FakeSegmenter
from test.ros.server_rig import VALUES, Hungry, OutOfMemoryError, hungry_server, ready

pytestmark = pytest.mark.alone


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
        inference._serve([(box, Conversion(client, n)) for n in range(4)], inference._going)
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


def with_adapter(model: FakeSegmenter, name: str) -> FakeSegmenter:
    """The fake's hash is of its name."""
    model.others["sea"] = FakeSegmenter(name)
    return model


@pytest.mark.parametrize(
    ("model", "copy"),
    [
        (Hungry(fits=0), FakeSegmenter("other")),
        (with_adapter(Hungry(fits=0), "sea"), with_adapter(FakeSegmenter("hungry"), "trained again")),
    ],
)
def test_weights_that_changed_on_disk_do_not_come_in_by_the_back_door(model, copy):
    """Regression: an adapter that had changed came in."""
    server, client = hungry_server(model, "cpu", on_cpu=lambda: copy)
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

    server = ModelServer(load, MODEL)
    if fallback == "inactive":
        with pytest.raises(OutOfMemoryError):
            ready(server, oom_fallback=fallback)
    else:
        assert "on the CPU" in ready(server, oom_fallback=fallback).note


def test_a_model_that_fails_to_shrink_is_told_and_does_not_end_the_thread():
    model = Hungry(fits=0, shrinks=1)
    server, client = hungry_server(model, "smaller")

    def broken():
        raise RuntimeError("cannot shrink")

    model.shrink = broken
    box = server.inference.open(client)
    box.put("one")
    (gave_up,) = [event for event in client.wait_for(2) if event[0] == "gave up"]
    assert "what should help failed: RuntimeError: cannot shrink" in gave_up[1]
    model.fits = 1
    box.put("two")
    assert client.wait_for(3)[-1] == ("mask", "two")
    server.inference.close(box)
