"""The segment node over real DDS: cameras in, masks out, and everything that goes wrong in between."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed: pip install '.[ros]'")
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from sartm_ros import segment_node, transport  # noqa: E402
from sartm_ros.parameters import SPECS, ParameterError  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 15.0
RELIABLE = QoSProfile(depth=10)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
H, W = 48, 64


class FakeSegmenter:
    """The interface of sartm_core.segmenter.Segmenter without a network: class 1 everywhere but in one corner."""

    classes = ("unlabeled", "car")
    palette = ((0, 0, 0), (64, 0, 128))

    def __init__(self, name="fake", gate=None):
        self.name = name
        self.gate = gate
        self.calls = []

    def __call__(self, rgb, thermal, *, confidence_threshold=0.0):
        self.calls.append((rgb, thermal))
        if self.gate is not None:
            self.gate.wait(DEADLINE_S)
        frame = rgb if rgb is not None else thermal
        mask = np.ones(frame.shape[:2], np.uint8)
        mask[0, 0] = 255 if confidence_threshold > 0.5 else 0
        confidence = np.full(mask.shape, 200, np.uint8)
        return SimpleNamespace(mask=mask, confidence=confidence, timing={"forward": 1.0})


class Logs:
    """What a node logged, taken at its logger."""

    def __init__(self, node, monkeypatch):
        self.lines = []
        logger = node.get_logger()
        for level in ("info", "warning", "error"):
            monkeypatch.setattr(logger, level, lambda text, _level=level, **_: self.lines.append(f"{_level}: {text}"))

    def having(self, *parts):
        return [line for line in self.lines if all(part in line for part in parts)]


class Rig:
    """One domain with the node under test and a node that plays both cameras and listens."""

    def __init__(
        self, monkeypatch, load=None, parameters=None, qos=qos_profile_sensor_data, cameras=("rgb", "thermal")
    ):
        self.context = rclpy.Context()
        self.domain = new_domain()
        rclpy.init(context=self.context, domain_id=self.domain)
        self.fake = FakeSegmenter()
        self.executor = SingleThreadedExecutor(context=self.context)
        overrides = [Parameter(name, value=value) for name, value in (parameters or {}).items()]
        self.peer = rclpy.create_node("peer", context=self.context)
        self.node = None
        self.node = segment_node.SegmentNode(
            load or (lambda values: self.fake), context=self.context, parameter_overrides=overrides
        )
        self.logs = Logs(self.node, monkeypatch)
        self.masks, self.states, self.diagnostics = [], [], []
        self.peer.create_subscription(Image, "/sartm/semantic_mask", self.masks.append, RELIABLE)
        self.peer.create_subscription(String, "/sartm/state", lambda m: self.states.append(m.data), LATCHED)
        self.peer.create_subscription(DiagnosticArray, "/diagnostics", self.diagnostics.append, RELIABLE)
        self.executor.add_node(self.peer)
        self.executor.add_node(self.node)
        self.publishers = {}
        for stream in cameras:
            self.plug(stream, qos)
        self.clock_ns = 1_000_000_000_000

    def plug(self, stream, qos=qos_profile_sensor_data, kind=Image):
        self.publishers[stream] = self.peer.create_publisher(kind, f"/sartm/{stream}/image_raw", qos)

    def unplug(self, stream):
        self.peer.destroy_publisher(self.publishers.pop(stream))

    def until(self, condition, what, seconds=DEADLINE_S):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}; log: {self.logs.lines}"
            self.executor.spin_once(timeout_sec=0.01)

    def ready(self):
        """Wait until everybody knows everybody."""
        self.until(
            lambda: (
                self.node.outputs.subscribers() >= 1
                and self.node.cameras
                and all(p.get_subscription_count() for p in self.publishers.values())
            ),
            "discovery",
        )

    def image(self, array, encoding, frame_id, stamp_ns):
        message = Image(height=array.shape[0], width=array.shape[1], encoding=encoding)
        message.step = array.shape[1] * array.itemsize * (array.shape[2] if array.ndim == 3 else 1)
        message.header.frame_id = frame_id
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
        message.data.frombytes(np.ascontiguousarray(array).tobytes())
        return message

    def rgb(self, skew_ns=0):
        return self.image(np.full((H, W, 3), 100, np.uint8), "bgr8", "rgb_optical", self.clock_ns + skew_ns)

    def thermal(self, array=None, encoding="16UC1"):
        array = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30) if array is None else array
        return self.image(array, encoding, "thermal_optical", self.clock_ns)

    def send(self, rgb=True, thermal=True):
        """Publish one frame of each plugged camera (or the given messages) and let 50 ms of stamps pass."""
        self.clock_ns += 50_000_000
        for stream, what, default in (("rgb", rgb, self.rgb), ("thermal", thermal, self.thermal)):
            if what and stream in self.publishers:
                self.publishers[stream].publish(default() if what is True else what)

    def stream_until(self, condition, what, seconds=DEADLINE_S, period=0.05, **kwargs):
        """Send frames at a steady rate while waiting."""
        following = [0.0]

        def step():
            if time.monotonic() >= following[0]:
                following[0] = time.monotonic() + period
                self.send(**kwargs)
            return condition()

        self.until(step, what, seconds)

    def masks_after(self, count, what="masks", **kwargs):
        start = len(self.masks)
        self.stream_until(lambda: len(self.masks) >= start + count, what, **kwargs)
        return self.masks[start:]

    def numbers(self):
        return {v.key: v.value for v in self.diagnostics[-1].status[0].values}

    def close(self):
        self.executor.shutdown()
        if self.node is not None:
            self.node.stop_work()
            self.node.destroy_node()
        self.peer.destroy_node()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def rig(monkeypatch):
    made = []

    def make(**kwargs):
        made.append(Rig(monkeypatch, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_masks_carry_the_rgb_header_size_and_encoding(rig):
    r = rig()
    r.ready()
    overlays, confidences, classes = [], [], []
    r.peer.create_subscription(Image, "/sartm/overlay", overlays.append, RELIABLE)
    r.peer.create_subscription(Image, "/sartm/confidence", confidences.append, RELIABLE)
    r.peer.create_subscription(String, "/sartm/classes", classes.append, LATCHED)
    sent = []
    original = r.rgb
    r.rgb = lambda: sent.append(original()) or sent[-1]
    r.stream_until(lambda: r.masks and overlays and confidences and classes, "all outputs")
    stamps = {(m.header.stamp.sec, m.header.stamp.nanosec) for m in sent}
    for message in (*r.masks, *confidences, *overlays):
        assert message.header.frame_id == "rgb_optical"
        assert (message.header.stamp.sec, message.header.stamp.nanosec) in stamps
        assert (message.height, message.width) == (H, W)
    assert (r.masks[0].encoding, r.masks[0].step) == ("mono8", W)
    assert confidences[0].encoding == "mono8" and set(confidences[0].data) == {200}
    assert (overlays[0].encoding, overlays[0].step) == ("rgb8", W * 3)
    assert set(r.masks[0].data) == {0, 1}
    described = json.loads(classes[0].data)
    assert [c["name"] for c in described["classes"]] == ["unlabeled", "car"]
    rgb, thermal = r.fake.calls[0]
    assert rgb.shape == (H, W, 3) and thermal.shape == (20, 30) and thermal.dtype == np.uint16


@pytest.mark.parametrize(
    ("array", "encoding", "dtype"),
    [
        (np.full((20, 30), 3000, np.uint16), "mono16", np.uint16),
        (np.full((60, 80), 293.5, np.float32), "32FC1", np.float32),
        (np.full((20, 30), 7, np.uint8), "mono8", np.uint8),
    ],
)
def test_thermal_encodings_reach_the_model_as_they_are(rig, array, encoding, dtype):
    r = rig()
    r.ready()
    original = r.thermal
    r.thermal = lambda: original(array, encoding)
    r.masks_after(1)
    thermal = r.fake.calls[-1][1]
    assert thermal.dtype == dtype and np.array_equal(thermal, array)


def test_thermal_scale_and_offset_give_float(rig):
    r = rig(parameters={"thermal.scale": 0.01, "thermal.offset": -273.15})
    r.ready()
    r.masks_after(1)
    thermal = r.fake.calls[-1][1]
    assert thermal.dtype == np.float32 and thermal[0, 0] == pytest.approx(-273.15, abs=1e-3)


def test_garbage_is_refused_by_name_and_masks_go_on(rig):
    r = rig(parameters={"degraded.timeout": 30.0})
    r.ready()
    r.masks_after(1)
    zero = r.rgb()
    zero.width = 0
    step = r.rgb()
    step.step = 3
    encoding = r.rgb()
    encoding.encoding = "bayer_nonsense"
    short = r.rgb()
    del short.data[100:]
    nan = r.image(np.full((20, 30), np.nan, np.float32), "32FC1", "t", r.clock_ns)
    colour = r.image(np.zeros((20, 30, 3), np.uint8), "rgb8", "t", r.clock_ns)
    for stream, messages in (("rgb", (zero, step, encoding, short)), ("thermal", (nan, colour))):
        for message in messages:
            before = r.node.monitor.vitals[stream].bad
            r.node.monitor._throttle._last.clear()
            r.publishers[stream].publish(message)
            r.until(lambda s=stream, b=before: r.node.monitor.vitals[s].bad == b + 1, f"refusal on {stream}")
    errors = r.logs.having("error")
    assert len(errors) == 6
    for part in ("0x48", "step is 3", "bayer_nonsense", "data has 100 bytes", "NaN", "'rgb8'"):
        assert r.logs.having("error", "/image_raw", part), (part, errors)
    assert len(r.masks_after(3)) == 3


def test_repeated_garbage_is_logged_once(rig):
    r = rig()
    r.ready()
    bad = r.rgb()
    bad.encoding = "nonsense"
    r.stream_until(lambda: r.node.monitor.vitals["rgb"].bad >= 20, "20 refusals", period=0.01, rgb=bad)
    assert len(r.logs.having("error", "nonsense")) == 1


@pytest.mark.parametrize(("lost", "left"), [("thermal", "rgb"), ("rgb", "thermal")])
def test_one_camera_goes_on_alone_and_both_come_back(rig, lost, left):
    r = rig(parameters={"degraded.timeout": 0.4})
    r.ready()
    r.masks_after(2)
    r.unplug(lost)
    r.stream_until(lambda: f"degraded: {lost} silent" in r.states, "degraded state")
    alone = r.masks_after(3)[-1]
    assert alone.header.frame_id == f"{left}_optical"
    assert (alone.height, alone.width) == ((H, W) if left == "rgb" else (20, 30))
    rgb, thermal = r.fake.calls[-1]
    assert (rgb is None) == (lost == "rgb") and (thermal is None) == (lost == "thermal")
    assert r.logs.having("warning", f"{lost} silent")
    r.plug(lost)
    r.stream_until(lambda: r.states[-1] == "ok", "recovery")
    r.stream_until(lambda: None not in [type(x) for x in r.fake.calls[-1]] and r.fake.calls[-1][0] is not None
                   and r.fake.calls[-1][1] is not None, "pairs again")  # fmt: skip
    assert r.masks_after(2)[-1].header.frame_id == "rgb_optical"
    stamps = [(m.header.stamp.sec, m.header.stamp.nanosec) for m in r.masks if m.header.frame_id == "rgb_optical"]
    assert len(stamps) == len(set(stamps)), "one mask per rgb frame at most"


def test_cameras_that_start_late_are_not_taken_for_lost(rig):
    r = rig(parameters={"degraded.timeout": 0.3})
    r.ready()
    r.until(lambda: r.states and r.states[-1] == "no input: rgb and thermal silent", "silence noticed")
    r.masks_after(3)
    assert all(rgb is not None and thermal is not None for rgb, thermal in r.fake.calls)
    assert not any("degraded" in state for state in r.states)


def test_degraded_mode_can_be_off(rig):
    r = rig(parameters={"degraded.enabled": False, "degraded.timeout": 0.3}, cameras=("rgb",))
    r.ready()
    r.stream_until(lambda: r.states and r.states[-1] == "no masks: thermal silent", "state")
    r.stream_until(lambda: r.node.monitor.vitals["rgb"].good > 20, "frames")
    assert not r.masks


def test_a_bag_that_loops_goes_on(rig):
    r = rig()
    r.ready()
    r.masks_after(3)
    r.clock_ns -= 600_000_000_000
    late = r.masks_after(3)
    assert all(m.header.stamp.sec < 500 for m in late)
    assert r.node.pairer.counters.resets >= 1


def test_a_slow_model_gets_the_newest_pair_and_memory_stays_flat(rig):
    gate = threading.Event()
    r = rig()
    r.fake.gate = gate
    r.ready()
    r.stream_until(lambda: r.fake.calls, "the model to be busy")
    last_sent = [0]
    r.stream_until(lambda: r.node.pairer.counters.pairs >= 60, "60 pairs", period=0.005)
    assert len(r.node.pairer) <= 2 * 10
    assert r.node.worker.mailbox.dropped >= 55
    last_sent[0] = r.node.pairer.counters.pairs
    newest = r.clock_ns
    gate.set()
    r.until(lambda: len(r.masks) >= 2, "masks after the model is free")
    stamp = r.masks[-1].header.stamp
    assert newest - (stamp.sec * 10**9 + stamp.nanosec) <= 2 * 50_000_000
    r.until(lambda: r.diagnostics and int(r.numbers()["dropped_busy"]) >= 55, "drops in diagnostics")


def test_fuzzed_messages_never_stop_it(rig):
    dice = np.random.default_rng(0)
    r = rig()
    r.ready()
    seen = r.node.monitor.vitals
    encodings = ["rgb8", "bgr8", "mono8", "16UC1", "32FC1", "bayer_rggb8", "", "nonsense"]
    for k in range(400):
        stream = ("rgb", "thermal")[k % 2]
        side = [0, 1, 7, 64, 2**31, 2**32 - 1]
        message = Image(
            height=int(dice.choice(side)),
            width=int(dice.choice(side)),
            step=int(dice.choice([0, 1, 64, 192, 2**32 - 1])),
            encoding=str(dice.choice(encodings)),
            is_bigendian=int(dice.integers(0, 256)),
        )
        message.data.frombytes(dice.bytes(int(dice.choice([0, 1, 100, 20000]))))
        message.header.stamp.sec = int(dice.choice([0, 1, 1000, 2**31 - 1, -(2**31)]))
        message.header.stamp.nanosec = int(dice.choice([0, 1, 999_999_999, 2**32 - 1]))
        r.publishers[stream].publish(message)
        r.until(lambda k=k: sum(v.bad + v.good for v in seen.values()) > k, f"message {k}")
    assert sum(v.bad for v in seen.values()) > 100 and sum(v.good for v in seen.values()) > 3
    late = r.masks_after(3)
    assert late[-1].header.stamp.sec > 999 and late[-1].header.frame_id == "rgb_optical"


def test_simulated_time_without_a_clock_does_not_stop_it(rig):
    r = rig(parameters={"use_sim_time": True, "degraded.timeout": 0.4})
    r.ready()
    r.masks_after(2)
    r.unplug("thermal")
    r.stream_until(lambda: "degraded: thermal silent" in r.states, "degraded state by the steady clock")
    r.masks_after(2)
    r.stream_until(lambda: r.diagnostics, "diagnostics")


def test_a_failing_model_costs_masks_not_the_node(rig):
    r = rig()
    r.ready()
    healthy = r.node.segmenter

    def broken(*args, **kwargs):
        raise RuntimeError("CUDA out of memory")

    broken.palette, broken.name = healthy.palette, "broken"
    r.node.segmenter = broken
    r.stream_until(lambda: r.node.monitor.work.failures >= 5, "failures")
    assert len(r.logs.having("error", "CUDA out of memory")) == 1
    r.node.segmenter = healthy
    r.masks_after(2)


def test_nothing_is_computed_without_subscribers(rig):
    r = rig()
    r.ready()
    r.peer.destroy_subscription(next(s for s in r.peer.subscriptions if s.topic_name == "/sartm/semantic_mask"))
    r.until(lambda: r.node.outputs.subscribers() == 0, "no subscriber")
    calls = len(r.fake.calls)
    pairs = r.node.pairer.counters.pairs
    r.stream_until(lambda: r.node.pairer.counters.pairs > pairs + 5, "pairs")
    assert len(r.fake.calls) <= calls + 1


def test_diagnostics_hold_the_numbers(rig):
    r = rig()
    r.ready()
    r.masks_after(5)
    count = len(r.diagnostics)
    r.stream_until(lambda: len(r.diagnostics) >= count + 2, "diagnostics at 1 Hz", seconds=4.0)
    status = r.diagnostics[-1].status[0]
    assert status.name == "/sartm/segment: segmentation" and status.message == "ok" and status.hardware_id == "fake"
    numbers = r.numbers()
    assert int(numbers["masks"]) >= 5 and float(numbers["rgb.rate_hz"]) > 5
    assert float(numbers["latency_p50_ms"]) > 0 and float(numbers["pairing.skew_max_ms"]) == 0


@pytest.mark.parametrize("case", ["no publisher", "skew", "qos", "type", "stopped"])
def test_it_says_within_two_seconds_why_nothing_pairs(rig, request, case):
    cameras = ("rgb",) if case in ("no publisher", "type") else ("rgb", "thermal")
    parameters = {}
    if case == "qos":
        parameters["qos.thermal.reliability"] = "reliable"
    if case == "skew":
        parameters["sync.tolerance"] = 0.005
    r = rig(parameters=parameters, cameras=cameras)
    if case == "type":  # one DDS participant cannot have two types on a topic, so this camera needs its own
        foreign = rclpy.Context()
        rclpy.init(context=foreign, domain_id=r.domain)
        request.addfinalizer(foreign.try_shutdown)
        camera = rclpy.create_node("compressed_camera", context=foreign)
        camera.create_publisher(CompressedImage, "/sartm/thermal/image_raw", qos_profile_sensor_data)
    if case == "skew":
        original = r.rgb
        r.rgb = lambda: original(skew_ns=-20_000_000)
    r.until(lambda: r.node.cameras and r.publishers["rgb"].get_subscription_count(), "discovery")
    if case == "stopped":
        r.stream_until(lambda: r.masks, "first mask")
        r.publishers.pop("thermal")
    begin = time.monotonic()
    expected = {
        "no publisher": ("/sartm/thermal/image_raw", "no publisher"),
        "skew": ("stamps differ by 20.0 ms", "sync.thermal_offset: -0.020"),
        "qos": ("incompatible QoS", "best_effort", "reliable", "qos.thermal.reliability"),
        "type": ("sensor_msgs/msg/CompressedImage", "thermal_transport"),
        "stopped": ("/sartm/thermal/image_raw", "stopped sending"),
    }[case]
    r.stream_until(lambda: r.logs.having("warning", *expected), f"warning with {expected}", seconds=4.0)
    assert time.monotonic() - begin < 2.2


def test_a_constant_offset_makes_skewed_cameras_pair(rig):
    r = rig(parameters={"sync.thermal_offset": -0.02, "sync.tolerance": 0.005})
    original = r.rgb
    r.rgb = lambda: original(skew_ns=-20_000_000)
    r.ready()
    r.masks_after(3)
    assert r.node.pairer.counters.skews_ns[-1] == 0


def test_compressed_input(rig):
    import io

    from PIL import Image as PilImage

    def compress(message, array, kind):
        buffer = io.BytesIO()
        PilImage.fromarray(array).save(buffer, kind)
        out = CompressedImage(format=kind, header=message.header)
        out.data.frombytes(buffer.getvalue())
        return out

    r = rig(parameters={"rgb_transport": "compressed", "thermal_transport": "compressed"}, cameras=())
    r.plug("rgb", kind=CompressedImage)
    r.plug("thermal", kind=CompressedImage)
    counts = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    rgb, thermal = r.rgb, r.thermal
    r.rgb = lambda: compress(rgb(), np.full((H, W, 3), 50, np.uint8), "jpeg")
    r.thermal = lambda: compress(thermal(), counts, "png")
    r.ready()
    mask = r.masks_after(1)[0]
    assert (mask.height, mask.width) == (H, W)
    assert r.fake.calls[-1][1].dtype == np.uint16 and np.array_equal(r.fake.calls[-1][1], counts)


# Parameters


def test_unknown_parameters_are_named_with_the_nearest_known_one(monkeypatch, rig):
    said = []
    monkeypatch.setattr(
        "rclpy.impl.rcutils_logger.RcutilsLogger.warning", lambda self, text, **_: said.append(text) or True
    )
    rig(parameters={"sync.tolerence": 0.1, "confidence_treshold": 0.5, "autostart": False})
    assert any("'sync.tolerence'" in line and "'sync.tolerance'" in line for line in said)
    assert any("'confidence_treshold'" in line and "'confidence_threshold'" in line for line in said)


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("sync.policy", "closest", "nearest, approximate, exact"),
        ("sync.tolerance", -1.0, "sync.tolerance"),
        ("checkpoint", 5, "expected a str"),
        ("thermal.scale", 0.0, "thermal.scale"),
    ],
)
def test_bad_parameters_stop_the_start_with_the_reason(rig, name, value, part):
    with pytest.raises(ParameterError, match=part):
        rig(parameters={name: value, "autostart": False})


def test_parameters_are_described_and_bad_values_change_nothing(rig):
    r = rig(parameters={"autostart": False, "confidence_threshold": 1})
    assert r.node.get_parameter("confidence_threshold").value == 1.0
    for spec in SPECS:
        assert spec.description in r.node.describe_parameter(spec.name).description
    results = r.node.set_parameters([Parameter("sync.policy", value="closest"), Parameter("overlay_alpha", value=2.0)])
    assert [x.successful for x in results] == [False, False]
    assert "nearest" in results[0].reason
    assert r.node.values["sync.policy"] == "nearest" and r.node.get_parameter("overlay_alpha").value == 0.5
    (good,) = r.node.set_parameters([Parameter("sync.tolerance", value=0.2)])
    assert good.successful and r.node.pairer.tolerance_ns == 200_000_000


def test_message_filters_policies_say_what_is_missing(rig):
    try:
        import message_filters  # noqa: F401

        pytest.skip("message_filters is installed here")
    except ImportError:
        pass
    r = rig(parameters={"sync.policy": "approximate"})
    with pytest.raises(segment_node.StartupError):
        r.until(lambda: False, "failure")
    assert r.logs.having("error", "sync.policy", "message_filters")


def test_shipped_yaml_names_every_parameter_with_its_default(rig):
    import yaml

    text = (ROOT / "config" / "segment.yaml").read_text()
    (root,) = yaml.safe_load(text).values()

    def flat(tree, prefix=""):
        for key, value in tree.items():
            if isinstance(value, dict):
                yield from flat(value, f"{prefix}{key}.")
            else:
                yield prefix + key, value

    assert dict(flat(root["ros__parameters"])) == {spec.name: spec.default for spec in SPECS}


# Lifecycle


def test_reload_swaps_weights_or_keeps_the_old_ones(rig):
    names = iter(["first", "second", RuntimeError("truncated file")])
    go_on = threading.Event()

    def load(values):
        name = next(names)
        if name != "first":
            go_on.wait(DEADLINE_S)
        if isinstance(name, Exception):
            raise name
        return FakeSegmenter(name)

    r = rig(load=load)
    r.ready()
    r.masks_after(1)
    client = r.peer.create_client(Trigger, "/sartm/segment/reload")
    r.until(client.service_is_ready, "service")
    for success, part in ((True, "second"), (False, "truncated file")):
        go_on.clear()
        future = client.call_async(Trigger.Request())
        r.masks_after(5, "masks while the new weights load")
        assert not future.done()
        go_on.set()
        r.stream_until(future.done, "reload")
        assert future.result().success is success and part in future.result().message
        assert r.node.segmenter.name == "second"
        r.masks_after(2)


def test_lifecycle_by_hand_and_a_failing_configure(rig):
    outcomes = iter([FileNotFoundError("no such weights"), FakeSegmenter()])

    def load(values):
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    r = rig(load=load, parameters={"autostart": False})
    assert r.node.trigger_configure() == segment_node.FAILURE
    assert r.logs.having("error", "no such weights")
    r.until(lambda: r.states and r.states[-1] == "unconfigured", "state after the failure")
    assert r.node.trigger_configure() == segment_node.SUCCESS
    for _ in range(2):
        assert r.node.trigger_activate() == segment_node.SUCCESS
        r.ready()
        r.masks_after(1)
        assert r.node.trigger_deactivate() == segment_node.SUCCESS
        assert not [t for t in threading.enumerate() if t.name == "sartm-worker"]
    assert r.node.trigger_cleanup() == segment_node.SUCCESS
    assert r.node.segmenter is None


# As a process

FAKE_MAIN = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
from sartm_ros.segment_node import main
from test_segment_node import FakeSegmenter
sys.exit(main(load=lambda values: FakeSegmenter()))
"""


