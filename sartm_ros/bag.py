"""Work with recordings (rosbag2: sqlite3 or MCAP, raw or compressed images).

    sartm bag info drive
    sartm bag segment drive --output drive_segmented --overlay
    sartm bag extract drive --output frames --every 30
    sartm bag play drive --loop

info tells which topics carry images and how well two of them pair; segment writes the recording again with the masks of
a model added; extract makes a data set folder of its pairs, with the model's masks as pre-labels; play publishes them.
Only play needs ROS. Frames are checked, converted and paired by the code of the node; --params takes the node's own
parameter file.
Exit code 0: done. 1: done, but some frames could not be used (play: the node failed). 2: wrong usage or input. 130:
Ctrl-C; nothing is left half written. docs/bags.md tells more; `sartm bag COMMAND --help` lists options.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sartm_core.support.cli import finish, new_parser, parse
from sartm_core.support.files import write_json
from sartm_core.support.text import plain

PROGRAM = "sartm bag"
ROS_ARGS = "--ros-args"
EVERY = 10
"""Every so-many-th pair is extracted unless something else is asked for."""
UNUSABLE = 1
"""Exit code when some frames could not be used."""


def add_input(parser: argparse.ArgumentParser) -> None:
    """What every subcommand takes."""
    parser.add_argument("bag", type=Path, metavar="BAG", help="rosbag2 folder, or a single .mcap or .db3 file")
    parser.add_argument("--rgb-topic", metavar="TOPIC", help="colour camera [default: the likeliest image topic]")
    parser.add_argument("--thermal-topic", metavar="TOPIC", help="thermal camera [default: the likeliest image topic]")
    parser.add_argument("--params", type=Path, metavar="FILE", help="parameter file of the node; options override it")
    parser.add_argument("--tolerance", type=float, metavar="S", help="largest time between the frames of a pair [0.05]")
    parser.add_argument("--thermal-offset", type=float, metavar="S", help="added to thermal stamps for pairing [0]")
    parser.add_argument(
        "--log-time", action="store_true", help="pair by the time of recording, where header stamps are zero or wrong"
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Which model, and where it runs."""
    parser.add_argument(
        "--checkpoint", metavar="FILE", help=".safetensors, .onnx, .xml, hf:OWNER/NAME [the shipped ones]"
    )
    parser.add_argument("--sam2", metavar="FILE", help="Meta's SAM2 file; adapter checkpoints need it")
    parser.add_argument("--untrained", action="store_true", help="take a checkpoint whose classes were never trained")
    parser.add_argument("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N [auto]")
    parser.add_argument(
        "--engine", metavar="NAME", help="auto, torch, torch-compile, openvino, onnxruntime, tensorrt [auto]"
    )
    parser.add_argument("--precision", metavar="NAME", help="auto, fp32, bf16, fp16 or int8 [auto]")
    parser.add_argument(
        "--confidence-threshold", type=float, metavar="T", help="pixels of lower confidence (0..1) become 255 [0]"
    )


def values_of(args: argparse.Namespace) -> dict[str, Any]:
    """The node's parameters as the options and the parameter file say."""
    from sartm_ros.bags.values import read_values

    options = {name: getattr(args, name, None) for name in ("checkpoint", "sam2", "device", "engine", "precision")}
    options["confidence_threshold"] = getattr(args, "confidence_threshold", None)
    options |= {"sync.tolerance": args.tolerance, "sync.thermal_offset": args.thermal_offset}
    own = {"log_time": args.log_time, "untrained": getattr(args, "untrained", False)}
    return read_values(args.params, options) | own


