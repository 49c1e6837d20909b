"""Which two image topics of a recording are the colour and the thermal camera: by their names and what they carry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sartm_ros.bags.reading import COMPRESSED, Bag
from sartm_ros.bags.storage import BagError
from sartm_ros.frames import compressed
from sartm_ros.frames.colors import COLOR
from sartm_ros.pairing.nearest import RGB, THERMAL

WORDS = {
    RGB: {"rgb", "color", "colour", "visible", "vis", "eo"},
    THERMAL: {"thermal", "ir", "infrared", "lwir", "flir", "boson", "lepton", "tau", "seek", "optris", "temperature"},
}
"""Words in a topic's name that tell its camera."""
NO_CAMERA = {"depth", "disparity", "mask", "semantic", "overlay", "confidence", "label", "labels", "debug"}
"""Words in the name of what is no camera's picture."""
WORD_SCORE, NO_CAMERA_SCORE = 2.0, -4.0
GIVEN_SCORE = TYPE_SCORE = 1.0
"""Of a topic that was asked for; of pixels that are what the camera sends (with a minus: what it does not)."""
GREY_SCORE = 0.5
"""8-bit grey may be either camera, more likely the thermal one."""


@dataclass(frozen=True)
class Topics:
    """The two topics that are paired."""

    rgb: str
    thermal: str

    def stream(self, topic: str) -> str:
        return RGB if topic == self.rgb else THERMAL

    @property
    def both(self) -> tuple[str, str]:
        return self.rgb, self.thermal


@dataclass(frozen=True)
class Look:
    """What a topic's pictures are: for people, and to tell cameras apart."""

    size: str
    """`640x480`."""
    encoding: str
    """Of raw images their encoding, of compressed ones their format."""
    color: bool
    eight_bit: bool
    """8-bit grey; False where that cannot be told without decoding."""


def look(message: Any, kind: str) -> Look:
    """Of a decoded message of type `kind`. ValueError when a compressed picture cannot be read."""
    if kind == COMPRESSED:
        height, width, color, _ = compressed.header(message.data, message.format)
        return Look(f"{width}x{height}", " ".join(message.format.split()), color, False)
    color = message.encoding in COLOR and COLOR[message.encoding][0] > 1
    grey = message.encoding in COLOR and not color
    return Look(f"{message.width}x{message.height}", message.encoding, color, grey)


def choose(bag: Bag, rgb: str | None, thermal: str | None) -> Topics:
    """The two topics: those given, the likeliest for one that is not. BagError lists the image topics there are."""
    for given, option in ((rgb, "--rgb-topic"), (thermal, "--thermal-topic")):
        if given is not None and given not in bag.images:
            raise BagError(f"{option} {given}: no image topic of that name in {bag.path}; {listed(bag)}")
    if rgb is not None and rgb == thermal:
        raise BagError(f"--rgb-topic and --thermal-topic are both {rgb}; give two topics; {listed(bag)}")
    found = Topics(rgb, thermal) if rgb and thermal else likeliest(bag, first_looks(bag), rgb, thermal)
    if found is None:
        raise BagError(
            f"{bag.path}: cannot tell which topics are the two cameras; give --rgb-topic and --thermal-topic; "
            f"{listed(bag)}"
        )
    return found


def listed(bag: Bag) -> str:
    """The image topics in words."""
    return f"image topics: {', '.join(bag.images)}" if bag.images else "it has no image topics at all"


def first_looks(bag: Bag) -> dict[str, Look]:
    """The first readable picture of every image topic that has one."""
    looks: dict[str, Look] = {}
    for topic in bag.images:  # one after the other: another one's frames may fill the first half of the file
        for message in bag.messages([topic]):
            try:
                looks[topic] = look(bag.decode(message), message.connection.msgtype)
                break
            except ValueError:  # the next one may be readable
                continue
    return looks


def likeliest(bag: Bag, looks: Mapping[str, Look], rgb: str | None = None, thermal: str | None = None) -> Topics | None:
    """The best two of the topics in `looks`, one or none of them given; None where nothing speaks for any."""
    counts, kinds = bag.counts(), bag.images
    best: tuple[tuple[float, int, int], Topics] | None = None
    for first in [rgb] if rgb else looks:
        for second in [thermal] if thermal else looks:
            of_rgb = GIVEN_SCORE if rgb else score(first, looks[first], RGB)
            of_thermal = GIVEN_SCORE if thermal else score(second, looks[second], THERMAL)
            if first == second or min(of_rgb, of_thermal) <= 0:
                continue
            raw = sum(kinds[topic] != COMPRESSED for topic in (first, second))
            rank = (of_rgb + of_thermal, raw, counts[first] + counts[second])
            if best is None or rank > best[0]:
                best = rank, Topics(first, second)
    return best[1] if best else None


def words(topic: str) -> set[str]:
    """Of its name."""
    return set(re.split("[^a-z0-9]+", topic.lower()))


def score(topic: str, seen: Look, stream: str) -> float:
    """How much speaks for a topic being this camera; 0 or less: nothing."""
    found = words(topic)
    other = THERMAL if stream == RGB else RGB
    total = WORD_SCORE * (bool(found & WORDS[stream]) - bool(found & WORDS[other]))
    total += NO_CAMERA_SCORE * bool(found & NO_CAMERA)
    if stream == RGB:
        return total + (TYPE_SCORE if seen.color else -TYPE_SCORE)
    grey = GREY_SCORE if seen.eight_bit else TYPE_SCORE
    return total + (-TYPE_SCORE if seen.color else grey)
