"""The measurement of the automatic match: its random cameras, its counts, its usage."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("skimage", reason="no scikit-image here: pip install scikit-image")
from sartm_core.preprocess.homography import project
from sartm_ros.calibration import selftest
from sartm_ros.calibration.coarse import corners
from sartm_ros.calibration.selftest import Trial, random_camera, summary


def test_random_cameras_look_into_the_rgb_frame() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        matrix = random_camera(rng, (640, 480))
        seen = project(matrix, corners((320, 256)))
        assert 0.55 * 640 < np.ptp(seen[:, 0]) < 1.15 * 640
        assert np.abs(seen.mean(axis=0) - (320, 240)).max() < 0.1 * 640


def test_summary_counts_accepted_trials_by_both_errors() -> None:
    trials = [Trial("", True), Trial("", False, 2.0, 1.0), Trial("", False, 5.0, 2.0), Trial("", False, 50.0, 40.0)]
    text = summary("right", trials, 1.0)
    assert "4 trials, 3 accepted" in text
    assert "within 3 px 1 (files) 2 (cameras)" in text and "within 6 px 2 (files) 2 (cameras)" in text
    assert summary("unrelated", trials[:1], 1.0) == "unrelated: 1 trials, 0 accepted"


def test_too_few_pairs_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for kind in ("rgb", "thermal"):
        (tmp_path / kind).mkdir()
        Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / kind / "a.png")
    for folder, said in ((tmp_path, "1 pairs are too few; expected at least 3"), (tmp_path / "rgb", "rgb")):
        with pytest.raises(SystemExit) as stop:
            selftest.main(["--data", str(folder)])
        assert stop.value.code == 1 and said in capsys.readouterr().err
