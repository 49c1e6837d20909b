"""Every way to weights refuses what cannot be right, and runs what was hashed whatever becomes of the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from sartm_core.evaluate.__main__ import main as evaluate
from sartm_core.export.__main__ import main as export
from sartm_core.predict.__main__ import main as predict
from sartm_core.runtime.engines import cache
from sartm_core.runtime.engines.sharing import Shared
from sartm_core.runtime.opening import open_weights
from sartm_core.runtime.segmenter import Segmenter
from test.core import layouts
from test.core.conftest import PLAIN, make_frames, make_model
from test.core.hostile import CHANGES, good, spoilt

WRONG = ("NaN weights", "metadata is a list", "palette out of range")
WORDS = [word for key, value in PLAIN.items() for word in (f"--{key}", value)]


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, data = tmp_path_factory.mktemp("bad"), good()
    paths = {name: folder / f"bad{i}.safetensors" for i, name in enumerate(WRONG)}
    for name, path in paths.items():
        path.write_bytes(spoilt(data, CHANGES[name][0]))
    return paths


@pytest.mark.parametrize("wrong", WRONG)
def test_every_command_refuses_a_model_that_cannot_be_right(
    bad: dict[str, Path], wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bad[wrong]
    with pytest.raises(ValueError, match=path.name):
        Segmenter.load(path, **PLAIN)
    layouts.save(tmp_path / "rgb" / "1.png", layouts.rgb_of("1"))
    commands = {
        predict: ["--rgb", str(tmp_path / "rgb"), "--output", str(tmp_path / "out"), *WORDS],
        evaluate: ["--synthetic", "1", "--output", str(tmp_path / "out"), *WORDS],
        export: ["--format", "openvino", "--output", str(tmp_path / "out" / "a.xml")],
    }
    for command, words in commands.items():
        with pytest.raises(SystemExit) as end:
            command(["--checkpoint", str(path), *words])
        text = capsys.readouterr().err
        assert end.value.code == 2 and path.name in text and "Traceback" not in text, text


def test_scores_that_are_not_finite_are_no_masks(tmp_path: Path) -> None:
    """Finite weights that overflow: the first frame tells. Regression: 100 % class 0, and exit code 0."""
    model = make_model()
    with torch.no_grad():
        for parameter in model.fusion.parameters():
            parameter.fill_(3e37)
    segmenter = Segmenter.load(model.save(tmp_path / "a.safetensors"), input_size=(64, 96), **PLAIN)
    for _ in range(2):
        with pytest.raises(ValueError, match="scores are not finite in fp32"):
            segmenter(*make_frames())


def test_what_was_kept_may_be_cut_while_it_runs(tmp_path: Path) -> None:
    """Regression: the file itself was mapped, and cutting it ended the process (SIGBUS)."""
    path = tmp_path / "a.blob"
    cache.keep(path, b"kept" * 10_000)
    pages = cache.mapped(path)
    os.truncate(path, 0)
    assert pages[:] == b"kept" * 10_000
    cache.forget(pages)
    assert pages[:] == b"kept" * 10_000
    pages.close()


@pytest.mark.parametrize("read", [cache.read, cache.mapped])
def test_what_was_kept_and_is_damaged_is_of_no_use(tmp_path: Path, read) -> None:
    path = tmp_path / "a.blob"
    for damage in (lambda data: data[:-1], lambda data: b"x" + data[1:], lambda data: b""):
        cache.keep(path, b"kept" * 100)
        assert read(path)[:] == b"kept" * 100
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(ValueError, match="cut or overwritten"):
            read(path)


def test_a_file_rewritten_while_a_known_network_loads_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time no network is made until an engine asks for it: of what was read, not of the file again."""
    monkeypatch.setenv("SARTM_CACHE", str(tmp_path / "cache"))
    path, data = tmp_path / "live.safetensors", good()
    path.write_bytes(data)
    first = open_weights(path, None, "cpu", "torch", Shared()).weights()
    opened = open_weights(path, None, "cpu", "torch", Shared())
    path.write_bytes(spoilt(data, CHANGES["NaN weights"][0]))
    again = opened.weights()
    assert all(torch.equal(one, other) for one, other in zip(first.parameters(), again.parameters(), strict=True))
    opened.weights.release()
    with pytest.raises(ValueError, match=r"live.safetensors"):
        opened.weights()
