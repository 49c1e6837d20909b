"""The pairs of a recording as a source of the replay node, beside those of `sartm_ros.replay.sources`."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Iterator
from itertools import islice, pairwise
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
RATE_FRAMES = 50
"""So many frames tell a camera's rate."""


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
    """Frames a second of the slower camera, what its pairs come at. BagError as of `bag_pairs`.

    By the stamps of its first frames, as a converter records at its own pace; where they stand still by the times of
    recording.
    """
    with Bag(path) as bag:
        topics = topic_choice.choose(bag, rgb_topic, thermal_topic)
        counts = bag.counts()
        slower = min(topics.both, key=lambda topic: counts[topic])
        first = [(stamp_ns, logged_ns) for _, logged_ns, stamp_ns, _ in islice(bag.stamps([slower]), RATE_FRAMES)]
        for times in zip(*first, strict=True):
            period_ns = statistics.median(b - a for a, b in pairwise(times)) if len(times) > 1 else 0
            if period_ns > 0:
                return float(NS / period_ns)
        raise BagError(f"{path}: {counts[slower]} frames in {bag.seconds:g} s have no rate; give --rate")
