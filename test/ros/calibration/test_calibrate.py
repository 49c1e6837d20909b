"""`sartm calibrate`: what it reads, writes, refuses; exit codes."""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

pytest.importorskip("skimage", reason="no scikit-image here: pip install scikit-image")
from sartm_core.preprocess.homography import project
from sartm_core.support.visualize import caption_height
from sartm_core.synthetic import SceneConfig, render_scene
from sartm_ros import calibrate
from sartm_ros.calibration import needs
from sartm_ros.calibration.overlay import as_bytes

ROOT = Path(__file__).resolve().parents[3]
TRUE = np.array([[1.6, 0, 10], [0, 1.6, 6], [0, 0, 1.0]])
W, H, w, h = 320, 240, 160, 128
HEADER = "rgb_x,rgb_y,thermal_x,thermal_y"


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    """Options that name a colour and a 16-bit thermal file."""
    scene = render_scene(3, SceneConfig(height=H, width=W))
    Image.fromarray(scene.rgb).save(tmp_path / "rgb.png")
    counts = (scene.kelvin[:h, :w] * 100).astype(np.uint16)
    Image.fromarray(counts).save(tmp_path / "thermal.png")
    return ["--rgb", str(tmp_path / "rgb.png"), "--thermal", str(tmp_path / "thermal.png")]


def write_points(path: Path, matrix: np.ndarray = TRUE, count: int = 12, noise: float = 0.3) -> list[str]:
    rng = np.random.default_rng(0)
    thermal = rng.uniform((0, 0), (w - 1, h - 1), (count, 2))
    rgb = np.clip(project(matrix, thermal) + rng.normal(0, noise, (count, 2)), 0, (W - 1, H - 1))
    lines = [",".join(f"{v:.2f}" for v in (*a, *b)) for a, b in zip(rgb, thermal, strict=True)]
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return ["--points", str(path)]


def run(*options: object) -> int:
    try:
        return calibrate.main([str(option) for option in options])
    except SystemExit as stop:
        if stop.code == 2:  # wrong usage
            raise
        return int(stop.code or 0)


def test_picked_points_become_the_nodes_parameters(pair, tmp_path, capsys) -> None:
    from sartm_ros.node.parameters import BY_NAME

    out = tmp_path / "out"
    assert run(*pair, *write_points(tmp_path / "p.csv"), "--output", out) == 0
    text = (out / "registration.yaml").read_text()
    values = yaml.safe_load(text)["/**/segment"]["ros__parameters"]["registration"]
    matrix = np.array(values["homography"]).reshape(3, 3)
    np.testing.assert_allclose(
        project(matrix, np.array([[0, 0], [w, h]])), project(TRUE, np.array([[0, 0], [w, h]])), atol=1
    )
    assert (values["mode"], values["thermal_size"], values["rgb_size"]) == ("homography", [w, h], [W, H])
    assert all(f"registration.{name}" in BY_NAME for name in values)
    assert all(isinstance(v, float) for v in values["homography"])
    assert all(part in text for part in ("px RMS", "leave-out", "UTC", "sartm calibrate --rgb", "rgb, "))
    result = json.loads((out / "registration.json").read_text())
    assert result["model"] == "scale_shift" and result["registration"] == values and result["method"] == "points"
    assert 0.1 < result["quality"]["rms"] < 0.7 and result["quality"]["inliers"] == 12
    assert Image.open(out / "overlay.png").size == (W * 3, H + caption_height(H))
    assert {p.name for p in out.iterdir()} == {"registration.yaml", "registration.json", "overlay.png"}
    assert "look at" in capsys.readouterr().out


