"""Archives that are wrong or unsafe: one clear line, and the folder stays as it was."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sartm_core.labels import __main__ as labels
from test.core.labels.test_annotation import CVAT_MAP, NAMES, cvat_mask, png, write_zip
from test.core.layouts import SIZE, label_of, write_folder_with_classes

MASK = f"SegmentationClass/{NAMES[0]}.png"
GOOD = {
    "labelmap.txt": CVAT_MAP,
    MASK: cvat_mask(label_of("x", 3), "rgb"),
    "ImageSets/Segmentation/default.txt": f"{NAMES[0]}\n",
}
GREEN = np.zeros((*SIZE, 3), np.uint8)
GREEN[3:5, :6] = (0, 255, 0)
GREEN[9, 9] = (1, 1, 1)
DEEP = np.zeros(SIZE, np.uint16)


def tree(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "change,words,message",
    [
        ({"labelmap.txt": None}, [], "0 files labelmap.txt, expected one"),
        ({"x/labelmap.txt": CVAT_MAP}, [], "2 files labelmap.txt"),
        ({"labelmap.txt": ""}, [], "no label in it"),
        ({"labelmap.txt": b"\xff\xfe"}, [], "labelmap.txt: not UTF-8"),
        ({"labelmap.txt": "robot:1,2::"}, [], "line 1: got 'robot:1,2::', expected label:red,green,blue"),
        ({"labelmap.txt": "robot:1,2,256::"}, [], "line 1"),
        ({"labelmap.txt": "robot 1,2,3"}, [], "line 1"),
        ({"labelmap.txt": CVAT_MAP + "robot:7,7,7::\n"}, [], "line 6: label 'robot' is there twice"),
        ({"labelmap.txt": CVAT_MAP + "stair:7,7,7::\n"}, [], "label 'stair' is no class of classes.yaml; did you mean"),
        ({"labelmap.txt": CVAT_MAP + "qqq:7,7,7::\n"}, [], "label 'qqq' is no class of classes.yaml ('ground'"),
        ({"labelmap.txt": CVAT_MAP}, ["--ignore-label", "void"], "label 'ignored' is no class"),
        ({"labelmap.txt": CVAT_MAP}, ["--ignore-label", "robot"], "--ignore-label robot: is the name of a class"),
        ({"labelmap.txt": CVAT_MAP.replace("stairs:1,2,3::\n", "")}, [], "no label for stairs"),
        ({"labelmap.txt": CVAT_MAP.replace("1,2,3", "200,0,0")}, [], "'stairs' and 'robot' both have the colour"),
        ({MASK: None}, [], "no SegmentationClass/*.png"),
        ({MASK: png(GREEN)}, [], f"{MASK}: colour (0, 255, 0) on 12 pixels, and 1 other colours: no label"),
        ({MASK: png(np.full(SIZE, 4, np.uint8))}, [], f"{MASK}: grey value 4 on 3072 pixels; labelmap.txt has 4"),
        ({MASK: png(DEEP)}, [], f"{MASK}: 16 bits, mode I;16"),
        ({MASK: png(np.zeros((24, 32, 3), np.uint8))}, [], f"{MASK}: 32x24 pixels, its colour image has 64x48"),
        ({MASK: b"no picture"}, [], f"{MASK}: not a readable image"),
        ({MASK: GOOD[MASK][:-30]}, [], f"{MASK}: not a readable image"),
        ({"SegmentationClass/other.png": GOOD[MASK]}, [], "frame 'other': no colour image of that name"),
        ({f"SegmentationClass/b/{NAMES[0]}.png": GOOD[MASK]}, [], f"frame {NAMES[0]!r} has another mask"),
        ({"ImageSets/Segmentation/default.txt": "\n".join(NAMES)}, [], "7 frames ('00002N', '00003D', '00004N'"),
        ({"../evil.txt": "x"}, [], "member '../evil.txt' points out of the archive"),
        ({"a/../../evil.txt": "x"}, [], "points out of the archive"),
        ({"/etc/evil.txt": "x"}, [], "points out of the archive"),
        ({"..\\evil.txt": "x"}, [], "points out of the archive"),
        ({"C:evil.txt": "x"}, [], "points out of the archive"),
    ],
)  # fmt: skip
def test_wrong_archives_change_nothing(tmp_path: Path, capsys, change: dict, words: list[str], message: str) -> None:
    root = write_folder_with_classes(tmp_path / "mine")
    before = tree(root)
    members = {name: data for name, data in (GOOD | change).items() if data is not None}
    path = write_zip(tmp_path / "from.zip", members)
    with pytest.raises(SystemExit) as stop:
        labels.main(["import", str(path), "--data", str(root), *words])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and message in error and str(path) in error or "--ignore-label" in message
    assert error.count("\n") == 1, "one line"
    assert tree(root) == before and {entry.name for entry in tmp_path.iterdir()} == {"mine", "from.zip"}


def test_a_damaged_member_is_named(tmp_path: Path, capsys) -> None:
    root = write_folder_with_classes(tmp_path / "mine")
    path = write_zip(tmp_path / "from.zip", GOOD)
    data = bytearray(path.read_bytes())
    data[data.index(GOOD[MASK][:40]) + 30] ^= 255
    path.write_bytes(data)
    with pytest.raises(SystemExit):
        labels.main(["import", str(path), "--data", str(root)])
    assert f"{MASK}: cannot be unpacked" in capsys.readouterr().err


def test_a_bomb_is_not_unpacked(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("SARTM_MAX_MEMBER_BYTES", "100")
    root = write_folder_with_classes(tmp_path / "mine")
    path = write_zip(tmp_path / "from.zip", GOOD | {"labelmap.txt": CVAT_MAP + "#" * 100})
    with pytest.raises(SystemExit):
        labels.main(["import", str(path), "--data", str(root)])
    assert re.search(r"labelmap.txt: \d+ bytes unpacked, at most 100", capsys.readouterr().err)


def test_a_partial_map_is_taken_when_asked_for(tmp_path: Path) -> None:
    root = write_folder_with_classes(tmp_path / "mine")
    lines = {"labelmap.txt": "background:0,0,0::\nrobot:200,0,0::\n", MASK: png(GREEN * 0)}
    path = write_zip(tmp_path / "from.zip", GOOD | lines)
    assert labels.main(["import", str(path), "--data", str(root), "--partial"]) == 0
    assert not np.array(Image.open(root / "labels" / f"{NAMES[0]}.png")).any()


@pytest.mark.parametrize(
    "words,message",
    [
        (["export", "--dta", "x", "--data", "y", "--output", "z.zip"], "did you mean --data"),
        (["import", "a.zip", "b.zip", "--data", "y"], "b.zip"),
        (["import", "nowhere.zip", "--data", "{root}"], "nowhere.zip: no such file"),
        (["export", "--data", "nowhere", "--output", "z.zip"], "nowhere: no frames found"),
        (["export", "--data", "{root}", "--output", "z.tar"], "--output z.tar: expected a name that ends in .zip"),
        (["export", "--data", "{root}", "--output", "z.zip", "--split", "tset"], "tset.txt"),
        (["bring"], "invalid choice"),
    ],
)
def test_wrong_usage(tmp_path: Path, capsys, words: list[str], message: str) -> None:
    root = write_folder_with_classes(tmp_path / "mine")
    with pytest.raises(SystemExit) as stop:
        labels.main([word.format(root=root) for word in words])
    assert stop.value.code == 2 and message in capsys.readouterr().err