@pytest.fixture
def process(tmp_path):
    """Start the node as a process of its own in a fresh domain; what is left over is killed by its id."""
    running = []

    def start(*arguments, code=None):
        domain = 1 + (os.getpid() + next(domains)) % 100
        environment = os.environ | {"ROS_DOMAIN_ID": str(domain), "PYTHONPATH": str(ROOT)}
        code = code or FAKE_MAIN.format(tests=str(Path(__file__).parent), root=str(ROOT))
        log = (tmp_path / f"{len(running)}.log").open("w+")
        command = [sys.executable, "-c", code, *map(str, arguments)]
        child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=tmp_path)
        child.domain = domain
        child.text = lambda: Path(log.name).read_text()
        running.append(child)
        return child

    yield start
    for child in running:
        if child.poll() is None:
            child.kill()
        child.wait()


def wait_for(condition, what, seconds=20.0):
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, what()
        pause.wait(0.02)


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_with_code_zero_and_no_traceback(process, sig):
    child = process("--ros-args", "--params-file", ROOT / "config" / "segment.yaml", "-r", "__ns:=/robot1/sartm")
    wait_for(lambda: "listening to" in child.text(), child.text)
    assert "/robot1/sartm/rgb/image_raw" in child.text()
    child.send_signal(sig)
    assert child.wait(10) == 0, child.text()
    assert "Traceback" not in child.text() and "Error" not in child.text(), child.text()


