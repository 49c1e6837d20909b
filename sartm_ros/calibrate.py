"""Find where the thermal view lies in the rgb view, and write it as parameters of the segment node.

    sartm calibrate --data DIR                       a folder of pairs (rgb/ and thermal/)
    sartm calibrate --rgb a.png --thermal b.png      one pair; several files each are used together
    sartm calibrate --topics                         the cameras of a running robot
    sartm calibrate ... --pick pick.html             points picked by hand in a browser, then
    sartm calibrate ... --points points.csv
    sartm calibrate ... --matcher package.module:function     points by a matcher of yours (LightGlue, MINIMA)
    sartm calibrate ... --target chessboard:9x6:0.03          a board held before both cameras: lenses and mounting

Writes registration.yaml (for --params-file), registration.json and overlay.png into --output. Look at overlay.png.
With --target: registration.yaml, rgb.yaml, thermal.yaml (camera_info) and report.html. Look at report.html.
Exit code 0: written. 1: no registration to be trusted, or unusable input; says why. 2: wrong usage. 130: Ctrl-C.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sartm_core.support.cli import finish, new_parser, parse
from sartm_ros.calibration.needs import CalibrationError

if TYPE_CHECKING:  # the real imports take seconds; Ctrl-C during them must be quiet too
    from sartm_ros.calibration.matcher import Matcher
    from sartm_ros.calibration.result import Result
    from sartm_ros.calibration.sources import FramePair
    from sartm_ros.calibration.target import Target

PROGRAM = "sartm calibrate"
MODELS = ("scale_shift", "affine", "homography")
DEFAULT_FRAMES = 8
TARGET_FRAMES = 20
"""With --target every view counts."""
DEFAULT_TOLERANCE = 0.05
DEFAULT_TIMEOUT = 30.0
PICKED_LIMIT = 5.0
"""Largest residual of a picked point that is not a slip, pixels of an image 640 wide."""
BAR_AFTER = 2.0
"""Seconds without a result after which a progress bar appears."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    own, ros = split_ros_args(arguments)
    parser = make_parser()
    options = parse(parser, own)
    check_usage(parser, options, ros)
    command = shlex.join([*PROGRAM.split(), *arguments])
    return finish(parser, lambda: run(options, ros, command), faults=(OSError, CalibrationError), code=1)


