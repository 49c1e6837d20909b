"""How the numbers came about: everything that has to be printed beside them."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sartm_core import __version__
from sartm_core.data.pairs import Sample
from sartm_core.data.seen import UNKNOWN, Seen, in_words, seen_again
from sartm_core.evaluate.config import EvaluateConfig
from sartm_core.evaluate.conventions import usual
from sartm_core.evaluate.run import Evaluation
from sartm_core.evaluate.scores import absent
from sartm_core.evaluate.sources import HELD_OUT_SEED
from sartm_core.runtime.opening import name_of
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.classes import IGNORE
from sartm_core.support.fields import to_dict
from sartm_core.support.reports import versions

PACKAGES = ("torch", "torchvision", "sam2", "numpy", "pillow")


def protocol(
    config: EvaluateConfig,
    dataset: str,
    segmenter: Segmenter,
    label_names: tuple[str, ...],
    weights: Path,
    frames: Sequence[Sample],
) -> dict[str, Any]:
    """Weights, frames, classes, input and software of an evaluation, as plain values. No paths of this machine."""
    info = segmenter.info
    return {
        "weights": name_of(weights),
        "sha256": segmenter.sha256,
        **({"base_weights": f"{info.base_name} (sha256 {info.base_sha256})"} if info.base_sha256 else {}),
        "selection": selection(info.protocol),
        "dataset": dataset,
        **frames_from(config, dataset),
        **(seen_frames(info.seen, frames) if info.seen else overlap(config, dataset, info.protocol)),
        "classes": list(segmenter.classes),
        **class_mapping(label_names, segmenter.classes),
        "convention": f"{usual(dataset).name} (the usual one of {dataset!r}), where no other is named",
        "ignored_label": IGNORE,
        "mask_size": "the label's own",
        "cameras": list(config.cameras),
        "augmentation": augmentation(config),
        "preprocess": to_dict(segmenter.preprocess),
        "confidence": to_dict(info.confidence),
        "device": str(segmenter.device),
        "engine": segmenter.engine,
        "precision": segmenter.precision,
        "software": {"python": platform.python_version(), "sartm": __version__, **versions(PACKAGES)},
    }


def after(result: Evaluation, scores: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What is known only when the frames have been seen."""
    called = {cameras: absent(groups["all"]) for cameras, groups in scores.items()}
    missing = next(iter(called.values()))  # the labels are the same for all cameras
    falsely = {name: {cameras: pixels[name] for cameras, pixels in called.items()} for name in missing}
    return {
        "frames": dict(result.frames),
        "frames_by_label_and_input_size": dict(result.sizes),
        "classes_without_a_true_pixel": list(missing),
        **({"pixels_called_those_classes_all_the_same": falsely} if missing else {}),
    }


def selection(training: dict[str, Any]) -> str:
    """How the weights were chosen, in words, from a checkpoint's training protocol."""
    if not training:
        return "unknown: the checkpoint has no training protocol"
    data = training.get("config", {}).get("data", {})
    sets = []
    if data.get("dataset") not in (None, "synthetic"):
        sets.append(f"{data['dataset']} {data.get('root')!r} split {data.get('val_split')!r}")
    if data.get("synthetic_val"):
        sets.append(f"{data['synthetic_val']} synthetic validation scenes")
    text = training.get("selection") or f"best mean validation mIoU on {' and '.join(sets) or 'unknown frames'}"
    place = [f"{key} {training[key]}" for key in ("epoch", "step") if key in training]
    return ", ".join([text, *place]) + (f"; note: {training['note']}" if training.get("note") else "")


def seen_frames(seen: Seen, frames: Sequence[Sample]) -> dict[str, Any]:
    """A warning, and its numbers, when the weights or their ancestors saw these frames."""
    found = seen_again(seen, frames)
    unknown = [entry.by for entry in seen if entry.role == UNKNOWN]
    return {
        **({"warning": in_words(found, len(frames)), "frames_seen": found} if found else {}),
        **({"ancestors_whose_frames_are_unknown": unknown} if unknown else {}),
    }


def overlap(config: EvaluateConfig, dataset: str, training: dict[str, Any]) -> dict[str, str]:
    """The same for weights without a record: a warning when, by the splits' names, these frames were used."""
    data = training.get("config", {}).get("data", {})
    folder = Path(config.data).resolve().name if config.data else None
    if dataset == "synthetic" or (data.get("dataset"), data.get("root")) != (dataset, folder):
        return {}
    splits = {"trained": data.get("train_split"), "chose": data.get("val_split")}
    roles = [role for role, split in splits.items() if split and share_frames(config.split, split)]
    if not roles:
        return {}
    return {"warning": f"frames of this split {' and '.join(roles)} these weights: the numbers are optimistic"}


def share_frames(scored: str | None, used: str) -> bool:
    """Whether two splits have frames in common, by their names; None or "" is all frames."""
    return not scored or not parts_of(scored).isdisjoint(parts_of(used))


def parts_of(split: str) -> set[str]:
    """The splits of a union, `train+val`; `trainval` is one too."""
    return {"trainval", "train", "val"} if split == "trainval" else set(split.split("+"))


def class_mapping(label_names: tuple[str, ...], classes: tuple[str, ...]) -> dict[str, Any]:
    """Which classes the labels have, which of them are class 0 to these weights, which the weights have in vain."""
    lost = [name for name in label_names[1:] if name not in classes]
    extra = [name for name in classes[1:] if name not in label_names]
    note = "weights and labels have different classes: not comparable with published numbers of this data set"
    return {
        "label_classes": list(label_names),
        **({"label_classes_scored_as_class_0": lost} if lost else {}),
        **({"classes_the_labels_do_not_have": extra} if extra else {}),
        **({"note": note} if lost or extra else {}),
    }


def frames_from(config: EvaluateConfig, dataset: str) -> dict[str, Any]:
    """Which frames; the folder by its name."""
    if dataset == "synthetic":
        return {"scenes": config.synthetic, "seed": HELD_OUT_SEED, "conditions": list(config.conditions)}
    return {"folder": Path(config.data or "").resolve().name, "split": config.split or "all frames"}


def augmentation(config: EvaluateConfig) -> str:
    """Scales and flip, in words."""
    if config.scales == (1.0,) and not config.flip:
        return "none"
    flip = ", each with its left-right flip" if config.flip else ""
    return f"mean softmax over scales {', '.join(f'{scale:g}' for scale in config.scales)}{flip}"
