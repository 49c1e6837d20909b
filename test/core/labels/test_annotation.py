"""Labels to CVAT and back: what goes out comes home, and what CVAT itself writes is understood."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from sartm_core.check_data import __main__ as check_data
from sartm_core.data.images import read_image
from sartm_core.data.layouts.folder import FolderPairs
from sartm_core.labels import __main__ as labels
from sartm_core.labels.export import export
from sartm_core.labels.labelmap import Label, ids_of, own_labels, read_labelmap, write_labelmap
from sartm_core.labels.masks import class_png, read_mask
from sartm_core.support.classes import IGNORE, LabelSet, bit_reversed_color, ids_from_colors
from test.core.layouts import MFNET_NAMES, OWN, SIZE, all_names, label_of, save, write_folder_with_classes

NAMES = all_names(MFNET_NAMES)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Eight frames with the classes ground, robot and stairs, and ignored pixels."""
    return write_folder_with_classes(tmp_path / "mine")


def png(image: np.ndarray | Image.Image) -> bytes:
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, "PNG")
    return out.getvalue()


def write_zip(path: Path, members: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def exported(root: Path, *words: str) -> dict[str, bytes]:
    """What `export` puts into the archive."""
    path = root.parent / "to.zip"
    assert labels.main(["export", "--data", str(root), "--output", str(path), *words]) == 0
    return members_of(path)


def imported(root: Path, members: dict[str, bytes | str], *words: str) -> None:
    path = write_zip(root.parent / "from.zip", members)
    assert labels.main(["import", str(path), "--data", str(root), *words]) == 0


def labels_in(root: Path) -> dict[str, np.ndarray]:
    return {path.name: np.array(Image.open(path)) for path in sorted((root / "labels").iterdir())}


@st.composite
def label_sets(draw: st.DrawFn) -> LabelSet:
    count = draw(st.integers(2, 40))
    name = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters=":#"), min_size=1, max_size=8)
    names = draw(st.lists(name.filter(lambda n: n not in ("background", "ignored")), min_size=count, max_size=count,
                          unique=True))  # fmt: skip
    color = st.tuples(*[st.integers(0, 255)] * 3).filter(any)  # none is black
    return LabelSet(tuple(names), tuple(draw(st.lists(color, min_size=count, max_size=count, unique=True))))


@settings(max_examples=60, deadline=None)
@given(label_sets(), st.data())
def test_every_label_comes_back_as_it_was(label_set: LabelSet, data: st.DataObject) -> None:
    ids = st.sampled_from([*range(len(label_set.names)), IGNORE])
    label = data.draw(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=ids))
    out = own_labels(label_set, "ignored")
    colors = [entry.color for entry in out]
    mask = class_png(label, colors[:-1], colors[-1])
    home = read_labelmap(write_labelmap(out), "labelmap.txt")
    assert home == out
    shuffled = data.draw(st.permutations(home))  # CVAT has an order of its own
    back = read_mask(mask, shuffled, ids_of(shuffled, label_set.names, "ignored", "", False), "mask", label.shape)
    np.testing.assert_array_equal(back, label)


def test_a_folder_goes_out_and_comes_back(root: Path, capsys) -> None:
    before = labels_in(root)
    members = exported(root)
    text = capsys.readouterr().out
    assert "8 frames (rgb images), 8 with labels to correct" in text
    assert members["ImageSets/Segmentation/default.txt"].decode().split() == sorted(NAMES)
    assert members["labelmap.txt"].decode() == (
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nrobot:250,30,40::\nstairs:10,200,90::\n"
        "ignored:224,224,192::\n"
    )
    for name in NAMES:
        assert members[f"JPEGImages/{name}.png"] == (root / "rgb" / f"{name}.png").read_bytes()
        mask = Image.open(io.BytesIO(members[f"SegmentationClass/{name}.png"]))
        known = LabelSet(("ground", "robot", "stairs", "?"), (*OWN.palette, (224, 224, 192)))
        ids = ids_from_colors(np.array(mask), known)
        np.testing.assert_array_equal(np.where(ids == 3, IGNORE, ids), before[f"{name}.png"])
        objects = Image.open(io.BytesIO(members[f"SegmentationObject/{name}.png"]))
        np.testing.assert_array_equal(np.array(objects), before[f"{name}.png"])
        assert objects.convert("RGB").getpixel((0, 0)) == bit_reversed_color(IGNORE)
    for path in (root / "labels").iterdir():
        path.unlink()
    imported(root, members)
    after = labels_in(root)
    assert after.keys() == before.keys()
    for name, label in before.items():
        np.testing.assert_array_equal(after[name], label)
    assert "8 labels written, 8 of them new or changed" in capsys.readouterr().out
    assert check_data.main(["--dataset", "folder", "--data", str(root)]) == 0
    assert "0 faults" in capsys.readouterr().out
    imported(root, members)
    assert "8 labels written, 0 of them new or changed" in capsys.readouterr().out
    assert not list(root.glob(".*.tmp"))


