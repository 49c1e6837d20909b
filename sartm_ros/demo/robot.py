"""What a robot gets: `make demo-robot`, or `python -m sartm_ros.demo.robot`.

Plays a synthetic drive over real DDS into the real segment node: colour, a 16-bit thermal camera 15 cm beside it,
depth, both camera_info. Listens to every output and leaves a picture of each in `demo_out/robot`. A wheel runs hot in
the second half. Exit code 0: every output came. 1: some did not, with the reason the node gives. 130: Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sartm_core.support import cli

FRAMES, SEED, CONDITIONS = 40, 10, ("day", "dusk")
BASELINE = 0.15
"""Metres from the colour to the thermal camera."""
KELVIN_PER_COUNT = 0.01
HOT_KELVIN, HOT_RADIUS, HOT_ABOVE = 420.0, 5, 350.0
"""The wheel: its temperature, its radius in pixels, what the alarm begins at."""
START_S = 180.0
"""Longest wait for the node's first outputs."""
PARAMETERS = {
    "thermal.unit": "centikelvin",
    "alarm.temperature": HOT_ABOVE,
    "selected_classes": "[car, person]",
    "registration.mode": "depth",
    "registration.rgb_to_thermal": [1.0, 0.0, 0.0, -BASELINE, *(float(n in (1, 6, 11)) for n in range(12))],
    "degraded.enabled": False,
}


def parse(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = cli.new_parser("demo.robot", __doc__.split("\n\n")[0])
    parser.add_argument("--frames", type=int, default=FRAMES, metavar="N", help="of the drive (default %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, metavar="N", help="of the drive (default %(default)s)")
    text = "folder for the pictures (default %(default)s)"
    parser.add_argument("--output", type=Path, default=Path("demo_out/robot"), metavar="DIR", help=text)
    return cli.parse(parser, args)


def frames(count: int, seed: int) -> Iterator[Any]:
    """Scenes of the drive and their thermal frames in hundredths of a kelvin."""
    from sartm_core.synthetic import SceneConfig, drive

    for index, scene in enumerate(drive(count, seed, SceneConfig(baseline=BASELINE), CONDITIONS)):
        kelvin = scene.kelvin.copy()
        if index >= count // 2:
            heat_a_wheel(kelvin, scene)
        yield scene, np.clip(kelvin / KELVIN_PER_COUNT, 0, 65535).round().astype(np.uint16)


def heat_a_wheel(kelvin: np.ndarray, scene: Any) -> None:
    """Make the lowest part of what the colour camera sees of the cars hot, where the thermal camera sees it."""
    rows, columns = np.nonzero(scene.label == 1)  # car
    if not rows.size:
        return
    lowest = rows.argmax()
    y, x = int(rows[lowest]) - HOT_RADIUS, int(columns[lowest])
    x -= round(scene.camera.focal[0] * BASELINE / float(scene.depth[rows[lowest], x]))
    down, across = np.ogrid[: kelvin.shape[0], : kelvin.shape[1]]
    kelvin[(down - y) ** 2 + (across - x) ** 2 <= HOT_RADIUS**2] = HOT_KELVIN


def run(options: argparse.Namespace) -> int:
    """The whole demo; returns the exit code."""
    from sartm_ros.children import isolate, node_process
    from sartm_ros.demo import robot_pictures
    from sartm_ros.demo.robot_node import open_robot

    options.output.mkdir(parents=True, exist_ok=True)
    log = options.output / "node.log"
    isolate()
    print(f"starting the segment node, log in {log}")
    with node_process("sartm_ros.segment_node", PARAMETERS, log) as process, open_robot() as robot:
        best, most, began = None, -1, time.monotonic()
        for index, (scene, counts) in enumerate(frames(options.frames, options.seed)):
            if index == 0:
                robot.start(scene, counts, process, START_S)
            heard = robot.play(scene, counts)
            told = json.loads(heard["objects_json"].data)["objects"] if "objects_json" in heard else []
            spots = json.loads(heard["hot_spots"].data)["hot_spots"] if "hot_spots" in heard else []
            worth = len(heard) * 1000 + bool(spots) * 500 + sum(one["kelvin"] is not None for one in told)
            if worth >= most:
                best, most = (scene, counts, heard), worth
        seconds = time.monotonic() - began
        missing = robot.absent()
        print(robot.table())
    if best is None:
        print("demo failed: no frame was played", file=sys.stderr)
        return 1
    for path in robot_pictures.draw(*best, options.output):
        print(f"wrote {path}")
    print(
        f"{options.frames} frames in {seconds:.1f} s, scenes painted meanwhile; alarm {'on' if robot.alarm else 'off'}"
    )
    if missing:
        print(f"demo failed: never came: {', '.join(missing)}; the node says: {robot.reason}", file=sys.stderr)
    return 1 if missing else 0


def main(args: list[str] | None = None) -> int:
    """Run the demo; Ctrl-C ends it and its node with 130."""
    options = parse(args)
    try:
        return run(options)
    except KeyboardInterrupt:
        return 130
    except (OSError, ValueError, RuntimeError) as error:
        print(f"demo failed: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
