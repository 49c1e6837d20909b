"""What the node makes of its parameters: a loaded model on the wanted number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sartm_core import SARTM, ModelConfig
from sartm_core.preprocess import PreprocessConfig
from sartm_ros.model import library_threads, load_segmenter

FRAMES = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)


@pytest.fixture
def values(tmp_path: Path) -> Iterator[dict]:
    """Parameter values of the node with an untrained nano model; torch's thread number is put back in the end."""
    model = SARTM(ModelConfig(backbone="hiera_nano", classes=("unlabeled", "car")))
    model.info = replace(model.info, preprocess=PreprocessConfig(input_size=(64, 64)))
    model.save(tmp_path / "nano.safetensors")
    given = {"checkpoint": str(tmp_path / "nano.safetensors"), "sam2": "none", "device": "cpu", "precision": "auto"}
    thermal = {"thermal.normalization": "checkpoint", "thermal.low": 50.0, "thermal.high": 99.0}
    yield {**given, **thermal, "engine": "torch", "warmup": False}
    torch.set_num_threads(library_threads())


def test_threads_of_a_reload_reach_the_running_worker(values: dict) -> None:
    """torch.set_num_threads counts for the thread that calls it; the worker has run before the new model comes."""
    own = library_threads()

    def number_after_a_frame(threads: int) -> int:
        segmenter = load_segmenter({**values, "threads": threads})
        assert worker.submit(segmenter, *FRAMES).result().mask.shape == (64, 64)
        return worker.submit(torch.get_num_threads).result()

    with ThreadPoolExecutor(1) as worker:
        assert [number_after_a_frame(n) for n in (2, 1, 3, 0)] == [2, 1, 3, own]


def test_the_node_sees_name_classes_and_palette(values: dict) -> None:
    segmenter = load_segmenter({**values, "threads": 0, "warmup": True})
    assert segmenter.name == "nano" and segmenter.classes == ("unlabeled", "car") and len(segmenter.palette) == 2
