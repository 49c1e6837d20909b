"""Pictures of frames (Figures 4 to 6): what is in them, the boxes, and what is said when something is missing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sartm_core.data.pairs import Sample
from sartm_core.figures import __main__ as figures
from sartm_core.figures.boxes import Box, merged, region_boxes
from sartm_core.figures.config import QualitativeConfig
from sartm_core.figures.qualitative import ORANGE, RED, Shot, choose, find_boxes, kinds_of_marks
from sartm_core.figures.sheet import COLUMN, GAP, NAME, TITLE, Mark, Panel, Row, shortened, write_sheet
from sartm_core.figures.sources import spread
from sartm_core.support.classes import IGNORE, MFNET
from sartm_core.support.cli import leaves
from sartm_core.support.visualize import colorize
from test.core.figure_data import error_of, other, root, weights, write_weights

__all__ = ["other", "root", "weights"]  # fixtures


def test_every_option_is_documented() -> None:
    for cls, _, _ in figures.FIGURES.values():
        assert [name for name, text, _ in leaves(cls) if not text] == []


# Boxes


def test_boxes_hold_the_regions_largest_first() -> None:
    mask = np.zeros((200, 300), bool)
    mask[20:40, 30:60] = True  # 600 pixels
    mask[100:180, 200:260] = True  # 4800
    mask[150, :150] = True  # a thin line
    mask[5:9, 290:294] = True  # a speck
    large, small = region_boxes(mask)
    assert (large.pixels, small.pixels) == (4800, 600)
    margin = round(np.hypot(200, 300) / 100)
    assert (small.top, small.left, small.bottom, small.right) == (20 - margin, 30 - margin, 40 + margin, 60 + margin)


def test_boxes_stay_in_the_image_and_an_empty_mask_has_none() -> None:
    mask = np.zeros((64, 96), bool)
    assert region_boxes(mask) == []
    mask[:30, :40] = True
    (box,) = region_boxes(mask)
    assert (box.top, box.left) == (0, 0) and box.bottom > 30 and box.right > 40


def test_boxes_that_overlap_become_one() -> None:
    first, second, third = Box(0, 0, 10, 10, 5), Box(20, 0, 30, 10, 7), Box(8, 0, 22, 10, 3)
    assert merged([first, second], third) == [Box(0, 0, 30, 10, 15)], "the third bridges the two"
    assert merged([first], second) == [first, second]


def make_shot(truth: np.ndarray, *guesses: np.ndarray) -> Shot:
    sample = Sample("x", np.zeros((*truth.shape, 3), np.uint8), np.zeros(truth.shape, np.uint8), truth)
    return Shot(sample, truth, guesses, (0.0,) * len(guesses))


def test_boxes_tell_what_ours_gains_from_what_it_loses() -> None:
    truth = np.zeros((100, 200), np.uint8)
    truth[20:40, 20:60] = 1
    truth[60:90, 120:180] = 2
    truth[:, :5] = IGNORE
    baseline, ours = np.zeros_like(truth), np.zeros_like(truth)
    baseline[60:90, 120:180] = 2
    ours[20:40, 20:60] = 1
    marks = kinds_of_marks(("b", "SARTM"))
    worse, better = find_boxes(make_shot(truth, baseline, ours), marks)
    assert worse[0].color == ORANGE and worse[1].pixels == 1800 and worse[1].top < 60 < 90 < worse[1].bottom
    assert better[0].color == RED and better[1].pixels == 800
    (alone,) = find_boxes(make_shot(truth, ours), kinds_of_marks(("SARTM",)))
    assert alone[1].pixels == 1800, "without a baseline: where ours is not the truth; unlabelled pixels never count"
    marks = kinds_of_marks(("a", "b", "c", "SARTM"))
    worse, better = find_boxes(make_shot(truth, baseline, baseline, ours, ours), marks)
    assert (worse[0].color, better[0].color) == (ORANGE, RED), "two of three others are a majority"
    marks = kinds_of_marks(("a", "b", "SARTM"))
    assert find_boxes(make_shot(truth, baseline, ours, ours), marks) == [], "one of two is none"


# Figures 4 to 6


def test_pictures_keep_their_pixels_and_carry_the_boxes(tmp_path: Path) -> None:
    image = np.zeros((30, 60, 3), np.uint8)
    image[10:20, 20:40] = (0, 128, 192)
    red = Mark("#ff0000", "-", "differs")
    rows = [Row("frame", (Panel(image), Panel(image, "mIoU 1.0", ((red, Box(5, 10, 25, 50, 200)),))))]
    write_sheet(tmp_path / "x.png", rows, ("left", "right"), [("bike", (0, 128, 192))], [red])
    sheet = np.array(Image.open(tmp_path / "x.png").convert("RGB"))
    dpi = 600 / COLUMN
    assert sheet.shape[1] == pytest.approx((NAME + 2 * (COLUMN + GAP)) * dpi, abs=2)
    top, left = round(TITLE * dpi), round(NAME * dpi)
    panel = sheet[top : top + 300, left : left + 600]  # every pixel is 10 dots
    np.testing.assert_array_equal(panel[5::10, 5::10][1:-1, 1:-1], image[1:-1, 1:-1])
    second = sheet[top : top + 300, left + round((COLUMN + GAP) * dpi) :][:, :600]
    reddish = (second[..., 0] > 200) & (second[..., 1] < 60)
    rows_hit, columns_hit = np.nonzero(reddish)
    assert abs(rows_hit.min() - 50) < 8 and abs(rows_hit.max() - 250) < 8
    assert abs(columns_hit.min() - 100) < 8 and abs(columns_hit.max() - 500) < 8
    left_hit = (panel[..., 0] > 200) & (panel[..., 1] < 60)
    assert not left_hit.any()


def test_qualitative_with_a_baseline_shows_the_most_improved(
    tmp_path: Path, root: Path, weights: Path, other: Path, capsys
) -> None:
    command = ["qualitative", "--data", str(root), "--checkpoint", str(weights), "--baseline", str(other)]
    assert figures.main([*command, "--count", "2", "--device", "cpu", "--output", str(tmp_path)]) == 0
    assert str(tmp_path / "qualitative.png") in capsys.readouterr().out
    facts = json.loads((tmp_path / "qualitative.json").read_text())
    gains = [frame["miou"]["SARTM"] - frame["miou"]["baseline"] for frame in facts["frames"]]
    assert len(gains) == 2 and gains[0] >= gains[1]
    assert 100 * gains[1] >= facts["mean gain of all of them, points"] and facts["frames looked at"] == 5
    width, height = Image.open(tmp_path / "qualitative.png").size
    assert width > 5 * 600 and height > 2 * 400, "rgb, thermal, truth, baseline and ours at no less than 600 dots"


def test_frames_can_be_named_and_names_are_not_numbers(tmp_path: Path, root: Path, weights: Path, capsys) -> None:
    command = ["qualitative", "--data", str(root), "--checkpoint", str(weights), "--output", str(tmp_path)]
    assert figures.main([*command, "--names", "00003", "00001"]) == 0
    facts = json.loads((tmp_path / "qualitative.json").read_text())
    assert [frame["name"] for frame in facts["frames"]] == ["00003", "00001"] and facts["pick"] == "by name"
    assert "no such frame among 5; did you mean '0000" in error_of(capsys, *command, "--names", "0003")


def test_random_frames_follow_the_seed() -> None:
    def shoot(index: int):
        raise AssertionError("random frames are not looked at")

    names = [str(i) for i in range(50)]
    first, again, third = (
        choose(QualitativeConfig(pick="random", count=4, seed=seed), names, shoot)[0] for seed in (1, 1, 2)
    )
    assert first == again != third and len(set(first)) == 4


def save_masks(folder: Path, root: Path, kind: str, shift: int = 0) -> Path:
    """The truth of all frames moved to the right: as grey `ids`, with a `palette`, or in the classes' `colours`."""
    folder.mkdir()
    for path in sorted((root / "labels").iterdir()):
        mask = np.roll(np.array(Image.open(path)), shift, axis=1)
        mask[mask == IGNORE] = 0  # no colour of a class
        image = Image.fromarray(colorize(mask, MFNET.palette) if kind == "colours" else mask)
        if kind == "palette":
            image.putpalette([200 - value for value in range(192)])  # colours of no meaning
        image.save(folder / path.name)
    return folder


