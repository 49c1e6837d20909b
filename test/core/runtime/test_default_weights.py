"""The weights shipped with the package: what everybody sees first."""

from __future__ import annotations

import pytest
from safetensors import safe_open

from sartm_core.evaluate.metrics import ConfusionMatrix
from sartm_core.model.checkpoint import read_metadata
from sartm_core.runtime.opening import default_checkpoint
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.classes import MFNET, remap_table
from sartm_core.synthetic import SyntheticScenes
from sartm_core.synthetic.config import SceneConfig

PERSON = 2


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.load("default", device="cpu", engine="torch", precision="fp32")


def test_file_is_small_half_precision_and_says_what_it_is(segmenter: Segmenter) -> None:
    path = default_checkpoint()
    assert path.stat().st_size <= 12_000_000
    with safe_open(str(path), framework="pt") as file:
        kinds = {str(file.get_tensor(n).dtype) for n in file.keys() if "num_batches_tracked" not in n}  # noqa: SIM118
    assert kinds == {"torch.float16"}
    assert segmenter.classes == ("unlabeled", "car", "person", "bike")
    content = read_metadata(path)
    assert content["model"]["backbone"] == "timm:tf_efficientnet_lite0"
    assert {"config", "epoch", "step", "seconds"} <= set(content["info"]["protocol"])


def test_people_are_found_at_night_by_thermal(segmenter: Segmenter) -> None:
    """Six held-out night scenes: with both cameras people are found, with colour alone hardly."""
    table = remap_table(MFNET.names, segmenter.classes)
    both, rgb_only = ConfusionMatrix(len(segmenter.classes)), ConfusionMatrix(len(segmenter.classes))
    for scene in SyntheticScenes(6, seed=77, config=SceneConfig(conditions=("night",))):
        truth = table[scene.label]
        both.update(segmenter(scene.rgb, scene.kelvin).mask, truth)
        rgb_only.update(segmenter(scene.rgb, None).mask, truth)
    assert both.iou()[PERSON] > 0.3
    assert both.iou()[PERSON] > rgb_only.iou()[PERSON] + 0.2