def test_a_bad_params_file_ends_it_with_code_one_and_the_reason(process, tmp_path):
    (tmp_path / "bad.yaml").write_text("/**/segment:\n  ros__parameters:\n    sync: {policy: closest}\n")
    child = process("--ros-args", "--params-file", tmp_path / "bad.yaml")
    assert child.wait(20) == 1
    assert "sync.policy: got 'closest'" in child.text() and "Traceback" not in child.text()


def test_large_best_effort_images_arrive_through_the_shipped_profile(process, monkeypatch):
    """640x480 bgr8 between two processes: without the profile nearly none arrive (FACTS 1)."""
    monkeypatch.delenv(transport.VARIABLE, raising=False)
    code = """
import sys, time
import numpy as np
from sartm_ros.transport import use_shipped_profile
assert use_shipped_profile() is not None
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("camera")
out = node.create_publisher(Image, "big", qos_profile_sensor_data)
sent = 0
def tick():
    global sent
    if out.get_subscription_count() and sent < 60:
        m = Image(height=480, width=640, encoding="bgr8", step=1920)
        m.data.frombytes(bytes(921600))
        out.publish(m)
        sent += 1
node.create_timer(0.033, tick)
try:
    rclpy.spin(node)
except BaseException:
    pass
"""
    listener = code.replace(
        'node = rclpy.create_node("camera")', 'node = rclpy.create_node("listener"); got = []'
    ).split("out = ")[0] + (
        'node.create_subscription(Image, "big", lambda m: (got.append(len(m.data)), print(len(got), flush=True)), '
        "qos_profile_sensor_data)\nrclpy.spin(node)\n"
    )
    receiver = process(code=listener)
    environment = os.environ | {"ROS_DOMAIN_ID": str(receiver.domain), "PYTHONPATH": str(ROOT)}
    sender = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        wait_for(lambda: "55" in receiver.text().split(), receiver.text)
    finally:
        sender.kill()
        sender.wait()


def test_the_users_own_profile_wins(monkeypatch):
    monkeypatch.setenv(transport.VARIABLE, "/tmp/mine.xml")
    assert transport.use_shipped_profile() is None and os.environ[transport.VARIABLE] == "/tmp/mine.xml"
    monkeypatch.delenv(transport.VARIABLE)
    monkeypatch.delenv("FASTRTPS_DEFAULT_PROFILES_FILE", raising=False)
    profile = transport.use_shipped_profile()
    assert profile is not None and profile.name == "fastdds.xml" and os.environ[transport.VARIABLE] == str(profile)
