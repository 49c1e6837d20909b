"""One node's dealings with the model's threads: frames converted for it, results published. See `inference.Client`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from sartm_ros.companions import registration
from sartm_ros.companions.companions import Companions
from sartm_ros.companions.extrinsic import Tf
from sartm_ros.frames.images import ImageError, Incoming
from sartm_ros.health.monitor import Monitor
from sartm_ros.inference import fallback
from sartm_ros.inference.jobs import Job, Request
from sartm_ros.inference.timing import Trace, beside_to_json, to_json
from sartm_ros.node.aside import Aside
from sartm_ros.node.guards import survives
from sartm_ros.node.outputs import MASK, Outputs
from sartm_ros.node.settings import Settings
from sartm_ros.outputs.scene import Scene
from sartm_ros.outputs.table import COLOR_MASK, CONFIDENCE, OVERLAY, SCORES
from sartm_ros.pairing.nearest import RGB, THERMAL
from sartm_ros.pairing.stamps import NS

ALWAYS, AUTO = "always", "auto"
"""Values of `decode_ahead`."""


class Delivery:
    """What the model's threads call. `settings` is replaced as a whole; a frame is published by those it came with."""

    def __init__(self, node: Any, outputs: Outputs, monitor: Monitor, settings: Settings) -> None:
        self._node = node
        self.context = node.context
        self._outputs = outputs
        self.monitor = monitor
        self.settings = settings
        self.companions = Companions(node)
        self.tf = Tf(node)
        self.aside = Aside(self.failed)
        """Makes the slower outputs while the model goes on."""
        self._compilations = 0
        self.on_give_up: Callable[[str], None] = lambda reason: None

    def stop(self) -> None:
        """Nothing is listened to or made any more. Safe to call twice."""
        self.companions.want(())
        self.aside.stop()

    def listen_beside(self) -> None:
        """Subscribe to what outputs that somebody listens to need, and to nothing else. In the executor's thread."""
        wanted = self._outputs.needs() & set(self.companions.topics)
        self.companions.use_files(self.settings.info_files)
        plan = self.settings.depth
        if plan is not None and self._outputs.wanted():
            wanted |= set(registration.NEEDS)
            if plan.rgb_to_thermal is None:
                self.tf.listen()
        self.companions.want(wanted)

    def ahead(self) -> bool:
        """Whether to convert frames while the model is busy. On a CPU this takes from the model what it gains."""
        choice = self._node.values["decode_ahead"]
        model = self._node.model
        return bool(choice == ALWAYS or (choice == AUTO and model is not None and model.device != fallback.CPU))

    def request(self, job: Job) -> Request | None:
        """Convert the frames; None when nobody listens or too little is left.

        Rgb goes on without a bad thermal frame at once: the mask has the same header and size. Thermal goes on without
        rgb only when rgb has been unusable for some time, since its masks are of another camera's view.
        """
        if not self._outputs.wanted() or self._made_old(job):
            return None
        s = self.settings
        rgb = self._convert(RGB, job.rgb, Incoming.rgb)
        thermal = self._convert(THERMAL, job.thermal, lambda frame: frame.thermal(s.scale, s.offset))
        bad_rgb, bad_thermal = job.rgb is not None and rgb is None, job.thermal is not None and thermal is None
        if rgb is None and thermal is None:
            return None
        if (bad_rgb or bad_thermal) and not self._node.values["degraded.enabled"]:
            return None
        if bad_rgb and not self.monitor.unusable(RGB):
            return None
        usable = replace(job, rgb=None if rgb is None else job.rgb, thermal=None if thermal is None else job.thermal)
        needs = self._outputs.needs()
        result = (CONFIDENCE in needs, s.adapter, SCORES in needs)
        options = (self._registration(s, usable), s.thermal_norm, s.threshold, *result)
        return Request(rgb, thermal, *options, frozenset(needs & {OVERLAY, COLOR_MASK}), job=usable, settings=s)

    def _registration(self, s: Settings, job: Job) -> Any:
        """Of this frame; in mode depth what stands in where something is missing, which is told."""
        if s.depth is None or job.rgb is None or job.thermal is None:
            self._outputs.unregistered = ""
            return s.registration
        try:
            view = registration.through_depth(s.depth, self.companions, self.tf, job.rgb, job.thermal)
        except ValueError as error:
            instead = "the homography" if s.registration else "none"
            self._outputs.unregistered = f"no depth ({instead} instead): {error}"
            return s.registration
        self._outputs.unregistered = ""
        return view

    def _convert(
        self, stream: str, frame: Incoming | None, to_array: Callable[[Incoming], np.ndarray]
    ) -> np.ndarray | None:
        if frame is None:
            return None
        try:
            array = to_array(frame)
        except ImageError as error:
            self.monitor.spoiled(stream, error)
            return None
        self.monitor.used(stream)
        return array

    def taken(self) -> None:
        """A request goes into the model now."""
        self._compilations = getattr(self._node.model, "compilations", 0)
        self.monitor.work.taken(time.monotonic())

    def deliver(self, request: Request, result: Any, trace: Trace) -> None:
        """Publish a result under the header of the request's master frame."""
        job = request.job
        if not self._understood(request):
            return
        if self._made_old(job) or self._compiled_meanwhile():
            self.monitor.work.outdated(time.monotonic())
            return
        scene = self._scene(request, result)
        spans = self._outputs.publish(scene, beside=False)
        if self._outputs.wanted_beside():
            self.aside.put(lambda: self._beside(request, scene))
        end = time.monotonic()
        clock_ns = self._node.get_clock().now().nanoseconds
        age_ms = (clock_ns - job.master.stamp_ns) / NS * 1e3 if clock_ns else None  # 0: simulated, no /clock yet
        latency_ms = (end - job.received) * 1e3
        self.monitor.work.done(trace.inference_ms, latency_ms, end, job.one_camera, age_ms, trace.turn_ms)
        if self._outputs.timing_wanted():
            _, trace.built, trace.sent, _ = spans.get(MASK, (0.0,) * 4)
            trace.arrived, trace.received, trace.done = job.arrived, job.received, end
            self._outputs.timing(to_json(trace, job.master.stamp_ns, job.waited, result.timing, spans))

    def _beside(self, request: Request, scene: Scene) -> None:
        """The slower outputs of a mask that was sent."""
        job = request.job
        if self._understood(request) and not self.monitor.beat.stood_still_since(job.received, time.monotonic()):
            spans = self._outputs.publish(scene, beside=True)
            if self._outputs.timing_wanted():
                self._outputs.timing(beside_to_json(job.master.stamp_ns, spans))

    def _understood(self, request: Request) -> bool:
        """Whether the ids of its mask mean what `classes` says now."""
        now, then = self.settings.class_map, request.settings.class_map
        return now is not None and then is not None and now.entries == then.entries

    def _scene(self, request: Request, result: Any) -> Scene:
        job, s = request.job, request.settings
        placed = request.registration if job.rgb is not None else None  # a mask of thermal alone is in its own view
        warning = "" if job.thermal is None else job.thermal.warning
        return Scene(
            job.master.header, request.rgb, request.thermal, result, s, self.companions, self._outputs.alarm,
            placed, warning,
        )  # fmt: skip

    def _made_old(self, job: Job) -> bool:
        """Whether the process stood still since the job came; then it is kept for when nothing newer comes."""
        if job.leftover and not self.monitor.leftover.superseded(job):
            return False
        if not self.monitor.beat.stood_still_since(job.received, time.monotonic()):
            return False
        self.monitor.leftover.keep(job)
        return True

    def _compiled_meanwhile(self) -> bool:
        """Whether an engine compiled for so long that newer frames wait."""
        box = self._node.mailbox
        newer = box is not None and box.item is not None
        return newer and getattr(self._node.model, "compilations", 0) != self._compilations

    def failed(self, error: Exception) -> None:
        """There is no mask for a job: say why."""
        if self.context.ok():  # else the publishers are gone already
            self.monitor.failed(error)

    def in_executor(self, task: Callable[[], None]) -> None:
        """Run a task in the executor's thread, soon; not at all when the node is about to end."""
        executor = self._node.executor
        if executor is not None:
            executor.create_task(self._survive, task)

    @survives
    def _survive(self, task: Callable[[], None]) -> None:
        task()

    def fell_back(self, note: str) -> None:
        """The model goes on with less."""
        self._node.get_logger().warning(f"model: {note}")

    def give_up(self, reason: str) -> None:
        """There will be no more masks."""
        self._node.get_logger().error(f"model: {reason}: no masks any more, the node becomes inactive")
        self.on_give_up(reason)
