"""A data set folder made from a recording: some of its pairs, with the model's masks as pre-labels."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sartm_core.support.classes import LabelSet
from sartm_ros.bags.choice import SceneChange, least_confident
from sartm_ros.bags.frames import FrameFolder
from sartm_ros.bags.model import BagModel
from sartm_ros.bags.pairs import BagPair, Pairing, all_pairs
from sartm_ros.bags.reading import Bag
from sartm_ros.bags.storage import BagError
from sartm_ros.bags.topics import Topics
from sartm_ros.bags.writing import new_folder, writing
from sartm_ros.frames.images import ImageError
from sartm_ros.pairing.nearest import NS

SOURCE = "extract.json"
"""Where the frames of the folder come from."""
BYTE = 255


@dataclass(frozen=True)
class Which:
    """Which pairs are taken: one of the three."""

    every: int = 0
    """Every k-th."""
    scene_change: float = 0.0
    """Those that differ by more than this from the one before, 0..1 of the brightness."""
    lowest_confidence: int = 0
    """So many, of lowest mean confidence."""
    spacing_s: float = 1.0
    """Of those of lowest confidence: at least this far apart."""


class Extraction:
    """One run: which pairs, and what is written of them."""

    def __init__(self, bag: Bag, topics: Topics, values: dict[str, Any], which: Which) -> None:
        self.bag, self.topics, self.values, self.which = bag, topics, values, which
        self.model = BagModel(values)
        self.label_set = LabelSet(self.model.weights.classes, self.model.weights.palette)
        self.frames: list[dict[str, Any]] = []
        self.pairing = Pairing(bag, topics, values, self.model.settings)

    def run(self, output: Path, command: str) -> Pairing:
        """Make the folder `output`; returns what was paired.

        Raises:
            BagError: the output exists or cannot be written, the recording is broken, no pair at all.
        """
        with writing(output), new_folder(output) as root:
            wanted = self._chooser()
            self.pairing = self._pairing()  # the first pass may have counted frames already
            folder = FrameFolder(root, self.label_set, self.model.settings.registration)
            with bar(self.bag, self.topics, "extract") as tick:
                for pair in all_pairs(self.pairing, tick):
                    self._take(folder, pair, wanted)
            if not self.frames:
                raise BagError(self.pairing.why_none())
            text = json.dumps(self._source(command), indent=2) + "\n"
            (root / SOURCE).write_text(text, encoding="utf-8")
        return self.pairing

    def _take(self, folder: FrameFolder, pair: BagPair, wanted: Callable[[BagPair], bool]) -> None:
        try:
            if not wanted(pair):
                return
            found = self.model(pair, confidence=True)
        except ImageError as error:
            self.pairing.spoil(error.topic, error)
            return
        name = f"{stem(self.bag.path)}_{pair.index:06d}"
        folder.write(name, pair, found.rgb, found.thermal, found.mask)
        assert found.confidence is not None
        self.frames.append(
            {
                "name": name,
                "rgb_stamp_ns": pair.rgb.stamp_ns,
                "thermal_stamp_ns": pair.thermal.stamp_ns,
                "confidence": float(found.confidence.mean()) / BYTE,
            }
        )

    def _chooser(self) -> Callable[[BagPair], bool]:
        """Whether a pair is wanted; asked of each in order."""
        if self.which.lowest_confidence:
            chosen = self._least_confident()
            return lambda pair: pair.index in chosen
        if self.which.scene_change:
            s, changed = self.model.settings, SceneChange(self.which.scene_change)
            return lambda pair: changed(pair.rgb.rgb(), pair.thermal.thermal(s.scale, s.offset))
        return lambda pair: pair.index % self.which.every == 0

    def _least_confident(self) -> set[int]:
        """A first pass through the whole recording; of each pair one number is kept."""
        places, confidences, times = [], [], []
        with bar(self.bag, self.topics, "look for low confidence") as tick:
            for pair in all_pairs(self._pairing(), tick):
                try:
                    found = self.model(pair, confidence=True)
                except ImageError:  # counted in the second pass, as all pairs are
                    continue
                assert found.confidence is not None
                places.append(pair.index)
                confidences.append(float(found.confidence.mean()))
                times.append(pair.logged_ns / NS)
        chosen = least_confident(confidences, times, self.which.lowest_confidence, self.which.spacing_s)
        return {places[k] for k in chosen}

    def _pairing(self) -> Pairing:
        """From the first frame on, by the same plan."""
        return Pairing(self.bag, self.topics, self.values, self.model.settings, self.pairing.plan)

    def _source(self, command: str) -> dict[str, Any]:
        return {
            "labels": "pre-labels: what the model says, not checked by anybody",
            "bag": self.bag.path.name,
            "rgb_topic": self.topics.rgb,
            "thermal_topic": self.topics.thermal,
            "command": command,
            "model": self.model.weights.name,
            "model_sha256": self.model.weights.sha256,
            "pairs_in_bag": self.pairing.counters.pairs,
            "frames": self.frames,
        }


def stem(path: Path) -> str:
    """The recording's name as the beginning of file names."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", path.resolve().stem).strip("_") or "bag"


@contextmanager
def bar(bag: Bag, topics: Topics, what: str) -> Iterator[Callable[[], None]]:
    """A progress bar over the messages of both topics; what is yielded moves it on by one."""
    from tqdm import tqdm

    counts = bag.counts()
    with tqdm(total=sum(counts[topic] for topic in topics.both), desc=what, unit="msg", delay=2.0) as shown:
        yield lambda: shown.update() and None
