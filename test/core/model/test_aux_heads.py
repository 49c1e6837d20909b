"""The auxiliary heads: shapes, gradients, and training with one small frame."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sartm_core.model.aux_heads import AUX_HEADS, build_aux_head
from test.core.conftest import make_batch, make_model

HEADS = [kind for kind, place in AUX_HEADS.items() if place]
USED = {"fpn": (True, True, True), "deeplab": (True, False, True), "segformer": (True, True, True)}
"""Which of F~0, F~1, F~n a head looks at."""


def make_head(kind: str, channels: tuple[int, int, int] = (8, 16, 64), num_classes: int = 5) -> nn.Module:
    torch.manual_seed(5)
    head = build_aux_head(kind, channels, num_classes)
    assert head is not None
    return head


def make_levels(
    channels: tuple[int, int, int] = (8, 16, 64), batch: int = 2, height: int = 64, width: int = 96
) -> list[Tensor]:
    """F~0, F~1, F~n of an input (height, width), as leaves."""
    return [
        torch.randn(batch, c, height // stride, width // stride, requires_grad=True)
        for c, stride in zip(channels, (4, 8, 16), strict=True)
    ]


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize(
    "channels,classes,size", [((32, 64, 256), 9, (96, 64)), ((8, 16, 64), 2, (64, 160)), ((3, 5, 24), 15, (32, 32))]
)
def test_heads_follow_channels_classes_and_size(kind: str, channels: tuple, classes: int, size: tuple) -> None:
    head = make_head(kind, channels, classes).eval()
    with torch.inference_mode():
        logits = head(*make_levels(channels, 2, *size))
    assert logits.shape == (2, classes, size[0] // 4, size[1] // 4)


@pytest.mark.parametrize("kind", HEADS)
def test_heads_train_on_a_single_frame_of_the_smallest_size(kind: str) -> None:
    """Batch normalisation of a pooled image has one value per channel then, which torch refuses."""
    head = make_head(kind).train()
    logits = head(*make_levels(batch=1, height=32, width=32))
    logits.square().mean().backward()
    assert logits.isfinite().all() and all(p.grad.isfinite().all() for p in head.parameters())


@pytest.mark.parametrize("kind", USED)
def test_every_parameter_of_a_head_and_the_levels_it_uses_receive_gradient(kind: str) -> None:
    head, levels = make_head(kind).train(), make_levels()
    head(*levels).square().mean().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert tuple(level.grad is not None and bool(level.grad.any()) for level in levels) == USED[kind]


@pytest.mark.parametrize("kind", HEADS)
def test_heads_draw_no_random_numbers(kind: str) -> None:
    """Dropout would make two processes differ from one."""
    head, levels = make_head(kind).train(), make_levels()
    assert torch.equal(head(*levels), head(*levels))


def test_deeplab_pools_the_whole_image() -> None:
    """A change in one corner reaches the other, out of reach of the largest dilation (18 cells)."""
    head, (ffp, ifp, sfm) = make_head("deeplab").eval(), make_levels(batch=1, height=32, width=16 * 24)
    changed = sfm.detach().clone()
    changed[..., -1] += 10
    with torch.inference_mode():
        before, after = head(ffp, ifp, sfm), head(ffp, ifp, changed)
    assert not torch.allclose(before[..., :8], after[..., :8])


@pytest.mark.parametrize("kind", HEADS)
def test_the_model_runs_its_head_in_training_only(kind: str) -> None:
    model = make_model(aux_head=kind)
    assert model.train()(*make_batch(1)).aux_logits.shape == (1, 4, 64, 96)
    assert model.eval()(*make_batch(1)).aux_logits is None
