"""How a frame travels on a GPU, told by one that is not there: copies, waits, CUDA graphs, and the masks of the CPU."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from sartm_core.preprocess.camera import Camera
from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm
from sartm_core.preprocess.normalise import arithmetic
from sartm_core.preprocess.parallax import DepthRegistration
from sartm_core.preprocess.prepare import prepare
from sartm_core.preprocess.registration import Registration
from sartm_core.runtime.batching import Drawing, FramePair
from sartm_core.runtime.graph.fusion import FoldedFrmFfm
from sartm_core.runtime.graph.graph import LAYOUTS_KEPT
from sartm_core.runtime.result import SegmentationResult
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.scene.pictures import color_mask
from sartm_core.support import gpu as path
from sartm_core.support.visualize import overlay
from test.core.conftest import LITE0, make_model
from test.core.fake_gpu import BYTES_IN, COPIES_IN, COPIES_OUT, GRAPHS, KERNELS, WAITS, FakeGpu

pytestmark = pytest.mark.skipif(not torch.version.cuda, reason="tensors of a torch without CUDA cannot be on a GPU")

SIZE = (64, 96)
PALETTE = ((0, 0, 0), (64, 0, 128), (64, 64, 0), (0, 128, 192))
SWAPPED = bytes([0, 2, 1, 3]) + bytes([255]) * 252
FEW_KERNELS = 20
"""Launched one by one: copies into graphs and out of them, and from scores to what leaves."""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGpu]:
    fake = FakeGpu(monkeypatch)
    for kept in (path.stream_of, arithmetic):  # of another device
        kept.cache_clear()
    with fake:
        yield fake
    for kept in (path.stream_of, arithmetic):  # of another device
        kept.cache_clear()


def load(device: str, size: tuple[int, int] = SIZE, backbone: str = "hiera_nano", **changes) -> Segmenter:
    settings = {"engine": "torch", "precision": "fp32", **changes}
    return Segmenter(make_model(backbone=backbone).eval(), device=device, preprocess=PreprocessConfig(size), **settings)


def frames(seed: int, camera: tuple[int, int] = SIZE, dtype: str = "uint8") -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 256, (camera[0] // 8, camera[1] // 8, 3), np.uint8)
    thermal = rng.random(camera) * {"uint8": 255, "uint16": 60_000, "float32": 40.0}[dtype]
    return low.repeat(8, 0).repeat(8, 1), thermal.astype(dtype)


def settled(gpu: FakeGpu, call: Callable[[int], SegmentationResult]) -> tuple[SegmentationResult, dict[str, int]]:
    """The fourth result and what it cost; graphs are recorded at the second."""
    for i in range(3):
        call(i)
    gpu.counts.clear()
    return call(3), dict(gpu.counts)


def assert_same(found: SegmentationResult, expected: SegmentationResult) -> None:
    """But for rounding."""
    assert found.mask.shape == expected.mask.shape and (found.mask != expected.mask).mean() < 1e-3
    assert (found.confidence is None) == (expected.confidence is None)
    if found.confidence is not None and expected.confidence is not None:
        assert np.abs(found.confidence.astype(int) - expected.confidence).max() <= 1


@pytest.mark.parametrize("backbone", ["hiera_nano", LITE0])
def test_a_frame_is_two_copies_in_one_out_and_one_wait(gpu: FakeGpu, backbone: str) -> None:
    segmenter = load("cuda", backbone=backbone)
    found, cost = settled(gpu, lambda i: segmenter(*frames(i)))
    assert cost.pop(KERNELS) <= FEW_KERNELS
    pixels = SIZE[0] * SIZE[1]
    assert cost == {COPIES_IN: 2, BYTES_IN: 4 * pixels, COPIES_OUT: 1, WAITS: 1, GRAPHS: 2}
    assert_same(found, load("cpu", backbone=backbone)(*frames(3)))
    assert set(found.timing) == {"preprocess", "forward", "postprocess"} and min(found.timing.values()) > 0


@pytest.mark.parametrize("mode", ["percentile", "range", "unit", "standardise"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_thermal_of_any_camera_is_normalised_there(gpu: FakeGpu, mode: str, dtype: str) -> None:
    config = PreprocessConfig(SIZE, thermal=ThermalNorm(mode, 10.0, 90.0))
    for i in range(3):
        thermal = frames(i, dtype=dtype)[1]
        thermal[:9, :9] = np.nan if dtype == "float32" else 0
        gpu.counts.clear()
        _, found = prepare(None, thermal, config, "cuda")
        assert gpu.counts[WAITS] == 0 and (gpu.counts[COPIES_IN], gpu.counts[BYTES_IN]) == (1, thermal.nbytes)
        torch.testing.assert_close(found.cpu(), prepare(None, thermal, config)[1], atol=1e-5, rtol=0)
    assert gpu.counts[GRAPHS] == 1


def test_a_frame_of_which_no_sampled_pixel_is_finite_gets_the_cpus_numbers(gpu: FakeGpu) -> None:
    thermal = np.full(SIZE, np.nan, np.float32)
    thermal[1::2, 1::2] = frames(0, (SIZE[0] // 2, SIZE[1] // 2), "float32")[1]
    config = PreprocessConfig(SIZE)
    assert torch.equal(prepare(None, thermal, config, "cuda")[1].cpu(), prepare(None, thermal, config)[1])


def test_everything_a_result_can_have_leaves_in_one_copy(gpu: FakeGpu) -> None:
    """Several pairs at a time, of cameras of two sizes, one with pictures."""
    drawing = Drawing(PALETTE, SWAPPED, overlay=True, alpha=0.4, color_mask=True)

    def pairs(i: int) -> list[FramePair]:
        own = FramePair(*frames(i), confidence_threshold=0.3, scores=True, drawing=drawing)
        return [own, FramePair(*frames(i + 9, (80, 120)), confidence=False)]

    segmenter = load("cuda", engine="torch")
    for i in range(3):
        segmenter.batch(pairs(i))
    gpu.counts.clear()
    found = segmenter.batch(pairs(3))
    assert gpu.counts[WAITS] == gpu.counts[COPIES_OUT] == 2, "one for each forward pass: rgb of one came as pixels"
    assert gpu.counts[COPIES_IN] == 4
    expected = load("cpu").batch(pairs(3))
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)
    np.testing.assert_allclose(found[0].scores, expected[0].scores, atol=1e-4)
    shown = np.frombuffer(SWAPPED, np.uint8)[found[0].mask]
    assert (found[0].drawn["overlay"] == overlay(pairs(3)[0].rgb, shown, PALETTE, 0.4)).all()
    assert (found[0].drawn["color_mask"] == color_mask(shown, PALETTE)).all()
    assert found[1].drawn == expected[0].drawn == {}


@pytest.mark.parametrize("light,alpha", [(1.0, 0.5), (0.1, 0.9), (0.1, 0.0)])
def test_an_overlay_of_another_camera_size_is_the_cpus_to_the_last_bit(
    gpu: FakeGpu, light: float, alpha: float
) -> None:
    rgb, thermal = frames(0, (640, 120))  # lines of two pixels
    rgb = (rgb * light).astype(np.uint8)
    pair = FramePair(rgb, thermal, drawing=Drawing(PALETTE, overlay=True, alpha=alpha))
    (found,) = load("cuda").batch([pair])
    assert (found.drawn["overlay"] == overlay(rgb, found.mask, PALETTE, alpha)).all()
    alone = FramePair(None, thermal, drawing=Drawing(PALETTE, overlay=True))
    assert load("cuda").batch([alone])[0].drawn == {}


@pytest.mark.parametrize("kind", ["homography", "depth"])
def test_registration_waits_for_nothing(gpu: FakeGpu, kind: str) -> None:
    camera = Camera.of(SIZE[1], SIZE[0], (80.0, 0, 48, 0, 80, 32, 0, 0, 1))
    shift = np.eye(4)
    shift[0, 3] = 0.1
    matrix = Registration((1, 0, 7, 0, 0.95, 3, 0, 0, 1), SIZE[::-1], SIZE[::-1])

    def view(i: int) -> dict:
        depth = np.full(SIZE, 2 + i, np.float32)
        depth[:, :20] = np.nan
        return {
            "registration": matrix
            if kind == "homography"
            else DepthRegistration(camera, camera, shift, matrix).at(depth)
        }

    segmenter = load("cuda")
    found, cost = settled(gpu, lambda i: segmenter(*frames(i), **view(i)))
    assert (cost[COPIES_IN], cost[COPIES_OUT], cost[WAITS]) == (2 if kind == "homography" else 3, 1, 1)
    assert_same(found, load("cpu")(*frames(3), **view(3)))


@pytest.mark.parametrize("pad", ["none", "square"])
def test_cameras_of_another_size_are_resized_there(gpu: FakeGpu, pad: str) -> None:
    config = PreprocessConfig(SIZE, pad=pad)
    segmenter, plain = load("cuda"), load("cpu")
    segmenter.preprocess = plain.preprocess = config
    found, cost = settled(gpu, lambda i: segmenter(*frames(i, (96, 128))))
    assert (cost[COPIES_IN], cost[BYTES_IN], cost[COPIES_OUT], cost[WAITS]) == (2, 4 * 96 * 128, 1, 1)
    assert_same(found, plain(*frames(3, (96, 128))))


def test_graphs_of_many_sizes_keep_what_they_read(gpu: FakeGpu) -> None:
    """The engine forgets the constants of sizes it has not seen for long; a graph that reads them must not."""
    segmenter = load("cuda")
    found = settled(gpu, lambda i: segmenter(*frames(3)))[0]
    for n in range(LAYOUTS_KEPT):
        segmenter.set_input_size((64, 128 + 32 * n))
        segmenter(*frames(0))
    segmenter.set_input_size(SIZE)
    gpu.counts.clear()
    assert (segmenter(*frames(3)).mask == found.mask).all() and gpu.counts[GRAPHS] == 2


def test_no_graph_is_one_line_in_the_log_and_the_same_masks(gpu: FakeGpu, caplog: pytest.LogCaptureFixture) -> None:
    gpu.refuses_graphs = True
    segmenter = load("cuda")
    found, cost = settled(gpu, lambda i: segmenter(frames(i)[0], None))
    assert GRAPHS not in cost and (cost[COPIES_IN], cost[COPIES_OUT], cost[WAITS]) == (1, 1, 1)
    assert_same(found, load("cpu")(frames(3)[0], None))
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "(1, 64, 96, 3)" in line.getMessage() and "more lines" not in line.getMessage()


def test_too_little_memory_gives_up_the_graphs(gpu: FakeGpu) -> None:
    def build(x: torch.Tensor) -> path.Run:
        def run(x: torch.Tensor) -> torch.Tensor:
            if len(x) > 2:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return x * 2

        return run

    run = path.Replayed(build, torch.device("cuda"))
    small = path.upload(np.ones(2, np.float32), "cuda")
    for _ in range(3):
        run(small)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        run(path.upload(np.ones(3, np.float32), "cuda"))
    gpu.counts.clear()
    assert run(small).sum().item() == 4 and GRAPHS not in gpu.counts


def test_compiled_networks_are_one_graph_too(gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the compiler is left out."""
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    segmenter = load("cuda", engine="torch-compile")
    found, cost = settled(gpu, lambda i: segmenter(*frames(i)))
    assert cost.pop(KERNELS) <= FEW_KERNELS and (cost[WAITS], cost[GRAPHS]) == (1, 2)
    assert_same(found, load("cpu")(*frames(3)))