def split_ros_args(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words before and after `--ros-args`; a `--` ends those of ROS."""
    if "--ros-args" not in arguments:
        return list(arguments), []
    start = arguments.index("--ros-args")
    ros = list(arguments[start + 1 :])
    end = ros.index("--") if "--" in ros else len(ros)
    return [*arguments[:start], *ros[end + 1 :]], ros[:end]


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = new_parser("calibrate", __doc__)
    source = parser.add_argument_group("frames, one of")
    source.add_argument(
        "--rgb", type=Path, nargs="+", metavar="FILE", help="colour frames: PNG, JPEG, TIFF, or .npy (H, W, 3) uint8"
    )
    source.add_argument(
        "--thermal", type=Path, nargs="+", metavar="FILE", help="as many thermal frames: 8 or 16 bit, or .npy (h, w)"
    )
    source.add_argument("--data", type=Path, metavar="DIR", help="folder of pairs, in any layout check_data knows")
    source.add_argument("--topics", action="store_true", help="rgb/image_raw and thermal/image_raw of a running robot")
    source.add_argument("--name", nargs="+", default=[], metavar="N", help="with --data: these frames only")
    source.add_argument(
        "--frames", type=int, metavar="N",
        help=f"with --data and --topics: pairs used together, at most [default: {DEFAULT_FRAMES}; {TARGET_FRAMES} "
        "with --target]",
    )  # fmt: skip
    source.add_argument(
        "--thermal-crop", type=int, nargs=4, default=[0, 0, 0, 0], metavar=("TOP", "BOTTOM", "LEFT", "RIGHT"),
        help="pixels cut off the thermal frames first; the same as the node's thermal.crop_*",
    )  # fmt: skip
    topics = parser.add_argument_group("with --topics (remap by --ros-args -r rgb/image_raw:=/camera/image_raw)")
    topics.add_argument("--namespace", default="sartm", metavar="NAME", help="of the two topics [default: sartm]")
    topics.add_argument(
        "--tolerance", type=float, default=DEFAULT_TOLERANCE, metavar="S",
        help=f"largest time between the frames of a pair [default: {DEFAULT_TOLERANCE}]",
    )  # fmt: skip
    topics.add_argument(
        "--timeout", type=float, default=DEFAULT_TIMEOUT, metavar="S",
        help=f"give up after so many seconds [default: {DEFAULT_TIMEOUT:g}]",
    )  # fmt: skip
    method = parser.add_argument_group("method, one of")
    method.add_argument("--auto", action="store_true", help="match the frames by their structure (default)")
    method.add_argument(
        "--points", type=Path, metavar="FILE", help="CSV of point pairs: rgb_x,rgb_y,thermal_x,thermal_y"
    )
    method.add_argument(
        "--pick", type=Path, metavar="OUT.html", help="write a page to pick points on in a browser, and nothing else"
    )
    method.add_argument(
        "--matcher", metavar="MODULE:FUNCTION",
        help="a function of yours: rgb (H, W, 3) uint8, thermal (h, w) -> (N, 4) rgb_x, rgb_y, thermal_x, thermal_y",
    )  # fmt: skip
    method.add_argument(
        "--target", metavar="KIND:COLUMNSxROWS:METRES",
        help="chessboard (inner corners), circles or asymmetric_circles, and metres from point to point; needs OpenCV",
    )  # fmt: skip
    method.add_argument(
        "--distance", type=float, metavar="M",
        help="with --target: of what must fit where depth is missing [default: that of the target]",
    )  # fmt: skip
    text = "auto: the simplest that is about as good as the best"
    parser.add_argument("--model", choices=("auto", *MODELS), default="auto", help=text)
    text = "folder to write into [default: %(default)s]"
    parser.add_argument("--output", type=Path, default=Path("calibration"), metavar="DIR", help=text)
    return parser


def check_usage(parser: argparse.ArgumentParser, options: argparse.Namespace, ros: Sequence[str]) -> None:
    """Exit with code 2 and the reason where the options do not go together."""
    files = bool(options.rgb or options.thermal)
    if files + bool(options.data) + options.topics != 1:
        parser.error("give one of: --rgb with --thermal, --data, --topics")
    if files and not (options.rgb and options.thermal):
        parser.error("--rgb and --thermal go together")
    methods = options.auto, options.points, options.pick, options.matcher, options.target
    if sum(map(bool, methods)) > 1:
        parser.error("give one of --auto, --points, --pick, --matcher, --target")
    if options.distance is not None and not (options.target and options.distance > 0):
        parser.error(f"--distance {options.distance:g}: goes with --target, and is above 0")
    if options.frames is None:
        options.frames = TARGET_FRAMES if options.target else DEFAULT_FRAMES
    if options.name and not options.data:
        parser.error("--name goes with --data")
    if ros and not options.topics:
        parser.error("--ros-args goes with --topics")
    if options.data and not options.data.is_dir():
        parser.error(f"--data {options.data}: no such folder")
    if options.frames < 1:
        parser.error(f"--frames: got {options.frames}, expected at least 1")
    if min(options.thermal_crop) < 0:
        parser.error(f"--thermal-crop: got {options.thermal_crop}, expected 0 or more pixels")
    if not (options.tolerance >= 0 and options.timeout > 0):
        parser.error(f"--tolerance {options.tolerance:g}, --timeout {options.timeout:g}: expected positive seconds")


def run(options: argparse.Namespace, ros: Sequence[str], command: str) -> int:
    """Read, match or pick, judge, write; the exit code."""
    from sartm_ros.calibration import needs, sources

    needs.check()
    prepared = prepare(options)
    frames = sources.checked(sources.cropped(read(options, ros), options.thermal_crop))
    if options.pick:
        return write_page(frames, options)
    options.output.mkdir(parents=True, exist_ok=True)  # before the long part
    if options.target:
        return by_target(frames, prepared, options, command)
    return register(frames, prepared, options, command)


def prepare(options: argparse.Namespace) -> Any:
    """The --matcher's function or the --target, so that a slip in their names shows before frames are read."""
    from sartm_ros.calibration import matcher, needs
    from sartm_ros.calibration.target import Target

    if options.target:
        needs.opencv()
        return Target.parse(options.target)
    return matcher.named(options.matcher) if options.matcher else None


def read(options: argparse.Namespace, ros: Sequence[str]) -> list[FramePair]:
    """The frames the options name."""
    from sartm_ros.calibration.sources import from_files, from_folder
    from sartm_ros.calibration.topics import from_topics

    if options.rgb:
        return from_files(options.rgb, options.thermal)
    if options.data:
        return from_folder(options.data, options.name, options.frames)
    with progress("pairs", options.frames) as tick:
        return from_topics(options.namespace, options.frames, options.tolerance, options.timeout, ros, tick)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A function to call once a step; what takes longer than `BAR_AFTER` seconds shows a bar."""
    from tqdm import tqdm

    with tqdm(total=total, desc=what, delay=BAR_AFTER, leave=False) as bar:
        yield lambda: bar.update() and None


def write_page(frames: Sequence[FramePair], options: argparse.Namespace) -> int:
    """--pick: the page, and what to do with it."""
    from sartm_core.support.files import write_text
    from sartm_ros.calibration.pick import page

    options.pick.parent.mkdir(parents=True, exist_ok=True)
    write_text(options.pick, page(frames))
    print(f"{options.pick}: open it in a browser, pick 8 or more pairs, download points.csv, then run this command")
    print("again with --points points.csv instead of --pick")
    return 0


def by_target(frames: Sequence[FramePair], target: Target, options: argparse.Namespace, command: str) -> int:
    """--target: cameras, registration, report."""
    from sartm_ros.calibration import by_target, result, rig_report

    comments = [f"target {target}; from: {', '.join(f.name for f in frames)}", f"{now()}: {command}"]
    with progress("looking for the target", len(frames)) as tick:
        lines = by_target.run(
            frames, target, options.output, comments, options.distance, options.thermal_crop, tick
        )  # fmt: skip
    for line in lines:
        print(line)
    print(
        f"{options.output / result.PARAMETERS} is for --params-file; look at {options.output / rig_report.REPORT} first"
    )
    return 0


def register(frames: Sequence[FramePair], find: Matcher | None, options: argparse.Namespace, command: str) -> int:
    """Points, model, verdict, files; `find` is the --matcher."""
    from sartm_ros.calibration import auto, matcher, result, trust
    from sartm_ros.calibration.models import choose, fit_all
    from sartm_ros.calibration.overlay import overlay
    from sartm_ros.calibration.points import read_points
    from sartm_ros.calibration.sources import size_of

    sizes = trust.Sizes(size_of(frames[0].thermal), size_of(frames[0].rgb))
    unit = trust.unit(sizes)
    if options.points:
        source, target = read_points(options.points, sizes.rgb, sizes.thermal)
        tried, limit = len(source), PICKED_LIMIT * unit
    elif find:
        source, target = matcher.match(find, frames, options.matcher)
        tried, limit = len(source), auto.LIMIT * unit
    else:
        with progress("matching", auto.steps(len(frames))) as tick:
            matches = auto.find(frames, tick)
        source, target, tried, limit = matches.thermal, matches.rgb, matches.tried, auto.LIMIT * unit
    names = MODELS if options.model == "auto" else (options.model,)
    fit, why = choose(fit_all(names, source, target, limit), sizes.rgb[0])
    inputs = [frame.name for frame in frames] + ([str(options.points)] if options.points else [])
    quality = trust.assess(fit, source, target, tried, sizes)
    found = result.Result(fit, quality, sizes, why, method_of(options), inputs, command, now())
    for line in result.headline(found):
        print(line)
    picture = overlay(frames, fit.matrix)
    against = trust.objections(found.quality, fit, sizes, automatic=not options.points)
    if against:
        return refuse(found, against, picture, options)
    result.check(fit, sizes)
    result.write(found, picture, options.output)
    print(f"{options.output / result.PARAMETERS} is for --params-file; look at {options.output / result.PICTURE} first")
    return 0


def refuse(found: Result, against: Sequence[str], picture: object, options: argparse.Namespace) -> int:
    """Say why nothing is written, and leave a picture of what was found."""
    from sartm_ros.calibration import auto, result

    result.save_picture(picture, options.output / result.REFUSED)
    reason = "; ".join(against)
    text = auto.refusal(reason, *(["Pick more points, spread over the picture"] if options.points else []))
    print(f"calibrate: {text} (what was found: {options.output / result.REFUSED})", file=sys.stderr)
    return 1


def method_of(options: argparse.Namespace) -> str:
    """As registration.json has it."""
    return "points" if options.points else "matcher" if options.matcher else "auto"


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


if __name__ == "__main__":
    sys.exit(main())
