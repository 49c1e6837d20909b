"""`check_data`: every kind of fault, planted in a fixture, is found, named and decides the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sartm_core.check_data import __main__ as check_data
from sartm_core.check_data.structure import EXPECTED
from sartm_core.data.splits import hold_out
from test.core.layouts import (
    FMB_NAMES,
    MFNET_NAMES,
    OWN,
    PST900_NAMES,
    SIZE,
    WRITERS,
    label_of,
    rgb_of,
    save,
    save_index,
    thermal_of,
    write_folder_with_classes,
    write_mfnet,
    write_mfnet_split,
)

Result = tuple[int, list[str], dict]


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs the command: exit code, the lines of its findings, and what it wrote as JSON."""

    def run(dataset: str, root: Path, *options: str) -> Result:
        output = tmp_path / "checked"
        code = check_data.main(["--dataset", dataset, "--data", str(root), "--output", str(output), *options])
        text = capsys.readouterr().out
        written, _, command = text.partition("look at them: ")  # the last line, where frames were found
        assert (output / "check_data.txt").read_text() == written and command.count("\n") <= 1
        lines = [line for line in text.splitlines() if line.startswith(("fault", "warning"))]
        result = json.loads((output / "check_data.json").read_text())
        assert len(result["findings"]) == len(lines) == result["faults"] + result["warnings"]
        assert sorted(path.name for path in output.iterdir()) == ["check_data.json", "check_data.txt"]
        return code, lines, result

    return run


@pytest.mark.parametrize("dataset", WRITERS)
def test_sound_data_has_no_faults(check, tmp_path: Path, dataset: str) -> None:
    code, lines, result = check(dataset, WRITERS[dataset](tmp_path / "data"))
    assert code == 0 and result["faults"] == 0
    assert all("the data set" in line for line in lines), "only the small numbers of frames are worth a warning"


def test_counts_and_shares_are_those_of_the_labels(check, tmp_path: Path) -> None:
    _, _, result = check("folder", write_folder_with_classes(tmp_path / "data"))
    for split, names in MFNET_NAMES.items():
        labels = np.stack([label_of(name, len(OWN.names)) for name in names])
        row = result["splits"][split]
        assert row["frames"] == len(names) and row["expected"] is None
        assert row["sizes"] == {"rgb 48x64, thermal 48x64 uint8": len(names)}
        for index, name in enumerate(OWN.names):
            assert row["classes"][name]["percent"] == pytest.approx(
                100 * (labels == index).sum() / (labels < 255).sum()
            )
            assert row["classes"][name]["frames"] == (labels == index).any(axis=(1, 2)).sum()
        assert row["classes"]["ignored"]["percent"] == pytest.approx(100 * (labels == 255).mean())
    assert result["dataset"] == "folder"
    assert result["shift"] == {"dx": None, "dy": None, "measured": 0, "frames": 8}


def test_expected_counts_are_the_published_ones() -> None:
    assert EXPECTED["mfnet"] == {"train": 784, "val": 392, "test": 393}
    for dataset, total, test in (("pst900", 597, 288), ("fmb", 1220, 280)):
        train, val = hold_out([str(i) for i in range(total)])
        assert EXPECTED[dataset] == {"train": len(train), "val": len(val), "test": test}


@pytest.mark.parametrize("dataset,split,place", [("mfnet", "val", "val.txt"), ("fmb", "test", "test")])
def test_a_subset_is_a_warning_and_with_complete_a_fault(check, tmp_path: Path, dataset: str, split, place) -> None:
    root = WRITERS[dataset](tmp_path / "data")
    line = f"{place}: split '{split}' has 2 frames, the data set {EXPECTED[dataset][split]}"
    code, lines, _ = check(dataset, root)
    assert code == 0 and f"warning  {line}" in lines
    code, lines, _ = check(dataset, root, "--complete")
    assert code == 1 and f"fault    {line}" in lines


