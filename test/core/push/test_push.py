"""`sartm push`: the folder it writes, and the way to a Hub and back through huggingface_hub's own functions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from sartm_core.data.seen import SeenFrames
from sartm_core.model.hub import fetch
from sartm_core.model.sartm import SARTM
from sartm_core.push.__main__ import main
from sartm_core.push.card import Published, model_card
from test.core.conftest import make_model
from test.core.hub_server import hub_server

SCORES = {"miou": 0.51234, "macc": 0.7, "mf1": None, "iou": {"unlabeled": 0.9, "car": None}}
PUSH = ("--to", "owner/name", "--license", "cc-by-4.0")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = make_model()
    seen = (SeenFrames("trained", "folder", "yard", ("a", "b")), SeenFrames("chose", "folder", "yard", ("c",)))
    protocol = {"selection": "best mean mIoU of the epochs on: yard (val)", "epoch": 3, "versions": {"torch": "2.9"}}
    metrics = {"miou": 0.51234, "yard": SCORES, "ranks": {"fused": 9.0}}
    model.info = replace(model.info, metrics=metrics, protocol=protocol, seen=seen)
    return model.save(tmp_path_factory.mktemp("run") / "weights.safetensors")


def error_of(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(list(argv))
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_the_folder_is_the_file_its_configuration_and_a_card(weights: Path, tmp_path: Path, capsys) -> None:
    assert main(["--checkpoint", str(weights), *PUSH, "--output", str(tmp_path)]) == 0
    names = ["weights.safetensors", "config.json", "README.md"]
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in names]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert (tmp_path / "weights.safetensors").read_bytes() == weights.read_bytes()
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["library_name"] == "sartm" and config["kind"] == "full"
    assert config["model"]["classes"] == ["unlabeled", "car", "person", "bike"]
    assert config["preprocess"]["input_size"] == list(make_model().info.preprocess.input_size)
    model = SARTM.from_pretrained(tmp_path)
    assert model.config == make_model().config and model.info.protocol["epoch"] == 3


def test_the_card_says_what_the_file_knows(weights: Path, tmp_path: Path) -> None:
    main(["--checkpoint", str(weights), *PUSH, "--output", str(tmp_path)])
    _, head, body = (tmp_path / "README.md").read_text().split("---\n", 2)
    front = yaml.safe_load(head)
    assert (front["license"], front["library_name"]) == ("cc-by-4.0", "sartm")
    (result,) = front["model-index"][0]["results"]
    assert result["dataset"]["name"] == "yard"
    assert {m["type"]: m["value"] for m in result["metrics"]} == {"mean_iou": 0.5123, "accuracy": 0.7}
    for text in (
        'Segmenter.load("hf:owner/name")', "| 1  | car       | 64 0 128  |", "| mIoU          | 51.2 |",
        "| IoU car       | -    |", "no test scores", "- 2 frames of yard\n",
        "- best mean mIoU of the epochs on: yard (val)",
        "- input 480x640, thermal", "- these weights: epoch 3", "- torch 2.9",
    ):  # fmt: skip
        assert text in body, text
    assert "Meta" not in body and "ranks" not in body


def test_the_card_is_what_huggingface_hub_reads(weights: Path, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    main(["--checkpoint", str(weights), *PUSH, "--output", str(tmp_path)])
    data = hub.ModelCard.load(tmp_path / "README.md").data
    assert data.pipeline_tag == "image-segmentation"
    assert [(r.metric_type, r.metric_value) for r in data.eval_results] == [("mean_iou", 0.5123), ("accuracy", 0.7)]


def test_the_card_of_adapters_names_their_base_and_none_needs_scores() -> None:
    model = make_model()
    preprocess = replace(model.info.preprocess, input_size=None)
    info = replace(model.info, base_name="sam2.1_hiera_tiny.pt", base_sha256="ab" * 32, preprocess=preprocess)
    card = model_card(Published("owner/name", "other", "adapter", model.config, info))
    assert 'load("hf:owner/name", sam2="sam2.1_hiera_tiny.pt")' in card and f"sha256 `{'ab' * 32}`" in card
    assert "model-index" not in card and "## Scores" not in card and "- input of the camera's size, thermal" in card


def test_wrong_options_are_told(weights: Path, tmp_path: Path, capsys) -> None:
    out = ["--output", str(tmp_path / "out")]
    for name in ("name", "a/b/c", "owner/", "hf:a/"):
        assert "expected owner/name" in error_of(
            capsys, "--checkpoint", str(weights), "--to", name, "--license", "x", *out
        )
    assert "no file" in error_of(capsys, "--checkpoint", str(tmp_path / "none.safetensors"), *PUSH, *out)
    assert "--license" in error_of(capsys, "--checkpoint", str(weights), "--to", "owner/name", *out)
    assert not (tmp_path / "out").exists()


def test_without_huggingface_hub_it_says_what_to_install(
    weights: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # importing it fails
    assert 'pip install "sartm_ros[hub]"' in error_of(capsys, "--checkpoint", str(weights), *PUSH)
    with pytest.raises(ValueError, match=r'pip install "sartm_ros\[hub\]"'):
        fetch("owner/name")


ROUND_TRIP = """
import sys
from sartm_core import SARTM, Segmenter
from sartm_core.model.checkpoint import sha256
from sartm_core.push.__main__ import main
weights = sys.argv[1]
assert main(["--checkpoint", weights, "--to", "owner/name", "--license", "cc-by-4.0", "--private"]) == 0
segmenter = Segmenter.load("hf:owner/name", "cpu", "fp32", "torch", adapters={"v1": "hf:owner/name@v1"})
print(segmenter.name, *segmenter.adapters, segmenter.sha256 == sha256(weights))
"""
OFFLINE = """
from sartm_core import SARTM
print(SARTM.from_pretrained("owner/name@v1").config.classes[1])
for name in ("owner/name@v2", "owner/other"):
    try:
        SARTM.from_pretrained(name)
    except OSError as error:
        print(error)
"""


def run(code: str, *words: str, **environment: str) -> list[str]:
    """The lines that a Python process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_to_the_hub_and_back(weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    environment = {"HF_HOME": str(tmp_path), "HF_TOKEN": "hf_x", "HF_HUB_DISABLE_TELEMETRY": "1"}
    with hub_server() as hub:
        url, facts = run(ROUND_TRIP, str(weights), HF_ENDPOINT=hub.url, **environment)
    assert url.startswith(f"{hub.url}/owner/name/commit/")
    assert facts == "name name v1 True"
    assert sorted(hub.files) == ["README.md", "config.json", "weights.safetensors"]
    assert hub.files["weights.safetensors"] == weights.read_bytes()
    read = {path for method, path in hub.calls if method in ("GET", "HEAD")}
    assert read == {
        f"/owner/name/resolve/{at}/{f}" for at in ("main", "v1") for f in ("config.json", "weights.safetensors")
    }

    lines = run(OFFLINE, HF_HUB_OFFLINE="1", **environment)
    assert lines[0] == "car", "from the cache, the server is gone"
    assert lines[1].startswith("hf:owner/name@v2: cannot be fetched (")
    assert lines[2].startswith("hf:owner/other: cannot be fetched (")
