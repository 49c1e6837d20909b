"""What `sartm_core.benchmark` counts and computes, against hand counts and against the model itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sartm_core.benchmark.agreement import Answer, agree, summarize
from sartm_core.benchmark.baseline import PlainSegmenter, two_passes
from sartm_core.benchmark.flops import CPU_FLOPS, Product, count, count_model, product_flops
from sartm_core.benchmark.machine import describe
from sartm_core.benchmark.rates import Rates, ways
from sartm_core.benchmark.ratios import add_ratios, bounds_ms, memory_of, rate_of
from sartm_core.benchmark.report import doubt
from sartm_core.benchmark.results import Case, Rate, Row, Spread, spread
from sartm_core.benchmark.session import Peak
from sartm_core.runtime.batching import FramePair
from sartm_core.runtime.segmenter import Segmenter
from test.core.conftest import LITE0, make_batch, make_frames, make_model, train_lora

SIZE = (64, 96)
CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=["hiera_nano", LITE0])
def backbone(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def counts(backbone: str):
    return count_model(make_model(backbone=backbone), SIZE)


@pytest.mark.parametrize(
    "changes",
    [{}, {"fusion": "late"}, {"heads": "both"}, {"backbone": LITE0, "heads": "both"}],
    ids=["decoder", "late", "both", "lite0"],
)
def test_two_passes_give_what_the_model_gives(changes: dict[str, str]) -> None:
    """With both heads they left the second out, and the engines seemed to be wrong."""
    model = train_lora(make_model(**changes)).eval()
    rgb, thermal = make_batch()
    batches = []
    model.encoder.trunk.register_forward_pre_hook(lambda module, args: batches.append(len(args[0])))
    with torch.inference_mode():
        found = two_passes(model, rgb, thermal)
        assert batches == [2, 2], "each camera by itself"
        expected = model(rgb, thermal, size=found.shape[-2:]).logits
    assert batches[2:] == [4]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert expected.std() > 0.01, "something to compare"


def test_the_baseline_is_called_like_a_segmenter_and_gives_its_masks() -> None:
    model = train_lora(make_model()).eval()
    rgb, thermal = make_frames(*SIZE)
    preprocess = replace(model.info.preprocess, input_size=SIZE)
    segmenter = Segmenter(model, device="cpu", engine="torch", precision="fp32", preprocess=preprocess)
    plain = PlainSegmenter(model, model.info.preprocess, SIZE, CPU)
    pair = FramePair(rgb, thermal)
    ours, theirs = segmenter.batch([pair])[0], plain.batch([pair])[0]
    assert (ours.mask == theirs.mask).mean() > 0.999 and len(np.unique(theirs.mask)) > 1
    assert np.abs(ours.confidence.astype(int) - theirs.confidence).max() <= 1
    assert set(theirs.timing) == set(ours.timing) and min(theirs.timing.values()) > 0
    assert plain.batch([FramePair(rgb, thermal, confidence=False)])[0].confidence is None


def test_operations_of_the_model_are_counted_without_doing_them(counts, backbone: str) -> None:
    model = make_model(backbone=backbone).eval()
    counter = FlopCounterMode(display=False, custom_mapping=CPU_FLOPS)
    with torch.no_grad(), counter:
        model(*make_batch(1, *SIZE), size=(16, 24))
    assert counts.plain.flops == counter.get_total_flops()
    assert counts.deploy.flops < counts.plain.flops, "folded adapters, neck and thermal channels; no padding of windows"


def test_products_hold_all_operations(counts) -> None:
    for part in (counts.plain, counts.deploy):
        assert sum(product_flops(product) * often for product, often in part.products.items()) == part.flops
    assert {product.kind for product in counts.plain.products} >= {"matmul", "bmm", "attention", "conv"}


def test_every_way_to_time_a_product_does_all_of_it(counts) -> None:
    for product in counts.plain.products:
        for way in ways(product, torch.float32, CPU):
            counter = FlopCounterMode(display=False, custom_mapping=CPU_FLOPS)
            with torch.inference_mode(), counter:
                way()
            assert counter.get_total_flops() == product_flops(product), product


def test_products_are_timed_one_by_one() -> None:
    products = [Product("matmul", ((64, 32), (32, 16))), Product("bmm", ((2, 8, 4), (2, 4, 8)))]
    rates = Rates(products, torch.bfloat16, "cpu", torch.get_num_threads())
    assert len(rates.turn()) == 2 and min(rates.turn()) > 0


def test_weights_and_the_largest_pair_by_hand() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1), torch.nn.ReLU(inplace=True), torch.nn.Flatten())
    unused = torch.nn.Linear(1000, 1000)
    images = torch.empty(1, 3, 16, 16), torch.empty(1, 1, 16, 16)
    found = count(lambda rgb, thermal: net(rgb) * 2, images, net, unused)
    assert found.weights == 4 * (3 * 8 + 8), "those that are read"
    assert found.pair == 4 * 2 * 8 * 16 * 16, "in and out of the product by 2; neither a view nor in place makes one"
    small, large = 4 * 3 * 16 * 16, 4 * 8 * 16 * 16
    assert found.ops == 3 and found.moved == (small + found.weights + large) + 2 * large + 2 * large
    assert found.flops == 2 * 3 * 8 * 16 * 16
    assert found.products == {Product("matmul", ((256, 3), (3, 8))): 1}


def test_rates_add_up_median_by_median(counts) -> None:
    often = list(counts.plain.products.values())
    laps = [[2.0, *([1.0] * len(often))], [1.0, *([3.0] * len(often))], [9.0, *([2.0] * len(often))]]
    rate = rate_of(laps, counts.plain, square_flops=4 * 10**9)
    assert rate == Rate(square_gflops=2000.0, products_ms=2.0 * sum(often))


def test_ratios_to_bounds_and_baseline() -> None:
    case = Case("x", "random", "64x96", {"plain": {"flops": 4 * 10**9}, "deploy": {"flops": 2 * 10**9}})
    case.rates = {"fp32": Rate(200.0, 25.0), "bf16": Rate(1000.0, 8.0)}
    assert bounds_ms(case, "fp32") == pytest.approx({"square": 20.0, "square_deploy": 10.0, "products": 25.0})

    def row(precision: str, ms: float) -> Row:
        return Row("e", precision, {"precision": precision}, forward=Spread(ms, ms, ms, 5))

    case.baseline = row("fp32", 50.0)
    case.rows = [row("bf16", 10.0), Row("e", "fp16", why_not="no")]
    add_ratios(case)
    assert case.rows[0].ratios == pytest.approx({"square": 2.5, "square_deploy": 5.0, "products": 1.25, "speedup": 5.0})
    assert case.baseline.ratios["speedup"] == 1 and case.best is case.rows[0] and not case.rows[1].ratios


def test_uneven_times_are_doubted() -> None:
    def row(precision: str, p95: float) -> Row:
        return Row("e", precision, {"precision": precision}, forward=Spread(10.0, p95, 9.0, 5))

    case = Case("x", "random", "64x96", {}, baseline=row("fp32", 12.0), rows=[row("bf16", 14.0)])
    assert doubt(case) == ""
    case.rows.append(row("int8", 25.0))
    assert "The machine was busy**: the 95th percentile of e int8 is 2.5 times its median" in doubt(case)


def test_memory_is_allowed_by_the_graph_as_run(counts) -> None:
    found = memory_of(Peak(10, 7), counts.deploy, counts.plain, torch.bfloat16)
    assert found.allowed == round((counts.deploy.weights + counts.deploy.pair) / 2)
    assert found.allowed_plain == counts.plain.weights + counts.plain.pair
    assert (found.starting, found.running) == (10, 7)


def test_spread_by_hand() -> None:
    assert spread([5.0, 1.0, 2.0, 3.0, 4.0]) == Spread(3.0, pytest.approx(4.8), 1.0, 5)
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0, 1)


def test_agreement_by_hand() -> None:
    mask = np.array([[0, 1], [2, 3]], np.uint8)
    off = np.array([[0, 1], [2, 0]], np.uint8)
    plain = Answer(np.array([[[-1.0, 3.0]]], np.float32), (mask, mask))
    other = Answer(np.array([[[-1.5, 3.25]]], np.float32), (mask, off))
    assert agree(plain, other) == (0.5, pytest.approx(0.875), 0.75)
    found = summarize([plain, plain], iter([other, plain]))
    assert found is not None and found.frames == 2 and found.logit_difference == 0.5 and found.logit_range == 4
    assert found.equal_mean == pytest.approx(0.9375) and found.equal_least == 0.75
    assert summarize([plain, plain], iter([other])) is None, "it stopped in the middle"
    assert summarize([], iter([])) is None


def test_the_machine_is_described() -> None:
    found = describe(3)
    assert found["threads"] == 3 and found["cpus"] >= 1 and found["cpu"] and found["memory_gib"] > 0
    assert found["versions"]["torch"] and set(found["versions"]) >= {"openvino", "onnxruntime"}
