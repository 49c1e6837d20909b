"""`sartm predict` on images, folders and data sets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sartm_core.data.images import read_image
from sartm_core.predict import __main__ as predict
from sartm_core.predict import run, sources
from sartm_core.predict.config import PredictConfig
from sartm_core.predict.frames import Frame
from sartm_core.predict.pictures import CELL_WIDTH
from sartm_core.predict.run import batches
from sartm_core.predict.summary import Result, class_rows, frame_rows
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.visualize import colorize, overlay, thermal_to_gray
from test.core import layouts
from test.core.conftest import PLAIN
from test.core.figure_data import other, weights

__all__ = ["other", "weights"]

NAMES = ("00001", "00002", "00003", "00004", "00005")
FILES = {"run.json", "summary.json", "summary.csv", "frames.csv", "mask"}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Five pairs with 16-bit thermal."""
    for name in NAMES:
        layouts.save(tmp_path / "data" / "rgb" / f"{name}.png", layouts.rgb_of(name))
        layouts.save(tmp_path / "data" / "thermal" / f"{name}.png", layouts.thermal_of(name, bits=16))
    return tmp_path / "data" / "rgb", tmp_path / "data" / "thermal"


@pytest.fixture(scope="module")
def segmenter(weights: Path) -> Segmenter:
    return Segmenter.load(weights, **PLAIN)


def done(segmenter: Segmenter, output: Path, **options: object) -> Result:
    """What the command does with these options, without loading the weights again."""
    config = PredictConfig(**{key: str(value) if isinstance(value, Path) else value for key, value in options.items()})
    return run.predict(segmenter, sources.open_source(config), config, output)


def plain(weights: Path, *words: object) -> list[str]:
    """A command line of the test's weights, in fp32 by torch."""
    fixed = [word for key, value in PLAIN.items() for word in (f"--{key}", value)]
    return ["--checkpoint", str(weights), *fixed, *map(str, words)]


def summary(output: Path) -> dict:
    return json.loads((output / "summary.json").read_text())


def masks(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((output / "mask").iterdir())}


def times(output: Path) -> dict[str, int]:
    return {path.stem: path.stat().st_mtime_ns for path in sorted((output / "mask").iterdir())}


@pytest.mark.parametrize("given", ["both", "rgb", "thermal"])
def test_a_pair_of_images_or_one_alone_gives_what_the_segmenter_gives(
    folders, segmenter: Segmenter, tmp_path: Path, given: str
) -> None:
    kinds = ("rgb", "thermal") if given == "both" else (given,)
    files = {kind: folder / "00001.png" for kind, folder in zip(("rgb", "thermal"), folders, strict=True)}
    out, options = tmp_path / "out", {kind: files[kind] for kind in kinds}
    done(segmenter, out, **options, confidence=True, overlay=True, sheet=True)
    frames = {"rgb": layouts.rgb_of("00001"), "thermal": layouts.thermal_of("00001", bits=16)}
    expected = segmenter(*(frames[kind] if kind in kinds else None for kind in frames))
    with Image.open(out / "mask" / "00001.png") as image:
        assert image.mode == "P"
        colors = np.array(image.convert("RGB"))
    mask = read_image(out / "mask" / "00001.png")
    assert np.array_equal(mask, expected.mask) and len(np.unique(mask)) > 1
    assert np.array_equal(colors, colorize(mask, segmenter.palette))
    assert np.array_equal(read_image(out / "confidence" / "00001.png"), expected.confidence)
    drawn = read_image(out / "overlay" / "00001.png")
    below = frames["rgb"] if given != "thermal" else thermal_to_gray(frames["thermal"])
    assert np.array_equal(drawn, overlay(below, mask, segmenter.palette))
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.width == (len(kinds) + 1) * CELL_WIDTH


