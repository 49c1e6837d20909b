"""See it work without cameras, ROS distro or GPU: `sartm demo`, or `make demo`.

Plays synthetic scenes (or a folder of pairs) as two camera topics over real DDS into the real segment node, which runs
in its own process, and leaves a table, `contact.png`, `overlays/`, `report.json` and `node.log` in the output folder.
Exit code 0: all good. 1: a mask had a stamp no rgb frame had, too few masks, or the node died. 130: Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from sartm_core.support import cli

if TYPE_CHECKING:  # the real imports take seconds; Ctrl-C during them must be quiet too
    from sartm_ros.demo.player import Phase, Player
    from sartm_ros.demo.report import Gallery, Scores
    from sartm_ros.replay.sources import Pair, ReadAhead

DEFAULT_FRAMES = 120
DEFAULT_SEED = 10
"""A car park with people from day to night. Other seeds are other worlds: harder, easier, some of them empty."""
MIN_MASKS = 100
"""A default run with fewer masks has failed."""
BURST_HZ = 10.0
BURST_FRAMES = 60
READ_AHEAD = 150
"""Scenes rendered before the start at most: all of a default run, 300 MB."""
LOG_TAIL_LINES = 40


def parse(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = cli.new_parser("demo", __doc__.split("\n\n")[0])
    text = "play this folder of pairs (rgb/ thermal/ and, for IoU, labels/)"
    parser.add_argument("--data", type=Path, metavar="DIR", help=text)
    text = f"pairs to play (default {DEFAULT_FRAMES}, or all of DIR)"
    parser.add_argument("--frames", type=int, metavar="N", help=text)
    text = "fixed camera rate; without it the next pair is sent when its mask is there"
    parser.add_argument("--rate", type=float, metavar="HZ", help=text)
    text = "folder for what it leaves (default %(default)s)"
    parser.add_argument("--output", type=Path, default=Path("demo_out"), metavar="DIR", help=text)
    parser.add_argument("--checkpoint", metavar="FILE", help="weights for the node instead of the shipped ones")
    text = "of the synthetic drive (default %(default)s)"
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, metavar="N", help=text)
    parsed = cli.parse(parser, args)
    if parsed.frames is not None and parsed.frames < 1:
        parser.error(f"--frames: got {parsed.frames}, expected at least 1")
    if parsed.rate is not None and not 0.1 <= parsed.rate <= 1000:
        parser.error(f"--rate: got {parsed.rate:g}, expected 0.1 to 1000")
    if parsed.data is not None and not parsed.data.is_dir():
        parser.error(f"--data: {parsed.data} is no directory; give one that holds rgb/ and thermal/")
    return parsed


def run(options: argparse.Namespace) -> int:
    """The whole demo; returns the exit code."""
    from sartm_ros.children import isolate, node_process
    from sartm_ros.demo.player import DemoError, Phase, Player

    log = options.output / "node.log"
    clear_overlays(options.output / "overlays")
    for name in ("contact.png", "report.json"):  # else an interrupted demo leaves those of another one
        (options.output / name).unlink(missing_ok=True)
    isolate()
    print(f"starting the segment node (ROS domain {os.environ['ROS_DOMAIN_ID']}, log in {log})")
    phases = [Phase(f"{options.rate:g} Hz" if options.rate else "paced (next pair at mask)")]
    parameters = {"checkpoint": options.checkpoint} if options.checkpoint else {}
    node = node_process("sartm_ros.segment_node", parameters, log)
    try:
        with node as process, open_source(options) as pairs, Player(process) as player:
            gallery, scores = play(player, pairs, options, phases)
    except DemoError as error:
        print(f"demo failed: {error}", file=sys.stderr)
        show_log(log)
        return 1
    return finish(player, gallery, scores, phases, options)  # the node has ended: it would warn that nothing comes


def clear_overlays(folder: Path) -> None:
    """Make the folder; of one that is there, delete only the pictures (NNNNN.png) an earlier demo left."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if re.fullmatch(r"\d{5,}\.png", path.name):
            path.unlink()


def open_source(options: argparse.Namespace) -> ReadAhead:
    """Pairs read ahead: up to `READ_AHEAD` scenes are rendered before the start, so that rendering does not slow the
    node in a run of no more than these."""
    from sartm_core.support.classes import MFNET
    from sartm_ros.replay.sources import ReadAhead, folder_pairs, synthetic_pairs

    options.truth_classes = MFNET.names  # of synthetic scenes
    if options.data is None:
        options.frames = options.frames or DEFAULT_FRAMES
        return ReadAhead(lambda: synthetic_pairs(options.frames, options.seed), depth=READ_AHEAD)
    from sartm_core.data.datasets import open_pairs

    pairs = open_pairs(options.data)
    options.truth_classes = pairs.label_set.names
    options.frames = min(options.frames or sys.maxsize, len(pairs))
    return ReadAhead(lambda: folder_pairs(options.data, options.frames))


