"""`sartm view BAG`: every pair of a recording by its number, with the masks `sartm bag segment` would write."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("aiohttp", reason="no aiohttp here: pip install '.[view]'")
pytest.importorskip("rosbags", reason="no rosbags here: pip install '.[tools]'")

from sartm_core.view.model import Masks
from sartm_core.view.source import Listed, Live
from sartm_ros.bags.folder import is_recording
from sartm_ros.view import Config, main, open_source
from test.ros.bag_files import PERIOD_S, drive, record, scene, write_params


def opened(bag: Path, folder: Path) -> AbstractContextManager[Listed | Live]:
    params = write_params(folder / "p.yaml", **{"thermal.crop_top": 4})
    config = Config(engine="torch", precision="fp32", device="cpu", params=str(params))
    return open_source(bag, config, Masks(config))


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_pairs_by_number_in_any_order(tmp_path: Path, storage: str) -> None:
    bag = record(tmp_path / "drive", drive(4, compressed=False), storage)
    assert is_recording(bag)
    with opened(bag, tmp_path) as recording:
        assert isinstance(recording, Listed) and len(recording.names) == 4 and recording.title == str(bag)
        assert recording.rate == pytest.approx(1 / PERIOD_S, rel=0.4)
        for index in (3, 0, 2, 2):
            shown, (rgb, thermal) = recording.read(index), scene(index)
            np.testing.assert_array_equal(shown.rgb, rgb)
            np.testing.assert_array_equal(shown.thermal, thermal[4:])  # cut as the parameter file says
            assert shown.mask is not None and shown.mask.shape == rgb.shape[:2] == shown.confidence.shape
            assert "+4.0 ms" in shown.state["thermal"]


def test_a_bag_without_pairs_says_why(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    bag = record(tmp_path / "drive", drive(4, skew_s=3.0))
    with pytest.raises(SystemExit) as ended:
        main([str(bag), "--engine", "torch", "--precision", "fp32", "--port", "0"])
    assert ended.value.code == 2 and "no pairs within" in capsys.readouterr().err


def test_what_is_neither_folder_nor_bag_is_told(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path)])
    assert ended.value.code == 2 and "holds nothing; expected" in capsys.readouterr().err