def break_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def with_id(path: Path, value: int) -> None:
    ids = np.array(Image.open(path))
    ids[3, 5:9] = value
    save(path, ids)


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing rgb": (lambda r: (r / "rgb/00001D.png").unlink(), "rgb/00001D.*: no rgb image of frame '00001D'"),
    "missing thermal": (lambda r: (r / "thermal/00006N.png").unlink(), "thermal/00006N.*: no thermal image of frame"),
    "missing label": (lambda r: (r / "labels/00007D.png").unlink(), "labels/00007D.*: no label image of frame"),
    "unreadable rgb": (lambda r: break_file(r / "rgb/00002N.png"), "rgb/00002N.png: not a readable image ("),
    "unreadable thermal": (
        lambda r: break_file(r / "thermal/00002N.png"),
        "thermal/00002N.png: not a readable image (",
    ),
    "unreadable label": (lambda r: break_file(r / "labels/00002N.png"), "labels/00002N.png: not a readable image ("),
    "16-bit rgb": (
        lambda r: save(r / "rgb/00002N.png", thermal_of("x", bits=16)),
        "rgb/00002N.png: 16 bits a channel, mode I;16; expected an 8-bit colour image",
    ),
    "label of another size": (
        lambda r: save(r / "labels/00003D.png", label_of("x", 3, (24, 64))),
        "labels/00003D.png: 24x64, its rgb image 48x64; expected equal sizes",
    ),
    "id of no class": (
        lambda r: with_id(r / "labels/00004N.png", 3),
        "labels/00004N.png: ids [3] on 4 pixels; the label set has 0..2 and 255 (ignored)",
    ),
    "colour of no class": (
        lambda r: save(r / "labels/00005D.png", np.full((*SIZE, 3), (1, 2, 3), np.uint8)),
        "labels/00005D.png: colour (1, 2, 3) on 3072 pixels is not in the palette",
    ),
    "thermal without a value": (
        lambda r: (
            (r / "thermal/00003D.png").unlink(),
            Image.fromarray(np.full(SIZE, np.nan, np.float32)).save(r / "thermal/00003D.tif"),
        ),
        "thermal/00003D.tif: no finite value",
    ),
    "empty split": (lambda r: (r / "val.txt").write_text("\n"), "val.txt: split 'val' holds no frames"),
    "frame in two splits": (
        lambda r: (r / "test.txt").write_text("00001D\n00008N\n"),
        "test.txt: frame '00001D' is in 'train' too",
    ),
    "no label folder": (
        lambda r: (r / "labels").rename(r / "masks"),
        "labels: no such folder for the label images; training and scores need labels",
    ),
    "broken classes.yaml": (
        lambda r: (r / "classes.yaml").write_text("names: [a, a]"),
        "classes.yaml: names: LabelSet: names repeat",
    ),
}


@pytest.mark.parametrize("plant,message", FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_named_and_gives_exit_code_1(check, tmp_path: Path, plant, message: str) -> None:
    root = write_folder_with_classes(tmp_path / "data")
    plant(root)
    code, lines, result = check("folder", root)
    faults = [line for line in lines if line.startswith("fault")]
    assert code == 1 and len(faults) == result["faults"] == 1
    assert faults[0].startswith(f"fault    {message}"), faults


WARNINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "constant thermal": (
        lambda r: save(r / "thermal/00001D.png", np.full(SIZE, 7, np.uint8)),
        "thermal/00001D.png: constant: every pixel is 7",
    ),
    "coloured thermal": (
        lambda r: save(r / "thermal/00001D.png", rgb_of("heat")),
        "thermal/00001D.png: in colour (channels differ by",
    ),
    "nothing labelled": (
        lambda r: save(r / "labels/00001D.png", np.full(SIZE, 255, np.uint8)),
        "labels/00001D.png: every pixel is 255 (ignored)",
    ),
    "index PNG with the colours of other ids": (
        lambda r: save_index(
            r / "labels/00001D.png", label_of("x", 3) % 255, type(OWN)(OWN.names, (OWN.palette[0], *OWN.palette[:0:-1]))
        ),
        "labels/00001D.png: index PNG: 1 has the colour of 2, 2 has the colour of 1; indices are read",
    ),
    "frame listed twice": (
        lambda r: (r / "val.txt").write_text("00005D\n00006N\n00005D\n"),
        "val.txt: frame '00005D' is listed 2 times",
    ),
    "frame in no split": (lambda r: (r / "val.txt").write_text("00005D\n"), "rgb: 1 in no split: 00006N"),
    "thermal without rgb": (
        lambda r: save(r / "thermal/00099D.png", thermal_of("00099D")),
        "thermal: 1 without rgb image: 00099D",
    ),
    "two images of one name": (
        lambda r: Image.fromarray(rgb_of("x")).save(r / "rgb/00001D.bmp"),
        "rgb: several images of one name, only one is read: 00001D",
    ),
    "the same picture twice": (
        lambda r: (r / "rgb/00008N.png").write_bytes((r / "rgb/00003D.png").read_bytes()),
        "rgb/00008N.png: the same file as rgb/00003D.png",
    ),
    "mixed thermal types": (
        lambda r: save(r / "thermal/00001D.png", thermal_of("00001D", bits=16)),
        "{root}: split 'train' mixes sizes or types: 1 with rgb 48x64, thermal 48x64 uint16; 3 with",
    ),
    "class without a pixel": (
        lambda r: (r / "classes.yaml").write_text("names: [ground, robot, stairs, lift]"),
        "{root}: split 'train' has no pixel of lift",
    ),
}


@pytest.mark.parametrize("plant,message", WARNINGS.values(), ids=WARNINGS)
def test_a_planted_oddity_is_a_warning(check, tmp_path: Path, plant, message: str) -> None:
    root = write_folder_with_classes(tmp_path / "data")
    plant(root)
    code, lines, _ = check("folder", root)
    assert code == 0 and len(lines) == 1
    assert lines[0].startswith(f"warning  {message.format(root=root)}"), lines


