"""Which engine and precision are picked, and what is said about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sartm_core.model.sartm import SARTM
from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.preprocess.prepare import Pixels
from sartm_core.runtime.engines import ENGINES, Source, choice, hardware
from sartm_core.runtime.engines.agreement import agreement, plain
from sartm_core.runtime.engines.base import Settings
from sartm_core.runtime.engines.choice import Wish, choose
from sartm_core.support.device import CPU
from test.core.conftest import make_model, train_lora

SIZE = (64, 96)


@pytest.fixture(scope="module")
def model() -> SARTM:
    model = train_lora(make_model()).eval()
    model.info = replace(model.info, preprocess=PreprocessConfig(input_size=SIZE))
    return model


def test_precision_that_agrees_is_picked_and_said(model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "agreement", lambda *_: 0.9991)
    monkeypatch.setattr(hardware, "cpu_flags", lambda: {"amx_bf16"})
    picked = choose(Source(model), Wish(CPU, engine="torch"), model.info.preprocess)
    assert (picked.engine, picked.precision) == ("torch", "bf16")
    assert picked.reason == "engine torch (as asked for), bf16: 99.91% of pixels as in fp32"


def test_precision_that_does_not_agree_is_passed_over(model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "agreement", lambda *_: 0.9949)
    monkeypatch.setattr(hardware, "cpu_flags", lambda: {"avx512_bf16"})
    picked = choose(Source(model), Wish(CPU, engine="torch"), model.info.preprocess)
    assert picked.precision == "fp32"
    assert "bf16 agrees on 99.49% of pixels only, 99.5% is asked for" in picked.reason


def test_a_cpu_without_bf16_takes_fp32(model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cpu_flags", lambda: {"avx2"})
    assert choose(Source(model), Wish(CPU, engine="torch"), model.info.preprocess).precision == "fp32"


def test_engine_auto_says_what_a_faster_one_needs(model, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = replace(ENGINES["openvino"], package="openvino_that_nobody_has")
    monkeypatch.setitem(ENGINES, "openvino", missing)
    picked = choose(Source(model), Wish(CPU, precision="fp32"), model.info.preprocess)
    assert picked.engine == "torch" and "pip install openvino_that_nobody_has" in picked.reason
    with pytest.raises(
        ValueError, match=r"engine: 'openvino' asked for, but openvino_that_nobody_has is not installed"
    ):
        choose(Source(model), Wish(CPU, engine="openvino"), model.info.preprocess)


def test_precision_that_an_engine_lacks_is_refused(model) -> None:
    with pytest.raises(ValueError, match="precision: 'fp16' asked for, but engine onnxruntime offers fp32 on cpu"):
        choose(Source(model), Wish(CPU, engine="onnxruntime", precision="fp16"), model.info.preprocess)


def test_agreement_is_that_of_masks(model) -> None:
    folded = ENGINES["torch"].make(Source(model), Settings(CPU, "fp32"))
    exact = plain(model, CPU)
    assert agreement(folded, exact, model.info.preprocess, CPU, Pixels.FITTING) > 0.999
    upside_down = lambda rgb, thermal: -folded(rgb, thermal)  # noqa: E731
    assert agreement(upside_down, exact, model.info.preprocess, CPU, Pixels.FITTING) < 0.1
