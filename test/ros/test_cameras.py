"""Several camera pairs in one process: the file that lists them, one model for all, a batch for what waits."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from sartm_ros.cameras import make_nodes, read_cameras
from sartm_ros.errors import ParameterError
from test.ros.fake_segmenter import DEADLINE_S, FakeSegmenter
from test.ros.processes import ROOT, new_domain
from test.ros.rig import hears

pytestmark = pytest.mark.alone


def test_the_shipped_file():
    front, rear = read_cameras(ROOT / "config" / "cameras.yaml")
    assert (front.name, front.namespace, rear.namespace) == ("front", "/sartm/front", "/sartm/rear")
    topics = {"rgb": "/front/color/image_raw", "thermal": "/front/thermal/image_raw", "depth": "depth/image_raw"}
    assert front.topics == topics
    assert front.parameters == {"checkpoint": "default", "device": "auto", "sync.tolerance": 0.05}
    assert rear.parameters["thermal.crop_bottom"] == 0


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("cameras: {}", ("cameras", "at least one entry")),
        ("camera: {front: {}}", ("unknown key 'camera'", "cameras")),
        ("cameras: {front: {rgb: /a}}", ("cameras.front", "unknown key 'rgb'", "rgb_topic")),
        ("cameras: {front: {parameters: {sync: {tolerence: 1.0}}}}", ("cameras.front.parameters", "sync.tolerance")),
        ("cameras: {front: {parameters: {device: cpu}}}", ("'device' is the model's", "under 'model'")),
        ("model: {overlay_alpha: 0.1}\ncameras: {front: }", ("'overlay_alpha' is no model parameter", "checkpoint")),
        ("cameras: {a: {namespace: x}, b: {namespace: x}}", ("cameras.b", "namespace /x", "cameras.a")),
        ("cameras: {a: {namespace: /x/}, b: {namespace: x}}", ("cameras.b", "namespace /x", "cameras.a")),
        ("cameras: {a: , b: {namespace: /sartm/a}}", ("cameras.b", "namespace /sartm/a", "cameras.a")),
        ("cameras: {a: {namespace: sartm/b}, b: }", ("cameras.b", "namespace /sartm/b", "cameras.a")),
        ("cameras: {front-left: }", ("cameras.front-left: got '/sartm/front-left'", "alphanumerics", "`namespace`")),
        ("cameras: {a: {namespace: a b}}", ("cameras.a.namespace: got '/a b': Invalid", "alphanumerics")),
        ("cameras: {a: {namespace: }}", ("cameras.a.namespace: got None, expected a name",)),
        ("cameras: {a: {rgb_topic: my topic}}", ("cameras.a.rgb_topic: got 'my topic': Invalid topic name",)),
        ("cameras: {a: {thermal_topic: [x]}}", ("cameras.a.thermal_topic: got ['x'], expected a name",)),
        ("common: [a]\ncameras: {a: }", ("common: got ['a'], expected a mapping",)),
        ("common: {thermal: {scale: null}}\ncameras: {a: }", ("common.thermal.scale: got None, expected a number",)),
        ("model: {threads: many}\ncameras: {a: }", ("model.threads: got 'many', expected an integer",)),
        ("common: {autostart: 1}\ncameras: {a: }", ("common.autostart: got 1, expected true or false",)),
        ("common: {sync: {policy: 5}}\ncameras: {a: }", ("common.sync.policy: got 5, expected text",)),
        ("common: {registration: {scale: 5}}\ncameras: {a: }", ("registration.scale: got 5, expected 2 numbers",)),
        ("common: {registration: {rgb_size: [1, x]}}\ncameras: {a: }", ("got [1, 'x'], expected 2 integers",)),
        ("common: {use_sim_time: null}\ncameras: {a: }", ("common.use_sim_time: got None",)),
        ("cameras: [front]", ("cameras", "at least one entry")),
        ("cameras: {front: 5}", ("cameras.front", "got 5")),
        ("just text", ("top level", "'just text'")),
        ("cameras: {", ("not YAML",)),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(tmp_path, text, parts):
    path = tmp_path / "cameras.yaml"
    path.write_text(text)
    with pytest.raises(ParameterError) as caught:
        read_cameras(path)
    assert all(part in str(caught.value) for part in (*parts, str(path))), caught.value


def test_integers_are_taken_for_numbers(tmp_path):
    path = tmp_path / "cameras.yaml"
    path.write_text("cameras: {a: {parameters: {thermal: {scale: 1}, registration: {scale: [1, 2.5]}}}}")
    assert read_cameras(path)[0].parameters == {"thermal.scale": 1, "registration.scale": [1, 2.5]}


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ("confidence_threshold: 5.0", "confidence_threshold: got 5.0"),
        ("registration: {scale: [0, 1]}", "registration.scale: got [0.0, 1.0], expected two numbers above 0"),
        ("sync: {policy: closest}", "sync.policy: got 'closest', expected one of nearest"),
        ("thermal: {crop_top: 99999999999999999999}", "99999999999999999999"),
    ],
)
def test_a_node_that_cannot_be_made_names_file_and_camera(tmp_path, request, values, part):
    path = tmp_path / "cameras.yaml"
    path.write_text(f"cameras: {{front: , rear: {{parameters: {{{values}}}}}}}")
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=new_domain())
    request.addfinalizer(lambda: rclpy.try_shutdown(context=context))
    made = make_nodes(path, lambda values: FakeSegmenter(), context=context)
    request.addfinalizer(next(made).destroy_node)
    with pytest.raises(ParameterError) as caught:
        next(made)
    assert str(caught.value).startswith(f"{path}: cameras.rear: ") and part in str(caught.value)


def test_a_bad_file_ends_the_process_with_the_reason(domain, tmp_path):
    """Regression: a raw traceback."""
    path = tmp_path / "cameras.yaml"
    path.write_text("cameras: {front-left: }")
    with domain.process("sartm_ros.cameras", "-p", f"cameras_file:={path}") as process:
        assert process.wait() == 1
    assert f"{path}: cameras.front-left: " in process.output and "Traceback" not in process.output


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ParameterError, match="cameras_file: .*no file .*gone.yaml"):
        read_cameras(tmp_path / "gone.yaml")


def test_two_pairs_share_one_model_and_one_batch(tmp_path, request):
    path = tmp_path / "cameras.yaml"
    path.write_text("cameras: {front: {rgb_topic: /front/image}, rear: {parameters: {confidence_threshold: 0.9}}}")
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=new_domain())
    request.addfinalizer(lambda: rclpy.try_shutdown(context=context))
    loaded: list[FakeSegmenter] = []

    def load(values):
        loaded.append(FakeSegmenter(gate=threading.Event()))
        loaded[-1].others["sea"] = FakeSegmenter("sea")
        return loaded[-1]

    executor = SingleThreadedExecutor(context=context)
    nodes = list(make_nodes(path, load, context=context))
    peer = rclpy.create_node("peer", context=context)
    for node in (*nodes, peer):
        executor.add_node(node)
        request.addfinalizer(node.destroy_node)
    for node in nodes:
        request.addfinalizer(node.release)
    topics = {"front": ("/front/image", "/sartm/front/thermal/image_raw")}
    topics["rear"] = ("/sartm/rear/rgb/image_raw", "/sartm/rear/thermal/image_raw")
    masks: dict[str, list[Image]] = {name: [] for name in topics}
    cameras = {}
    for name, pair in topics.items():
        peer.create_subscription(Image, f"/sartm/{name}/semantic_mask", masks[name].append, 10)
        cameras[name] = [peer.create_publisher(Image, topic, qos_profile_sensor_data) for topic in pair]

    def until(condition, what):
        for _ in range(int(DEADLINE_S * 100)):
            if condition():
                return
            executor.spin_once(timeout_sec=0.01)
        raise AssertionError(what)

    stamp = 0

    def send() -> None:
        nonlocal stamp
        stamp += 1
        for name, pair in cameras.items():
            for publisher, kind, depth in zip(pair, ("rgb8", "mono8"), (3, 1), strict=True):
                message = Image(height=8, width=8, step=8 * depth, encoding=kind)
                message.header.stamp.sec, message.header.frame_id = stamp, f"{name}_{kind}"
                message.data.frombytes(bytes([stamp % 256]) * (64 * depth))
                publisher.publish(message)

    publishers = [publisher for pair in cameras.values() for publisher in pair]
    until(lambda: all(p.get_subscription_count() for p in publishers), "discovery of the cameras")
    until(lambda: all(hears(node) for node in nodes), "discovery by the nodes")
    until(lambda: all(node.outputs.wanted() for node in nodes), "discovery of the masks")
    assert len(loaded) == 1, "one model in memory"
    model = loaded[0]
    send()
    until(lambda: model.batches, "the model at work")
    send()
    until(lambda: all(node.intake.pairer.counters.pairs == 2 for node in nodes), "pairs that wait")
    model.gate.set()
    until(lambda: all(masks[name] and masks[name][-1].header.stamp.sec == 2 for name in topics), "masks of both")
    assert 2 in model.batches, model.batches
    assert {name: masks[name][-1].header.frame_id for name in topics} == {"front": "front_rgb8", "rear": "rear_rgb8"}
    assert masks["front"][-1].data[0] == 0 and masks["rear"][-1].data[0] == 255, "each with its own threshold"
    assert nodes[1].set_parameters([Parameter("adapter", value="sea")])[0].successful
    send()
    until(lambda: all(masks[name][-1].header.stamp.sec == 3 for name in topics), "masks of both, by two adapters")
    assert {request.adapter for request in model.requests[-2:]} == {"checkpoint", "sea"} and model.batches[-2:] == [
        1,
        1,
    ]
    nodes[0].release()
    assert nodes[1].model is model and nodes[0].model is None
