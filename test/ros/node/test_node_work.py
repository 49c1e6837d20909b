"""The segment node's model at work: too slow, failing, with nobody listening; and the numbers about it."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from sartm_ros import segment_node
from test.ros.fake_segmenter import FakeSegmenter
from test.ros.processes import stamp_ns
from test.ros.rig import FRAME_NS

pytestmark = pytest.mark.alone


def test_a_slow_model_gets_the_newest_pair_and_memory_stays_flat(rig):
    r = rig()
    r.fake.gate = threading.Event()
    r.ready()
    r.stream_until(lambda: r.fake.calls, "the model to be busy")
    r.stream_until(lambda: r.node.intake.pairer.counters.pairs >= 60, "60 pairs", period=0.005)
    assert len(r.node.intake.pairer) <= 2 * 10
    assert r.node.mailbox.dropped >= 55
    newest = r.clock_ns
    r.fake.gate.set()
    r.until(lambda: len(r.masks) >= 2, "masks after the model is free")
    assert newest - stamp_ns(r.masks[-1]) <= 2 * FRAME_NS
    r.until(lambda: r.diagnostics and int(r.numbers()["dropped_busy"]) >= 55, "drops in diagnostics")


def test_a_failing_model_costs_masks_not_the_node(rig, monkeypatch):
    r = rig()
    r.ready()

    def broken(requests):
        raise RuntimeError("CUDA error: an illegal memory access")

    with monkeypatch.context() as patch:
        patch.setattr(r.fake, "batch", broken)
        r.stream_until(lambda: r.node.monitor.work.failures >= 5, "failures")
    assert len(r.logs.having("error", "illegal memory access")) == 1
    r.masks_after(2)


def test_out_of_memory_without_a_way_out_makes_the_node_inactive_and_says_so(rig, monkeypatch):
    def load(values):
        assert values["device"] != "cpu"
        return r_fake

    r_fake = FakeSegmenter()
    r_fake.device = "cuda:0"
    r = rig(load=load, parameters={"oom_fallback": "inactive"})
    r.ready()
    r.masks_after(1)

    def hungry(requests):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(r_fake, "batch", hungry)
    r.stream_until(lambda: r.states[-1].startswith("inactive: the GPU ran out of memory"), "state")
    assert r.logs.having("error", "out of memory", "inactive")
    assert not [t for t in threading.enumerate() if t.name == "sartm-worker"]
    monkeypatch.undo()
    assert r.node.trigger_activate() == segment_node.SUCCESS
    r.masks_after(1)


def test_nothing_is_computed_without_subscribers(rig):
    r = rig()
    r.ready()
    r.peer.destroy_subscription(next(s for s in r.peer.subscriptions if s.topic_name == "/sartm/semantic_mask"))
    r.until(lambda: r.node.outputs.subscribers() == 0, "no subscriber")
    calls = len(r.fake.calls)
    pairs = r.node.intake.pairer.counters.pairs
    r.stream_until(lambda: r.node.intake.pairer.counters.pairs > pairs + 5, "pairs")
    assert len(r.fake.calls) <= calls + 1


def test_diagnostics_hold_the_numbers(rig):
    r = rig()
    r.ready()
    r.masks_after(5)
    count = len(r.diagnostics)
    r.stream_until(lambda: len(r.diagnostics) >= count + 2, "diagnostics at 1 Hz", seconds=4.0)
    r.stream_until(lambda: r.diagnostics[-1].status[0].message == "ok", "ok")
    status = r.diagnostics[-1].status[0]
    assert status.name == "/sartm/segment: segmentation" and status.hardware_id == "fake"
    numbers = r.numbers()
    assert int(numbers["masks"]) >= 5 and float(numbers["rgb.rate_hz"]) > 5
    assert float(numbers["latency_p50_ms"]) > 0 and float(numbers["pairing.skew_max_ms"]) == 0