def test_the_parameter_file_is_understood_by_ros(pair, tmp_path) -> None:
    """rcl's own YAML parser, which is stricter than PyYAML: no list of integers and floats."""
    rclpy = pytest.importorskip("rclpy", reason="no ROS 2 here")
    tilted = np.array([[1.6, 0.02, 10], [0.01, 1.6, 6], [1e-5, -2e-5, 1.0]])
    options = write_points(tmp_path / "p.csv", tilted, count=40, noise=0.02)
    assert run(*pair, *options, "--model", "homography", "--output", tmp_path / "out") == 0
    path = tmp_path / "out" / "registration.yaml"
    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        node = rclpy.create_node(
            "segment", namespace="sartm", context=context, automatically_declare_parameters_from_overrides=True,
            cli_args=["--ros-args", "--params-file", str(path)],
        )  # fmt: skip
        matrix = np.array(node.get_parameter("registration.homography").value).reshape(3, 3)
        assert list(node.get_parameter("registration.thermal_size").value) == [w, h]
        node.destroy_node()
    finally:
        rclpy.shutdown(context=context)
    np.testing.assert_allclose(matrix, tilted, rtol=0.05, atol=0.5)
    assert abs(matrix[2, 0]) > 1e-6


def test_points_that_do_not_agree_are_refused_and_leave_the_old_file(pair, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    assert run(*pair, *write_points(tmp_path / "p.csv"), "--output", out) == 0
    before = (out / "registration.yaml").read_bytes()
    assert run(*pair, *write_points(tmp_path / "bad.csv", noise=60.0), "--output", out) == 1
    assert (out / "registration.yaml").read_bytes() == before
    assert "calibrate: no" in capsys.readouterr().err


def test_unrelated_frames_are_refused_and_picking_is_suggested(tmp_path, capsys) -> None:
    config = SceneConfig(height=120, width=160)
    for seed, name in ((1, "rgb"), (8, "thermal")):
        scene = render_scene(seed, config)
        np.save(tmp_path / f"{name}.npy", scene.rgb if name == "rgb" else scene.kelvin)
    options = ["--rgb", tmp_path / "rgb.npy", "--thermal", tmp_path / "thermal.npy", "--output", tmp_path / "out"]
    assert run(*options) == 1
    assert "--pick" in (error := capsys.readouterr().err) and "Nothing was written" in error
    assert not (tmp_path / "out" / "registration.yaml").exists()


def test_pick_page_holds_the_frames_pixel_by_pixel(pair, tmp_path) -> None:
    assert run(*pair, "--pick", tmp_path / "pick.html") == 0
    page = (tmp_path / "pick.html").read_text()
    frames = json.loads(re.search(r"const FRAMES = (\[.*\]);", page).group(1))
    images = {k: _decode(frames[0][k]) for k in ("rgb", "thermal")}
    np.testing.assert_array_equal(images["rgb"], np.array(Image.open(tmp_path / "rgb.png")))
    np.testing.assert_array_equal(images["thermal"], as_bytes(np.array(Image.open(tmp_path / "thermal.png"))))
    assert HEADER in page and not re.search(r"(src|href)=.http", page)
    if shutil.which("node"):
        (tmp_path / "page.js").write_text(page.split("<script>")[1].split("</script>")[0])
        subprocess.run(["node", "--check", str(tmp_path / "page.js")], check=True)


def _decode(url: str) -> np.ndarray:
    import io

    return np.array(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no points"),
        (f"{HEADER}\n", "holds no points"),
        ("x,y\n1,2\n", "column rgb_x is missing"),
        (f"{HEADER}\n1,2,3\n", "line 2: expected four numbers"),
        (f"{HEADER}\n1,2,3,4\n1,2,3,nan\n", "line 3: expected four finite numbers"),
        (f"{HEADER}\n1,2,3,4\n1,999,3,4\n", "line 3: rgb point [1.0, 999.0] is outside the 320x240 frame"),
        (f"{HEADER}\n1,2,3,4\n5,6,7,8\n", "no model fits"),
    ],
)
def test_unusable_points_are_named(pair, tmp_path, capsys, text: str, reason: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    assert run(*pair, "--points", tmp_path / "p.csv", "--output", tmp_path / "out") == 1
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "out" / "registration.yaml").exists()


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--rgb", "a.png"],
        ["--data", "/no/such/folder"],
        ["--topics", "--data", "."],
        ["--data", ".", "--frames", "0"],
        ["--data", ".", "--auto", "--points", "p.csv"],
        ["--data", ".", "--ros-args", "-r", "a:=b"],
        ["--topics", "--nam", "x"],
        ["--topics", "--timeout", "0"],
        ["--rgb", "a", "--thermal", "b", "--thermal-crop", "0", "0", "0", "-1"],
    ],
)
def test_wrong_usage_is_exit_code_2(options: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        run(*options)
    assert stop.value.code == 2 and "error" in capsys.readouterr().err


def test_unusable_frames_are_named(tmp_path, capsys) -> None:
    np.save(tmp_path / "flat.npy", np.full((64, 64), 300.0, np.float32))
    np.save(tmp_path / "rgb.npy", np.zeros((64, 64, 3), np.float32))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / "rgb.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    for rgb, thermal, reason in (
        ("rgb.png", "flat.npy", "one value everywhere"),
        ("rgb.npy", "flat.npy", "expected (H, W, 3) uint8"),
        ("broken.png", "flat.npy", "broken.png"),
        ("rgb.png", "none.npy", "none.npy"),
    ):
        assert run("--rgb", tmp_path / rgb, "--thermal", tmp_path / thermal, "--output", tmp_path / "out") == 1
        assert reason in capsys.readouterr().err


