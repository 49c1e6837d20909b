"""What `sartm_core.footprint` counts, against hand counts and against real steps."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from sartm_core import footprint
from sartm_core.losses.config import LossConfig
from sartm_core.model.config import ModelConfig
from sartm_core.train import footprint as counting
from sartm_core.train.config import OptimConfig, TrainConfig
from sartm_core.train.footprint import (
    CPU_FLOPS,
    GpuRules,
    LiveBytes,
    StepCounter,
    build,
    forward,
    make_batch,
    model_bytes,
)
from sartm_core.train.footprint_tables import FRAGMENTATION, GIB, Step, Work, cpu_cells, table
from sartm_core.train.steptime import StepTime, time_steps
from test.core.conftest import CONVNEXT, LITE0

SIZE = (64, 96)
FROZEN = ModelConfig(backbone="hiera_nano", classes=("a", "b", "c"), lora_rank=4)
ROOT = Path(__file__).resolve().parents[3]


def train_config(**changes) -> TrainConfig:
    """`hiera_nano` with a frozen encoder and all terms of the objective."""
    values = {"model": FROZEN, "init": "random", "loss": LossConfig(preset="sartm_paper", teacher="clip"), **changes}
    return TrainConfig(**values)


@pytest.fixture
def on_real_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count while doing the work: quicker at this size."""
    monkeypatch.setattr(counting, "FakeTensorMode", nullcontext)
    monkeypatch.setattr(counting, "without_memory", lambda module, mode: module)
    monkeypatch.setattr(counting, "OnePixelCount", lambda pixels: nullcontext())


def real_step(config: TrainConfig, recompute: bool) -> tuple[int, int]:
    """Bytes that a real float32 step of two frames keeps for backward, by the addresses of what autograd saves; and
    that its backward pass leaves as gradients."""
    model, objective = build(config)
    if recompute:
        model.encoder.recompute_activations()
    owned = {p.data_ptr() for p in (*model.parameters(), *model.buffers(), *objective.buffers())}
    pieces: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in owned:
            pieces[storage.data_ptr()] = storage.nbytes()
        return tensor

    batch = make_batch(config, SIZE, 2)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = objective(forward(model, batch, "32-true"), batch["label"])["loss"]
    loss.backward()
    return sum(pieces.values()), sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)


def test_a_real_step_keeps_what_was_counted_without_doing_it(request: pytest.FixtureRequest) -> None:
    """To the byte, with and without recomputing; and it has the same peak."""
    counter = StepCounter(train_config())
    plain = counter.bytes(SIZE, 2, "32-true")
    counter.recompute_activations()
    again = counter.bytes(SIZE, 2, "32-true")
    for recompute, step in ((False, plain), (True, again)):
        saved, gradients = real_step(train_config(), recompute)
        assert step.saved == saved < step.peak
        assert gradients == counter.model_bytes.gradients
    assert again.saved < 0.5 * plain.saved and again.peak < 0.6 * plain.peak
    request.getfixturevalue("on_real_tensors")
    assert StepCounter(train_config()).bytes(SIZE, 2, "32-true") == plain


@pytest.mark.parametrize("backbone", [LITE0, CONVNEXT])
def test_steps_of_timms_trunks_are_counted(backbone: str) -> None:
    config = train_config(model=replace(FROZEN, backbone=backbone))
    counter = StepCounter(config)
    plain = counter.bytes(SIZE, 2, "32-true")
    assert plain.saved == real_step(config, recompute=False)[0]
    counter.recompute_activations()
    again = counter.bytes(SIZE, 2, "32-true")
    assert again.saved == real_step(config, recompute=True)[0] < 0.2 * plain.saved and again.peak < 0.7 * plain.peak


def test_kept_bytes_grow_with_the_batch(on_real_tensors) -> None:
    counter = StepCounter(train_config())
    two, four, six = (counter.bytes(SIZE, batch, "32-true") for batch in (2, 4, 6))
    assert six.saved - four.saved == pytest.approx(four.saved - two.saved, rel=1e-3)
    assert six.peak - four.peak == pytest.approx(four.peak - two.peak, rel=1e-2)
    assert 1.9 < four.saved / two.saved <= 2, "what does not grow is small"


