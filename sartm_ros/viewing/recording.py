"""A recording as a list of frames for a page: its pairs as the node would pair them, with the masks of a model."""

from __future__ import annotations

from typing import Any

from sartm_core.view.source import Listed, Shown
from sartm_ros.bags.model import BagModel
from sartm_ros.bags.pairs import Pairing
from sartm_ros.bags.reading import Bag
from sartm_ros.bags.topics import Topics
from sartm_ros.pairing.nearest import NS, RGB
from sartm_ros.viewing.assembly import by_id


class Recording(Listed):
    """An open bag. Its stamps are read once to find the pairs, then every frame from where it lies."""

    def __init__(self, bag: Bag, topics: Topics, values: dict[str, Any]) -> None:
        """BagError or ValueError names what is wrong with the recording or the parameters."""
        self._bag, self._topics = bag, topics
        self._model = BagModel(values)
        self._pairing = Pairing(bag, topics, values, self._model.settings)
        plan = self._pairing.plan
        if not len(plan.pairs):
            raise ValueError(self._pairing.why_none())
        self.title = str(bag.path)
        self.names = [f"{stamp / NS:.3f}" for stamp in plan.frames[RGB].stamp_ns[plan.pairs[:, 0]].tolist()]
        if bag.seconds:
            self.rate = max(1.0, len(self.names) / bag.seconds)

    def read(self, index: int) -> Shown:
        pair = self._pairing.at(index)
        if pair is None:
            raise ValueError(f"{self._bag.path}: pair {self.names[index]}: {self._pairing.first_problem}")
        found = self._model(pair, confidence=True)
        class_map = self._model.class_map
        names, palette = by_id((entry.id, entry.name, entry.color) for entry in class_map.entries)
        state = {
            "rgb": f"{self._topics.rgb}, {pair.rgb.kind}",
            "thermal": f"{self._topics.thermal}, {pair.thermal.kind}, {pair.skew_ns / 1e6:+.1f} ms",
            "weights": self._model.weights.name,
        }
        return Shown(
            self.names[index], found.rgb, found.thermal, class_map.apply(found.mask), found.confidence,
            names, palette, state,
        )  # fmt: skip
