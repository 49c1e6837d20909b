"""`sartm browse`: labels of a data set as frames of the page, with what to filter by."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sartm_core.browse.__main__ import main
from sartm_core.browse.labels import ANY, CLASS, CONDITION, FAULT, NO_LABEL, SPLIT, UNREADABLE, Labels, read_findings
from sartm_core.check_data.__main__ import main as check_data
from sartm_core.support.classes import MFNET
from test.core.layouts import MFNET_NAMES, label_of, rgb_of, write_folder_with_classes, write_mfnet


def test_labels_lie_over_the_frames(tmp_path: Path) -> None:
    labels = Labels("mfnet", write_mfnet(tmp_path), None, {})
    name = MFNET_NAMES["val"][1]
    shown = labels.read(labels.names.index(name))
    assert shown.name == name and shown.error == ""
    np.testing.assert_array_equal(shown.rgb, rgb_of(name))
    np.testing.assert_array_equal(shown.mask, label_of(name, len(MFNET.names)))
    assert shown.classes == MFNET.names and shown.state == {"split": "val"}


def test_filters_by_class_split_and_day_or_night(tmp_path: Path) -> None:
    labels = Labels("mfnet", write_mfnet(tmp_path), None, {})
    tags = {kind: dict(zip(labels.names, values, strict=True)) for kind, values in labels.tags.items()}
    assert tags[SPLIT]["00001D"] == ["train"] and tags[SPLIT]["00007D"] == ["test"]
    assert tags[CONDITION]["00001D"] == ["day"] and tags[CONDITION]["00002N"] == ["night"]
    assert tags[CLASS]["00001D"] == [*MFNET.names[1:], "ignored"]
    assert tags[FAULT]["00001D"] == []
    only = Labels("mfnet", tmp_path, "val", {})
    assert only.names == ["00005D", "00006N"] and only.tags[SPLIT] == [["val"], ["val"]]


def test_findings_of_check_data_are_a_filter_and_told(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root, out = write_folder_with_classes(tmp_path / "data"), tmp_path / "checked"
    broken, missing = sorted((root / "labels").iterdir())[:2]
    broken.write_bytes(b"no picture")
    missing.unlink()
    assert check_data(["--data", str(root), "--output", str(out)]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"look at them: sartm browse {root} --findings {out / 'check_data.json'}"
    labels = Labels("folder", root, None, read_findings(out / "check_data.json", root))
    index = labels.names.index(broken.stem)
    assert ANY in labels.tags[FAULT][index] and len(labels.tags[FAULT][index]) == 2
    assert labels.tags[CLASS][index] == [UNREADABLE]
    assert labels.tags[CLASS][labels.names.index(missing.stem)] == [NO_LABEL]
    shown = labels.read(index)
    assert shown.mask is None and shown.rgb is not None and str(broken) in shown.error
    assert any("not a readable image" in told for told in shown.state.values())


def test_check_data_without_output_names_the_page_too(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = write_folder_with_classes(tmp_path)
    check_data(["--data", str(root)])
    assert capsys.readouterr().out.splitlines()[-1] == f"look at them: sartm browse {root}"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "nothing to show; give the folder of a data set"),
        (["{root}/nowhere"], "no such folder"),
        (["{root}", "--findings", "{root}/classes.yaml"], "classes.yaml: not the check_data.json of"),
        (["{root}", "--port", "70000"], "port: got 70000, expected 0 to 65535"),
        (["{root}", "--celsius", "0.01"], "celsius: got 1 numbers, expected two"),
        (["{root}", "--finding", "x"], "did you mean --findings?"),
    ],
)  # fmt: skip
def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture, arguments: list[str], text: str) -> None:
    root = write_folder_with_classes(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main([argument.format(root=root) for argument in arguments])
    assert ended.value.code == 2 and text in capsys.readouterr().err


def test_findings_of_another_shape_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "check_data.json"
    path.write_text(json.dumps({"findings": [{"level": "fault"}]}))
    with pytest.raises(ValueError, match="check_data.json: not the check_data.json of"):
        read_findings(path, tmp_path)
