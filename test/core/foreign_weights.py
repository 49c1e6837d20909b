"""Weights as other projects leave them, random, made from the `sam2` package's own modules; and what they compute."""

from __future__ import annotations

from importlib import resources

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor, nn
from torch.nn import functional as F

RANK = 4
SIDE = 96
"""Of the padded square of a frame of `CAMERA`."""
CAMERA = (64, 80)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ThreeProducts(nn.Module):
    """The module that stands for `attn.qkv` in the authors' files: item 5 of the issue, word by word."""

    def __init__(self, qkv: nn.Linear) -> None:
        super().__init__()
        self.qkv = qkv
        for part in "qv":
            for ending in ("", "2", "3"):
                setattr(self, f"linear_a_{part}{ending}", nn.Linear(qkv.in_features, RANK, bias=False))
                setattr(self, f"linear_b_{part}{ending}", nn.Linear(RANK, qkv.in_features, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        out, width = self.qkv(x), self.qkv.in_features
        q, v = (
            sum(getattr(self, f"linear_b_{part}{e}")(getattr(self, f"linear_a_{part}{e}")(x)) for e in ("", "2", "3"))
            for part in "qv"
        )
        out[..., :width] += q
        out[..., -width:] += v
        return out


def sam2_model(release: str = "sam2", classes: int | None = None) -> SAM2Base:
    """A SAM2 tiny for squares of `SIDE` with random weights; with `classes` as many outputs behind the first."""
    torch.manual_seed(6)
    path = resources.files("sam2") / "configs" / release / f"{release}_hiera_t.yaml"
    config = OmegaConf.create(path.read_text()).model
    config.image_size = SIDE
    sam = instantiate(config)
    if classes is not None:
        decoder = sam.sam_mask_decoder
        sam.sam_mask_decoder = type(decoder)(
            transformer_dim=256,
            transformer=decoder.transformer,
            num_multimask_outputs=classes,
            use_high_res_features=True,
            pred_obj_scores=True,
            pred_obj_scores_mlp=True,
        )
        decoder = sam.sam_mask_decoder
        for mlp in (*decoder.output_hypernetworks_mlps, decoder.pred_obj_score_head):
            for layer in mlp.layers:
                nn.init.xavier_normal_(layer.weight)
        decoder.pred_obj_score_head.layers[-1].weight.data *= 30  # two images must not score alike
    nn.init.normal_(sam.no_mem_embed)
    nn.init.normal_(sam.image_encoder.trunk.pos_embed)
    return sam.eval()


def authors_model(classes: int) -> SAM2Base:
    """The network below `sam.` in the authors' files."""
    sam = sam2_model("sam2", classes)
    for block in sam.image_encoder.trunk.blocks:
        block.attn.qkv = ThreeProducts(block.attn.qkv)
    return sam.eval()


def authors_file(sam: SAM2Base) -> dict[str, Tensor]:
    """Their state dict, with parts that only their training has."""
    beside = ("model_clip.visual.proj", "FRMs.0.weight", "FFMs.1.bias", "mlp_1.0.weight", "linear_fuse.weight")
    return {f"sam.{name}": tensor for name, tensor in sam.state_dict().items()} | {n: torch.ones(2) for n in beside}


def square(image: Tensor) -> Tensor:
    """(1, C, H, W) -> (1, C, SIDE, SIDE), zeros below and on the right."""
    return F.pad(image, (0, SIDE - image.shape[-1], 0, SIDE - image.shape[-2]))


def inputs(rgb: np.ndarray, thermal: np.ndarray) -> tuple[Tensor, Tensor]:
    """(H, W, 3) and (H, W) uint8 -> (1, 3, SIDE, SIDE), (1, 1, SIDE, SIDE): normalised, then padded."""
    colors = torch.from_numpy(rgb).permute(2, 0, 1)[None] / 255
    colors = (colors - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    return square(colors), square(torch.from_numpy(thermal)[None, None] / 255)


@torch.inference_mode()
def decode(sam: SAM2Base, image: Tensor) -> tuple[Tensor, Tensor]:
    """One modality, (1, 3, SIDE, SIDE) -> logits (1, C, SIDE, SIDE) with SAM2's gate, object score (1, 1)."""
    fine, middle, coarse = sam.forward_image(image)["backbone_fpn"]
    heads = sam._forward_sam_heads(coarse, high_res_features=[fine, middle], multimask_output=True)
    return heads[1], heads[6]


def authors_logits(sam: SAM2Base, rgb: Tensor, thermal: Tensor) -> Tensor:
    """Of both modalities, (1, C, SIDE, SIDE)."""
    return (decode(sam, rgb)[0] + decode(sam, thermal.expand(-1, 3, -1, -1))[0]) / 2
