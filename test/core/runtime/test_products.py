"""Products in int8 as convolutions: the same numbers, and only where a CPU gains by it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sartm_core.runtime.engines import hardware
from sartm_core.runtime.engines import openvino as engine
from sartm_core.runtime.engines.base import INT8, Settings
from sartm_core.runtime.quantisation.products import as_convolutions
from sartm_core.support.device import Device

openvino = pytest.importorskip("openvino")
FEATURES, OUT = 24, 16
SHAPES = [(5, FEATURES), (2, 5, FEATURES), (2, 3, 5, FEATURES)]
STEP = 0.02
MOST = 63
"""Of the weights: without VNNI sums of two products of more than that may overflow, in either form."""


def network(
    shape: tuple[int, ...], bias: bool = True, transposed: bool = True, readers: int = 1, kind: Any = np.int8
) -> Any:
    """As NNCF leaves a linear layer: the input rounded to 256 steps, weights stored in int8 with a scale per output."""
    from openvino import opset13 as ops

    rng = np.random.default_rng(0)
    weights = rng.integers(-MOST, MOST + 1, (OUT, FEATURES)).astype(kind)
    scale = rng.uniform(1e-3, 3e-3, (OUT, 1)).astype(np.float32)
    inputs = ops.parameter(list(shape), np.float32)
    low, high = (ops.constant(np.float32(steps * STEP)) for steps in (-128, 127))
    rounded = ops.fake_quantize(inputs, low, high, low, high, 256)
    stored = ops.constant(weights if transposed else np.ascontiguousarray(weights.T))
    scaled = ops.multiply(ops.convert(stored, np.float32), ops.constant(scale if transposed else scale.T))
    product = ops.matmul(rounded, scaled, False, transposed)
    product.set_friendly_name("product")
    results = [product]
    if bias:
        results[0] = ops.add(product, ops.constant(rng.normal(size=OUT).astype(np.float32)))
    results += [ops.relu(product)] * (readers - 1)
    return openvino.Model(results, [inputs])


def kinds(one: Any) -> Counter[str]:
    return Counter(operation.get_type_name() for operation in one.get_ops())


def results(one: Any, inputs: np.ndarray) -> list[np.ndarray]:
    done = engine.core().compile_model(one, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(inputs)
    return [done[i] for i in range(len(done))]


@pytest.mark.parametrize("readers", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=len)
def test_a_product_gives_the_same_as_a_convolution(shape: tuple[int, ...], bias: bool, readers: int) -> None:
    before = network(shape, bias, readers=readers)
    after = as_convolutions(before)
    assert (kinds(after)["MatMul"], kinds(after)["Convolution"]) == (0, 1)
    assert kinds(before)["MatMul"] == 1, "the network that was given stays as it is"
    inputs = np.random.default_rng(1).uniform(-3, 3, shape).astype(np.float32)
    for own, other in zip(results(after, inputs), results(before, inputs), strict=True):
        assert own.shape == other.shape
        np.testing.assert_allclose(own, other, atol=1e-5)


@pytest.mark.parametrize("left", [{"kind": np.float32}, {"transposed": False}], ids=str)
def test_other_products_stay(left: dict[str, Any]) -> None:
    assert kinds(as_convolutions(network(SHAPES[1], **left)))["MatMul"] == 1


def settings(precision: str) -> Settings:
    return Settings(Device("cpu"), precision, threads=1)


@pytest.mark.parametrize(
    ("flags", "precision", "convolutions"),
    [("avx2", INT8, 1), ("avx2", "fp32", 0), ("avx2 avx_vnni", INT8, 0), ("avx2 avx512f", INT8, 0), ("asimd", INT8, 0)],
)
def test_only_int8_on_avx2_alone(
    flags: str, precision: str, convolutions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset(flags.split()))
    ready = engine.compiled(network(SHAPES[1]), settings(precision)).get_runtime_model()
    layers = Counter(operation.get_rt_info()["layerType"].astype(str) for operation in ready.get_ops())
    assert layers["Convolution"] == convolutions


@pytest.mark.parametrize(
    ("limit", "left"),
    [
        ("", {"avx2", "avx512f", "avx512_vnni", "avx512_bf16"}),
        ("AVX2", {"avx2"}),
        ("avx512_core", {"avx2", "avx512f"}),
        ("AVX512_CORE_VNNI", {"avx2", "avx512f", "avx512_vnni"}),
        ("unheard of", {"avx2", "avx512f", "avx512_vnni", "avx512_bf16"}),
    ],
)
def test_what_onednn_may_not_use_is_not_there(
    limit: str, left: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text("model name : one\nflags : avx2 avx512f avx512_vnni avx512_bf16\n")
    monkeypatch.setattr(hardware, "CPU_INFO", told)
    monkeypatch.setenv(hardware.LIMIT, limit)
    assert hardware.cpu_flags.__wrapped__() == left
