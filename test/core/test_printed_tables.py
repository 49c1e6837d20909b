"""What commands print of names from outside is plain, and one line each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sartm_core.check_data.__main__ import main as check_data
from sartm_core.predict.summary import Result, as_text, failures
from test.core import layouts

EVIL = "a\x1b[2J\nfault    all: is lost"


def is_plain(text: str) -> bool:
    return "\x1b" not in text and "\nfault    all" not in text and "\\x1b[2J" in text


def test_predict_s_summary_and_failures() -> None:
    result = Result(("unlabeled", "car"), failed={EVIL: f"{EVIL}: no image", "b": "x" * 10**6}, notes=[EVIL])
    result.add("a", np.zeros((2, 2), np.uint8))
    assert is_plain(as_text(result)) and is_plain(failures(result)) and len(failures(result)) < 10**4


def test_check_data_s_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layouts.save(tmp_path / "rgb" / f"{EVIL}.png", layouts.rgb_of("00001"))
    (tmp_path / "thermal").mkdir()
    (tmp_path / "classes.yaml").write_text("names: [unlabeled, car]\n")
    check_data(["--data", str(tmp_path)])
    assert is_plain(capsys.readouterr().out)
