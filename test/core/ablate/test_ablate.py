"""The ablation grids: what runs, what does not run again, and the table that comes out."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from sartm_core.ablate import __main__ as ablate
from sartm_core.ablate.grid import Library, build_grid
from sartm_core.ablate.runner import locked
from sartm_core.ablate.tables import TABLES
from sartm_core.support.fields import from_dict
from sartm_core.train.config import TrainConfig

CONFIG: dict[str, Any] = {
    "model": {"backbone": "hiera_nano", "classes": ["unlabeled", "car"], "train_encoder": True},
    "data": {"dataset": "mfnet", "root": "somewhere/MFNet"},
    "loss": {"preset": "sartm_paper", "teacher": "minilm"},
    "trainer": {"max_epochs": 3},
}

FAKE_TRAIN = """
import json, os, pathlib, signal, sys
import yaml
option = dict(zip(sys.argv[1::2], sys.argv[2::2]))
text, output = pathlib.Path(option["--config"]).read_text(), pathlib.Path(option["--output"])
config, name = yaml.safe_load(text), "/".join(output.parts[-2:])
with open(pathlib.Path(__file__).with_name("started.txt"), "a") as started:
    started.write(name + "\\n")
orders = json.loads(os.environ.get("FAKE_ORDERS", "{}"))
if orders.get(name) == "fail early":
    sys.exit("train: no such folder")
(output / "checkpoints").mkdir(parents=True, exist_ok=True)
(output / "config.yaml").write_text(text)
if orders.get(name) == "fail":
    sys.exit("train: the loss is not finite")
if orders.get(name) in ("SIGINT", "SIGTERM"):
    signal.signal(signal.SIGINT, lambda *_: sys.exit((output / "stopped").write_text("cleanly")))
    os.kill(os.getppid(), getattr(signal, orders[name]))
    signal.pause()
loss, seed = config["loss"], config["seed"]
miou = 0.5 + 0.02 * (loss["w1"] > 0) + 0.01 * (loss["w2"] > 0) + 0.004 * (loss["w3"] > 0) * seed + 0.01 * seed
scores = {"miou": miou, "macc": miou + 0.1, "mf1": miou + 0.2, "iou": {"unlabeled": miou, "car": None}}
metrics = {"epoch": 2, "step": 20, "seconds": 60, "seconds_in_all": 120, "finished": True, "miou": miou}
metrics |= {"synthetic": {**scores, "miou": miou - 0.25}, config["data"]["dataset"]: scores}
(output / "metrics.json").write_text(json.dumps(metrics))
"""


class Grid:
    """The command in a folder of its own, with a training command that takes no time."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "out"
        (folder / "fake_train.py").write_text(FAKE_TRAIN)
        (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
        self.started_file = folder / "started.txt"
        self.command = ["--config", str(folder / "config.yaml"), "--output", str(self.output)]
        self.command += ["--train-command", shlex.join([sys.executable, str(folder / "fake_train.py")])]

    def __call__(self, table: str, *options: str) -> int:
        return ablate.main(["--table", table, *self.command, *options])

    def started(self) -> list[str]:
        """Runs started since the last call, "variant/seedK"."""
        names = self.started_file.read_text().split() if self.started_file.exists() else []
        self.started_file.write_text("")
        return names

    def table(self, name: str) -> dict[str, Any]:
        return json.loads((self.output / name / "table.json").read_text())


@pytest.fixture
def grid(tmp_path: Path) -> Grid:
    return Grid(tmp_path)


def order(monkeypatch: pytest.MonkeyPatch, **orders: str) -> None:
    """Tell the fake trainer what to do in some runs: order(monkeypatch, full_seed1="fail")."""
    monkeypatch.setenv("FAKE_ORDERS", json.dumps({name.replace("_seed", "/seed"): o for name, o in orders.items()}))


def test_a_table_of_a_term_that_is_off_is_refused(grid: Grid, capsys) -> None:
    cases = [
        ("components", ["--loss.teacher", "none"], "'full' and 'without_language' would train the same"),
        ("losses", ["--loss.w2", "0"], "'ce_s0_s1' and 'cr' would train the same"),
        ("losses", ["--model.aux_head", "none"], "'ce_s0' and 'ce_s0_s1' would train the same"),
        ("weights", ["--loss.teacher", "none"], "'w2_10000' and 'w3_1' would train the same"),
    ]
    for table, options, message in cases:
        with pytest.raises(SystemExit) as stop:
            grid(table, *options)
        assert stop.value.code == 2
        error = capsys.readouterr().err
        assert message in error and "--loss.teacher clip" in error
    assert grid.started() == []


@pytest.mark.parametrize(
    "options,message",
    [
        (["--model.lora_rank", "8"], "--model.lora_rank: every run of table rank sets it"),
        (["--seed", "3"], "--seed 3: give --seeds"),
        (["--w1", "0.1"], "--w1: only for --table weights"),
        (["--only", "rnak_16"], "ablate.--only: got 'rnak_16'"),
        (["--model.lora_rnak", "8"], "did you mean --model.lora_rank"),
    ],
)
def test_wrong_commands_say_what_is_wrong(grid: Grid, capsys, options: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as stop:
        grid("rank", *options)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and message in error


def test_the_same_seeds_go_through_all_variants_and_only_missing_runs_start(grid: Grid) -> None:
    assert grid("components", "--seeds", "0", "1", "--optim.lr", "1e-3") == 0
    names = ("full", "without_language", "without_aux_head")
    assert grid.started() == [f"{name}/seed{seed}" for seed in (0, 1) for name in names]
    config = yaml.safe_load((grid.output / "components" / "without_aux_head" / "seed1" / "config.yaml").read_text())
    assert config["model"]["aux_head"] == "none" and config["seed"] == 1 and config["optim"]["lr"] == 1e-3

    assert grid("components", "--seeds", "0", "1", "--optim.lr", "1e-3", "--trainer.threads", "1") == 0
    assert grid.started() == [], "threads say how to compute, not what"
    (grid.output / "components" / "full" / "seed1" / "metrics.json").unlink()
    assert grid("components", "--seeds", "0", "1", "2", "--only", "full", "--optim.lr", "1e-3") == 0
    assert grid.started() == ["full/seed1", "full/seed2"]


def test_an_unfinished_run_is_resumed(grid: Grid) -> None:
    assert grid("components", "--seeds", "0") == 0
    path = grid.output / "components" / "full" / "seed0" / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "finished": False}))
    grid.started()
    assert grid("components", "--seeds", "0") == 0
    assert grid.started() == ["full/seed0"]


