"""The node's model: loaded from parameter values, on the threads asked for, smaller when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
import torch

from sartm_core import SARTM, ModelConfig
from sartm_core.preprocess.config import PreprocessConfig
from sartm_ros.inference import model as model_module
from sartm_ros.inference.jobs import Request
from sartm_ros.inference.model import Model, library_threads
from sartm_ros.node.parameters import SPECS
from sartm_ros.node.settings import Settings
from sartm_ros.node.weights import load_segmenter, registration, segmenter_of, thermal_norm
from test.core.conftest import stepped

VALUES = {spec.name: spec.default for spec in SPECS}
REQUEST = Request(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8))


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict]:
    """Values of parameters that load tiny weights."""
    path = tmp_path_factory.mktemp("weights") / "nano.safetensors"
    stepped(SARTM(ModelConfig(backbone="hiera_nano", classes=("unlabeled", "car"), lora_rank=2))).save(path)
    own = library_threads()
    quick = {"device": "cpu", "engine": "torch", "precision": "fp32", "input_size": "160x160", "warmup": False}
    yield VALUES | quick | {"checkpoint": str(path)}
    torch.set_num_threads(own)


def test_threads_of_a_reload_reach_the_running_worker(values: dict) -> None:
    """torch.set_num_threads counts for the thread that calls it; the worker has run before the new model comes."""
    own = library_threads()

    def threads_in_use(threads: int) -> int:
        loaded = load_segmenter({**values, "threads": threads})
        assert worker.submit(loaded.batch, [REQUEST]).result()[0].mask.shape == (64, 64)
        return worker.submit(torch.get_num_threads).result()

    with ThreadPoolExecutor(1) as worker:
        assert [threads_in_use(n) for n in (1, 3, 0)] == [1, 3, own]


def test_beside_another_librarys_network_torch_has_one_thread(values: dict) -> None:
    class Other:
        """The segmenter, as if another library ran its network."""

        engine = "openvino"

        def __getattr__(self, name: str) -> object:
            return getattr(segmenter, name)

    segmenter = segmenter_of(values)
    with ThreadPoolExecutor(1) as worker:
        worker.submit(Model(Other(), 3).batch, [REQUEST]).result()
        assert worker.submit(torch.get_num_threads).result() == 1


def test_a_loaded_model_says_what_it_is(values: dict) -> None:
    loaded = load_segmenter({**values, "device": "auto", "warmup": True})
    assert loaded.name == "nano" and loaded.classes == ("unlabeled", "car") and len(loaded.palette) == 2
    assert len(loaded.sha256) == 64 and loaded.note == ""
    if not torch.cuda.is_available():
        assert loaded.device == "cpu" and loaded.memory_mb() is None
        (warning,) = loaded.warnings
        assert "no CUDA" in warning and "a second" not in warning, "how fast is measured, not guessed"


def test_nothing_is_said_about_the_cpu_when_it_was_asked_for(values: dict) -> None:
    assert load_segmenter(values).warnings == []


def out_of_memory_above(loaded: Model, pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the real model fail as CUDA does for inputs of more than `pixels` pixels."""
    run = loaded._segmenter._network._run

    def limited(rgb, thermal):
        if rgb.shape[-1] * rgb.shape[-2] > pixels:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return run(rgb, thermal)

    monkeypatch.setattr(loaded._segmenter._network, "_run", limited)


def test_a_smaller_input_is_found_during_warm_up(values: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_segmenter({**values, "input_size": "320x320"})
    out_of_memory_above(loaded, 230 * 230, monkeypatch)
    monkeypatch.setattr(model_module, "WARMUP_SIZE", (64, 64))
    loaded.warm_up(shrink=True)
    assert loaded._segmenter.input_size == (224, 224)
    assert "input 224x224 instead of 320x320" in loaded.note
    assert loaded.batch([REQUEST])[0].mask.shape == (64, 64), "the mask stays at the camera's size"


def test_pictures_are_asked_for_as_the_settings_say(values: dict) -> None:
    loaded = load_segmenter(values)
    settings = Settings.of(values | {"overlay_alpha": 0.25, "class_remap": "car=7"}, loaded)
    wanted = model_module.drawing_of(replace(REQUEST, drawing=frozenset({"overlay"}), settings=settings))
    assert (wanted.overlay, wanted.color_mask, wanted.alpha) == (True, False, 0.25)
    assert wanted.ids[1] == 7 and wanted.ids[255] == 255 and wanted.palette == settings.class_map.palette
    assert model_module.drawing_of(REQUEST) is None
    assert loaded.batch([replace(REQUEST, drawing=frozenset({"overlay"}), settings=settings)])[0].drawn == {}


def test_each_adapter_shrinks_from_its_own_size(values: dict, tmp_path: Path) -> None:
    """Regression: all got 0.7 of the checkpoint's size, so that a small one grew."""
    files = {}
    for name, size in {"large": (320, 320), "small": (192, 224)}.items():
        model = stepped(SARTM(ModelConfig(backbone="hiera_nano", classes=("unlabeled", "car"), lora_rank=2)))
        model.info = replace(model.info, preprocess=PreprocessConfig(input_size=size))
        files[name] = str(model.save(tmp_path / f"{name}.safetensors"))
    own = {"checkpoint": files["large"], "adapters": files["small"], "input_size": "checkpoint"}
    loaded = load_segmenter(values | own)
    assert loaded.shrink() == "input 224x224 instead of 320x320 after the GPU ran out of memory"
    sizes = {name: network.preprocess.input_size for name, network in loaded._segmenter.adapters.items()}
    assert sizes == {"large": (224, 224), "small": (128, 160)}
    assert "input 160x160" in loaded.shrink() and "input 128x128" in loaded.shrink() and loaded.shrink() == ""
    assert loaded._segmenter.adapters["small"].preprocess.input_size == (128, 160)


def test_no_smaller_input_unless_asked_and_an_end_to_it(values: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_segmenter(values)
    out_of_memory_above(loaded, 0, monkeypatch)
    monkeypatch.setattr(model_module, "WARMUP_SIZE", (64, 64))
    with pytest.raises(torch.OutOfMemoryError):
        loaded.warm_up(shrink=False)
    with pytest.raises(RuntimeError, match="out of memory, even with the smallest input"):
        loaded.warm_up(shrink=True)


def test_registration_and_normalisation_of_the_parameters() -> None:
    assert registration(VALUES) is None and thermal_norm(VALUES) is None
    found = registration(VALUES | {"registration.mode": "homography", "registration.thermal_size": [64, 48]})
    assert np.allclose(found.apply(np.array([[3.0, 4.0]])), [[3.0, 4.0]])
    shifted = {"registration.mode": "scale_shift", "registration.shift": [5.0, 0.0]}
    sizes = {"registration.thermal_size": [64, 48], "registration.rgb_size": [64, 48]}
    assert np.allclose(registration(VALUES | shifted | sizes).apply(np.array([[3.0, 4.0]])), [[8.0, 4.0]])
    norm = thermal_norm(VALUES | {"thermal.normalization": "range", "thermal.low": 280.0, "thermal.high": 320.0})
    assert (norm.mode, norm.low, norm.high) == ("range", 280.0, 320.0)
