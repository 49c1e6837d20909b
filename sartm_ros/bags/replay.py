"""The pairs of a recording as a source of the replay node, beside those of `sartm_ros.replay.sources`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sartm_ros.bags import topics as topic_choice
from sartm_ros.bags.pairs import Pairing, all_pairs
from sartm_ros.bags.reading import Bag
from sartm_ros.bags.storage import BagError
from sartm_ros.frames.images import ImageError
from sartm_ros.node.settings import Settings
from sartm_ros.pairing.nearest import NS
from sartm_ros.replay.sources import Pair, encode_thermal

log = logging.getLogger(__name__)


def bag_pairs(
    path: Path, values: dict[str, Any], count: int = 0, encoding: str = "auto", rgb_topic: str | None = None,
    thermal_topic: str | None = None,
) -> Iterator[Pair]:  # fmt: skip
    """The pairs of a recording in their order. count 0: all of them; encoding: as in `replay_sources.encode_thermal`.

    Names are the rgb stamps in seconds. A frame that cannot be decoded is passed over with a warning.

    Raises:
        BagError: names the recording and what is wrong with it; no pairs at all.
    """
    settings = Settings.of(values)
    with Bag(path) as bag:
        pairing = Pairing(bag, topic_choice.choose(bag, rgb_topic, thermal_topic), values, settings)
        for pair in all_pairs(pairing):
            if count and pair.index >= count:
                return
            try:
                rgb, thermal = pair.rgb.rgb(), pair.thermal.thermal(settings.scale, settings.offset)
            except ImageError as error:
                log.warning("%s", error)
                continue
            yield Pair(f"{pair.rgb.stamp_ns / NS:.3f}", rgb, encode_thermal(thermal, encoding))
        if not pairing.counters.pairs:
            raise BagError(pairing.why_none())


def pair_rate(path: Path, rgb_topic: str | None = None, thermal_topic: str | None = None) -> float:
    """Frames a second of the slower camera, what its pairs come at. BagError as of `bag_pairs`."""
    with Bag(path) as bag:
        topics = topic_choice.choose(bag, rgb_topic, thermal_topic)
        counts = bag.counts()
        fewer = min(counts[topic] for topic in topics.both)
        if fewer < 2 or not bag.seconds:
            raise BagError(f"{path}: {fewer} frames in {bag.seconds:g} s have no rate; give --rate")
        return (fewer - 1) / bag.seconds
