"""`sartm bag play`: the replay node on a recording. Needs ROS, unlike its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rclpy.parameter import Parameter

from sartm_ros.bags.replay import bag_pairs, pair_rate
from sartm_ros.bags.storage import BagError
from sartm_ros.replay.sources import Pair
from sartm_ros.replay_node import ReplayNode
from sartm_ros.replay_node import main as replay


class BagNode(ReplayNode):
    """Publishes the pairs of a recording."""

    def __init__(self, pairs: Callable[[int, str], Iterator[Pair]], overrides: dict[str, Any]) -> None:
        """pairs: makes an iterator from the parameters `count` and `thermal_encoding`."""
        self._pairs_of = pairs
        super().__init__(parameter_overrides=[Parameter(name, value=value) for name, value in overrides.items()])

    def _factory(self) -> Callable[[], Iterator[Pair]]:
        count, encoding = self._get("count"), self._get("thermal_encoding")
        return lambda: self._pairs_of(count, encoding)


def play(
    path: Path, values: dict[str, Any], topics: tuple[str | None, str | None], rate: float | None, loop: bool,
    ros_args: list[str],
) -> int:  # fmt: skip
    """Publish until the end of the recording or Ctrl-C; the exit code of the replay node.

    rate: pairs a second; None: that of the recording. ros_args: `--ros-args` and what follows.
    """
    if rate is not None and not rate > 0:
        raise BagError(f"--rate: got {rate:g}, expected pairs a second, above 0")
    overrides = {"source": str(path), "rate": rate or pair_rate(path, *topics), "loop": loop}
    return replay(
        ros_args, lambda: BagNode(lambda n, encoding: bag_pairs(path, values, n, encoding, *topics), overrides)
    )