def test_half_precision_keeps_less_also_when_recomputing(on_real_tensors) -> None:
    counter = StepCounter(train_config())
    full, half = (counter.bytes(SIZE, 4, precision) for precision in ("32-true", "bf16-mixed"))
    assert 0.5 * full.saved < half.saved < full.saved
    counter.recompute_activations()
    assert counter.bytes(SIZE, 4, "bf16-mixed").saved < 0.5 * half.saved


def test_what_is_there_all_the_time_by_hand() -> None:
    config = train_config(optim=OptimConfig(ema_decay=0.9))
    model, objective = build(config)
    found = model_bytes(config, model, objective)
    trained = [p for p in model.parameters() if p.requires_grad]
    assert found.parameters == sum(p.numel() for p in model.parameters()) > found.trained
    assert found.gradients == 4 * found.trained == 4 * sum(p.numel() for p in trained)
    assert found.averaged == found.weights > 4 * found.parameters, "buffers too"
    optimizer = torch.optim.AdamW(trained)
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    state = [value for values in optimizer.state.values() for value in values.values()]
    assert found.optimizer == sum(value.nbytes for value in state)


def test_the_adapter_is_what_its_file_holds(tmp_path: Path) -> None:
    config = train_config(model=ModelConfig(backbone="sam2.1_hiera_t", classes=("a", "b")))
    model, objective = build(config)
    model.info = type(model.info)(base_name="sam2.1_hiera_tiny.pt", base_sha256="0" * 64)
    written = model.save(tmp_path / "adapter.safetensors", kind="adapter").stat().st_size
    adapter = model_bytes(config, model, objective).adapter
    assert adapter is not None and adapter < written < 1.01 * adapter, "the rest is the header"
    assert model_bytes(train_config(), *build(train_config())).adapter is None


def test_live_bytes_follow_what_is_made_and_freed() -> None:
    weight = torch.ones(1000)
    live = LiveBytes({weight.untyped_storage()._cdata})
    with live:
        a = weight + 1  # 4000 bytes
        b = a.view(10, 100)[0]  # a view
        c = a * 2  # 8000 alive
        del a
        assert live.now == 8000, "b still holds the memory of a"
        del b
        assert live.now == 4000
        d = c + 1
        del c, d
    assert (live.now, live.peak) == (0, 8000)


def test_mixed_precision_has_the_types_of_a_gpu() -> None:
    x = torch.randn(2, 3, 8, 8, dtype=torch.bfloat16)
    functions = {
        "layer_norm": lambda: torch.nn.functional.layer_norm(x, (8,)),
        "softmax": lambda: x.softmax(1),
        "pow": lambda: x.pow(2),
        "interpolate": lambda: torch.nn.functional.interpolate(x, scale_factor=2.0),
    }
    for name, function in functions.items():
        with torch.autocast("cpu", torch.bfloat16):
            assert function().dtype == torch.bfloat16, f"{name}: a CPU's autocast does it by itself; drop it"
            with GpuRules():
                assert function().dtype == torch.float32, name
        with GpuRules():
            assert function().dtype == torch.bfloat16, "without autocast nothing changes"


def test_operations_grow_with_the_area_and_recomputing(on_real_tensors) -> None:
    counter = StepCounter(train_config())
    small, large = counter.flops((160, 160)), counter.flops((160, 320))  # windows of nano divide these
    assert 1.9 < large / small < 2.2
    counter.recompute_activations()
    assert 1.1 * small < counter.flops((160, 160)) < 1.6 * small


def test_operations_of_attention_are_counted() -> None:
    q, k = torch.randn(2, 3, 8, 16, requires_grad=True), torch.randn(2, 3, 10, 16)
    counter = FlopCounterMode(display=False, custom_mapping=CPU_FLOPS)
    with counter:
        out = torch.nn.functional.scaled_dot_product_attention(q, k, k)
    assert counter.get_total_flops() == 2 * 3 * (2 * 8 * 10 * 16) * 2, "two products of matrices for every head"
    with counter:
        out.sum().backward()
    assert counter.get_total_flops() == 2 * 3 * (2 * 8 * 10 * 16) * 5, "and five in the backward pass"


