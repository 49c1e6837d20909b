"""The runs of a table: one configuration and one folder for each variant and seed, and what is there already."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sartm_core.ablate.tables import Variant
from sartm_core.support.cli import set_dotted
from sartm_core.support.fields import differences, from_dict, load_yaml, to_dict
from sartm_core.train.config import TrainConfig


@dataclass(frozen=True, eq=False)
class Run:
    """One training of the grid; as a key it stands for itself."""

    table: str
    """Table it belongs to."""
    variant: Variant
    """Row of the table."""
    seed: int
    """Seed of the run."""
    config: TrainConfig
    """The whole configuration, resolved."""
    folder: Path
    """Where it is trained: DIR/table/variant/seedK."""

    def __str__(self) -> str:
        return f"{self.table}/{self.variant.name} seed {self.seed}"

    def beside(self, suffix: str) -> Path:
        """A file next to the run's folder: seedK.yaml, seedK.log."""
        return self.folder.with_name(self.folder.name + suffix)


def build_grid(
    table: str, variants: Sequence[Variant], config: TrainConfig, seeds: Sequence[int], output: Path
) -> list[Run]:
    """All runs, seed by seed, so that a grid cut short still compares like with like. Errors as `check_variants`."""
    check_variants(table, variants, config)
    runs = []
    for seed in seeds:
        for variant in variants:
            changed = overridden(config, {**variant.overrides, "seed": seed})
            runs.append(Run(table, variant, seed, changed, output / table / variant.name / f"seed{seed}"))
    return runs


def overridden(config: TrainConfig, overrides: Mapping[str, Any]) -> TrainConfig:
    """The configuration with some dotted fields changed."""
    values = to_dict(config)
    for name, value in overrides.items():
        set_dotted(values, name, value)
    return from_dict(TrainConfig, values)


def check_variants(table: str, variants: Sequence[Variant], config: TrainConfig) -> None:
    """Raise ValueError when two variants would train the same thing: the configuration lacks what the table removes."""
    seen: dict[TrainConfig, str] = {}
    for variant in variants:
        first = seen.setdefault(effective(overridden(config, variant.overrides)), variant.name)
        if first != variant.name:
            loss = config.loss
            raise ValueError(
                f"--table {table}: {first!r} and {variant.name!r} would train the same thing. The configuration has "
                f"loss.w1 {loss.w1:g}, loss.w2 {loss.w2:g}, loss.w3 {loss.w3:g}, loss.teacher {loss.teacher!r}, "
                f"model.aux_head {config.model.aux_head!r}; what the table removes must be on: "
                "--loss.preset sartm_paper --loss.teacher clip (or minilm)"
            )


def effective(config: TrainConfig) -> TrainConfig:
    """The configuration with what it does not use set to fixed values: equal ones train the same thing."""
    loss = config.loss
    w1 = 0.0 if config.model.aux_head == "none" else loss.w1
    w3 = 0.0 if loss.teacher == "none" else loss.w3
    acts = bool(loss.w2 or w3)
    used = replace(
        loss, w1=w1, w3=w3, teacher=loss.teacher if w3 else "none", centre_text=loss.centre_text and bool(w3),
        balance=loss.balance and acts, project=loss.project and acts,
    )  # fmt: skip
    return replace(config, loss=used)


def comparable(config: TrainConfig) -> TrainConfig:
    """The configuration without what says how to compute rather than what: runs may differ in it."""
    how = {"threads": 0, "accelerator": "auto", "checkpoint_every": 0, "activation_checkpointing": False, "logger": ()}
    return replace(config, trainer=replace(config.trainer, **how))  # type: ignore[arg-type]


def saved_config(folder: Path) -> TrainConfig | None:
    """The configuration a run folder was trained with, None when there is no run. ValueError when it is unreadable."""
    path = folder / "config.yaml"
    if not path.is_file():
        return None
    try:
        return from_dict(TrainConfig, load_yaml(path))
    except ValueError as error:
        raise ValueError(
            f"{path}: not the configuration of a run of this version ({error}); move the folder away"
        ) from error


def finished_metrics(folder: Path) -> dict[str, Any] | None:
    """`metrics.json` of a run that ended, else None. A truncated file is of no run that ended."""
    path = folder / "metrics.json"
    if not path.is_file():
        return None
    try:
        metrics = json.loads(path.read_text())
    except ValueError:
        return None
    return metrics if isinstance(metrics, dict) and metrics.get("finished") else None


def check_folder(run: Run) -> bool:
    """Whether the run has ended. Raises ValueError naming the fields when its folder holds another run.

    A run that failed before its first checkpoint holds nothing: the corrected command may use its folder.
    """
    begun = (run.folder / "checkpoints").is_dir() or (run.folder / "metrics.json").is_file()
    before = saved_config(run.folder) if begun else None
    if before is None:
        return False
    odd = differences(to_dict(comparable(before)), to_dict(comparable(run.config)))
    if odd:
        listed = "; ".join(f"{name} is {have!r} there, {want!r} wanted" for name, have, want in odd)
        raise ValueError(f"{run.folder}: holds another run: {listed}. Choose another --output or move it away")
    return finished_metrics(run.folder) is not None


class Library:
    """Ended runs of all tables below a folder, by configuration: a run that two tables share is trained once."""

    def __init__(self, output: Path) -> None:
        self.folders: dict[TrainConfig, Path] = {}
        for path in sorted(output.glob("*/*/seed*/metrics.json")):
            self.add(path.parent)

    def add(self, folder: Path) -> None:
        """Note a run folder if its run has ended."""
        try:
            config = saved_config(folder)
        except ValueError:  # of another version; it matters only where it is in the way
            return
        if config is not None and finished_metrics(folder) is not None:
            self.folders.setdefault(comparable(config), folder)

    def find(self, run: Run) -> Path | None:
        """A folder with just this run, ended: its own one or another table's."""
        if finished_metrics(run.folder) is not None:
            return run.folder
        return self.folders.get(comparable(run.config))
