"""A Monitor on a real ROS node, fed with frames at times of our own choice."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image

from sartm_ros.frames.images import ImageError, Incoming
from sartm_ros.health import explain, monitor
from sartm_ros.pairing.nearest import STREAMS, Counters
from test.patience import patience
from test.ros.processes import new_domain

OK, WARN, ERROR = (bytes(v) for v in (DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR))
VALUES = {
    "degraded.enabled": True, "degraded.timeout": 1.0, "degraded.recovery": 0.5, "frozen_timeout": 0.5,
    "sync.tolerance": 0.05, "sync.rgb_offset": 0.0, "sync.thermal_offset": 0.0,
    "rgb_transport": "raw", "thermal_transport": "raw",
    "qos.rgb.reliability": "best_effort", "qos.rgb.depth": 5,
    "qos.thermal.reliability": "best_effort", "qos.thermal.depth": 5,
}  # fmt: skip
MODEL = {
    "name": "nano",
    "sha256": "ab",
    "device": "cpu",
    "engine": "torch",
    "precision": "fp32",
    "gpu_memory_mb": None,
    "note": "",
    "reload": "",
}


class States:
    """Stands for the node's outputs: keeps the texts of `state`."""

    def __init__(self):
        self.texts = [""]
        self.absent = {}

    @property
    def current_state(self):
        return self.texts[-1]

    def state(self, text):
        self.texts.append(text)

    def subscribers(self):
        return 1

    def missing(self):
        return self.absent


class Bench:
    """A Monitor on a real node, fed with frames at times of our own choice; `log` is what it logged."""

    def __init__(self, monkeypatch):
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=new_domain())
        self.node = rclpy.create_node("segment", namespace="sartm", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.log = []
        self.now = time.monotonic()
        for severity in ("info", "warning", "error"):
            monkeypatch.setattr(self.node.get_logger(), severity, lambda t, s=severity: self.log.append(f"{s}: {t}"))
        self.heard, self.reloading = [], False
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self.heard.append, 10)
        self.outputs, self.reports = States(), []
        self.monitor = monitor.Monitor(self.node, self.outputs, lambda: self.reports.append(self.outputs.current_state))
        self.cameras = {
            s: SimpleNamespace(lost=0, topic=f"/{s}", link=lambda s=s: explain.Link(s, f"/{s}", 1, "T", ("T",)))
            for s in STREAMS
        }

    def activate(self):
        self.monitor.lifecycle("ok", active=True)
        self.now = self.monitor.last_pair

    def mask(self):
        """The model gives a mask at once."""
        self.monitor.work.taken(self.now)
        self.monitor.work.done(10.0, 12.0, self.now, False)

    def play(self, seconds, still=(), off=(), paired=True, warning="", stamp=None, spoiled=(), answer=None):
        """Both cameras at 20 Hz: of `still` the picture, of `off` nothing comes; health timer at 2 Hz.

        spoiled: streams whose frames cannot be converted. answer: what the model does with a pair, default `mask`.
        """
        for k in range(round(seconds * 20)):
            self.now += 0.05
            for stream in STREAMS:
                if stream not in off:
                    value = 1 if stream in still else k % 200 + 2
                    stamp_ns = round(self.now * 1e9) if stamp is None else stamp
                    self.monitor.saw(stream, frame(stream, value, stamp_ns, warning), self.now)
                    self.monitor.update_mode(VALUES, self.now)
            if paired and not off:
                self.monitor.last_pair = self.now
            if paired:
                for stream in set(STREAMS) - set(off):
                    self.convert(stream, stream in spoiled)
                if not set(STREAMS) <= {*off, *spoiled}:
                    (answer or self.mask)()
            if k % 10 == 9:
                self.monitor.update_mode(VALUES, self.now)
                self.monitor.check(self.cameras, VALUES, self.now, reloading=self.reloading)

    def convert(self, stream, fails):
        """What the model's thread says of a frame."""
        if fails:
            self.monitor.spoiled(stream, ImageError(f"/{stream}", "cannot decode 99 bytes"), self.now)
        else:
            self.monitor.used(stream, self.now)

    def publish(self, counters=None, model=MODEL):
        """What /diagnostics says now: the three statuses."""
        self.until(self.monitor._publisher.get_subscription_count, "discovery")
        self.heard.clear()
        self.monitor.publish(counters or Counters(), {"dropped_busy": 3, "dropped_outputs": 2}, model, self.now)
        self.until(lambda: self.heard, "diagnostics")
        return self.heard[-1].status

    def until(self, condition, what, seconds=60.0):
        """Spin until `condition()` holds."""
        deadline = time.monotonic() + seconds * patience()
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
            self.executor.spin_once(timeout_sec=0.05)

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


def frame(stream, value, stamp_ns, warning=""):
    message = Image(height=4, width=4, encoding="mono8", step=4)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    view = np.arange(16, dtype=np.uint8).reshape(4, 4) + np.uint8(value)
    return Incoming(f"/{stream}", message, 4, 4, view, warning=warning)
