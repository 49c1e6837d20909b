"""The model card: what a checkpoint knows of itself, for people and, on top, for the Hub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from sartm_core.data.seen import TRAINED
from sartm_core.model.config import ModelConfig
from sartm_core.model.hub import LIBRARY
from sartm_core.model.sartm import ModelInfo
from sartm_core.support.reports import markdown_table

TASK = "image-segmentation"
TAGS = ("semantic-segmentation", "rgb-thermal", "robotics", "ros2")
METRICS = {"miou": ("mean_iou", "mIoU"), "macc": ("accuracy", "mAcc"), "mf1": ("f1", "mean F1")}
"""Key of a checkpoint's metrics -> the Hub's name of the metric, ours."""
CAUTION = (
    "The scores are of frames that chose the epoch, so they are no test scores. Try the masks on your own cameras "
    "before anything relies on them."
)


@dataclass(frozen=True)
class Published:
    """A checkpoint and where it goes."""

    repository: str
    """owner/name."""
    license_id: str
    """As the Hub spells it."""
    kind: str
    """`full`, or `adapter`, which needs Meta's file."""
    model: ModelConfig
    info: ModelInfo

    @property
    def name(self) -> str:
        """Of the repository, without its owner."""
        return self.repository.partition("/")[2]

    @property
    def sets(self) -> dict[str, dict[str, Any]]:
        """Scores by validation set; empty where the checkpoint has none."""
        return {k: v for k, v in self.info.metrics.items() if isinstance(v, dict) and "miou" in v}


def model_card(about: Published) -> str:
    """`README.md` of a repository."""
    head = yaml.safe_dump(front_matter(about), sort_keys=False)
    model = about.model
    parts = [
        f"---\n{head}---\n# {about.name}",
        f"Semantic segmentation of rgb and thermal frames into {model.num_classes} classes: SARTM on the encoder "
        f"`{model.backbone}`, LoRA rank {model.lora_rank} per modality, fusion `{model.fusion}`. Either camera may be "
        "missing.",
        f"## Use\n{use(about)}",
        f"## Classes\n{class_table(model)}",
        f"## Scores\n{score_table(about.sets)}\n\n{CAUTION}" if about.sets else "",
        f"## Training\n{training(about.info)}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def front_matter(about: Published) -> dict[str, Any]:
    """What the Hub reads."""
    head = {"license": about.license_id, "library_name": LIBRARY, "pipeline_tag": TASK, "tags": [LIBRARY, *TAGS]}
    results = [
        {
            "task": {"type": TASK},
            "dataset": {"name": name, "type": name},
            "metrics": [
                {"type": kind, "name": f"{title} (validation)", "value": round(scores[key], 4)}
                for key, (kind, title) in METRICS.items()
                if scores.get(key) is not None
            ],
        }
        for name, scores in about.sets.items()
    ]
    return {**head, "model-index": [{"name": about.name, "results": results}]} if results else head


def use(about: Published) -> str:
    """How to run it."""
    base = about.info.base_name if about.kind == "adapter" else ""
    sam2 = f', sam2="{base}"' if base else ""
    text = f"""```python
from sartm_core import Segmenter

segment = Segmenter.load("hf:{about.repository}"{sam2})
result = segment(rgb, thermal)  # (H, W, 3) uint8; (h, w) uint8, uint16 or float32; either may be None
result.mask  # (H, W) uint8 class ids
```
ROS 2: `ros2 launch sartm_ros segment.launch.py checkpoint:=hf:{about.repository}`"""
    needs = f"\n\nThese are adapters for `{base}` as Meta ships it, sha256 `{about.info.base_sha256}`."
    return text + (needs if base else "")


def class_table(model: ModelConfig) -> str:
    """Ids, names and colours."""
    rows = [["id", "class", "r g b"]]
    for i, (name, color) in enumerate(zip(model.classes, model.palette or (), strict=True)):
        rows.append([str(i), name, " ".join(map(str, color))])
    return markdown_table(rows)


def score_table(sets: dict[str, dict[str, Any]]) -> str:
    """Percent, a column for each validation set."""
    rows = [["validation, %", *sets]]
    rows += [[title, *(percent(scores.get(key)) for scores in sets.values())] for key, (_, title) in METRICS.items()]
    by_class = [scores.get("iou", {}) for scores in sets.values()]
    for name in dict.fromkeys(name for iou in by_class for name in iou):
        rows.append([f"IoU {name}", *(percent(iou.get(name)) for iou in by_class)])
    return markdown_table(rows)


def percent(value: float | None) -> str:
    """A score of 0..1 as a table has it."""
    return "-" if value is None else f"{100 * value:.1f}"


def training(info: ModelInfo) -> str:
    """What is known of it, a line each."""
    size = "x".join(map(str, info.preprocess.input_size or ())) or "of the camera's size"
    lines = [f"input {size}, thermal normalised by `{info.preprocess.thermal.mode}`"]
    lines += [
        f"{len(seen.names)} frames of {seen.root or seen.dataset}" + (f", by {seen.by}" if seen.by else "")
        for seen in info.seen
        if seen.role == TRAINED
    ]
    for key, text in (("selection", "{}"), ("epoch", "these weights: epoch {}"), ("step", "optimizer steps: {}")):
        if key in info.protocol:
            lines.append(text.format(info.protocol[key]))
    if versions := info.protocol.get("versions"):
        lines.append(", ".join(f"{name} {version}" for name, version in versions.items()))
    return "\n".join(f"- {line}" for line in (*lines, "the whole configuration: metadata of `weights.safetensors`"))