def test_a_run_of_another_configuration_is_refused_with_the_difference(grid: Grid, capsys) -> None:
    assert grid("components", "--seeds", "0") == 0
    grid.started()
    with pytest.raises(SystemExit) as stop:
        grid("components", "--seeds", "0", "--optim.lr", "0.5", "--loss.kind", "ce")
    error = capsys.readouterr().err
    assert stop.value.code == 2 and grid.started() == []
    assert "optim.lr is 0.0001 there, 0.5 wanted" in error and "loss.kind is 'ohem' there, 'ce' wanted" in error
    assert os.path.join("full", "seed0") in error


def test_a_failed_run_is_told_and_the_grid_goes_on(grid: Grid, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    order(monkeypatch, full_seed0="fail")
    assert grid("components", "--seeds", "0", "1") == 1
    assert len(grid.started()) == 6
    printed = capsys.readouterr().out
    assert "the loss is not finite" in printed and "1 run failed: components/full seed 0" in printed
    rows = grid.table("components")["scores"]["mfnet"]
    assert list(rows["full"]["miou"]["by_seed"]) == ["1"]
    assert rows["without_language"]["miou"]["difference"]["n"] == 1, "only the seed that both have"
    monkeypatch.delenv("FAKE_ORDERS")
    assert grid("components", "--seeds", "0", "1") == 0
    assert grid.started() == ["full/seed0"]


def test_what_failed_before_its_first_checkpoint_does_not_block_the_corrected_command(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    order(monkeypatch, full_seed0="fail early")
    assert grid("components", "--seeds", "0", "--only", "full", "--data.root", "nowhere") == 1
    monkeypatch.delenv("FAKE_ORDERS")
    assert grid("components", "--seeds", "0", "--only", "full") == 0


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
def test_an_interrupt_stops_the_child_cleanly_and_the_same_command_goes_on(
    grid: Grid, capsys, monkeypatch: pytest.MonkeyPatch, signal_name: str
) -> None:
    order(monkeypatch, without_language_seed0=signal_name)
    with pytest.raises(SystemExit) as stop:
        grid("components", "--seeds", "0")
    assert stop.value.code == 130
    assert (grid.output / "components" / "without_language" / "seed0" / "stopped").read_text() == "cleanly"
    assert grid.started() == ["full/seed0", "without_language/seed0"]
    assert list(grid.table("components")["runs"]) == ["full seed 0"], "what has ended is in the table"
    assert "the same command goes on" in capsys.readouterr().err
    monkeypatch.delenv("FAKE_ORDERS")
    assert grid("components", "--seeds", "0") == 0
    assert grid.started() == ["without_language/seed0", "without_aux_head/seed0"]


def test_a_run_in_training_elsewhere_is_left_alone(grid: Grid, capsys) -> None:
    config = from_dict(TrainConfig, CONFIG)
    runs = build_grid("components", TABLES["components"].variants(config, {}), config, [0], grid.output)
    with locked(runs[0]) as lock:
        assert lock is not None
        assert grid("components", "--seeds", "0") == 1
    assert grid.started() == ["without_language/seed0", "without_aux_head/seed0"]
    assert "1 run in training by another process: components/full seed 0" in capsys.readouterr().out
    assert grid("components", "--seeds", "0") == 0 and grid.started() == ["full/seed0"]


def test_tables_share_their_runs(grid: Grid) -> None:
    assert grid("components", "--seeds", "0") == 0
    assert grid("losses", "--seeds", "0") == 0
    assert grid("head", "--seeds", "0") == 0
    assert grid.started()[3:] == ["ce_s0/seed0", "ce_s0_s1/seed0", "deeplab/seed0", "segformer/seed0"]
    folders = grid.table("losses")["runs"]
    assert folders["cr_se seed 0"] == os.path.join("components", "full", "seed0")
    assert folders["cr seed 0"] == os.path.join("components", "without_language", "seed0")
    assert len(Library(grid.output).folders) == 7


def test_dry_run_prints_the_grid_and_starts_nothing(grid: Grid, capsys) -> None:
    assert grid("head", "--seeds", "0", "--dry-run") == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 3 and lines[1].startswith("head/deeplab seed 0 (model.aux_head deeplab, loss.w3 0.0): ")
    assert f"--output {grid.output / 'head' / 'deeplab' / 'seed0'}" in lines[1]
    assert grid.started() == [] and not grid.output.exists()


def test_own_sweeps_replace_the_papers(grid: Grid) -> None:
    assert grid("weights", "--w1", "0.4", "1", "--seeds", "0", "--loss.teacher", "none") == 0
    assert grid.started() == ["w1_0.4/seed0", "w1_1/seed0"]
    rows = grid.table("weights")["scores"]["mfnet"]
    assert rows["w1_1"]["miou"]["difference"]["to"] == "w1_0.4", "the first, as the configuration's 0.008 is not there"


def test_the_table_holds_the_numbers_of_the_runs(grid: Grid) -> None:
    """By hand, seeds 0 and 1: full 53.0, 54.4; without language 53.0, 54.0."""
    assert grid("components", "--seeds", "0", "1") == 0
    table = grid.table("components")
    assert list(table["scores"]) == ["mfnet", "synthetic"], "the data set's own first"
    full, bare = (table["scores"]["mfnet"][name]["miou"] for name in ("full", "without_language"))
    assert full["by_seed"] == pytest.approx({"0": 53.0, "1": 54.4})
    assert full["summary"] == pytest.approx({"mean": 53.7, "sd": math.sqrt(2 * 0.7**2), "n": 2})
    assert full["difference"] is None
    assert {k: v for k, v in bare["difference"].items() if k != "to"} == pytest.approx(
        {"mean": -0.2, "sd": math.sqrt(0.08), "n": 2}
    )
    assert bare["paper"] == {"fmb": 58.85, "mfnet": 59.32, "pst900": 86.24}

    text = (grid.output / "components" / "table.md").read_text()
    assert "| without language | 2 | 53.50 ± 0.71 | -0.20 ± 0.28 (2) | 59.32 (-0.71) | SARTM | 2 min |" in text
    assert "do not occur: car (the paper counts 0)" in text and "wall time: 12 min" in text
    assert "somewhere" not in text, "no path of this machine"
    assert Image.open(grid.output / "components" / "plot.png").size[0] >= 1000


def test_one_seed_has_no_standard_deviation(grid: Grid) -> None:
    assert grid("losses", "--seeds", "0", "--data.dataset", "folder", "--data.root", "x") == 0
    text = (grid.output / "losses" / "table.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| + L_CE(S1)"))
    assert "±" not in row and "| 52.00 | +2.00 (1) | 85.79 (+0.84) |" in row
    assert "paper mIoU, pst900" in text and "mIoU, mfnet" not in text


def test_partial_results_make_a_table(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    order(monkeypatch, **{f"{name}_seed0": "fail" for name in ("full", "without_language", "without_aux_head")})
    assert grid("components", "--seeds", "0") == 1
    assert grid.table("components")["scores"] == {} and not (grid.output / "components" / "plot.png").exists()


def test_tables_have_the_papers_numbers_too_and_a_wrong_one_is_told_in_a_line(grid, capsys):
    assert grid("V", "--dry-run") == 0
    told = capsys.readouterr()
    assert "components/" in told.out
    assert told.err.strip() == "ablate: --data.root somewhere/MFNet: not on this machine, and every run needs it"
    with pytest.raises(SystemExit) as left:
        grid("IX")
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "invalid choice: 'IX'" in line and line.endswith("see sartm ablate --help")
