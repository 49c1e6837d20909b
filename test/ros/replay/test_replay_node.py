"""The replay node as a process, heard over real DDS."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from rclpy.signals import (
    SignalHandlerOptions,
    get_current_signal_handlers_options,
    install_signal_handlers,
    uninstall_signal_handlers,
)
from sensor_msgs.msg import Image

from sartm_ros.node.signals import quiet_end
from test.ros.processes import Domain, stamp_ns

pytestmark = pytest.mark.alone

RGB, THERMAL = "/sartm/rgb/image_raw", "/sartm/thermal/image_raw"
MODULE = "sartm_ros.replay_node"
HEIGHT, WIDTH = 24, 32


def parameters(**values: object) -> list[str]:
    return [part for name, value in values.items() for part in ("-p", f"{name}:={value}")]


def write_pairs(root: Path, count: int) -> None:
    """Folder of pairs whose pixels tell them apart: rgb = index, thermal = 1000 + index (16 bit)."""
    for kind in ("rgb", "thermal"):
        (root / kind).mkdir(parents=True)
    for index in range(count):
        Picture.fromarray(np.full((HEIGHT, WIDTH, 3), index, np.uint8)).save(root / "rgb" / f"{index:03d}.png")
        Picture.fromarray(np.full((HEIGHT // 2, WIDTH // 2), 1000 + index, np.uint16)).save(
            root / "thermal" / f"{index:03d}.png"
        )


def pixels(message: Image, dtype: type = np.uint8) -> np.ndarray:
    return np.frombuffer(message.data, dtype)


def test_every_pair_of_a_folder_once_with_one_stamp(domain: Domain, tmp_path: Path) -> None:
    write_pairs(tmp_path / "data", 8)
    args = parameters(source=tmp_path / "data", rate=20, wait_for_subscribers="true", rgb_frame_id="left")
    with domain.listener() as listener:
        rgb, thermal = listener.hear(RGB, Image), listener.hear(THERMAL, Image)
        with domain.process(MODULE, *args) as replay:
            listener.wait_for(lambda: len(rgb) == len(thermal) == 8)
            assert replay.wait() == 0
    assert [int(pixels(m)[0]) for m in rgb] == list(range(8))
    assert [int(pixels(m, np.uint16)[-1]) for m in thermal] == [1000 + i for i in range(8)]
    assert [stamp_ns(m) for m in rgb] == [stamp_ns(m) for m in thermal]
    assert (np.diff([stamp_ns(m) for m in rgb]) > 0).all()
    first, cold = rgb[0], thermal[0]
    assert (first.encoding, first.height, first.width, first.step) == ("rgb8", HEIGHT, WIDTH, WIDTH * 3)
    assert (cold.encoding, cold.height, cold.width, cold.step) == ("16UC1", HEIGHT // 2, WIDTH // 2, WIDTH)
    assert (first.header.frame_id, cold.header.frame_id) == ("left", "thermal_camera")
    assert "all 8 pairs published" in replay.output and "Traceback" not in replay.output


def test_mfnet_images_loop_until_ctrl_c(domain: Domain, tmp_path: Path) -> None:
    (tmp_path / "data" / "images").mkdir(parents=True)
    image = np.dstack([np.full((HEIGHT, WIDTH), v, np.uint8) for v in (10, 20, 30, 200)])
    Picture.fromarray(image).save(tmp_path / "data" / "images" / "00001D.png")
    with domain.listener() as listener:
        rgb, thermal = listener.hear(RGB, Image), listener.hear(THERMAL, Image)
        with domain.process(MODULE, *parameters(source=tmp_path / "data", rate=50, loop="true")) as replay:
            listener.wait_for(lambda: len(rgb) >= 5 and len(thermal) >= 5)
            assert replay.interrupt() == 0
    assert pixels(rgb[0])[:3].tolist() == [10, 20, 30]
    assert thermal[0].encoding == "mono8" and set(pixels(thermal[0]).tolist()) == {200}
    assert "Traceback" not in replay.output


def test_a_second_ctrl_c_while_it_ends_changes_nothing(domain: Domain) -> None:
    """Regression: a traceback and code -2. `ros2 launch` in a terminal sends two."""
    with domain.process(MODULE, *parameters(loop="true")) as replay:
        replay.wait_for(lambda: "replaying synthetic" in replay.output)
        for _ in range(8):  # the later ones come while the interpreter itself ends
            replay._process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        assert replay.wait() == 0
    assert "Traceback" not in replay.output and "ignored" not in replay.output, replay.output


def test_quiet_end_leaves_signals_as_they_were_and_other_threads_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    with quiet_end():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    seen = []

    def elsewhere() -> None:
        with quiet_end():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [before]


def test_rclpys_thread_for_signals_has_ended_when_executors_shut_down(request) -> None:
    """Regression: it looked at a guard condition that was being destroyed; a node died by signal 11 at Ctrl-C."""
    uninstall_signal_handlers()
    without = threads()
    request.addfinalizer(uninstall_signal_handlers)
    install_signal_handlers()
    rclpys = threads() - without
    assert get_current_signal_handlers_options() == SignalHandlerOptions.ALL and rclpys
    before = signal.getsignal(signal.SIGTERM)
    with quiet_end():
        assert not rclpys & threads()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.raise_signal(number)
    assert get_current_signal_handlers_options() == SignalHandlerOptions.NO
    assert signal.getsignal(signal.SIGTERM) is before


def threads() -> set[str]:
    """Native ones of this process."""
    return set(os.listdir("/proc/self/task"))


def test_rate_delay_and_jitter(domain: Domain, tmp_path: Path) -> None:
    write_pairs(tmp_path / "data", 2)
    args = parameters(source=tmp_path / "data", rate=20.0, loop="true", thermal_delay=0.01, thermal_jitter=0.02)
    with domain.listener() as listener:
        rgb, thermal = listener.hear(RGB, Image), listener.hear(THERMAL, Image)
        with domain.process(MODULE, *args):
            listener.wait_for(lambda: len(rgb) >= 30 and len(thermal) >= 30)
    period = np.median(np.diff([stamp_ns(m) for m in rgb[:30]])) / 1e9
    assert period == pytest.approx(0.05, rel=0.2)
    rgb_stamps = np.array([stamp_ns(m) for m in rgb])
    delays = []
    for stamp in (stamp_ns(m) for m in thermal):
        before = rgb_stamps[rgb_stamps <= stamp]
        if before.size:
            delays.append((stamp - before[-1]) / 1e9)
    assert np.quantile(delays, 0.1) >= 0.01  # one that a busy machine stamps after the next colour frame seems early
    assert 0.01 < np.median(delays) < 0.045
    assert np.ptp(delays) > 0.003


def test_synthetic_frames_of_full_size_arrive(domain: Domain) -> None:
    """Best-effort 640x480 colour between processes: what Fast DDS's own default loses without a word."""
    args = parameters(count=20, rate=10, conditions="[night]", thermal_encoding="32FC1", wait_for_subscribers="true")
    with domain.listener() as listener:
        rgb, thermal = listener.hear(RGB, Image), listener.hear(THERMAL, Image)
        with domain.process(MODULE, *args) as replay:
            listener.wait_for(lambda: len(rgb) >= 19 and len(thermal) >= 19)
            assert replay.wait() == 0
    assert {(m.width, m.height, m.encoding) for m in rgb} == {(640, 480, "rgb8")}
    assert {m.encoding for m in thermal} == {"32FC1"}
    assert 200 < pixels(thermal[0], np.float32).mean() < 400  # kelvin
    assert not np.array_equal(pixels(rgb[0]), pixels(rgb[-1]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": "/no/such/folder"}, "parameter source: '/no/such/folder' is no directory"),
        ({"source": "."}, "train/ and test/ with Visible/, Infrared/ and Label/"),
        ({"thermal_encoding": "bgr8"}, "thermal_encoding: got 'bgr8', expected one of"),
        ({"rate": 0.0}, "rate"),
        ({"rate": "fast"}, "rate"),
        ({"conditions": "[noon]"}, "noon"),
    ],
)
def test_wrong_parameters_end_with_a_reason(domain: Domain, values: dict[str, object], message: str) -> None:
    with domain.process(MODULE, *parameters(**values)) as replay:
        assert replay.wait() == 1
    assert message in replay.output and "Traceback" not in replay.output


def test_a_bad_params_file_ends_it_with_code_two_and_the_reason(domain: Domain, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("replay: [not, parameters\n")
    with domain.process(MODULE, "--params-file", str(bad)) as replay:
        assert replay.wait() == 2
    assert f"{bad}: not YAML" in replay.output
    assert "Traceback" not in replay.output