def test_the_same_folder_gives_the_same_archive(root: Path) -> None:
    frames = FolderPairs(root)
    digests = set()
    for name in ("one.zip", "two.zip"):
        export(frames, root.parent / name, "rgb", "ignored")
        digests.add(hashlib.sha256((root.parent / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_labels_for_the_constructor_and_other_images(root: Path) -> None:
    for path in (root / "labels").iterdir():
        path.unlink()
    members = exported(root, "--images", "thermal", "--split", "val", "--ignore-label", "void")
    raw = json.loads((root.parent / "to.labels.json").read_text())
    assert [(entry["name"], entry["color"]) for entry in raw] == [
        ("robot", "#fa1e28"), ("stairs", "#0ac85a"), ("void", "#e0e0c0"),
    ]  # fmt: skip
    assert "void" not in members["labelmap.txt"].decode(), "no pixel of it"
    assert sorted(name for name in members if name.startswith("JPEG")) == [
        f"JPEGImages/{name}.png" for name in MFNET_NAMES["val"]
    ]
    picture = Image.open(io.BytesIO(members[f"JPEGImages/{MFNET_NAMES['val'][0]}.png"]))
    assert picture.mode == "L" and picture.size == (SIZE[1], SIZE[0]) and len(np.unique(np.array(picture))) > 50
    assert not any(name.startswith("Segmentation") for name in members), "nothing to correct yet"
    assert not any(name.startswith("JPEG") for name in exported(root, "--images", "none"))


CVAT_MAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nignored:9,9,9::\nstairs:1,2,3::\nrobot:200,0,0::\n"
CVAT_LABELS = read_labelmap(CVAT_MAP, "")


def cvat_mask(ids: np.ndarray, kind: str) -> bytes:
    """A mask of OWN's ids in the colours (or, grey, the places) of `CVAT_MAP`."""
    place = np.zeros(256, np.uint8)
    place[[0, 1, 2, IGNORE]] = (0, 3, 2, 1)
    if kind == "grey":
        return png(place[ids])
    colors = np.array([label.color for label in CVAT_LABELS], np.uint8)
    if kind == "rgb":
        return png(colors[place[ids]])
    image = Image.fromarray(place[ids])
    image.putpalette(colors.flatten().tolist() + [7] * (768 - colors.size))
    return png(image)


@pytest.mark.parametrize("kind", ["rgb", "index", "grey"])
@pytest.mark.parametrize("folder", ["", "task_7/"])
def test_what_cvat_writes_is_read_by_name(root: Path, kind: str, folder: str) -> None:
    new = {name: label_of(f"{name} corrected", 3) for name in NAMES}
    members: dict[str, bytes | str] = {f"{folder}labelmap.txt": CVAT_MAP}
    members |= {f"{folder}SegmentationClass/upload/{name}.png": cvat_mask(ids, kind) for name, ids in new.items()}
    members |= {f"{folder}ImageSets/Segmentation/train.txt": "".join(f"upload/{name}\n" for name in NAMES)}
    imported(root, members)
    for name, ids in new.items():
        np.testing.assert_array_equal(read_image(root / "labels" / f"{name}.png"), ids)


def test_frames_without_a_mask_are_as_asked_for(root: Path, capsys) -> None:
    (root / "labels" / f"{NAMES[1]}.png").rename(root / "labels" / f"{NAMES[1]}.tif")  # another type, same content
    before = (root / "labels" / f"{NAMES[1]}.tif").read_bytes()
    members: dict[str, bytes | str] = {
        "labelmap.txt": CVAT_MAP,
        f"SegmentationClass/{NAMES[0]}.png": cvat_mask(label_of("x", 3), "rgb"),
        "ImageSets/Segmentation/default.txt": f"{NAMES[0]}\n{NAMES[1]}\n",
    }
    with pytest.raises(SystemExit):
        imported(root, members)
    assert f"frame {NAMES[1]!r}: listed, but without a mask" in capsys.readouterr().err
    imported(root, members, "--empty", "skip")
    assert (root / "labels" / f"{NAMES[1]}.tif").read_bytes() == before
    assert "1 frames without a mask in the archive, left" in capsys.readouterr().out
    imported(root, members, "--empty", "background")
    assert "6 frames not in the archive, left as they were" in capsys.readouterr().out
    assert not (root / "labels" / f"{NAMES[1]}.tif").exists(), "else it would be a second label of the frame"
    assert (np.array(Image.open(root / "labels" / f"{NAMES[1]}.png")) == 0).all()


def test_commands_as_processes(root: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "sartm_core.labels", *words], capture_output=True, text=True)

    before = labels_in(root)
    path = str(root.parent / "to.zip")
    done = run("export", "--data", str(root), "--output", path)
    assert done.returncode == 0, done.stderr
    (root / "labels" / f"{NAMES[0]}.png").unlink()
    done = run("import", path, "--data", str(root))
    assert done.returncode == 0 and "8 labels written, 1 of them new or changed" in done.stdout, done.stderr
    np.testing.assert_array_equal(labels_in(root)[f"{NAMES[0]}.png"], before[f"{NAMES[0]}.png"])
    bad = run("import", str(root / "classes.yaml"), "--data", str(root))
    assert bad.returncode == 2 and "not a zip file" in bad.stderr and "Traceback" not in bad.stderr


def test_the_map_of_labels_is_checked_on_export(root: Path, capsys) -> None:
    cases = {
        "names: [a, 'b:c']": "class 'b:c'",
        "names: [a, background]": "class 1 is called 'background'",
        "names: [a, ignored]": "--ignore-label ignored: is the name of a class",
        "{names: [a, b], palette: [[1, 1, 1], [0, 0, 0]]}": "class 'b' is black",
    }
    for text, message in cases.items():
        (root / "classes.yaml").write_text(text)
        with pytest.raises(SystemExit) as stop:
            exported(root)
        assert stop.value.code == 2 and message in capsys.readouterr().err
    assert not list(root.parent.glob("*.zip*"))


def test_the_ignore_colour_is_free() -> None:
    taken = LabelSet(("a", "b", "c"), ((0, 0, 0), (224, 224, 192), bit_reversed_color(254)))
    assert own_labels(taken, "ignored")[-1] not in [Label("ignored", color) for color in taken.palette]


def test_a_broken_label_is_not_exported(root: Path, capsys) -> None:
    save(root / "labels" / f"{NAMES[0]}.png", np.full(SIZE, 7, np.uint8))
    with pytest.raises(SystemExit) as stop:
        exported(root)
    assert stop.value.code == 2 and f"labels/{NAMES[0]}.png: holds ids [7]" in capsys.readouterr().err
    assert not list(root.parent.glob("*.zip*"))


def test_an_archive_with_the_backslashes_of_windows_is_read(root: Path) -> None:
    """Some of Windows' own tools write them, against the format."""
    before, members = labels_in(root), exported(root)
    for path in (root / "labels").iterdir():
        path.unlink()
    imported(root, {name.replace("/", "\\"): data for name, data in members.items()})
    after = labels_in(root)
    assert after.keys() == before.keys() and all(np.array_equal(after[name], before[name]) for name in before)
