"""A recording as a list of frames for a page: its pairs as the node would pair them, with the masks of a model."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

from sartm_core.view.source import Listed, Shown
from sartm_ros.bags.model import BagModel
from sartm_ros.bags.pairs import BagPair, Pairing, all_pairs
from sartm_ros.bags.reading import Bag
from sartm_ros.bags.topics import Topics
from sartm_ros.frames.images import Incoming, parse
from sartm_ros.pairing.nearest import NS, STREAMS
from sartm_ros.viewing.assembly import by_id


class Recording(Listed):
    """An open bag. It is read once to find the pairs; then every frame by the time it was recorded at."""

    def __init__(self, bag: Bag, topics: Topics, values: dict[str, Any]) -> None:
        """BagError or ValueError names what is wrong with the recording or the parameters."""
        self._bag, self._topics = bag, topics
        self._model = BagModel(values)
        pairing = Pairing(bag, topics, values, self._model.settings)
        self._places: list[tuple[int, tuple[int, int], tuple[int, int]]] = []
        """Of each pair: skew, when its frames were recorded, their stamps; ns."""
        with tqdm(total=sum(bag.counts()[topic] for topic in topics.both), desc="pairs", unit="msg", delay=2.0) as bar:
            for pair in all_pairs(bag, pairing, bar.update):
                self._places.append((pair.skew_ns, pair.recorded_ns, (pair.rgb.stamp_ns, pair.thermal.stamp_ns)))
        if not self._places:
            raise ValueError(pairing.why_none())
        self.title = str(bag.path)
        self.names = [f"{stamps[0] / NS:.3f}" for _, _, stamps in self._places]
        if bag.seconds:
            self.rate = max(1.0, len(self.names) / bag.seconds)

    def read(self, index: int) -> Shown:
        skew, recorded, stamps = self._places[index]
        frames = [self._frame(*place) for place in zip(STREAMS, self._topics.both, recorded, stamps, strict=True)]
        found = self._model(BagPair(index, frames[0], frames[1], skew, recorded), confidence=True)
        class_map = self._model.class_map
        names, palette = by_id((entry.id, entry.name, entry.color) for entry in class_map.entries)
        state = {
            "rgb": f"{self._topics.rgb}, {frames[0].kind}",
            "thermal": f"{self._topics.thermal}, {frames[1].kind}, {skew / 1e6:+.1f} ms",
            "weights": self._model.weights.name,
        }
        return Shown(
            self.names[index], found.rgb, found.thermal, class_map.apply(found.mask), found.confidence,
            names, palette, state,
        )  # fmt: skip

    def _frame(self, stream: str, topic: str, recorded_ns: int, stamp_ns: int) -> Incoming:
        """The frame of a topic that was recorded then."""
        for message in self._bag.messages((topic,), recorded_ns, recorded_ns + 1):
            frame = parse(self._bag.decode(message), stream, topic, self._model.settings.crop)
            if frame.stamp_ns == stamp_ns:
                return frame
        raise ValueError(f"{self._bag.path}: the frame of {topic} recorded at {recorded_ns} ns is gone")
