"""The collapse alarm: effective rank, what is watched, and what it says in a run."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import pytest
import torch

from sartm_core.model.sartm import SARTM
from sartm_core.train import __main__ as train
from sartm_core.train import ranks
from sartm_core.train.ranks import FUSED, Features, effective_rank
from test.core.conftest import make_batch, make_model
from test.core.runs import command, history, write_config

STAGES = [f"{modality}/stride_{stride}" for modality in ("rgb", "thermal") for stride in (4, 8, 16, 32)]


def crossed(scales: list[float]) -> torch.Tensor:
    """(2 * C, C): one pixel on either side of the mean along each axis, so the covariance is diagonal, scales^2."""
    axes = torch.diag(torch.tensor(scales))
    return torch.cat([axes, -axes]) + 7.0


@pytest.mark.parametrize("rank,channels", [(1, 1), (1, 8), (3, 8), (8, 8)])
def test_k_equal_directions_have_rank_k(rank: int, channels: int) -> None:
    features = crossed([2.0] * rank + [0.0] * (channels - rank))
    turn, _ = torch.linalg.qr(torch.randn(channels, channels, dtype=torch.float64))
    assert effective_rank(features) == pytest.approx(rank, abs=1e-9)
    assert effective_rank(features.double() @ turn) == pytest.approx(rank, abs=1e-9), "whatever the axes"


def test_rank_is_the_exponential_of_the_entropy() -> None:
    """Variances 3/4 and 1/4: exp(-3/4 ln 3/4 - 1/4 ln 1/4) = 4 / 3^(3/4)."""
    assert effective_rank(crossed([math.sqrt(3.0), 1.0])) == pytest.approx(4 / 3**0.75, rel=1e-6)


def test_nothing_varies_and_not_finite() -> None:
    assert effective_rank(torch.full((10, 4), 870.0)) == 0
    assert math.isnan(effective_rank(torch.tensor([[1.0, 2.0], [torch.inf, 0.0]])))


def test_a_large_mean_does_not_hide_the_directions() -> None:
    features = crossed([1.0] * 4) + 1e4
    assert effective_rank(features) == pytest.approx(4, abs=1e-6)


def watch(model: SARTM, rgb: torch.Tensor | None, thermal: torch.Tensor | None) -> Features:
    features = Features()
    with torch.no_grad(), features.watching(model):
        model(rgb, thermal)
    return features


def test_each_modality_has_its_own_pixels(nano: SARTM) -> None:
    """As the trunk gives them for that modality alone; and F~n is what the model returns."""
    rgb, thermal = make_batch()
    both = watch(nano, rgb, thermal)
    assert list(both.ranks()) == [*STAGES, FUSED]
    for m, images in enumerate(((rgb, None), (None, thermal))):
        alone = watch(nano, *images)
        mine = [name for name in STAGES if name.startswith(("rgb", "thermal")[m])]
        assert list(alone.ranks()) == [*mine, FUSED]
        for name in mine:
            torch.testing.assert_close(both.parts[name][0], alone.parts[name][0])
    with torch.no_grad():
        fused = nano(rgb, thermal).fused
    torch.testing.assert_close(both.parts[FUSED][0], fused.flatten(2).transpose(1, 2).flatten(0, 1))
    before = len(both.parts[FUSED])
    nano(rgb, thermal)
    assert len(both.parts[FUSED]) == before, "the hooks are gone"


def test_frames_that_lack_a_modality_are_left_out(nano: SARTM) -> None:
    rgb, thermal = make_batch(3)
    keep = torch.tensor([[True, True], [True, False], [True, True]])
    features, whole = Features(), watch(nano, rgb, thermal)
    with torch.no_grad(), features.watching(nano):
        nano(rgb, thermal, keep)
    torch.testing.assert_close(features.parts["rgb/stride_4"], whole.parts["rgb/stride_4"])
    by_frame = whole.parts["thermal/stride_4"][0].unflatten(0, (3, -1))
    torch.testing.assert_close(features.parts["thermal/stride_4"][0], by_frame[[0, 2]].flatten(0, 1))
    features.add("rgb/stride_4", rgb[:0])
    assert len(features.parts["rgb/stride_4"]) == 1


def test_a_trunk_of_timm_is_watched_in_the_same_way() -> None:
    model = make_model(backbone="timm:tf_efficientnet_lite0").eval()
    both, (_, thermal) = watch(model, *make_batch()), make_batch()
    assert list(both.ranks()) == [*STAGES, FUSED]
    alone = watch(model, None, thermal)
    torch.testing.assert_close(both.parts["thermal/stride_16"], alone.parts["thermal/stride_16"])
    assert not torch.equal(both.parts["rgb/stride_16"][0], alone.parts["thermal/stride_16"][0])


def test_a_healthy_network_gives_no_alarm_and_a_collapsed_layer_is_named(caplog: pytest.LogCaptureFixture) -> None:
    model, images = make_model(lora_rank=0).eval(), make_batch(8, 64, 96)
    features = watch(model, *images)
    ranks.warn(features.collapsed(features.ranks()))
    assert not caplog.records
    trunk = model.encoder.trunk
    for table in (trunk.pos_embed, trunk.pos_embed_window):
        torch.nn.init.zeros_(table)
    torch.nn.init.constant_(trunk.patch_embed.proj.weight, 0.01)  # all channels alike: the first norm takes all away
    features = watch(model, *images)
    collapsed = features.collapsed(features.ranks())
    assert set(collapsed) >= set(STAGES)  # F~n still tells the rim, where a convolution meets zeros
    assert collapsed["thermal/stride_4"] == "1.0 of 24 channels"
    ranks.warn(collapsed)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    for part in ("rgb/stride_4 1.0 of 24 channels", "below 3", "pretrained weights", "Collapse"):
        assert part in record.getMessage()


def test_few_pixels_give_no_alarm() -> None:
    features = Features()
    features.add("rgb/stride_32", torch.ones(1, 8, 1, ranks.FEWEST_PIXELS - 1))
    assert features.ranks() == {"rgb/stride_32": 0.0} and features.collapsed(features.ranks()) == {}
    features.add("rgb/stride_32", torch.ones(1, 8, 1, 1))
    assert list(features.collapsed(features.ranks())) == ["rgb/stride_32"]


def test_a_run_writes_ranks_everywhere_and_says_what_is_low(tmp_path: Path, caplog, monkeypatch) -> None:
    monkeypatch.setattr(ranks, "LEAST", 1000.0)
    output = tmp_path / "run"
    assert train.main(command(write_config(tmp_path), output)) == 0
    metrics = json.loads((output / "metrics.json").read_text())
    assert list(metrics["ranks"]) == [*STAGES, FUSED] and all(1 <= rank <= 192 for rank in metrics["ranks"].values())
    assert SARTM.load(output / "weights.safetensors").info.metrics["ranks"] == metrics["ranks"]
    assert [row["ranks"] for row in history(output)].count(metrics["ranks"]) == 1
    warnings = [record.getMessage() for record in caplog.records if "collapsed" in record.getMessage()]
    assert len(warnings) == 2, "one a validation"
    assert all(f"{name} {metrics['ranks'][name]:.1f} of" in "".join(warnings) for name in [*STAGES[:3], FUSED])
    tags = b"".join(path.read_bytes() for path in (output / "tensorboard").iterdir())
    assert b"ranks/thermal/stride_16" in tags and b"ranks/fused" in tags
