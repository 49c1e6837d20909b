"""A model that hangs or fails is told, and when it is over. Exact clocks; diagnostics over real DDS."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")

from sartm_ros.pairing.nearest import RGB, STREAMS, THERMAL
from test.ros.bench import ERROR, OK, VALUES, Bench

pytestmark = pytest.mark.alone


@pytest.fixture
def bench(monkeypatch):
    made = Bench(monkeypatch)
    yield made
    made.close()


def hang(bench):
    """A model that takes a pair once and does not answer."""
    if bench.monitor.work.progress().busy_since is None:
        bench.monitor.work.taken(bench.now)


def fail(bench):
    bench.monitor.work.taken(bench.now)
    bench.monitor.failed(RuntimeError("illegal memory access"), bench.now)


def test_a_model_that_hangs_is_told_and_ends_with_the_next_mask(bench):
    """The state was `ok` for ever."""
    bench.activate()
    bench.play(1.0)
    bench.play(2.0, answer=lambda: hang(bench))
    assert bench.outputs.current_state == "ok"
    bench.play(10.0, answer=lambda: hang(bench))
    assert bench.outputs.texts == ["", "ok", "no masks: the model does not answer"]
    assert "has not answered for 12 s (it usually takes 0.01 s)" in bench.monitor.problem
    whole, rgb, thermal = bench.publish()
    assert whole.level == ERROR and "has not answered for 12 s" in whole.message and rgb.level == thermal.level == OK
    assert len([line for line in bench.log if "has not answered" in line]) == 1
    bench.play(0.5)
    assert bench.outputs.current_state == "ok" and bench.log[-1] == "info: masks come again"
    assert bench.publish()[0].level == OK


def test_a_model_that_hangs_with_another_nodes_frames_is_told_too(bench):
    """In a process with several cameras this node's jobs are then not even taken."""
    bench.activate()
    bench.play(1.0)
    bench.play(3.0, answer=lambda: None)
    assert bench.outputs.current_state == "no masks: the model does not answer"
    bench.play(0.5)
    assert bench.outputs.current_state == "ok"
    bench.play(2.0, off=(THERMAL,))
    bench.play(3.0, off=(THERMAL,), answer=lambda: None)
    assert bench.outputs.current_state == "no masks: the model does not answer", "with one camera as well"


def test_a_reload_that_takes_the_models_time_is_named(bench):
    """It was said to hang, with the advice to restart the node."""
    bench.activate()
    bench.play(1.0)
    bench.reloading = True
    bench.play(12.0, answer=lambda: hang(bench))
    assert bench.outputs.current_state == "no masks: new weights are being loaded"
    assert bench.monitor.problem == "~/reload takes time from the model; nothing is to be done"
    assert not [line for line in bench.log if line.startswith("error")]
    bench.reloading = False
    bench.play(12.0, answer=lambda: hang(bench))
    assert bench.outputs.current_state == "no masks: the model does not answer"
    assert [line for line in bench.log if line.startswith("error") and "restart the node" in line]


def test_a_slow_model_gets_its_time(bench):
    bench.activate()
    bench.play(4.5, answer=lambda: hang(bench))
    bench.monitor.work.done(4500.0, 4500.0, bench.now, False)
    bench.play(20.0, answer=lambda: hang(bench))
    assert bench.outputs.texts == ["", "ok"]
    bench.play(3.5, answer=lambda: hang(bench))
    assert bench.outputs.current_state == "no masks: the model does not answer"


def test_frames_that_come_seldom_are_no_hanging_model(bench):
    bench.activate()
    bench.play(1.0)
    for _ in range(5):
        bench.now += 10.0
        bench.monitor.last_pair = bench.now
        bench.monitor.check(bench.cameras, VALUES, bench.now)
        bench.now += 1.0
        bench.mask()
    assert not [text for text in bench.outputs.texts if "model" in text]


def test_a_model_that_fails_is_told_and_ends_with_the_next_mask(bench):
    bench.activate()
    bench.play(1.0)
    bench.play(2.0, answer=lambda: fail(bench))
    assert bench.outputs.current_state == "ok"
    bench.play(10.0, answer=lambda: fail(bench))
    assert bench.outputs.texts == ["", "ok", "no masks: the model fails"]
    assert "RuntimeError: illegal memory access" in bench.monitor.problem
    assert bench.publish()[0].level == ERROR
    assert len([line for line in bench.log if "no masks: the model fails" in line]) == 1
    bench.play(0.5)
    assert bench.outputs.current_state == "ok" and bench.publish()[0].level == OK


def test_a_model_that_fails_now_and_then_is_not_said_to_fail(bench):
    bench.activate()
    for _ in range(30):
        bench.play(0.4, answer=lambda: fail(bench))
        bench.play(0.05)
    assert bench.outputs.texts == ["", "ok"] and bench.monitor.work.failures == 240


def test_a_model_that_nobody_asks_is_not_watched(bench, monkeypatch):
    monkeypatch.setattr(bench.outputs, "subscribers", lambda: 0)
    bench.activate()
    bench.play(10.0, answer=lambda: None)
    assert bench.outputs.texts == ["", "ok"]


@pytest.mark.parametrize("how", [hang, fail])
def test_an_activation_forgets_what_the_model_did(bench, how):
    bench.activate()
    bench.play(10.0, answer=lambda: how(bench))
    assert bench.outputs.current_state.startswith("no masks: the model")
    bench.monitor.lifecycle("inactive")
    assert bench.outputs.current_state == "inactive" and bench.publish()[0].message == "inactive"
    bench.activate()
    bench.play(1.0)
    assert bench.outputs.texts[-2:] == ["inactive", "ok"]


def test_no_camera_is_said_before_no_model(bench):
    bench.activate()
    bench.play(4.0, answer=lambda: hang(bench))
    bench.play(6.0, off=STREAMS)
    assert bench.outputs.texts[-1] == "no input: rgb and thermal silent"
    assert "has not answered" in bench.monitor.problem and "stopped sending" in bench.monitor.problem


def test_a_camera_that_goes_while_the_model_hangs_does_not_flap_the_state(bench):
    bench.activate()
    bench.play(8.0, answer=lambda: hang(bench))
    bench.play(4.0, off=(RGB,), answer=lambda: hang(bench))
    assert bench.outputs.texts == ["", "ok", "no masks: the model does not answer"]