@pytest.fixture
def command(tmp_path: Path, root: Path, weights: Path) -> list[str]:
    base = ["qualitative", "--data", str(root), "--checkpoint", str(weights), "--device", "cpu"]
    return [*base, "--output", str(tmp_path / "out")]


def test_masks_of_others_are_columns_before_ours(tmp_path: Path, root: Path, command: list[str], other: Path) -> None:
    kinds = ("ids", "palette", "colours")
    names = [f"{kind}={save_masks(tmp_path / kind, root, kind, shift)}" for shift, kind in enumerate(kinds)]
    assert figures.main([*command, "--others", *names, "--baseline", str(other), "--count", "2"]) == 0
    facts = json.loads((tmp_path / "out" / "qualitative.json").read_text())
    assert list(facts["masks"]) == [*kinds, "baseline", "SARTM"]
    assert facts["masks"]["ids"] == {"folder": "ids"} and len(facts["masks"]["SARTM"]["sha256"]) == 64
    for frame in facts["frames"]:
        ids, palette, colours = (frame["miou"][kind] for kind in kinds)
        assert ids == 1.0 > palette > colours > 0.5, "farther and farther from the truth"
    assert facts["mean gain of all of them, points"] < -50, "over the best of the others"
    assert Image.open(tmp_path / "out" / "qualitative.png").width > 8 * 600


