"""The inference graph: sorted tokens and folded layers give what the model gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sartm_core.model.sartm import SARTM
from sartm_core.runtime.graph import trunks
from sartm_core.runtime.graph.graph import FixedGraph, FoldedSARTM
from sartm_core.runtime.graph.trunks.plain import AsTrained
from sartm_core.runtime.graph.trunks.timm import fold
from sartm_core.runtime.graph.trunks.windows import CELL, stage_orders
from test.core.conftest import BACKBONES, CONVNEXT, LITE0, make_batch, make_model, scramble

WINDOWS = {"SAM2": (8, 4, 14, 7), "SAM2 large": (8, 4, 16, 8), "nano": (8, 4, 10, 5)}
CLOSE = {"atol": 5e-4, "rtol": 1e-4}
"""Folding changes the order of sums; how much that shows depends on the CPU's kernels (2.2e-4 seen on an AMD EPYC)."""
CAMERAS = {"both": (True, True), "rgb": (True, False), "thermal": (False, True)}


NETWORKS = {
    "nano": {},
    "nano mean": {"fusion": "mean"},
    "nano late": {"fusion": "late"},
    "nano both": {"heads": "both"},
    "nano both deeplab": {"heads": "both", "aux_head": "deeplab"},
    "nano both, many classes": {"heads": "both", "classes": tuple(f"class {i}" for i in range(9))},
    "lite0": {"backbone": LITE0},
    "lite0 late": {"backbone": LITE0, "fusion": "late", "width": 64},
    "lite0 both": {"backbone": LITE0, "heads": "both"},
    "convnext both": {"backbone": CONVNEXT, "heads": "both", "width": 256},
}


@pytest.fixture(scope="module", params=NETWORKS)
def model(request: pytest.FixtureRequest) -> SARTM:
    return scramble(make_model(**NETWORKS[request.param]))


@pytest.fixture(scope="module")
def folded(model: SARTM) -> FoldedSARTM:
    return FoldedSARTM(model)


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
def test_folded_equals_the_model(model: SARTM, folded: FoldedSARTM, cameras: str, together: bool) -> None:
    rgb, thermal = inputs(cameras)
    expected = plain_scores(model, rgb, thermal)
    found = folded(rgb, thermal, folded.layout((96, 128)), together)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize("cameras", CAMERAS)
def test_a_flag_stands_for_a_missing_camera(model: SARTM, folded: FoldedSARTM, cameras: str) -> None:
    rgb, thermal = inputs(cameras)
    garbage = torch.full((2, 3, 96, 128), 7.0)
    graph = FixedGraph(folded, (96, 128))
    found = graph(
        garbage if rgb is None else rgb, garbage[:, :1] if thermal is None else thermal, torch.tensor(CAMERAS[cameras])
    )
    torch.testing.assert_close(found, plain_scores(model, rgb, thermal), **CLOSE)


def test_one_batched_product_gives_the_same_as_one_each() -> None:
    """The first is for GPUs, which no test has."""
    attention = FoldedSARTM(scramble(make_model())).trunk.blocks[2].attention
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


@pytest.mark.parametrize("backbone", ["hiera_nano", LITE0, CONVNEXT])
def test_the_model_is_only_read(backbone: str) -> None:
    model = scramble(make_model(backbone=backbone))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    FoldedSARTM(model).to(torch.bfloat16)
    after = model.state_dict()
    assert all(
        torch.equal(after[name], tensor) and after[name].dtype == tensor.dtype for name, tensor in before.items()
    )


@pytest.mark.parametrize("backbone", ["hiera_nano", LITE0])
def test_a_trunk_without_a_graph_of_its_own_runs_as_it_is(backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trunks, "FOLDED", {})
    model = scramble(make_model(backbone=backbone))
    folded = FoldedSARTM(model)
    assert isinstance(folded.trunk, AsTrained)
    for cameras in CAMERAS:
        given = inputs(cameras)
        with torch.inference_mode():
            found = folded(*given, folded.layout((96, 128)))
        torch.testing.assert_close(found, plain_scores(model, *given), **CLOSE)


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


def test_a_neck_that_needs_another_order_of_tokens_is_refused() -> None:
    """From stride 16 to 8 nano's tokens are sorted anew."""
    model = make_model()
    model.encoder.neck.fpn_top_down_levels = [1, 2, 3]
    folded = FoldedSARTM(model)
    with pytest.raises(ValueError, match="neck: stage 1 receives from the next, whose tokens lie in another order"):
        folded(*make_batch(1, 192, 192), folded.layout((192, 192)))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_trunk_without_adapters(backbone: str) -> None:
    model = scramble(make_model(backbone=backbone, lora_rank=0))
    rgb, thermal = make_batch(1, 64, 96)
    folded = FoldedSARTM(model)
    torch.testing.assert_close(
        folded(rgb, thermal, folded.layout((64, 96))), plain_scores(model, rgb, thermal), **CLOSE
    )


def parts(model: SARTM) -> list[nn.Module]:
    return list(FoldedSARTM(model).trunk.modules())


def test_batch_norms_are_part_of_the_convolutions_before_them() -> None:
    """All but those behind the stages, which stand alone."""
    model = scramble(make_model(backbone=LITE0))
    assert sum(isinstance(part, nn.BatchNorm2d) for part in model.encoder.trunk.modules()) > 60
    assert sum(isinstance(part, nn.BatchNorm2d) for part in parts(model)) == 2 * 4


@pytest.mark.parametrize("backbone", [LITE0, CONVNEXT])
def test_thermal_has_one_channel(backbone: str) -> None:
    stems = [part for part in parts(make_model(backbone=backbone)) if isinstance(part, nn.Conv2d)]
    assert sorted(stem.in_channels for stem in stems if stem.in_channels in (1, 3)) == [1, 3]


class Standardised(nn.Conv2d):
    """As of some of timm's families: what it does is not what its weight says."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x / x.std())


class Odd(nn.Module):
    """A network with nothing to fold."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = Standardised(3, 4, 3), nn.BatchNorm2d(4)
        nn.init.normal_(self.norm.bias)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        x = self.conv(image * torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1))
        return [self.norm(x) + x]


def test_a_network_that_cannot_be_folded_stays_as_it_is() -> None:
    network = Odd().eval()
    rgb, thermal = make_batch(1, 64, 64)
    with torch.inference_mode():
        for channels, image in ((3, rgb), (1, thermal)):
            (found,), (expected,) = fold(network, channels)(image), network(image.expand(-1, 3, -1, -1))
            assert torch.equal(found, expected)


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
