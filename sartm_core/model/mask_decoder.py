"""Path one: SAM2's mask decoder with one token and one hypernetwork per class (paper III-D, Eq. 9).

No prompt is given; the decoder sees SAM2's own "no point" tokens and "no mask" embedding. Output token 0 (SAM2's
single-mask token) takes part in attention and is dropped. SAM2's object-score gate, which sets every logit to -1024
where the score is not positive, is left out but for imported weights that were trained with it.
"""

from __future__ import annotations

import torch
from sam2.modeling.position_encoding import PositionEmbeddingRandom
from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.modeling.sam.transformer import TwoWayTransformer
from torch import Tensor, nn

TRANSFORMER_SIZES = {256: (8, 2048), 128: (4, 512), 64: (4, 256)}
"""Attention heads and MLP width by decoder width; 256 is SAM2's."""
NO_POINT_TOKENS = 2
"""SAM2 without a prompt pads with one empty point, and its prompt encoder with a second."""
FIRST_CLASS_TOKEN = 1
"""Among the mask tokens; the one before it is SAM2's for a single mask, and dropped."""
NO_OBJECT_LOGIT = -1024.0
"""What SAM2's object-score gate makes of every logit of an image without an object."""


class ClasswiseMaskDecoder(nn.Module):
    """SAM2 `MaskDecoder` with C outputs on a grid of any shape, plus the pieces of SAM2 that feed it."""

    def __init__(self, width: int, num_classes: int, train_transformer: bool, object_gate: bool = False) -> None:
        super().__init__()
        self.object_gate = object_gate
        heads, mlp_width = TRANSFORMER_SIZES[width]
        self.sam = MaskDecoder(
            transformer_dim=width,
            transformer=TwoWayTransformer(depth=2, embedding_dim=width, num_heads=heads, mlp_dim=mlp_width),
            num_multimask_outputs=num_classes,
            use_high_res_features=True,
            pred_obj_scores=True,
            pred_obj_scores_mlp=True,
        )
        self.sam.iou_prediction_head = nn.Identity()  # predicts prompt quality; nothing here asks for it
        self.sam.output_hypernetworks_mlps[0] = nn.Identity()  # token 0 is dropped
        self.pe_layer = PositionEmbeddingRandom(width // 2)
        self.not_a_point_embed = nn.Embedding(1, width)
        self.no_mask_embed = nn.Embedding(1, width)
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, width))
        self._init_fresh()
        self._freeze(train_transformer)

    @torch.no_grad()
    def _init_fresh(self) -> None:
        """Variance-keeping start of both factors of the mask product, hypernetwork weights and pixel features.

        PyTorch's defaults make both so small that neither gets a gradient to speak of (docs/design.md). An official
        file overwrites all but the hypernetworks.
        """
        for mlp in self.sam.output_hypernetworks_mlps[1:]:
            for layer in mlp.layers[:-1]:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.xavier_normal_(mlp.layers[-1].weight)
        for up in (self.sam.output_upscaling[0], self.sam.output_upscaling[3]):
            tap = torch.randn(up.in_channels, up.out_channels, 1, 1) * (2 / up.in_channels) ** 0.5
            up.weight.copy_(tap.expand_as(up.weight))  # equal taps: starts as nearest upsampling, not as a checkerboard
        for level in (self.sam.conv_s0, self.sam.conv_s1):
            nn.init.kaiming_normal_(level.weight)

    def classes(self) -> list[Tensor]:
        """Copies of what is drawn at random for every class and changes with the first step of a training."""
        last = [mlp.layers[-1].weight for mlp in self.sam.output_hypernetworks_mlps[1:]]
        return [tensor.detach().float().cpu().clone() for tensor in (self.sam.mask_tokens.weight, *last)]

    def _freeze(self, train_transformer: bool) -> None:
        """Only class tokens, hypernetworks, upscaling and level convolutions train, with the transformer if asked."""
        pretrained = (
            self.sam.transformer,
            self.sam.iou_token,
            self.sam.obj_score_token,
            self.not_a_point_embed,
            self.no_mask_embed,
        )
        for module in pretrained:
            module.requires_grad_(train_transformer)
        self.no_mem_embed.requires_grad_(train_transformer)
        self.sam.pred_obj_score_head.requires_grad_(False)  # kept for imported weights, never part of a loss

    def high_res(self, f0: Tensor, f1: Tensor) -> tuple[Tensor, Tensor]:
        """Neck features of strides 4 and 8 (N, width, h, w) -> FFP (N, width/8, h, w) and IFP (N, width/4, h, w)."""
        return self.sam.conv_s0(f0), self.sam.conv_s1(f1)

    def query_tokens(self) -> Tensor:
        """Object score, IoU, mask tokens and SAM2's two empty points: (Q, width), Q = 1 + 1 + (1 + C) + 2."""
        return torch.cat(
            (
                self.sam.obj_score_token.weight,
                self.sam.iou_token.weight,
                self.sam.mask_tokens.weight,
                self.not_a_point_embed.weight.expand(NO_POINT_TOKENS, -1),
            )
        )

    def forward(self, ffp: Tensor, ifp: Tensor, sfm: Tensor) -> Tensor:
        """F~0 (B, width/8, H/4, W/4), F~1 (B, width/4, H/8, W/8), F~n (B, width, H/16, W/16) to (B, C, H/4, W/4)."""
        batch, width, height, columns = sfm.shape
        tokens = self.query_tokens().expand(batch, -1, -1)  # (B, Q, width)
        image = sfm + self.no_mem_embed.view(1, width, 1, 1) + self.no_mask_embed.weight.view(1, width, 1, 1)
        position = self.pe_layer((height, columns))[None].to(image.dtype).expand(batch, -1, -1, -1)
        tokens_out, image_out = self.sam.transformer(image, position, tokens)
        class_tokens = tokens_out[:, 3 : 2 + self.sam.num_mask_tokens]  # (B, C, width), behind score, IoU and token 0
        image_out = image_out.transpose(1, 2).unflatten(2, (height, columns))  # (B, width, H/16, W/16)
        up1, norm, act1, up2, act2 = self.sam.output_upscaling
        pixels = act1(norm(up1(image_out) + ifp))  # (B, width/4, H/8, W/8)
        pixels = act2(up2(pixels) + ffp)  # (B, width/8, H/4, W/4)
        mlps = self.sam.output_hypernetworks_mlps[1:]
        weights = torch.stack([mlp(class_tokens[:, c]) for c, mlp in enumerate(mlps)], dim=1)  # (B, C, width/8)
        scores = (weights @ pixels.flatten(2)).unflatten(2, pixels.shape[-2:])  # (B, C, H/4, W/4)
        return gated(scores, self.sam.pred_obj_score_head(tokens_out[:, 0])) if self.object_gate else scores


def gated(scores: Tensor, object_score: Tensor) -> Tensor:
    """Scores (B, C, h, w) where the object score (B, 1) is positive, else `NO_OBJECT_LOGIT` everywhere."""
    return torch.where(object_score[..., None, None] > 0, scores, NO_OBJECT_LOGIT)