def test_batches_and_reruns_give_the_same_masks_and_compute_nothing_twice(folders, segmenter, tmp_path: Path) -> None:
    options = {"rgb": folders[0], "thermal": folders[1], "threshold": 0.3}
    one, two = tmp_path / "one", tmp_path / "two"
    done(segmenter, one, **options)
    assert {path.name for path in one.iterdir()} == FILES
    done(segmenter, two, **options, batch=2)
    assert masks(one) == masks(two) and summary(one)["kept_from_before"] == 0
    before = times(two)
    done(segmenter, two, **options, overlay=True, sheet=True)
    assert times(two) == before and len(list((two / "overlay").iterdir())) == len(NAMES)
    assert summary(two)["kept_from_before"] == len(NAMES)
    assert summary(one)["classes"] == summary(two)["classes"]


def test_what_is_missing_damaged_or_of_newer_frames_is_computed_again(folders, segmenter, tmp_path: Path) -> None:
    out, options = tmp_path / "out", {"rgb": folders[0], "thermal": folders[1]}
    done(segmenter, out, **options)
    good, before = masks(out), times(out)
    (out / "mask" / "00001.png").unlink()
    (out / "mask" / "00002.png").write_bytes(good["00002.png"][:60])
    (out / "mask" / "00003.png.1.tmp").write_bytes(b"half")
    layouts.save(folders[0] / "00004.png", layouts.rgb_of("other"))
    assert done(segmenter, out, **options).kept == 2
    (out / "mask" / "00003.png.1.tmp").unlink()
    after = masks(out)
    assert {name for name in good if after[name] != good[name]} == {"00004.png"}
    assert {name for name in NAMES if times(out)[name] == before[name]} == {"00003", "00005"}
    assert done(segmenter, out, **options, confidence=True).kept == 0, "a picture that is missing is made"
    assert masks(out) == after and len(list((out / "confidence").iterdir())) == len(NAMES)


