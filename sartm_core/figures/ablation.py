"""The runs of the components table that Figure 7 shows."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from sartm_core.figures.config import FIGURE_7

TABLE = "components"


def panels(output: Path, seed: int) -> list[tuple[str, Path]]:
    """(title, weights) of each panel; `output`: the folder of the ablations. ValueError names what is missing, and the
    command that makes it."""
    folders = shared_runs(output)
    files = {
        variant: output / folders.get(f"{variant} seed {seed}", f"{TABLE}/{variant}/seed{seed}") / "weights.safetensors"
        for _, variant in FIGURE_7
    }
    missing = [variant for variant, file in files.items() if not file.is_file()]
    if missing:
        config = output / TABLE / "full" / f"seed{seed}.yaml"  # what the others change a few fields of
        words = ["sartm", "ablate", "--table", TABLE, "--only", *missing, "--seeds", str(seed)]
        words += ["--config", str(config) if config.is_file() else "CONFIG.yaml", "--output", str(output)]
        listed = ", ".join(str(files[variant]) for variant in missing)
        raise ValueError(f"--ablation {output}: no {listed}; to train: {shlex.join(words)}")
    return [(title, files[variant]) for title, variant in FIGURE_7]


def shared_runs(output: Path) -> dict[str, str]:
    """ "VARIANT seed K" -> folder below `output`, as the table has it: another table's where both have the run."""
    path = output / TABLE / "table.json"
    return dict(json.loads(path.read_text())["runs"]) if path.is_file() else {}
