"""Look at masks in a browser: a local page with the running node, frames on disk, or a recording.

    sartm view                       # the node in the namespace sartm, live; costs it one subscriber while one looks
    sartm view DIR                   # rgb/ and thermal/, MFNet, PST900, FMB: needs no ROS
    sartm view --rgb a.png --thermal b.png
    sartm view BAG                   # rosbag2 folder, .mcap or .db3 file: needs no ROS
    sartm view --synthetic           # scenes that are made up

Drop the two pictures of a pair on the page to segment them. Nobody else can look unless --host says so; nothing on this
machine is changed. docs/view.md tells more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from sartm_core.view.config import ViewConfig
from sartm_core.view.model import Masks
from sartm_core.view.serve import command
from sartm_core.view.source import Listed, Live
from sartm_ros.bags.folder import is_recording
from sartm_ros.bags.reading import Bag


@dataclass(frozen=True)
class Config(ViewConfig):
    """Which node or recording to show as well."""

    namespace: str = "sartm"
    """Of the node to look at."""
    rgb_topic: str | None = None
    """Colour camera. None: the one the node says it uses; of a recording the likeliest image topic."""
    thermal_topic: str | None = None
    """Thermal camera, likewise."""
    params: str | None = None
    """Of a recording: parameter file of the node (thermal scale, registration, pairing ...)."""


def open_source(what: Path | None, config: Config, masks: Masks) -> AbstractContextManager[Listed | Live]:
    if what is not None and is_recording(what):
        return open_bag(what, config)
    if what is not None and config.synthetic:
        raise ValueError(f"{what} and --synthetic: give one or the other")
    if what is not None or config.rgb or config.thermal or config.synthetic:
        from sartm_core.view.folder import open_frames

        return nullcontext(open_frames(config, what, masks))
    try:
        from sartm_ros.viewing.live import open_live
    except ImportError as error:
        raise ValueError(
            f'a running node can be seen with ROS 2 ({error}): source its setup.bash, or pip install "sartm_ros[ros]"; '
            "without ROS: sartm view DIR"
        ) from error
    given = {"rgb": config.rgb_topic, "thermal": config.thermal_topic}
    return open_live(config.namespace, {stream: topic for stream, topic in given.items() if topic})


@contextmanager
def open_bag(path: Path, config: Config) -> Iterator[Listed]:
    """A recording with the masks of the config's model."""
    from sartm_ros.bags import topics
    from sartm_ros.bags.values import read_values
    from sartm_ros.viewing.recording import Recording

    options = {name: getattr(config, name) for name in ("checkpoint", "sam2", "device", "engine", "precision")}
    options["confidence_threshold"] = config.threshold
    values = read_values(Path(config.params) if config.params else None, options)
    with Bag(path) as bag:
        yield Recording(bag, topics.choose(bag, config.rgb_topic, config.thermal_topic), values)


def main(argv: Sequence[str] | None = None) -> int:
    what = "DIR|BAG: folder of frames, or a recording; nothing: the running node"
    return command("view", __doc__, what, Config, open_source, argv)


if __name__ == "__main__":
    raise SystemExit(main())
