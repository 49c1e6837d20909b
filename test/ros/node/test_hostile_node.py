"""The node among hostile files, texts and neighbours."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
import rclpy

from sartm_ros.health.explain import explain_namesakes
from sartm_ros.inference.model import Model
from sartm_ros.node.plain_log import PlainLog
from test.core.conftest import PLAIN, make_model
from test.core.hostile import CHANGES, good, spoilt
from test.ros.fake_segmenter import FakeSegmenter

pytestmark = pytest.mark.alone


class Big:
    """Stands for gigabytes."""


def test_a_failed_reload_gives_its_memory_back(rig):
    """Regression: the collection ran where the exception still held the frames with all that was loaded."""
    import sartm_core.runtime.segmenter  # noqa: F401 - what is loaded decides whether there is memory to give back

    held = []

    def load(values):
        if not held:
            held.append(None)
            return FakeSegmenter("first")
        big, circle = Big(), []
        circle += [big, circle]
        held.append(weakref.ref(big))
        try:
            raise MemoryError("8192x8192")
        except MemoryError as error:
            raise ValueError("too large") from error

    r = rig(load=load)
    r.ready()
    r.masks_after(1)
    gc.disable()
    try:
        response = r.reload()
        assert not response.success and "kept first" in response.message
        assert held[1]() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("wrong", ["NaN weights", "metadata is deep", "palette out of range", "huge input"])
def test_a_model_that_cannot_be_right_is_refused_by_reload(rig, tmp_path, wrong):
    from sartm_core.runtime.segmenter import Segmenter

    first, bad = make_model().save(tmp_path / "first.safetensors"), tmp_path / "bad.safetensors"
    bad.write_bytes(spoilt(good(), CHANGES[wrong][0]))
    r = rig(
        load=lambda values: Model(Segmenter.load(values["checkpoint"], input_size=(64, 96), **PLAIN), 1),
        parameters={"checkpoint": str(first)},
    )
    r.ready()
    r.masks_after(1)
    r.node.set_parameters([rclpy.parameter.Parameter("checkpoint", value=str(bad))])
    response = r.reload()
    assert not response.success and "kept first" in response.message and "bad.safetensors" in response.message
    r.masks_after(2, "masks of the old model")


def test_two_nodes_of_one_name_are_noticed_and_said(rig):
    r = rig()
    other = rclpy.create_node("segment", namespace="sartm", context=r.context)
    try:
        r.until(lambda: r.logs.having("warning", "1 other node is called /sartm/segment too"), "word in the log")
        said = "called /sartm/segment too"
        r.until(lambda: r.diagnostics and said in r.diagnostics[-1].status[0].message, "word in the diagnostics")
    finally:
        other.destroy_node()
    r.until(lambda: said not in r.diagnostics[-1].status[0].message, "the end of it")


def test_a_name_counts_in_its_namespace_only():
    own, elsewhere = ("segment", "/sartm"), ("segment", "/sartm/rear")
    assert explain_namesakes(own, [own, elsewhere, ("cameras", "/sartm")]) == ""
    assert explain_namesakes(own, [own, own, own]).startswith("2 other nodes are called /sartm/segment too")


def test_codes_and_lines_from_outside_reach_neither_log_nor_diagnostics(rig):
    lines = []
    log = PlainLog(SimpleNamespace(**{level: lines.append for level in ("info", "warning", "error")}))
    for level in ("info", "warning", "error"):
        getattr(log, level)("topic \x1b[31m\nforged" + "x" * 10**6)
    assert all("\x1b" not in line and "\n" not in line and len(line) < 3000 for line in lines) and len(lines) == 3
    r = rig()
    r.ready()
    frame = r.rgb()
    frame.encoding = "\x1b[31mred\nforged"
    r.stream_until(lambda: r.diagnostics and "red" in r.numbers().get("rgb.last_error", ""), "refusal", rgb=frame)
    status = r.diagnostics[-1].status
    texts = [text for one in status for text in (one.message, *(value.value for value in one.values))]
    assert not any("\x1b" in text or "\n" in text for text in texts)
