"""Tiny training runs shared by the trainer's tests."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
import yaml

from test.core.data.test_data import SMALL, write_folder

NAMES = tuple(f"{i:05}{'DN'[i % 2]}" for i in range(6))


def write_config(tmp_path: Path, **sections: dict[str, Any]) -> Path:
    """A run of two epochs of three steps on six small frames and no synthetic ones, all loss terms but L_se on.

    One thread: sums of floats depend on how many there are.
    """
    root = tmp_path / "data"
    if not root.is_dir():
        write_folder(root, NAMES)
    settings: dict[str, Any] = {
        "model": {**SMALL["model"], "lora_rank": 2, "train_encoder": True, "train_decoder_transformer": True},
        "preprocess": {"input_size": [64, 96]},
        "data": {
            "dataset": "folder", "root": str(root), "crop_size": [32, 64], "workers": 0,
            "synthetic_train": 0, "synthetic_val": 0, "darken": 0.5, "thermal_jitter": 0.3, "thermal_shift": 2.0,
        },
        "loss": {"w2": 10.0},
        "optim": {"ema_decay": 0.5},
        "trainer": {"batch_size": 2, "max_epochs": 2, "accelerator": "cpu", "threads": 1, "checkpoint_every": 1},
    }  # fmt: skip
    for section, values in sections.items():
        settings[section] = {**settings[section], **values}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def command(config: Path, output: Path, *options: str) -> list[str]:
    return ["--config", str(config), "--output", str(output), *options]


def history(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "history.jsonl").read_text().splitlines()]


def last_state(output: Path) -> dict[str, Any]:
    """What the last checkpoint holds, flattened; wall time and version left out."""
    state = torch.load(output / "checkpoints" / "last.ckpt", weights_only=True)
    flat: dict[str, Any] = {}
    flatten("", state, flat)
    return {key: value for key, value in flat.items() if not key.endswith((".seconds", ".pytorch-lightning_version"))}


def flatten(prefix: str, value: Any, into: dict[str, Any]) -> None:
    if isinstance(value, dict | list | tuple):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            flatten(f"{prefix}.{key}", part, into)
    else:
        into[prefix] = value


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Keys whose values are not exactly equal."""
    return [key for key in sorted(a.keys() | b.keys()) if not equal(a.get(key), b.get(key))]


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return torch.equal(a, b)
    return type(a) is type(b) and a == b


def environment() -> dict[str, str]:
    """For child processes: one thread each, the local network only."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