def test_ctrl_c_and_the_same_command_again(
    folders, segmenter, weights: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    def read(self: sources.ImageFiles, name: str) -> sources.Arrays:
        if name == "00003":
            raise KeyboardInterrupt
        return whole(self, name)

    whole = sources.ImageFiles.read
    options = {"rgb": folders[0], "thermal": folders[1]}
    words = plain(weights, "--rgb", folders[0], "--thermal", folders[1], "--output", tmp_path / "out")
    done(segmenter, tmp_path / "whole", **options)
    with monkeypatch.context() as patched, pytest.raises(SystemExit) as stop:
        patched.setattr(sources.ImageFiles, "read", read)
        predict.main(words)
    error = capsys.readouterr().err
    assert stop.value.code == 130 and error.endswith("the same command goes on\n") and "Traceback" not in error
    before = times(tmp_path / "out")
    assert list(before) == ["00001", "00002"]
    assert done(segmenter, tmp_path / "out", **options).kept == 2
    assert masks(tmp_path / "out") == masks(tmp_path / "whole")
    assert before.items() <= times(tmp_path / "out").items()


def test_other_weights_options_or_frames_are_refused_in_the_same_folder(
    folders, segmenter, weights: Path, other: Path, tmp_path: Path, capsys
) -> None:
    out, options = tmp_path / "out", {"rgb": folders[0]}
    done(segmenter, out, **options)
    before = masks(out)
    for change, found in (
        ({"threshold": 0.5}, r"threshold 0\.0 \(now 0\.5\)"),
        ({"thermal": folders[1]}, "thermal None"),
    ):
        with pytest.raises(ValueError, match=found):
            done(segmenter, out, **options, **change)
    with pytest.raises(SystemExit) as stop:
        predict.main(plain(other, "--rgb", folders[0], "--output", out))
    error = capsys.readouterr().err
    assert stop.value.code == 2 and "weights_sha256" in error and "another --output" in error
    assert error.count("\n") == 1 and masks(out) == before


def test_bad_files_are_named_and_skipped_by_the_command(folders, weights: Path, tmp_path: Path) -> None:
    (folders[0] / "00002.png").write_bytes(b"no image")
    (folders[1] / "00004.png").unlink()
    words = plain(weights, "--rgb", folders[0], "--thermal", folders[1], "--batch", "3", "--output", tmp_path / "out")
    ended = subprocess.run([sys.executable, "-m", "sartm_core.predict", *words], capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    assert "3 frames: 3 computed" in ended.stdout and "person" in ended.stdout
    assert "2 bad frames" in ended.stderr and "Traceback" not in ended.stderr
    assert "00002.png: not a readable image" in ended.stderr and "00004.*: no such file" in ended.stderr
    assert set(summary(tmp_path / "out")["failed"]) == {"00002", "00004"}
    assert sorted(times(tmp_path / "out")) == ["00001", "00003", "00005"]


def test_a_frame_the_model_refuses_does_not_take_its_batch_along(folders, segmenter, tmp_path: Path) -> None:
    Image.fromarray(np.full(layouts.SIZE, np.nan, np.float32)).save(folders[1] / "00002.tiff")
    (folders[1] / "00002.png").unlink()
    result = done(segmenter, tmp_path / "out", rgb=folders[0], thermal=folders[1], batch=5)
    assert list(result.failed) == ["00002"] and "NaN" in result.failed["00002"]
    assert list(result.counts) == ["00001", "00003", "00004", "00005"]


@pytest.mark.parametrize("dataset", layouts.WRITERS)
def test_data_sets_are_read_as_they_were_downloaded(dataset: str, segmenter, tmp_path: Path) -> None:
    root = layouts.WRITERS[dataset](tmp_path / "data")
    done(segmenter, tmp_path / "out", data=root, split="test")
    pairs = sources.open_dataset(dataset, root, "test")
    assert list(times(tmp_path / "out")) == sorted(pairs.names)
    for sample in pairs:
        mask = read_image(tmp_path / "out" / "mask" / f"{sample.name}.png")
        assert np.array_equal(mask, segmenter(sample.rgb, sample.thermal).mask)


@pytest.mark.parametrize(
    "words,message",
    [
        ([], "no frames; give --rgb and --thermal"),
        (["--rgb", "nowhere.png"], "--rgb nowhere.png: no such file"),
        (["--data", "nowhere"], "nowhere: no such folder"),
        (["--data", ".", "--rgb", "a.png"], "give one or the other"),
        (["--rgb", "a.png", "--split", "val"], "it belongs to --data DIR"),
        (["--rgb", "a.png", "--thrshold", "1"], "did you mean --threshold?"),
        (["--rgb", "a.png", "--batch", "0"], "batch"),
        (["--rgb", "a.png", "--threshold", "2"], "expected 0..1"),
        (
            ["--rgb", "a.png", "--thermal", "."],
            "--rgb a.png is, by its name, an image; --thermal . is, by its name, a folder",
        ),
        (["--rgb", "empty"], "empty: no images in this folder"),
        (["--rgb", "one", "--thermal", "two"], "no file name is in both (first: 'a' and 'b')"),
    ],
)
def test_wrong_usage_gives_exit_code_2(words: list[str], message: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name in ("a.png", "one/a.png", "two/b.png"):
        layouts.save(tmp_path / name, layouts.rgb_of("a"))
    with pytest.raises(SystemExit) as stop:
        predict.main([*words, "--output", "out"])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and message in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.sampled_from([0, 1, 2, 255]), min_size=1, max_size=30), min_size=1, max_size=5))
def test_shares_add_up_to_all_pixels(frames: list[list[int]]) -> None:
    result = Result(("none", "car", "person"))
    for i, values in enumerate(frames):
        result.add(str(i), np.array([values], np.uint8))
    rows = class_rows(result)
    assert sum(row["share_percent"] for row in rows) == pytest.approx(100)
    everything = [value for values in frames for value in values]
    for row in rows:
        assert row["share_percent"] == pytest.approx(100 * everything.count(row["id"]) / len(everything))
        assert row["frames"] == sum(row["id"] in values for values in frames)
    for row in frame_rows(result):
        assert sum(value for key, value in row.items() if key != "frame") == pytest.approx(100)


@given(st.integers(0, 20), st.integers(1, 7))
def test_batches_hold_every_frame_once_in_order(count: int, size: int) -> None:
    groups = list(batches((Frame(str(i)) for i in range(count)), size))
    assert [frame.name for group in groups for frame in group] == [str(i) for i in range(count)]
    assert all(len(group) == size for group in groups[:-1]) and all(groups)
