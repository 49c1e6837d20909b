"""Where the frames of an evaluation come from."""

from __future__ import annotations

from collections.abc import Sequence

from sartm_core.data.datasets import detect_dataset, open_dataset
from sartm_core.data.pairs import CAMERAS, Pairs, Sample
from sartm_core.data.scenes import FixedScenes
from sartm_core.evaluate.config import FramesConfig
from sartm_core.preprocess.registration_file import read_registration
from sartm_core.support.classes import MFNET, LabelSet
from sartm_core.synthetic import CONDITIONS, SceneConfig

HELD_OUT_SEED = 20_000_000
"""Evaluation scenes hash (HELD_OUT_SEED, index): others than those of training and of validation."""


def dataset_of(config: FramesConfig) -> str:
    """The data set's name; where it is not given, by the layout of its folder."""
    if config.dataset:
        return config.dataset
    return detect_dataset(config.data) if config.data else "synthetic"


def cameras_of(frames: Sequence[Sample]) -> tuple[str, ...]:
    """Those of rgb and thermal that the frames have."""
    return frames.cameras if isinstance(frames, Pairs) else CAMERAS


def possible(wanted: Sequence[str], frames: Sequence[Sample]) -> tuple[str, ...]:
    """Of the wanted sets of cameras ("rgb+thermal", "rgb") those that the frames have. ValueError where none is."""
    there = cameras_of(frames)
    found = tuple(cameras for cameras in wanted if set(cameras.split("+")) <= set(there))
    if not found:
        have = there[0]
        raise ValueError(f"--cameras {' '.join(wanted)}: the frames have {have} alone; give --cameras {have}")
    return found


def open_frames(
    config: FramesConfig, dataset: str, conditions: tuple[str, ...] = CONDITIONS
) -> tuple[Sequence[Sample], LabelSet]:
    """The frames and whose ids their labels hold. ValueError names the folder or file that is wrong."""
    if dataset == "synthetic":
        return FixedScenes(config.synthetic, SceneConfig(conditions=conditions), HELD_OUT_SEED), MFNET
    frames = open_dataset(dataset, config.data or "", config.split or None, config.label_set)
    if config.registration is not None:
        frames.register(read_registration(config.registration))
    return frames, frames.label_set