def add_command(commands: Any, name: str, text: str, example: str) -> argparse.ArgumentParser:
    """A subcommand: what it does, and the words after `PROGRAM` of an example."""
    return commands.add_parser(
        name,
        help=text[0].lower() + text[1:],
        description=f"{text}.\n\n  {PROGRAM} {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_info(commands: Any) -> None:
    parser = add_command(
        commands, "info", "Image topics of a recording, and how well two of them pair",
        "info drive --json info.json",
    )  # fmt: skip
    add_input(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="the same numbers, for programs")
    parser.set_defaults(run=info)


def info(args: argparse.Namespace) -> int:
    from sartm_ros.bags import info as work
    from sartm_ros.bags.reading import Bag

    values = values_of(args)
    if args.json and not args.json.parent.is_dir():  # before the long part
        raise ValueError(f"--json {args.json}: there is no folder {args.json.parent}")
    with Bag(args.bag) as bag:
        found = work.inspect(bag, args.rgb_topic, args.thermal_topic, values)
    print(work.as_text(found), end="")
    if args.json:
        write_json(args.json, found)
    unreadable = any(topic["unreadable"] for topic in found["topics"].values())
    return UNUSABLE if unreadable or any(fault["lost"] for fault in found["faults"]) else 0


def add_segment(commands: Any) -> None:
    parser = add_command(
        commands, "segment", "Write a recording again with the masks of a model added",
        "segment drive --output drive_segmented --confidence --overlay\n\n"
        "Everything in it is copied byte by byte; /sartm/semantic_mask (mono8) and /sartm/classes are new.",
    )  # fmt: skip
    add_input(parser)
    add_model(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="NEWBAG", help="folder to make")
    parser.add_argument("--confidence", action="store_true", help="also /sartm/confidence (mono8)")
    parser.add_argument("--overlay", action="store_true", help="also /sartm/overlay (rgb8)")
    parser.add_argument(
        "--namespace", default="sartm", metavar="NAME", help="first part of the new topics [%(default)s]"
    )
    parser.add_argument("--storage", choices=("sqlite3", "mcap"), help="format to write [that of BAG]")
    parser.set_defaults(run=segment)


def segment(args: argparse.Namespace) -> int:
    from sartm_ros.bags import topics
    from sartm_ros.bags.reading import Bag
    from sartm_ros.bags.segment import Wanted
    from sartm_ros.bags.segment import segment as work

    check_output(args.output)
    values = values_of(args)
    with Bag(args.bag) as bag:
        chosen = topics.choose(bag, args.rgb_topic, args.thermal_topic)
        wanted = Wanted(args.namespace, args.confidence, args.overlay)
        pairing, masks = work(bag, args.output, args.storage or bag.storage, chosen, values, wanted)
        print(plain(f"{args.output}: {masks} masks of {chosen.rgb} and {chosen.thermal}"))
        return tell(pairing)


def add_extract(commands: Any) -> None:
    parser = add_command(
        commands, "extract", "Make a data set folder of a recording's pairs, with the model's masks as pre-labels",
        "extract drive --output frames --lowest-confidence 50\n  sartm check-data --dataset folder --data frames",
    )  # fmt: skip
    add_input(parser)
    add_model(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to make")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--every", type=int, metavar="K", help=f"every K-th pair [{EVERY}, unless one of the next two]")
    which.add_argument("--scene-change", type=float, metavar="X", help="pairs that differ from the one taken before by "
                       "more than X (0..1) in the brightness of one camera; 0.1 is a good start")  # fmt: skip
    which.add_argument("--lowest-confidence", type=int, metavar="N", help="the N pairs the model is least sure of")
    parser.add_argument("--spacing", type=float, default=1.0, metavar="S", help="these at least S seconds apart [1]")
    parser.set_defaults(run=extract)


def extract(args: argparse.Namespace) -> int:
    from sartm_ros.bags import topics
    from sartm_ros.bags.extract import Extraction, Which
    from sartm_ros.bags.reading import Bag

    which = which_of(args, Which)
    check_output(args.output)
    values = values_of(args)
    with Bag(args.bag) as bag:
        chosen = topics.choose(bag, args.rgb_topic, args.thermal_topic)
        work = Extraction(bag, chosen, values, which)
        pairing = work.run(args.output, args.invocation)
        print(
            f"{args.output}: {len(work.frames)} of {pairing.counters.pairs} pairs; labels/ holds pre-labels of the "
            "model: correct them before training"
        )
        return tell(pairing)


def add_play(commands: Any) -> None:
    parser = add_command(
        commands, "play", "Publish the pairs of a recording as two camera topics (needs ROS)",
        "play drive --loop\n"
        f"  {PROGRAM} play drive --ros-args -r rgb/image_raw:=/camera/color/image_raw\n\n"
        "Topics rgb/image_raw and thermal/image_raw in the namespace sartm, stamps are the time of publishing; what\n"
        "follows --ros-args goes to the node (its parameters are those of sartm_ros.replay_node).",
    )  # fmt: skip
    add_input(parser)
    parser.add_argument("--rate", type=float, metavar="HZ", help="pairs a second [that of the slower camera]")
    parser.add_argument("--loop", action="store_true", help="start again at the end")
    parser.set_defaults(run=play)


def play(args: argparse.Namespace) -> int:
    from sartm_ros.bags import topics
    from sartm_ros.bags.reading import Bag
    from sartm_ros.bags.storage import BagError

    values = values_of(args)
    with Bag(args.bag) as bag:  # says what is wrong with the recording before ROS starts
        topics.choose(bag, args.rgb_topic, args.thermal_topic)
        for fault in bag.faults:
            print(f"bag: warning: {plain(fault.text)}", file=sys.stderr)
    try:
        from sartm_ros.bags.play import play as work
    except ImportError as error:
        raise BagError(f'play needs ROS ({error}); source its setup.bash, or pip install "sartm_ros[ros]"') from error
    return work(args.bag, values, (args.rgb_topic, args.thermal_topic), args.rate, args.loop, args.ros_args)


def which_of(args: argparse.Namespace, kind: Any) -> Any:
    """The pairs that the options ask for, as a `Which`."""
    given = {name: getattr(args, name) for name in ("every", "scene_change", "lowest_confidence")}
    given = {name: value for name, value in given.items() if value is not None} or {"every": EVERY}
    for name, value in given.items():
        if value <= 0:
            raise ValueError(f"--{name.replace('_', '-')}: got {value:g}, expected a number above 0")
    return kind(**given, spacing_s=args.spacing)


def check_output(path: Path) -> None:
    """Before the long part. ValueError when it is there."""
    if path.exists():
        raise ValueError(f"--output {path}: exists already; nothing is overwritten, give another name or remove it")


def tell(pairing: Any) -> int:
    """Say what of the recording is lost, which stamps are wrong, how many frames could not be used; the exit code."""
    for text in [*(fault.text for fault in pairing.bag.faults), *pairing.problems, *sorted(pairing.warnings)]:
        print(f"bag: warning: {plain(text)}", file=sys.stderr)
    if pairing.spoiled:
        counts = ", ".join(f"{count} of {topic}" for topic, count in pairing.spoiled.items())
        told = plain(f"bag: frames that could not be used: {counts}; the first: {pairing.first_problem}")
        print(told, file=sys.stderr)
    return UNUSABLE if pairing.spoiled or any(fault.lost for fault in pairing.bag.faults) else 0


def main(argv: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if argv is None else argv)
    at = given.index(ROS_ARGS) if given[:1] == ["play"] and ROS_ARGS in given else len(given)
    arguments, ros_args = given[:at], given[at:]
    parser = new_parser("bag", __doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (add_info, add_segment, add_extract, add_play):
        add(commands)
    args = parse(parser, arguments)
    args.ros_args = ros_args
    args.invocation = shlex.join([*PROGRAM.split(), *arguments])
    return finish(parser, lambda: int(args.run(args)), "nothing was left half written")


if __name__ == "__main__":
    raise SystemExit(main())
