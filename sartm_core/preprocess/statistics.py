"""What the network gets to see, in numbers: mean, spread and clipped share of normalised frames, and what is wrong with
them. A camera in another unit than the settings expect shows here, before a training is wasted on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.preprocess.normalise import normalize_rgb, normalize_thermal
from sartm_core.preprocess.thermal import mode_of
from sartm_core.preprocess.thermal.parts import SAMPLE_STEP, sampled

Frame = tuple[np.ndarray | None, np.ndarray | None]
"""rgb (H, W, 3) uint8 and thermal (h, w) as the cameras give them; None for one that is missing."""
FAR, TOO_FAR = 2.0, 4.0
"""A mean so far from 0 is odd; farther it is no picture to any encoder: most modes cut their values there."""
NARROW, WIDE = 0.05, 3.0
"""Encoders were trained on a standard deviation of about 1: a twentieth of it is next to nothing, thrice it is odd."""
MUCH_CLIPPED, ALL_CLIPPED = 0.2, 0.99
"""Shares of pixels at the ends of the range."""
ENDS = (1.0, 99.0)
"""Percentiles of the camera's own values that are told."""


@dataclass(frozen=True)
class InputStatistics:
    """Of one camera, over the frames looked at, after normalisation."""

    camera: str
    """`rgb` or `thermal`."""
    frames: int
    mean: float
    spread: float
    """Standard deviation within a channel of a frame, mean over these."""
    clipped: float
    """Share of pixels at the lowest or highest value there is, 0..1."""
    raw: tuple[float, float]
    """What the camera gives, from its 1st to its 99th percentile."""

    def __str__(self) -> str:
        low, high = self.raw
        return (
            f"{self.camera} mean {self.mean:.3g}, spread {self.spread:.3g}, {self.clipped:.0%} clipped "
            f"(camera {low:.6g} to {high:.6g}, {self.frames} frames)"
        )


@dataclass(frozen=True)
class Problem:
    """Something odd about the inputs."""

    refuse: bool
    """Whether to train on them is senseless."""
    message: str
    """What was found, and what to set."""


def input_statistics(frames: Iterable[Frame], config: PreprocessConfig) -> list[InputStatistics]:
    """Of each camera that some of the frames have. ValueError for an image of a wrong type."""
    seen: dict[str, list[tuple[float, float, float]]] = {}
    raw: dict[str, list[np.ndarray]] = {}
    for rgb, thermal in frames:
        for camera, image in (("rgb", rgb), ("thermal", thermal)):
            if image is not None:
                values, low, high = normalised(camera, image, config)
                ends = np.isclose(values, low) | np.isclose(values, high)
                seen.setdefault(camera, []).append((values.mean(), values.std((-2, -1)).mean(), ends.mean()))
                raw.setdefault(camera, []).append(np.percentile(sampled(image), ENDS))
    found = []
    for camera, rows in seen.items():
        mean, spread, clipped = np.mean(rows, axis=0).tolist()
        low, high = np.median(raw[camera], axis=0).tolist()
        found.append(InputStatistics(camera, len(rows), mean, spread, clipped, (low, high)))
    return found


def normalised(camera: str, image: np.ndarray, config: PreprocessConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A frame's values as the network sees them, and the lowest and highest that there can be."""
    if camera == "rgb":
        extremes = np.array([[0] * 3, [255] * 3], np.uint8)[None]  # (1, 2, 3)
        low, high = np.split(normalize_rgb(extremes, config).numpy(), 2, axis=2)  # (3, 1, 1) each
        return normalize_rgb(image[::SAMPLE_STEP, ::SAMPLE_STEP], config).numpy(), low, high
    norm = config.thermal
    values = normalize_thermal(image, norm)[::SAMPLE_STEP, ::SAMPLE_STEP]
    ends = (0.0, 1.0) if norm.mode == "unit" else mode_of(norm.mode).CLIP
    return values, np.array(ends[0]), np.array(ends[1])


def problems(found: Iterable[InputStatistics], config: PreprocessConfig) -> list[Problem]:
    """What is wrong with the inputs, each with its remedy; the worst of each camera."""
    judged = (judge(statistics, config) for statistics in found)
    return [problem for problem in judged if problem]


def judge(found: InputStatistics, config: PreprocessConfig) -> Problem | None:
    """The worst that is to be said of a camera."""
    far, clipped = abs(found.mean), found.clipped
    what = (
        (far > TOO_FAR, True, f"a mean of {found.mean:.4g} is no picture to the encoder, which expects about 0"),
        (clipped > ALL_CLIPPED, True, "every pixel is cut off at the ends of the range"),
        (far > FAR, False, f"a mean of {found.mean:.3g}; the encoder expects about 0"),
        (found.spread < NARROW, False, f"a spread of {found.spread:.2g}; the encoder was trained on about 1"),
        (found.spread > WIDE, False, f"a spread of {found.spread:.3g}; the encoder was trained on about 1"),
        (clipped > MUCH_CLIPPED, False, f"{clipped:.0%} of the pixels are cut off at the ends of the range"),
    )
    for wrong, refuse, text in what:
        if wrong:
            return Problem(refuse, f"{found.camera} input: {text}. {remedy(found, config)}")
    return None


def remedy(found: InputStatistics, config: PreprocessConfig) -> str:
    """What to do about a camera's inputs."""
    low, high = found.raw
    if found.camera == "rgb":
        return (
            f"Pixels lie between {low:.0f} and {high:.0f} of 255, normalised by preprocess.rgb_mean {config.rgb_mean} "
            f"and rgb_std {config.rgb_std}: look at the exposure, at folder and format of the images, at these options"
        )
    norm = config.thermal
    limits = f" (low {norm.low:g}, high {norm.high:g})" if norm.mode == "range" else ""
    others = [mode for mode in ("standardise", "percentile") if mode != norm.mode]
    return (
        f"The camera gives {low:.6g} to {high:.6g}, preprocess.thermal.mode is {norm.mode}{limits}. Set "
        f"--preprocess.thermal.mode {' or '.join(others)}, which fit any unit, or range with "
        f"--preprocess.thermal.low {low:.6g} --preprocess.thermal.high {high:.6g}"
    )