def play(player: Player, pairs: ReadAhead, options: argparse.Namespace, phases: list[Phase]) -> tuple[Gallery, Scores]:
    """Start-up, the main part, and (unless a rate was asked for) a burst at a fixed rate above the node's own."""
    from tqdm import tqdm

    from sartm_ros.demo.player import Phase
    from sartm_ros.demo.report import Gallery, Scores

    gallery = Gallery(options.frames)
    player.cameras.wanted_overlays = gallery.overlay_indices
    kept: list[Pair] = []
    slow = {} if sys.stderr.isatty() else {"mininterval": 5.0}

    def keep(stream: Iterator[Pair], every: int) -> Iterator[Pair]:
        for number, pair in enumerate(stream):
            if number % every == 0 and len(kept) < BURST_FRAMES:
                kept.append(pair)
            yield pair

    stream = keep(iter(pairs), max(1, options.frames // BURST_FRAMES))
    first = next(stream)
    total = min(options.frames, pairs.depth + 1)  # with the first one, which is taken already
    with tqdm(total=total, desc="scenes, node start", unit="scene", **slow) as bar:

        def show() -> int:
            bar.update(min(pairs.ready + 1, total) - bar.n)
            return int(bar.n)

        rendered = total - 1 if options.data is None else 0
        player.wait_until(lambda: pairs.ready >= rendered and player.cameras.connected(), show)
        player.warm_up(first)
        show()
    scores = Scores(player.wait_for_classes(), options.truth_classes)
    with tqdm(total=options.frames, desc=phases[0].name, unit="pair", **slow) as bar:
        for answer in player.play(chain([first], stream), options.rate, phases[0], bar):
            scores.add(answer)
            gallery.add(answer)
    if options.rate is None:
        phases.append(Phase(f"burst, cameras at {BURST_HZ:g} Hz"))
        with tqdm(total=len(kept), desc=phases[1].name, unit="pair", **slow) as bar:
            for _ in player.play(kept, BURST_HZ, phases[1], bar):
                pass
    return gallery, scores


def finish(player: Player, gallery: Gallery, scores: Scores, phases: list[Phase], options: argparse.Namespace) -> int:
    """Write everything, print the table, judge the run. Returns the exit code."""
    from PIL import Image

    from sartm_core.support.files import write_json
    from sartm_core.support.text import plain
    from sartm_ros.demo.report import phase_row, table

    cameras, output = player.cameras, options.output
    failures = [f"{len(cameras.faults)} wrong masks, the first: {cameras.faults[0]}"] if cameras.faults else []
    masks = sum(phase.answers for phase in phases)
    default = options.data is None and options.rate is None and options.frames >= DEFAULT_FRAMES
    wanted = MIN_MASKS if default else 1
    if masks < wanted:
        failures.append(f"{masks} masks, expected at least {wanted}")
    report = {
        "source": str(options.data or f"synthetic, seed {options.seed}"),
        "phases": {phase.name: phase_row(phase) for phase in phases},
        "iou": scores.rows(),
        "classes": list(scores.classes),
        "foreign_stamps_or_wrong_masks": cameras.faults,
        "failures": failures,
        "node_diagnostics": cameras.diagnostics,
    }
    write_json(output / "report.json", report)
    if not gallery.empty:
        palette = [tuple(entry["color"]) for entry in cameras.classes]
        gallery.contact(scores, palette).save(output / "contact.png")
    for index, overlay in cameras.overlays.items():
        Image.fromarray(overlay).save(output / "overlays" / f"{index:05d}.png")
    print("\n" + table(report))
    if options.data and scores.unknown():
        print(f"the weights do not know {', '.join(map(plain, scores.unknown()))}: counted as {scores.classes[0]}")
    print(f"\nlatency: rgb frame published to mask received, in another process. See {output / 'contact.png'},")
    print(f"{output / 'overlays'} ({len(cameras.overlays)} pictures) and {output / 'report.json'}")
    for failure in failures:
        print(f"demo failed: {failure}", file=sys.stderr)
    if not failures:
        print(f"ok: {masks} masks, every one with the stamp of an rgb frame that was sent")
        print(f"look at frames and masks in a browser: {view_command(options.data)}")
    return 1 if failures else 0


def view_command(data: Path | None) -> str:
    """The command that shows the frames that were played; synthetic ones are of no folder."""
    sartm = Path(sys.executable).with_name("sartm")
    name = str(sartm.relative_to(Path.cwd())) if sartm.is_relative_to(Path.cwd()) else "sartm"
    return shlex.join([name, "view", str(data)] if data else [name, "view", "--synthetic"])


def show_log(path: Path) -> None:
    """The end of the node's own output."""
    lines = path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    print(f"--- last lines of {path}", *lines, sep="\n", file=sys.stderr)


def main(args: list[str] | None = None) -> int:
    """Run the demo; Ctrl-C ends it and its node quietly with 130."""
    options = parse(args)

    def terminate(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)  # unwinds, so that the node is stopped too

    signal.signal(signal.SIGTERM, terminate)
    try:
        return run(options)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(f"demo failed: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
