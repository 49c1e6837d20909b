"""The inference graph: sorted tokens and folded layers give what the model gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sartm_core.deploy.graph import FixedGraph, FoldedSARTM
from sartm_core.deploy.trunks.hiera import FoldedHiera
from sartm_core.deploy.trunks.windows import CELL, stage_orders
from sartm_core.model.sartm import SARTM

from .conftest import make_batch, make_model

WINDOWS = {"SAM2": (8, 4, 14, 7), "SAM2 large": (8, 4, 16, 8), "nano": (8, 4, 10, 5)}
CLOSE = {"atol": 2e-4, "rtol": 1e-4}
CAMERAS = {"both": (True, True), "rgb": (True, False), "thermal": (False, True)}


def scramble(model: SARTM) -> SARTM:
    """Weights as after a long training: no bias, gain or statistic is what it was at the start."""
    torch.manual_seed(5)
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        if "running_var" in name:
            nn.init.uniform_(tensor, 0.5, 2.0)
        elif tensor.ndim == 1 or "lora_b" in name or "pos_embed" in name or "no_m" in name or "not_a_point" in name:
            tensor.add_(torch.randn_like(tensor) * 0.2)
    return model.eval()


@pytest.fixture(scope="module", params=["frm_ffm", "mean", "late"])
def model(request: pytest.FixtureRequest) -> SARTM:
    return scramble(make_model(fusion=request.param))


def inputs(cameras: str, height: int = 96, width: int = 128) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    rgb, thermal = make_batch(2, height, width)
    has_rgb, has_thermal = CAMERAS[cameras]
    return rgb if has_rgb else None, thermal if has_thermal else None


@torch.inference_mode()
def plain_scores(model: SARTM, rgb: torch.Tensor | None, thermal: torch.Tensor | None) -> torch.Tensor:
    image = rgb if rgb is not None else thermal
    assert image is not None
    return model(rgb, thermal, size=(image.shape[-2] // 4, image.shape[-1] // 4)).logits


@pytest.mark.parametrize("cameras", CAMERAS)
@pytest.mark.parametrize("together", [False, True])
def test_folded_equals_the_model(model: SARTM, cameras: str, together: bool) -> None:
    rgb, thermal = inputs(cameras)
    expected = plain_scores(model, rgb, thermal)
    folded = FoldedSARTM(model)
    found = folded(rgb, thermal, folded.layout((96, 128)), together)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize("cameras", CAMERAS)
def test_a_flag_stands_for_a_missing_camera(model: SARTM, cameras: str) -> None:
    rgb, thermal = inputs(cameras)
    garbage = torch.full((2, 3, 96, 128), 7.0)
    graph = FixedGraph(FoldedSARTM(model), (96, 128))
    found = graph(
        garbage if rgb is None else rgb, garbage[:, :1] if thermal is None else thermal, torch.tensor(CAMERAS[cameras])
    )
    torch.testing.assert_close(found, plain_scores(model, rgb, thermal), **CLOSE)


def test_one_batched_product_gives_the_same_as_one_each(model: SARTM) -> None:
    """The first is for GPUs, which no test has."""
    attention = FoldedSARTM(model).trunk.blocks[2].attention
    tokens = torch.randn(4, 24, attention.qkv.shape[-1])
    with torch.inference_mode():
        for batched, apart in zip(attention.batched(tokens), attention.apart(tokens, (0, 1)), strict=True):
            assert batched.shape == apart.shape == (4, 24, attention.qkv.shape[2])
            torch.testing.assert_close(batched, apart)


@pytest.mark.parametrize(
    "backbone", ["sam2.1_hiera_t", "sam2.1_hiera_b+", pytest.param("sam2_hiera_l", marks=pytest.mark.slow)]
)
def test_official_trunks_at_sizes_that_cut_windows(backbone: str) -> None:
    """Windows of 14 on a map of 10 x 14 stick out below; global blocks and transitions are all there."""
    model = scramble(make_model(backbone=backbone))
    rgb, thermal = make_batch(1, 160, 224)
    folded = FoldedSARTM(model)
    torch.testing.assert_close(
        folded(rgb, thermal, folded.layout((160, 224))), plain_scores(model, rgb, thermal), **CLOSE
    )


def test_the_model_is_only_read() -> None:
    model = scramble(make_model())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    FoldedSARTM(model).to(torch.bfloat16)
    after = model.state_dict()
    assert all(
        torch.equal(after[name], tensor) and after[name].dtype == tensor.dtype for name, tensor in before.items()
    )


def test_positions_stay_exact_in_bf16() -> None:
    """Rounded to bf16 before it was stretched, the position embedding moved by whole steps."""
    model = make_model().eval()
    layout = FoldedSARTM(model).to(torch.bfloat16).layout((96, 128))
    expected = FoldedSARTM(model).layout((96, 128))
    assert torch.equal(layout.trunk.position, expected.trunk.position.bfloat16())
    assert torch.equal(layout.decoder_position, expected.decoder_position.bfloat16())


def test_a_neck_of_another_kind_is_refused() -> None:
    model = make_model()
    model.encoder.neck.fuse_type = "avg"
    with pytest.raises(ValueError, match="neck: .*avg"):
        FoldedSARTM(model)


def test_trunk_without_adapters() -> None:
    model = scramble(make_model(lora_rank=0))
    rgb, thermal = make_batch(1, 64, 96)
    folded = FoldedSARTM(model)
    torch.testing.assert_close(
        folded(rgb, thermal, folded.layout((64, 96))), plain_scores(model, rgb, thermal), **CLOSE
    )
    assert isinstance(folded.trunk, FoldedHiera)


@pytest.mark.parametrize("windows", WINDOWS.values(), ids=WINDOWS)
@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 12), columns=st.integers(1, 12))
def test_orders_are_hieras_windows(windows: tuple[int, ...], rows: int, columns: int) -> None:
    """Every stage: all tokens once, Hiera's windows, pooled cells side by side and in the next stage's order."""
    height, width = rows * 8, columns * 8
    orders = stage_orders(height, width, windows)
    for stage, (order, window) in enumerate(zip(orders, windows, strict=True)):
        h, w = height >> stage, width >> stage
        assert sorted(order.raster) == list(range(h * w))
        y, x = np.divmod(order.raster, w)
        names = (y // window) * 1000 + x // window
        start = 0
        for group in order.groups:
            for _ in range(group.windows):
                members = names[start : start + group.tokens]
                assert len(set(members)) == 1 and group.tokens + group.padding == window**2
                assert (names == members[0]).sum() == group.tokens
                start += group.tokens
        assert start == h * w
        if stage + 1 < len(windows):
            cells = order.raster.reshape(-1, CELL)
            cy, cx = np.divmod(cells, w)
            assert (cy // 2 == cy[:, :1] // 2).all() and (cx // 2 == cx[:, :1] // 2).all()
            pooled = (cy[:, 0] // 2) * (w // 2) + cx[:, 0] // 2
            following = orders[stage + 1]
            sort = slice(None) if following.from_previous is None else following.from_previous
            assert (pooled[sort] == following.raster).all()


def test_windows_that_cannot_be_pooled_are_refused() -> None:
    with pytest.raises(ValueError, match="stage 0: windows of 7"):
        stage_orders(14, 14, (7, 7))
