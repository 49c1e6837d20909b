"""How far to trust the automatic match on frames like yours: it is given registrations whose answer is known.

    python -m sartm_ros.calibration.selftest --data DIR --pairs 12 --frames 1

The thermal frames of aligned pairs are seen through random cameras (view, shift, rotation, perspective), then
registered; and once more with the colour frames of other pairs, which must be refused. Errors are rgb pixels, RMS over
the common view, against the files as they are and against the registration of the cameras measured on other frames
(public "aligned" data often is off by some pixels). One line a trial and a summary.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sartm_core.data.datasets import open_pairs
from sartm_core.preprocess.homography import project
from sartm_core.support.cli import finish
from sartm_ros.calibration import auto, trust
from sartm_ros.calibration.models import MODELS, Fit, choose, fit_all
from sartm_ros.calibration.needs import CalibrationError
from sartm_ros.calibration.sources import FramePair, size_of, spaced
from sartm_ros.calibration.structure import warp

THERMAL_WIDTH = 320
ASPECT = 0.8
"""Height over width of the thermal frames made."""
VIEW = (0.6, 1.0)
SHIFT = 0.08
ROTATION = 3.0
TILT = 0.02
"""The random cameras: width of the view in that of the rgb frame, shift in widths, degrees, change of scale across
the view."""
REFERENCE_FRAMES = 8
GOOD = (3.0, 6.0)
"""Errors a trial is counted for as recovered, px of a 640-pixel-wide image."""


@dataclass(frozen=True)
class Trial:
    """One registration: refused, or its errors."""

    text: str
    refused: bool
    against_files: float = float("inf")
    against_reference: float = float("inf")


def random_camera(rng: np.random.Generator, rgb_size: tuple[int, int]) -> np.ndarray:
    """3x3, pixels of a thermal camera -> pixels of the thermal file, which has the size of the rgb frame."""
    width, height = THERMAL_WIDTH, round(THERMAL_WIDTH * ASPECT)
    scale = rng.uniform(*VIEW) * rgb_size[0] / width
    angle = np.deg2rad(rng.uniform(-ROTATION, ROTATION))
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    tilt = rng.uniform(-TILT, TILT, 2) / (width, height)
    matrix = np.array([[c, -s, 0], [s, c, 0], [*tilt, 1.0]])
    middle = project(matrix, np.array([[width / 2, height / 2]]))[0]
    move = np.eye(3)
    move[:2, 2] = np.array(rgb_size) / 2 + rng.uniform(-SHIFT, SHIFT, 2) * rgb_size - middle
    return move @ matrix


def register(frames: Sequence[FramePair]) -> tuple[Fit, trust.Quality, list[str], trust.Sizes]:
    """As the command does it. CalibrationError when nothing is found."""
    sizes = trust.Sizes(size_of(frames[0].thermal), size_of(frames[0].rgb))
    matches = auto.find(frames, lambda: None)
    fits = fit_all(MODELS, matches.thermal, matches.rgb, auto.LIMIT * trust.unit(sizes))
    fit, _ = choose(fits, sizes.rgb[0])
    quality = trust.assess(fit, matches.thermal, matches.rgb, matches.tried, sizes)
    return fit, quality, trust.objections(quality, fit, sizes, automatic=True), sizes


def attempt(frames: Sequence[FramePair], matrix: np.ndarray, reference: np.ndarray) -> Trial:
    """Register and compare with the true `matrix` and with `reference` after it."""
    try:
        fit, q, against, sizes = register(frames)
    except CalibrationError:
        return Trial("found nothing", True)
    view = trust.common_view(fit.matrix, sizes)

    def error(truth: np.ndarray) -> float:
        return float(np.sqrt((np.linalg.norm(project(fit.matrix, view) - project(truth, view), axis=1) ** 2).mean()))

    files, own = error(matrix), error(reference @ matrix)
    text = (
        f"{fit.model}, {q.inliers} of {q.tried} patches, residual {q.rms:.2f}, leave-out {q.leave_out:.2f}, "
        f"error {files:.1f} (files) {own:.1f} (cameras)"
    )
    return Trial(text, bool(against), files, own)


def summary(what: str, trials: Sequence[Trial], unit: float) -> str:
    """Counts of a list of trials."""
    accepted = [t for t in trials if not t.refused]
    text = f"{what}: {len(trials)} trials, {len(accepted)} accepted"
    if accepted:
        for limit in GOOD:
            counts = [sum(e <= limit * unit for e in errors) for errors in zip(*map(_errors, accepted), strict=True)]
            text += f"; within {limit:g} px {counts[0]} (files) {counts[1]} (cameras)"
        text += "; median error {:.1f} (files) {:.1f} (cameras)".format(*np.median([*map(_errors, accepted)], axis=0))
    return text


def _errors(trial: Trial) -> tuple[float, float]:
    return trial.against_files, trial.against_reference


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m sartm_ros.calibration.selftest", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of aligned pairs")
    parser.add_argument("--pairs", type=int, default=12, metavar="N", help="trials of each kind [default: 12]")
    parser.add_argument("--frames", type=int, default=1, metavar="N", help="frames used together [default: 1]")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the random cameras [default: 0]")
    options = parser.parse_args(argv)

    def work() -> int:
        return run(open_pairs(options.data), options.pairs, options.frames, options.seed)

    return finish(parser, work, faults=(ValueError, CalibrationError), code=1)


def run(pairs: object, count: int, together: int, seed: int) -> int:
    """All trials of `pairs`, a `sartm_core.data.pairs.Pairs`; the exit code."""
    rng = np.random.default_rng(seed)
    names = pairs.names  # type: ignore[attr-defined]
    if len(names) < 2 * together + 1:
        raise ValueError(f"{len(names)} pairs are too few; expected at least {2 * together + 1}")

    def load(name: str, other: str, matrix: np.ndarray | None) -> FramePair:
        rgb, thermal = pairs.rgb_of(other), pairs.thermal_of(name)  # type: ignore[attr-defined]
        if matrix is not None:
            shape = round(THERMAL_WIDTH * ASPECT), THERMAL_WIDTH
            thermal = warp(thermal.astype(np.float32), np.linalg.inv(matrix), shape)
        return FramePair(name, rgb, thermal)

    base = [names[i] for i in spaced(len(names), REFERENCE_FRAMES)]
    fit, _, against, sizes = register([load(name, name, None) for name in base])
    print(
        f"cameras: {fit.model} on {len(base)} frames {'; '.join(against)}\n{fit.matrix.round(4).tolist()}", flush=True
    )
    kinds: dict[str, list[Trial]] = {"right": [], "unrelated": []}
    for _ in range(count):
        chosen = [str(n) for n in rng.choice(names, 2 * together, replace=False)]
        matrix = random_camera(rng, sizes.rgb)
        for kind, others in (("right", chosen[:together]), ("unrelated", chosen[together:])):
            frames = [load(a, b, matrix) for a, b in zip(chosen, others, strict=False)]
            trial = attempt(frames, matrix, fit.matrix)
            kinds[kind].append(trial)
            print(f"{chosen[0]} {kind}: {'refused' if trial.refused else 'accepted'}: {trial.text}", flush=True)
    for kind, trials in kinds.items():
        print(summary(kind, trials, trust.unit(sizes)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
