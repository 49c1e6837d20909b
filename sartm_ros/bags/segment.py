"""A recording with the masks of a model added: a message at a time, memory does not grow with its length."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sartm_core.support.classes import IGNORE
from sartm_core.support.visualize import overlay
from sartm_ros.bags.depth import Beside
from sartm_ros.bags.model import BagModel
from sartm_ros.bags.pairs import BagPair, Pairing
from sartm_ros.bags.reading import Bag
from sartm_ros.bags.storage import BagError
from sartm_ros.bags.topics import Topics
from sartm_ros.bags.writing import STRING, Copy, new_folder, writing
from sartm_ros.frames.images import ImageError


@dataclass(frozen=True)
class Wanted:
    """What is written beside the masks."""

    namespace: str = "sartm"
    """First part of the topics' names."""
    confidence: bool = False
    overlay: bool = False

    def topic(self, name: str) -> str:
        return f"/{self.namespace.strip('/')}/{name}"


def segment(
    bag: Bag, output: Path, storage: str, topics: Topics, values: dict[str, Any], wanted: Wanted
) -> tuple[Pairing, int]:
    """Write `output`; returns what was paired and how many masks there are.

    Raises:
        BagError: the output exists or cannot be written, the recording is broken, no pair at all.
    """
    from tqdm import tqdm

    with writing(output), new_folder(output) as folder:
        model = BagModel(values)
        if model.settings.depth is not None:
            model.beside = Beside(bag, topics, model.settings, values.get("depth_topic"))
        pairing = Pairing(bag, topics, values, model.settings)
        with Copy(folder, bag, storage) as copy, tqdm(total=bag.count, desc="segment", unit="msg", delay=2.0) as bar:
            masks = Masks(copy, model, pairing, wanted)
            for message in bag.messages():
                masks.begin(message.logged_ns)
                copy.copy(message)
                if message.topic in topics.both:
                    masks.write(pairing.push(message))
                bar.update()
            if not masks.written:
                raise BagError(pairing.why_none())
        pairing.warnings.update(model.beside.warnings if model.beside else ())
    return pairing, masks.written


class Masks:
    """Writes what the model says of pairs into a recording."""

    def __init__(self, copy: Copy, model: BagModel, pairing: Pairing, wanted: Wanted) -> None:
        self._copy, self._model, self._pairing, self._wanted = copy, model, pairing, wanted
        self._begun = False
        self.written = 0
        """Masks so far."""
        copy.add_topic(wanted.topic("classes"), STRING, latched=True)
        for name in ("semantic_mask", *("confidence",) * wanted.confidence, *("overlay",) * wanted.overlay):
            copy.add_topic(wanted.topic(name))

    def begin(self, logged_ns: int) -> None:
        """What the ids mean, once, with the first message of the recording."""
        if not self._begun:
            self._copy.text(self._wanted.topic("classes"), logged_ns, self.classes())
            self._begun = True

    def classes(self) -> str:
        """The JSON that the node latches on `classes`."""
        listed = [{"id": e.id, "name": e.name, "color": list(e.color)} for e in self._model.class_map.entries]
        return json.dumps({"model": self._model.weights.name, "unlabelled": IGNORE, "classes": listed})

    def write(self, pairs: list[BagPair]) -> None:
        """The mask of each pair under the header of its rgb frame, recorded when the later frame was."""
        for pair in pairs:
            try:
                found = self._model(pair, self._wanted.confidence)
            except ImageError as error:
                self._pairing.spoil(error.topic, error)
                continue
            mask = self._model.class_map.apply(found.mask)
            self._image("semantic_mask", pair, mask)
            self.written += 1
            if found.confidence is not None:
                self._image("confidence", pair, found.confidence)
            if self._wanted.overlay:
                colors, alpha = self._model.class_map.palette, self._model.settings.alpha
                self._image("overlay", pair, overlay(found.rgb, mask, colors, alpha))

    def _image(self, name: str, pair: BagPair, pixels: Any) -> None:
        self._copy.image(self._wanted.topic(name), pair.logged_ns, pixels, pair.rgb.header)