def test_masks_that_do_not_fit_are_named(tmp_path: Path, root: Path, command: list[str], capsys) -> None:
    folder = save_masks(tmp_path / "x", root, "ids")
    others = [*command, "--others", f"x={folder}"]
    (folder / "00004.png").unlink()
    error = error_of(capsys, *others)
    assert "no mask for 1 of 5 frames, the first '00004'" in error and "--names FRAME" in error
    assert "did you mean '0000" in error_of(capsys, *others, "--names", "0003"), "no frame, so no mask to ask for"
    named = [*others, "--names", "00001", "--boxes", "0"]
    assert figures.main(named) == 0
    Image.new("L", (48, 32)).save(folder / "00001.png")
    assert "00001.png is 32x48, its frame 64x96 (height x width)" in error_of(capsys, *named)
    Image.new("L", (96, 64), 9).save(folder / "00001.png")
    assert "00001.png holds ids [9]; the data set has 9 classes, 0..8" in error_of(capsys, *named)
    (folder / "00001.png").write_bytes(b"no picture")
    assert "00001.png: not a readable image" in error_of(capsys, *named)


def test_others_are_written_as_name_and_folder(tmp_path: Path, command: list[str], capsys) -> None:
    for text in ("masks", "=masks", "MRFS="):
        assert f"got {text!r}, expected NAME=DIR" in error_of(capsys, *command, "--others", text)
    assert "no folder with images" in error_of(capsys, *command, "--others", f"MRFS={tmp_path / 'none'}")
    assert "column titles repeat" in error_of(capsys, *command, "--others", "SARTM=x")
    assert "give its folder" in error_of(capsys, "qualitative", "--others", "MRFS=x", "--output", str(tmp_path))


def test_most_improved_needs_a_baseline(capsys, tmp_path: Path) -> None:
    assert "needs --baseline" in error_of(capsys, "qualitative", "--pick", "most-improved", "--output", str(tmp_path))


def test_checkpoints_of_other_classes_are_named(tmp_path: Path, root: Path, weights: Path, capsys) -> None:
    strange = write_weights(tmp_path / "strange.safetensors", classes=("unlabeled", "car", "person", "dog"))
    data = ["--data", str(root), "--checkpoint", str(weights), "--output", str(tmp_path)]
    for options in (["qualitative", "--baseline", str(strange)], ["tsne", "--compare", str(strange)]):
        error = error_of(capsys, *options, *data)
        assert "['bike', 'dog'] are not in both" in error and "strange.safetensors" in error


def test_wrong_options_name_the_nearest(capsys, tmp_path: Path) -> None:
    assert "did you mean --baseline" in error_of(capsys, "qualitative", "--basline", "x", "--output", str(tmp_path))
    assert "no file" in error_of(
        capsys, "qualitative", "--checkpoint", "nowhere.safetensors", "--output", str(tmp_path)
    )


def test_long_names_are_cut_in_the_middle() -> None:
    assert shortened("00001D", 1.0) == "00001D"
    short = shortened("a_very_long_name_of_a_frame_000123", 1.0)
    assert len(short) <= 1.0 * 72 / (0.6 * 7) and short.startswith("a_") and short.endswith("123")


def test_spread_is_even_and_never_repeats() -> None:
    assert spread(9, 3) == [0, 4, 8] and spread(3, 10) == [0, 1, 2] and spread(1, 5) == [0]
