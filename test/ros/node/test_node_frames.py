"""The segment node, frame by frame: encodings in, headers and masks out, and what no camera should send."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image as Picture

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from test.ros.processes import stamp_ns
from test.ros.rig import LATCHED, RELIABLE, H, W

pytestmark = pytest.mark.alone


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
    stamps = {stamp_ns(message) for message in sent}
    for message in (*r.masks, *confidences, *overlays):
        assert message.header.frame_id == "rgb_optical"
        assert stamp_ns(message) in stamps
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


def compress(message: Image, array: np.ndarray, kind: str) -> CompressedImage:
    """Pixels as a "jpeg" or "png" under the header of a message."""
    buffer = io.BytesIO()
    Picture.fromarray(array).save(buffer, kind)
    out = CompressedImage(format=kind, header=message.header)
    out.data.frombytes(buffer.getvalue())
    return out


def test_compressed_input(rig):
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
    yuv = r.image(np.zeros((20, 30, 2), np.uint8), "yuv422", "t", r.clock_ns)
    for stream, messages in (("rgb", (zero, step, encoding, short)), ("thermal", (nan, yuv))):
        for message in messages:
            before = r.node.monitor.vitals[stream].bad
            r.node.monitor._throttle._last.clear()
            r.publishers[stream].publish(message)
            r.until(lambda s=stream, b=before: r.node.monitor.vitals[s].bad == b + 1, f"refusal on {stream}")
    errors = r.logs.having("error")
    assert len(errors) == 6
    for part in ("0x48", "step is 3", "bayer_nonsense", "data has 100 bytes", "NaN", "'yuv422'"):
        assert r.logs.having("error", "/image_raw", part), (part, errors)
    assert len(r.masks_after(3)) == 3


def test_repeated_garbage_is_logged_once(rig):
    r = rig()
    r.ready()
    bad = r.rgb()
    bad.encoding = "nonsense"
    r.stream_until(lambda: r.node.monitor.vitals["rgb"].bad >= 20, "20 refusals", period=0.01, rgb=bad)
    assert len(r.logs.having("error", "nonsense")) == 1


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


def test_telemetry_rows_are_cut_off(rig):
    r = rig(parameters={"thermal.crop_bottom": 2})
    array = np.arange(22 * 30, dtype=np.uint16).reshape(22, 30)
    original = r.thermal
    r.thermal = lambda: original(array)
    r.ready()
    r.masks_after(1)
    assert np.array_equal(r.fake.calls[-1][1], array[:20])


def test_false_colour_thermal_is_used_with_a_warning(rig):
    r = rig()
    original = r.thermal
    r.thermal = lambda: original(np.full((20, 30, 3), 77, np.uint8), "rgb8")
    r.ready()
    r.masks_after(2)
    thermal = r.fake.calls[-1][1]
    assert thermal.shape == (20, 30) and thermal.dtype == np.uint8 and set(thermal.ravel()) == {77}
    assert len(r.logs.having("warning", "/sartm/thermal/image_raw", "false")) == 1


def test_registration_and_normalisation_go_with_every_frame_and_are_live(rig):
    r = rig()
    r.ready()
    r.masks_after(1)
    assert r.fake.requests[-1].registration is None and r.fake.requests[-1].thermal_norm is None
    changes = {"registration.mode": "scale_shift", "thermal.low": 10.0, "thermal.normalization": "percentile"}
    assert all(x.successful for x in r.node.set_parameters([Parameter(k, value=v) for k, v in changes.items()]))
    count = len(r.fake.requests)
    r.stream_until(lambda: len(r.fake.requests) >= count + 2, "frames")
    request = r.fake.requests[-1]
    assert request.registration is not None and request.registration.stretched and request.thermal_norm.low == 10.0


def test_classes_are_remapped_in_masks_overlay_and_class_list(rig):
    r = rig(parameters={"class_remap": "car=7"})
    classes = []
    r.peer.create_subscription(String, "/sartm/classes", classes.append, LATCHED)
    r.ready()
    r.masks_after(1)
    assert set(r.masks[-1].data) == {0, 7}
    assert [(c["id"], c["name"]) for c in json.loads(classes[-1].data)["classes"]] == [(0, "unlabeled"), (7, "car")]
    assert r.node.set_parameters([Parameter("class_remap", value="car=ignore")])[0].successful
    r.stream_until(lambda: set(r.masks[-1].data) == {0, 255}, "live change")
    r.until(lambda: len(json.loads(classes[-1].data)["classes"]) == 1, "class list")


@pytest.mark.parametrize("bad", ["rgb", "thermal"])
def test_a_single_bad_picture_body(rig, bad):
    """Found by the soak: a good rgb frame that was paired with a thermal PNG of broken body had no mask."""

    r = rig(parameters={"rgb_transport": "compressed", "thermal_transport": "compressed"}, cameras=())
    for stream in ("rgb", "thermal"):
        r.plug(stream, kind=CompressedImage)
    r.ready()
    noise = np.random.default_rng(0).integers(0, 65536, (20, 30)).astype(np.uint16)
    make_rgb, make_thermal = r.rgb, r.thermal
    r.rgb = lambda: compress(make_rgb(), np.zeros((H, W, 3), np.uint8), "png")
    r.thermal = lambda: compress(make_thermal(noise), noise, "png")
    r.masks_after(1)
    r.clock_ns += 1_000_000_000
    broken = r.rgb() if bad == "rgb" else r.thermal()
    del broken.data[60:]
    r.send(**{bad: broken, "rgb" if bad == "thermal" else "thermal": True})
    r.until(lambda: r.node.monitor.vitals[bad].bad == 1, "the refusal")
    if bad == "thermal":
        r.until(lambda: r.fake.calls[-1][1] is None, "rgb alone: its mask has the same header and size")
        assert r.states[-1] == "ok"
    else:
        masks = len(r.masks)
        r.masks_after(1)
        assert {m.header.frame_id for m in r.masks[masks:]} == {"rgb_optical"}, "never the other camera's view"


def test_a_compressed_mask_is_lossless(rig):
    r = rig()
    packed = []
    r.peer.create_subscription(CompressedImage, "/sartm/semantic_mask/compressed", packed.append, RELIABLE)
    r.ready()
    r.stream_until(lambda: packed, "compressed mask")
    assert "png" in packed[-1].format and packed[-1].header.frame_id == "rgb_optical"
    picture = np.asarray(Picture.open(io.BytesIO(bytes(packed[-1].data))))
    assert picture.shape == (H, W) and set(picture.ravel()) == {0, 1} and picture[0, 0] == 0
