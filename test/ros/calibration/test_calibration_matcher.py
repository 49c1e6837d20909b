"""`sartm calibrate --matcher`: points by somebody else's function."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("skimage", reason="no scikit-image here: pip install scikit-image")
from sartm_core.preprocess.homography import project
from sartm_ros import calibrate
from sartm_ros.calibration.matcher import named
from sartm_ros.calibration.needs import CalibrationError

TRUE = np.array([[1.6, 0, 10], [0, 1.6, 6], [0, 0, 1.0]])
MODULE = f"""
import numpy as np

def match(rgb, thermal):
    assert rgb.shape == (240, 320, 3) and rgb.dtype == np.uint8 and thermal.shape == (128, 160)
    rng = np.random.default_rng(int(thermal[0, 0]))
    there = rng.uniform((0, 0), (159, 127), (80, 2))
    here = there @ np.array({TRUE[:2, :2].T.tolist()}) + {TRUE[:2, 2].tolist()} + rng.normal(0, 0.5, (80, 2))
    here[::5] += 60  # one of five is wrong
    return np.hstack([here, there])

def short(rgb, thermal):
    return np.zeros((5, 3))

NUMBER = 3
"""


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two pairs of frames; the module lies in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "matcher_of_mine.py").write_text(MODULE)
    rng = np.random.default_rng(0)
    for i in range(2):
        np.save(tmp_path / f"rgb{i}.npy", rng.integers(0, 255, (240, 320, 3), np.uint8))
        np.save(tmp_path / f"thermal{i}.npy", rng.integers(0, 60000, (128, 160), np.uint16))
    return ["--rgb", "rgb0.npy", "rgb1.npy", "--thermal", "thermal0.npy", "thermal1.npy", "--output", "out"]


def test_its_points_become_the_registration(options, tmp_path) -> None:
    assert calibrate.main([*options, "--matcher", "matcher_of_mine:match"]) == 0
    result = json.loads((tmp_path / "out" / "registration.json").read_text())
    assert result["method"] == "matcher" and result["quality"]["points"] == 160
    text = (tmp_path / "out" / "registration.yaml").read_text()
    values = yaml.safe_load(text)["/**/segment"]["ros__parameters"]["registration"]
    corners = np.array([[0, 0], [160, 128]])
    found = project(np.array(values["homography"]).reshape(3, 3), corners)
    np.testing.assert_allclose(found, project(TRUE, corners), atol=1)
    assert "of 160 matches" in text


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("matcher_of_mine", "expected MODULE:FUNCTION"),
        ("no_such_module_here:match", "No module named"),
        ("matcher_of_mine:missing", "no attribute 'missing'"),
        ("matcher_of_mine:NUMBER", "got a int, expected a function"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(name: str, reason: str, options) -> None:
    with pytest.raises(CalibrationError, match=reason):
        named(name)


def test_points_of_another_shape_are_refused(options, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        calibrate.main([*options, "--matcher", "matcher_of_mine:short"])
    assert stop.value.code == 1
    assert "got (5, 3) for rgb0, expected (N, 4) finite numbers" in capsys.readouterr().err