def test_all_faults_are_told_not_only_the_first(check, tmp_path: Path) -> None:
    root = write_folder_with_classes(tmp_path / "data")
    for name in ("missing rgb", "unreadable thermal", "missing label", "id of no class", "colour of no class"):
        FAULTS[name][0](root)
    code, lines, result = check("folder", root)
    assert code == 1 and result["faults"] == 5
    for file in ("rgb/00001D.*", "thermal/00002N.png", "labels/00007D.*", "labels/00004N.png", "labels/00005D.png"):
        assert sum(file in line for line in lines) == 1


def test_cameras_of_two_sizes_are_fine_in_own_data_only(check, tmp_path: Path) -> None:
    own, mfnet = write_folder_with_classes(tmp_path / "own"), write_mfnet_split(tmp_path / "mfnet")
    for name in sum(MFNET_NAMES.values(), ()):
        save(own / "thermal" / f"{name}.png", thermal_of(name, (24, 32)))
    save(mfnet / "ther" / "00001D.png", thermal_of("00001D", (24, 32)))
    assert check("folder", own)[:2] == (0, [])
    code, lines, _ = check("mfnet", mfnet)
    assert code == 1 and "fault    ther/00001D.png: 24x32, its rgb image 48x64; expected equal sizes" in lines


def test_a_broken_four_channel_file_is_told_once(check, tmp_path: Path) -> None:
    root = write_mfnet(tmp_path / "data")
    save(root / "images" / "00001D.png", rgb_of("00001D"))
    code, lines, _ = check("mfnet", root)
    faults = [line for line in lines if line.startswith("fault")]
    assert code == 1 and faults == [
        "fault    images/00001D.png: got shape (48, 64, 3), expected (H, W, 4): RGB and thermal"
    ]


def test_frames_are_checked_though_every_list_is_missing(check, tmp_path: Path) -> None:
    root = write_mfnet(tmp_path / "data")
    for split in MFNET_NAMES:
        (root / f"{split}.txt").unlink()
    break_file(root / "images" / "00003D.png")
    code, lines, result = check("mfnet", root)
    assert code == 1 and result["splits"]["all"]["frames"] == 8
    assert [line.split(":")[0] for line in lines] == [
        "fault    train.txt", "fault    val.txt", "fault    test.txt", "fault    images/00003D.png"
    ]  # fmt: skip


@pytest.mark.parametrize("dataset,names", [("pst900", PST900_NAMES), ("fmb", FMB_NAMES)])
def test_a_missing_part_and_an_asked_for_split(check, tmp_path: Path, dataset: str, names: dict) -> None:
    root = WRITERS[dataset](tmp_path / "data")
    _, _, result = check(dataset, root, "--split", "test")
    assert list(result["splits"]) == ["test"] and result["splits"]["test"]["frames"] == len(names["test"])
    (root / "test").rename(root / "elsewhere")
    code, lines, result = check(dataset, root)
    assert code == 1 and sum(line.startswith("fault    test: no such folder") for line in lines) == 1
    assert result["splits"]["train"]["frames"] + result["splits"]["val"]["frames"] == len(names["train"])
    assert check(dataset, root, "--split", "train")[0] == 0


def test_another_label_set_can_be_told(check, tmp_path: Path) -> None:
    root = write_mfnet_split(tmp_path / "data", style="thermal")
    assert check("folder", root)[0] == 0
    code, lines, _ = check("folder", root, "--label-set", "pst900")
    assert code == 1 and sum("ids [5, 6, 7, 8]" in line for line in lines) == 8


def test_inputs_are_judged_by_every_mode_and_by_a_trainings_configuration(check, tmp_path: Path) -> None:
    root = write_folder_with_classes(tmp_path / "data")
    for path in (root / "thermal").glob("*"):
        Image.fromarray(280 + np.asarray(Image.open(path)).astype(np.float32) / 10).save(path.with_suffix(".tif"))
        path.unlink()
    code, _, result = check("folder", root)
    rows = {row["mode"] or row["camera"]: row for row in result["inputs"]}
    assert code == 0 and list(rows) == ["rgb", "percentile", "standardise", "unit"]
    assert [rows[mode]["refused"] for mode in rows] == [False, False, False, True] and rows["unit"]["mean"] > 280
    text = (tmp_path / "checked" / "check_data.txt").read_text()
    assert text.count("train refuses it") == 1 and "thermal unit" in text

    config = tmp_path / "train.yaml"
    config.write_text("preprocess: {thermal: {mode: unit}}\n")
    code, lines, result = check("folder", root, "--config", str(config))
    assert code == 1 and [row["mode"] for row in result["inputs"]] == ["", "unit"]
    assert any("thermal input: a mean of 29" in line and "--preprocess.thermal.mode" in line for line in lines)
    config.write_text("preprocess: {thermal: {mode: units}}\n")
    with pytest.raises(SystemExit, match="2"):
        check("folder", root, "--config", str(config))