def test_results_are_not_written_again(gpu: FakeGpu) -> None:
    segmenter = load("cuda")
    kept = [segmenter(*frames(i)).mask for i in range(4)]
    before = [mask.copy() for mask in kept]
    segmenter(*frames(5))
    assert all((a == b).all() for a, b in zip(kept, before, strict=True))
    assert not any(np.shares_memory(mask, pinned.numpy()) for mask in kept for pinned in gpu.pinned)


def test_scores_and_logits_are_the_callers_to_read(gpu: FakeGpu) -> None:
    """On the caller's own stream; the fake fails where nothing orders it behind ours."""
    segmenter, plain = load("cuda"), load("cpu")
    pair = FramePair(*frames(0))
    for _ in range(3):
        scores = segmenter.scores(segmenter.inputs(pair))
        torch.testing.assert_close(scores.cpu(), plain.scores(plain.inputs(pair)), atol=1e-3, rtol=1e-3)
        logits = segmenter.logits(*frames(0), SIZE).cpu()
        torch.testing.assert_close(logits, plain.logits(*frames(0), SIZE), atol=1e-3, rtol=1e-3)


def test_memory_is_what_torch_holds(gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what is in use: the memory of graphs counts as free between two replays."""
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3 * 2**20)
    assert load("cuda").memory_mb() == 3


def test_a_stopwatch_launches_its_laps_at_once_and_asks_the_gpu(gpu: FakeGpu) -> None:
    runs: list[int] = []
    x = path.upload(np.ones(3, np.float32), "cuda")
    seconds = path.stopwatch(lambda: runs.append(1) or x * 2, torch.device("cuda"))
    gpu.counts.clear()
    assert seconds() > 0 and len(runs) == 1 + path.LAPS
    assert gpu.counts == {GRAPHS: 1, WAITS: 1}


def test_whoever_adds_a_wait_is_found(gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the network: no graph can be recorded, and each frame waits once more at each of three levels."""
    fuse = FoldedFrmFfm.forward

    def waiting(self: FoldedFrmFfm, rgb: torch.Tensor, thermal: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        return fuse(self, rgb, thermal, size) * rgb.amax().item()

    monkeypatch.setattr(FoldedFrmFfm, "forward", waiting)
    segmenter = load("cuda")
    _, cost = settled(gpu, lambda i: segmenter(*frames(i)))
    assert cost[WAITS] == 1 + 3 and cost[GRAPHS] == 1  # that of thermal


WAITING: dict[str, Callable[[torch.Tensor], object]] = {
    "item": lambda x: x.amax().item(),
    "bool": lambda x: bool((x > 0).any()),
    "float": lambda x: float(x.sum()),
    "boolean index": lambda x: x[x > 0],
    "boolean store": lambda x: x.masked_fill_(x > 0, 1).__setitem__(x > 0, x.sum()),
    "place in a tensor": lambda x: x[x.argmax()],
    "nonzero": lambda x: x.nonzero(),
    "to the CPU": lambda x: x.cpu(),
    "a list to the GPU": lambda x: torch.tensor([1.0], device=x.device),
    "unpinned memory": lambda x: torch.ones(1).to(x.device, non_blocking=True),
}


@pytest.mark.parametrize("kind", WAITING)
def test_the_fake_waits_where_a_gpu_would(gpu: FakeGpu, kind: str) -> None:
    x = path.upload(np.ones(3, np.float32), "cuda")
    assert gpu.counts[WAITS] == 0
    WAITING[kind](x)
    assert gpu.counts[WAITS] == 1
