"""Cameras given the wrong way round are noticed wherever files come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sartm_core.check_data import __main__ as check_data
from sartm_core.data.config import DataConfig
from sartm_core.data.swapped import false_color, swapped_cameras
from sartm_core.predict.config import PredictConfig
from sartm_core.predict.sources import open_source
from test.core.layouts import rgb_of, save, thermal_of, write_folder_with_classes

NAMES = ("a", "b")


def files(root: Path, swapped: bool) -> list[tuple[Path, Path]]:
    """Two pairs; swapped ones hold heat in three equal channels under rgb/ and colours under thermal/."""
    for name in NAMES:
        pictures = rgb_of(name), np.dstack([thermal_of(name)] * 3)
        for kind, picture in zip(("rgb", "thermal"), reversed(pictures) if swapped else pictures, strict=True):
            (root / kind).mkdir(parents=True, exist_ok=True)
            save(root / kind / f"{name}.png", picture)
    return [(root / "rgb" / f"{name}.png", root / "thermal" / f"{name}.png") for name in NAMES]


def test_swapped_cameras_are_told_and_others_are_not(tmp_path: Path) -> None:
    assert "are the two cameras swapped?" in swapped_cameras(files(tmp_path / "swapped", True))
    right = files(tmp_path / "right", False)
    assert swapped_cameras(right) == ""
    Image.open(right[0][0]).convert("L").save(right[0][0])  # a grey frame at night, heat in colours: no proof
    save(right[0][1], rgb_of("c"))
    assert swapped_cameras(right) == ""
    assert swapped_cameras([(right[0][0], None)]) == swapped_cameras([]) == ""
    assert swapped_cameras([(right[0][0], right[0][0])]) == "", "MFNet keeps both in one file"


def test_files_that_cannot_be_read_are_told_of_elsewhere(tmp_path: Path) -> None:
    pairs = files(tmp_path, True)
    pairs[0][0].write_bytes(b"nothing")
    assert swapped_cameras(pairs) == ""


def test_predict_refuses_them(tmp_path: Path) -> None:
    files(tmp_path, True)
    config = PredictConfig(rgb=str(tmp_path / "rgb"), thermal=str(tmp_path / "thermal"))
    with pytest.raises(ValueError, match=r"swapped\? Give --rgb the colour camera"):
        open_source(config)


def test_check_data_and_the_trainer_refuse_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setup = pytest.importorskip("sartm_core.train.setup", reason="no lightning here: pip install '.[train]'")
    from sartm_core.train.config import TrainConfig

    root = write_folder_with_classes(tmp_path)
    for rgb in sorted((root / "rgb").iterdir()):
        thermal = next((root / "thermal").glob(f"{rgb.stem}.*"))
        save(rgb, np.dstack([thermal_of(rgb.stem)] * 3))
        save(thermal, rgb_of(rgb.stem))
    assert check_data.main(["--dataset", "folder", "--data", str(root)]) == 1
    faults = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fault")]
    assert len(faults) == 1 and "swapped?" in faults[0]
    with pytest.raises(ValueError, match=r"swapped\?"):
        setup.check_inputs(TrainConfig(sam2="x.pt", data=DataConfig(dataset="folder", root=str(root))))


def test_a_thermal_camera_in_colour_is_doubted(tmp_path: Path) -> None:
    right = files(tmp_path, False)
    assert false_color(right) == false_color([(right[0][0], None)]) == false_color([]) == ""
    colors = [(rgb, rgb) for rgb, _ in right]
    assert "is in colour, and the same file as for rgb: of thermal pictures only the first channel" in false_color(
        colors
    )
    assert "is in colour: of" in false_color([(None, rgb) for rgb, _ in right])
    assert false_color([(None, colors[0][0]), right[1]]) == "", "one of them is no proof"
    four = tmp_path / "four.png"
    Image.fromarray(np.dstack([rgb_of("a"), thermal_of("a")])).save(four)
    assert false_color([(four, four)]) == "", "MFNet keeps both in one file"


def test_predict_notes_it(tmp_path: Path) -> None:
    folder = str(files(tmp_path, False)[0][0].parent)
    assert "only the first channel" in open_source(PredictConfig(rgb=folder, thermal=folder)).notes[0]
