"""The class-wise mask decoder (`sartm_core.model.mask_decoder`) for inference.

Without a prompt the queries are the same for every frame, so all that depends on them alone is computed once: the first
self-attention and, with the position encoding, its part of every key and query.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sartm_core.model.mask_decoder import ClasswiseMaskDecoder, gated
from sartm_core.runtime.graph.folding import frozen


class Position:
    """Position encoding of the image tokens for any size. In fp32 on the CPU, whatever the network computes in."""

    def __init__(self, decoder: ClasswiseMaskDecoder) -> None:
        self._random = deepcopy(decoder.pe_layer).float().cpu()

    @torch.no_grad()
    def __call__(self, size: tuple[int, int]) -> Tensor:
        """(1, T_2, width) for a (h, w) map, row by row."""
        return self._random(size).flatten(1).t()[None]


class Decoder(nn.Module):
    """Fused maps in, one score map per class out."""

    def __init__(self, decoder: ClasswiseMaskDecoder) -> None:
        super().__init__()
        sam = decoder.sam
        self.classes = slice(3, 2 + sam.num_mask_tokens)  # behind object score, IoU and token 0
        tokens = decoder.query_tokens()[None]  # (1, Q, width)
        self.tokens = frozen(tokens)
        first = sam.transformer.layers[0]
        self.queries = frozen(first.norm1(first.self_attn(q=tokens, k=tokens, v=tokens)))  # (1, Q, width)
        self.transformer = deepcopy(sam.transformer)
        self.empty = frozen(decoder.no_mem_embed.view(1, 1, -1) + decoder.no_mask_embed.weight[None])  # (1, 1, width)
        up1, norm, _, up2, _ = sam.output_upscaling
        self.up1, self.up2 = deepcopy(up1), deepcopy(up2)
        self.norm_weight, self.norm_bias, self.eps = frozen(norm.weight), frozen(norm.bias), norm.eps
        self.object_score = deepcopy(sam.pred_obj_score_head) if decoder.object_gate else None
        mlps = sam.output_hypernetworks_mlps[1:]
        layers = list(zip(*(mlp.layers for mlp in mlps), strict=True))
        self.hyper_weights = nn.ParameterList(  # (C, in, out) each
            frozen(torch.stack([m.weight.t() for m in layer])) for layer in layers
        )
        self.hyper_biases = nn.ParameterList(frozen(torch.stack([m.bias for m in layer])[:, None]) for layer in layers)

    def forward(self, ffp: Tensor, ifp: Tensor, sfm: Tensor, position: Tensor, size: tuple[int, int]) -> Tensor:
        """F~0 (N, T_0, width/8), F~1 (N, T_1, width/4), F~n (N, T_2, width) of (h, w) = `size` -> (N, C, 4h, 4w)."""
        queries, image = self.transform(sfm + self.empty, position)  # (N, Q, width), (N, T_2, width)
        maps = self.up1(as_map(image, size))  # (N, width / 4, 2h, 2w)
        x = F.layer_norm(as_tokens(maps) + ifp, ifp.shape[-1:], self.norm_weight, self.norm_bias, self.eps)
        maps = self.up2(as_map(F.gelu(x), (2 * size[0], 2 * size[1])))  # (N, width / 8, 4h, 4w)
        pixels = F.gelu(as_tokens(maps) + ffp)  # (N, T_0, width / 8)
        weights = self.hypernetworks(queries[:, self.classes])  # (N, C, width / 8)
        scores = weights.float() @ pixels.float().transpose(1, 2)  # (N, C, T_0); fp32: near ties decide a class
        scores = scores.unflatten(2, (4 * size[0], 4 * size[1]))
        return scores if self.object_score is None else gated(scores, self.object_score(queries[:, 0]))

    def transform(self, image: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """SAM2's two-way transformer."""
        batch = image.shape[0]
        tokens = self.tokens.expand(batch, -1, -1)  # (N, Q, width)
        queries = self.queries.expand(batch, -1, -1)
        for i, layer in enumerate(self.transformer.layers):
            if i:
                q = queries + tokens
                queries = layer.norm1(queries + layer.self_attn(q=q, k=q, v=queries))
            located = image + position
            queries = layer.norm2(queries + layer.cross_attn_token_to_image(q=queries + tokens, k=located, v=image))
            queries = layer.norm3(queries + layer.mlp(queries))
            image = layer.norm4(image + layer.cross_attn_image_to_token(q=located, k=queries + tokens, v=queries))
        attend = self.transformer.final_attn_token_to_image
        queries = queries + attend(q=queries + tokens, k=image + position, v=image)
        return self.transformer.norm_final_attn(queries), image

    def hypernetworks(self, x: Tensor) -> Tensor:
        """(N, C, width) -> (N, C, width / 8), each class through its own layers."""
        x = x.transpose(0, 1)  # (C, N, width)
        for i, (weight, bias) in enumerate(zip(self.hyper_weights, self.hyper_biases, strict=True)):
            x = x @ weight + bias
            x = x.relu() if i < len(self.hyper_weights) - 1 else x
        return x.transpose(0, 1)


def as_map(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Tokens (N, T, C) -> (N, C, h, w), channels last in memory."""
    return x.transpose(1, 2).unflatten(2, size)


def as_tokens(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, T, C)."""
    return x.flatten(2).transpose(1, 2)
