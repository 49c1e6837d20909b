"""`sartm view` on a running node, over real DDS: what it sees, and that it costs nothing when nobody looks."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")

from sartm_core.view.source import WATCHED_S, Live
from sartm_ros.viewing.live import Viewer

pytestmark = pytest.mark.alone


def test_the_viewer_sees_the_node_only_while_somebody_looks(rig) -> None:
    rig = rig(parameters={"autostart": True})
    now = [0.0]
    live = Live("a test", lambda: now[0])
    viewer = Viewer(live, "sartm", {}, rig.context)
    rig.executor.add_node(viewer)
    try:
        rig.ready()
        before = rig.node.outputs.subscribers()
        live.newest()  # somebody looks
        rig.stream_until(lambda: live._frame[1] is not None, "a frame of the page")
        assert rig.node.outputs.subscribers() == before + 2  # mask and confidence, once
        (count, shown), (_, state) = live.newest()
        assert count and shown is not None and shown.rgb is not None and (shown.rgb == 100).all()
        np.testing.assert_array_equal(shown.thermal, np.arange(20 * 30, dtype=np.uint16).reshape(20, 30))
        assert (shown.confidence == 200).all() and shown.classes == ("unlabeled", "car")
        assert set(np.unique(shown.mask)) == {0, 1} and state["weights"] == "fake"
        now[0] += WATCHED_S + 1  # the page was closed
        rig.until(lambda: rig.node.outputs.subscribers() == before, "the end of the subscriptions")
        assert viewer.pictures == {}
    finally:
        rig.executor.remove_node(viewer)
        viewer.destroy_node()