@pytest.mark.parametrize(("groups", "transposed"), [(1, False), (1, True), (4, False), (8, False)])
def test_operations_of_convolutions_are_counted(groups: int, transposed: bool) -> None:
    """torch's own counter takes each group's gradient for that of all channels: ten times a step of Lite0."""
    x, weight = torch.randn(2, 8, 10, 12, requires_grad=True), torch.randn(8, 8 // groups, 3, 3, requires_grad=True)
    convolve = torch.nn.functional.conv_transpose2d if transposed else torch.nn.functional.conv2d
    counter = FlopCounterMode(display=False, custom_mapping=CPU_FLOPS)
    with counter:
        out = convolve(x, weight, stride=2, groups=groups)
    pixels = x if transposed else out
    forward = 2 * pixels.numel() * weight[0].numel()
    assert counter.get_total_flops() == forward
    with counter:
        out.sum().backward()
    assert counter.get_total_flops() == 2 * forward, "gradients of input and weight"


def test_the_gpu_figure_is_the_peak_with_its_allowances() -> None:
    assert Step("x", SIZE, 1, "32-true", False, 0, GIB).gpu == round(GIB * (1 + FRAGMENTATION) + 0.75 * GIB)


def test_a_larger_batch_is_computed_and_marked() -> None:
    work = Work("x", SIZE, 1, False, 10**12, StepTime(2.0, 3.0, 0.5, 5.4, GIB))
    assert cpu_cells(work, 1) == ("2.00", "3.00", "0.50", "5.50", "5.40", "1.00")
    assert cpu_cells(work, 8) == ("-", "-", "-", "~40.5", "-", "-")


def test_steps_are_really_trained() -> None:
    time = time_steps(train_config(), SIZE, 1, steps=1)
    assert min(time.forward, time.backward, time.optimizer, time.processor) > 0 and time.resident > 100e6


def rows_of(text: str) -> list[list[dict[str, str]]]:
    """The tables of a Markdown text."""
    tables = []
    for block in text.split("\n\n"):
        if block.startswith("|"):
            head, _, *lines = ([cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines())
            tables.append([dict(zip(head, line, strict=True)) for line in lines])
    return tables


def test_the_command_writes_the_same_numbers_for_people_and_programs(tmp_path: Path, capsys, on_real_tensors) -> None:
    settings = {"model": {"backbone": "hiera_nano", "classes": ["a", "b"], "train_encoder": True}}
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump({**settings, "data": {"crop_size": list(SIZE)}, "trainer": {"batch_size": 2}}))
    arguments = ["--config", str(config), "--batches", "2", "--steps", "0", "--output", str(tmp_path / "out")]
    assert footprint.main([*arguments, "--model.lora_rank", "4"]) == 0
    text = capsys.readouterr().out
    assert text == (tmp_path / "out" / "footprint.md").read_text()
    assert text.startswith("hiera_nano at 64x96, batch 2, 32-true: about ") and "no GPU was used" in text
    models, memory, times = rows_of(text)
    found = json.loads((tmp_path / "out" / "footprint.json").read_text())
    assert models[0]["trained M"] == f"{found['models']['hiera_nano']['trained'] / 1e6:.2f}"
    assert [(row["batch"], row["precision"]) for row in memory] == [("2", "32-true"), ("2", "bf16-mixed")]
    assert memory[0]["**GPU GiB**"] == f"{found['steps'][2]['gpu'] / GIB:.2f}", (
        "of two equal names the last: recomputing"
    )
    assert [(row["recomputing"], row["CPU step s"]) for row in times] == [("no", "-"), ("yes", "-")]


@pytest.mark.parametrize("name", ["mfnet", "fmb", "pst900", "synthetic", "ablation", "default"])
def test_every_shipped_configuration_can_be_looked_at(name: str, monkeypatch) -> None:
    """Without Meta's file, without data."""
    seen = []
    monkeypatch.setattr(footprint, "look", lambda config, train: seen.append(train) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        footprint.main(["--config", str(ROOT / "config" / "train" / f"{name}.yaml"), "--sizes", "b+", "nano"])
    assert seen[0].sam2 is None


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["--sizes", "xl"], "FootprintConfig.sizes: got 'xl'"),
        (["--resolutions", "480x641"], "got '480x641', expected HEIGHTxWIDTH in multiples of 32"),
        (["--batches", "0"], "FootprintConfig.batches: got 0, expected at least 1"),
        (["--gpu_tflops", "0"], "FootprintConfig.gpu_tflops"),
        (["--model.backbon", "x"], "did you mean --model.backbone"),
    ],
)
def test_wrong_options_are_named(capsys, arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as stop:
        footprint.main(arguments)
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_a_table_has_as_many_cells_as_columns() -> None:
    assert table([("a", "b"), ("1", "2")]) == "| a | b |\n|---|---|\n| 1 | 2 |"
