"""From a command line to a page: what it prints, how it ends, what it refuses; and the frames of a folder."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sartm_core.browse.__main__ import main as browse
from sartm_core.view.config import ViewConfig
from sartm_core.view.folder import KELVIN_STEP, ZERO_CELSIUS, open_frames
from sartm_ros.view import main as view
from test.core.layouts import rgb_of, thermal_of, write_folder_with_classes
from test.core.view.pages import FakeMasks, unpack

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_page_from_start_to_end(tmp_path: Path, sign: signal.Signals) -> None:
    root = write_folder_with_classes(tmp_path)
    command = [sys.executable, "-m", "sartm_core", "browse", str(root), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            line = process.stdout.readline()
            address, _, rest = line.removeprefix(f"browse: {root}: ").partition("   ")
            found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/", address)
            assert found and rest == "(Ctrl-C ends)\n", line + process.stderr.read()
            connection = http.client.HTTPConnection("127.0.0.1", int(found[1]))
            connection.request("GET", "/about")
            about = json.loads(connection.getresponse().read())
            connection.request("GET", "/frame/1")
            head = unpack(connection.getresponse().read())
            assert head["name"] == about["names"][1] and head["mask"].shape == (48, 64)
            process.send_signal(sign)
            assert process.wait() == 0 and process.stderr.read() == ""
        finally:
            process.kill()


def stopped(main: Any, capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """The error of a command that does not start."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_a_port_in_use_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = write_folder_with_classes(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"--host 127.0.0.1 --port {port}: " in stopped(browse, capsys, root, "--port", port)


def test_without_aiohttp_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    assert 'pip install "sartm_ros[view]"' in stopped(browse, capsys, write_folder_with_classes(tmp_path))


def test_without_ros_it_says_what_works_without(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rclpy", None)
    monkeypatch.delitem(sys.modules, "sartm_ros.viewing.live", raising=False)
    assert "without ROS: sartm view DIR" in stopped(view, capsys)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["{root}", "--synthetic"], "give one or the other"),
        (["--synthetic", "--rgb", "a.png"], "synthetic: given with rgb or thermal"),
        (["{root}", "--rgb", "a.png"], "give one or the other"),
        (["{root}", "--threshold", "2"], "threshold: got 2.0, expected 0..1"),
        (["{root}", "--split", "night"], "night.txt: no such file"),
    ],
)  # fmt: skip
def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture, arguments: list[str], text: str) -> None:
    root = write_folder_with_classes(tmp_path)
    assert text in stopped(view, capsys, *(argument.format(root=root) for argument in arguments))


def test_frames_of_a_folder_by_number(tmp_path: Path) -> None:
    root, masks = write_folder_with_classes(tmp_path, bits=16), FakeMasks()
    folder = open_frames(ViewConfig(split="val"), root, masks)  # type: ignore[arg-type]
    assert folder.names == ["00005D", "00006N"] and folder.title == str(root)
    shown = folder.read(1)
    np.testing.assert_array_equal(shown.rgb, rgb_of("00006N"))
    np.testing.assert_array_equal(shown.thermal, thermal_of("00006N", bits=16))
    alone = open_frames(ViewConfig(thermal=str(root / "thermal")), None, masks)  # type: ignore[arg-type]
    assert alone.read(0).rgb is None and len(alone.names) == 8


def test_synthetic_scenes_are_warm() -> None:
    shown = open_frames(ViewConfig(synthetic=True), None, FakeMasks()).read(3)  # type: ignore[arg-type]
    assert shown.thermal is not None and shown.thermal.dtype == np.uint16
    assert -30 < shown.thermal.mean() * KELVIN_STEP + ZERO_CELSIUS < 40


def test_a_page_of_a_node_needs_no_torch() -> None:
    code = "import sys, sartm_ros.view, sartm_ros.viewing.assembly, sartm_core.view.server"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ).returncode == 0