def test_crop_is_that_of_the_node(pair, tmp_path) -> None:
    options = [*write_points(tmp_path / "p.csv", count=8), "--thermal-crop", "0", "0", "0", "0"]
    assert run(*pair, *options, "--output", tmp_path / "out") == 0
    cropped = write_points(tmp_path / "p.csv") + ["--thermal-crop", "4", "6", "0", "0"]
    assert run(*pair, *cropped, "--output", tmp_path / "out") in (0, 1)  # points below the cut may be outside now
    (tmp_path / "q.csv").write_text(f"{HEADER}\n1,2,3,{h - 5}\n")
    assert run(*pair, "--points", tmp_path / "q.csv", *cropped[2:], "--output", tmp_path / "out") == 1


def test_missing_library_is_named(pair, monkeypatch, capsys, tmp_path) -> None:
    def absent(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(needs.importlib, "import_module", absent)
    assert run(*pair, "--output", tmp_path / "out") == 1
    assert "pip install scikit-image" in capsys.readouterr().err


def test_ros_arguments_are_taken_out() -> None:
    assert calibrate.split_ros_args(["--topics", "--ros-args", "-r", "a:=b", "--", "--frames", "3"]) == (
        ["--topics", "--frames", "3"],
        ["-r", "a:=b"],
    )
    assert calibrate.split_ros_args(["--topics"]) == (["--topics"], [])


def test_help_needs_no_library_and_names_every_option() -> None:
    text = calibrate.make_parser().format_help()
    for option in ("--rgb", "--thermal", "--data", "--topics", "--auto", "--points", "--pick", "--model", "--output"):
        assert option in text


def test_ctrl_c_is_quiet(pair, tmp_path) -> None:
    command = [sys.executable, "-m", "sartm_ros.calibrate", *pair, "--output", str(tmp_path / "out")]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    )
    while not (tmp_path / "out").exists():  # made when everything is imported and the matching starts
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in error and "interrupted" in error


def test_a_target_without_opencv_says_what_to_install(pair, capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert run(*pair, "--target", "chessboard:9x6:0.03") == 1
    assert "pip install opencv-python-headless" in capsys.readouterr().err


def test_one_method_at_a_time(pair, capsys) -> None:
    for options in (["--target", "chessboard:9x6:0.03", "--matcher", "a:b"], ["--distance", "3"]):
        with pytest.raises(SystemExit) as stop:
            run(*pair, *options)
        assert stop.value.code == 2
    assert "--distance 3: goes with --target" in capsys.readouterr().err
