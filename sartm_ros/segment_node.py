"""The segmentation node: two camera topics in, class masks out. Wiring only.

    camera messages --parse--> pairing --> mailbox (one slot) --> worker thread: model --> publishers
                    (executor thread)      newest wins

Run it: `python -m sartm_ros.segment_node --ros-args --params-file config/segment.yaml`.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.task import Future
from std_srvs.srv import Trigger

from sartm_ros import parameters, transport
from sartm_ros.health import BOTH, NS
from sartm_ros.images import ImageError, parse
from sartm_ros.inputs import Camera
from sartm_ros.lifecycle import StartupError, guarded
from sartm_ros.model import load_segmenter
from sartm_ros.monitor import Monitor
from sartm_ros.outputs import Outputs
from sartm_ros.pairing import RGB, STREAMS, THERMAL, Pair
from sartm_ros.policies import make_pairer
from sartm_ros.worker import Job, Worker

HEALTH_PERIOD_S = 0.5
DIAGNOSTICS_PERIOD_S = 1.0
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class SegmentNode(LifecycleNode):
    """Lifecycle node `segment` (namespace `sartm`). `load` turns the parameter values into a Segmenter."""

    def __init__(self, load: Callable[[dict[str, Any]], Any] = load_segmenter, **kwargs: Any) -> None:
        super().__init__("segment", **{"namespace": "sartm", **kwargs})
        self._load = load
        for warning in parameters.unknown(parameters.overrides(self)):
            self.get_logger().warning(warning)
        parameters.declare(self)
        self.values = parameters.read(self)
        self.add_on_set_parameters_callback(self._on_parameters)

        self.segmenter: Any = None
        self.worker: Worker | None = None
        self.cameras: dict[str, Camera] = {}
        self.pairer = make_pairer(self.values | {"sync.policy": "nearest"})
        self._dropped_before = 0
        self.outputs = Outputs(self)
        self.monitor = Monitor(self, self.outputs)
        self.monitor.lifecycle("unconfigured")

        # A group of its own: while it awaits the new weights, the other callbacks run on.
        own_group = MutuallyExclusiveCallbackGroup()
        self.create_service(Trigger, "~/reload", self._on_reload, callback_group=own_group)
        # Waits and silence are about this machine's time, whatever use_sim_time says.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._wait_timer = self.create_timer(1.0, self._on_wait_over, clock=steady)
        self._wait_timer.cancel()
        self.create_timer(HEALTH_PERIOD_S, self._on_health, clock=steady)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._on_diagnostics, clock=steady)
        if self.values["autostart"]:
            self._autostart_timer = self.create_timer(0.001, self._autostart, clock=steady)

    # Lifecycle

    def _autostart(self) -> None:
        self._autostart_timer.cancel()
        for step in (self.trigger_configure, self.trigger_activate):
            if step() != SUCCESS:
                raise StartupError("autostart: could not configure and activate; see the error above")

    @guarded
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.monitor.lifecycle("loading")
        self.pairer = make_pairer(self.values)
        self.segmenter = self._load(self.values)
        self.outputs.classes(self.segmenter, self.values["confidence_threshold"])
        self.get_logger().info(f"model {self.segmenter.name}: classes {', '.join(self.segmenter.classes)}")
        self.monitor.lifecycle("inactive")
        return super().on_configure(state)

    @guarded
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        super().on_activate(state)
        self.worker = Worker(self._segment, self._failed)
        self.worker.start()
        self.cameras = {s: Camera(self, s, self.values, self._on_message, self._on_incompatible) for s in STREAMS}
        self.monitor.lifecycle("ok", active=True)
        topics = " and ".join(camera.topic for camera in self.cameras.values())
        self.get_logger().info(f"listening to {topics}")
        return SUCCESS

    @guarded
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.stop_work()
        self.monitor.lifecycle("inactive")
        return super().on_deactivate(state)

    @guarded
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.stop_work()
        self.segmenter = None
        self.monitor.lifecycle("unconfigured")
        return super().on_cleanup(state)

    @guarded
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.stop_work()
        self.monitor.lifecycle("finalized")
        return super().on_shutdown(state)

    def stop_work(self) -> None:
        """Close the subscriptions, end the worker thread, forget queued frames. Safe to call twice."""
        self._wait_timer.cancel()
        for camera in self.cameras.values():
            camera.close()
        self.cameras = {}
        if self.worker is not None:
            self.worker.stop()
            self._dropped_before += self.worker.mailbox.dropped
            self.worker = None
        self.pairer.clear("no_partner")

    # Frames (executor thread)

    def _on_message(self, stream: str, message: Any) -> None:
        if stream not in self.cameras:
            return  # deactivated while this message was under way
        now = time.monotonic()
        try:
            frame = parse(message, stream, self.cameras[stream].topic)
        except ImageError as error:
            self.monitor.refuse(stream, error)
            return
        self.monitor.saw(stream, frame, now)
        self._update_mode(now)
        if self.values["degraded.enabled"] and self.monitor.mode == stream:  # the other one is silent
            self._submit(Job(**{RGB: None, THERMAL: None, stream: frame}, received=now))
        else:
            self._emit(self.pairer.push(stream, frame.stamp_ns, (frame, now), now))

    def _on_wait_over(self) -> None:
        self._emit(self.pairer.poll(time.monotonic()))

    def _emit(self, pairs: list[Pair]) -> None:
        for pair in pairs:
            (rgb, rgb_received), (thermal, thermal_received) = pair.rgb, pair.thermal
            self.monitor.last_pair = time.monotonic()
            self._submit(Job(rgb, thermal, max(rgb_received, thermal_received)))
        self._wait_timer.cancel()
        deadline = self.pairer.deadline()
        if deadline is not None:
            self._wait_timer.timer_period_ns = max(1, round((deadline - time.monotonic()) * NS))
            self._wait_timer.reset()

    def _submit(self, job: Job) -> None:
        if self.worker is not None:
            self.worker.mailbox.put(job)

    def _update_mode(self, now: float) -> None:
        before = self.monitor.mode
        enabled, timeout = self.values["degraded.enabled"], self.values["degraded.timeout"]
        if self.monitor.update_mode(enabled, timeout, now) and enabled and before == BOTH:
            self.pairer.clear("no_partner")  # a frame that goes out alone must not come back in a pair
            self._wait_timer.cancel()

    # The model (worker thread)

    def _segment(self, job: Job) -> None:
        if not self.outputs.subscribers():
            return
        values, segmenter = self.values, self.segmenter
        rgb = job.rgb.rgb() if job.rgb else None
        thermal = job.thermal.thermal(values["thermal.scale"], values["thermal.offset"]) if job.thermal else None
        begin = time.monotonic()
        result = segmenter(rgb, thermal, confidence_threshold=values["confidence_threshold"])
        inferred = time.monotonic()
        self.outputs.publish(job, rgb, thermal, result, segmenter.palette, values["overlay_alpha"])
        end = time.monotonic()
        self.monitor.work.done((inferred - begin) * 1e3, (end - job.received) * 1e3, end, job.one_camera)

    def _failed(self, job: Job, error: Exception) -> None:
        if not self.context.ok():
            return  # shutting down: the publishers are gone already
        if isinstance(error, ImageError):
            of_rgb = job.rgb is not None and error.topic == job.rgb.topic
            self.monitor.refuse(RGB if of_rgb else THERMAL, error)
        else:
            self.monitor.failed(error)

    # Parameters and reload

    def _on_parameters(self, changes: list[Any]) -> Any:
        result, values = parameters.checked(self, changes)
        if not result.successful:
            return result
        changed = {key for key in values if values[key] != self.values[key]}
        self.values = values
        if any(key.startswith("sync.") and parameters.BY_NAME[key].live for key in changed):
            counters = self.pairer.counters
            self.pairer.clear("superseded")
            self.pairer = make_pairer(values | {"sync.policy": self.pairer.policy})
            self.pairer.counters = counters
        if "confidence_threshold" in changed and self.segmenter is not None:
            self.outputs.label_info(self.segmenter, values["confidence_threshold"])
        return result

    async def _on_reload(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Load new weights beside the old ones in a thread; swap between two frames, or keep the old ones."""
        before = self.segmenter
        if before is None:
            response.success, response.message = False, "nothing to reload: configure the node first"
            return response
        loaded: Future = Future(executor=self.executor)

        def load() -> None:
            try:
                loaded.set_result(self._load(self.values))
            except Exception as error:
                loaded.set_result(error)

        threading.Thread(target=load, name="sartm-reload", daemon=True).start()
        outcome: Any = await loaded
        if self.segmenter is not before:  # None, or what a later configure loaded
            response.success, response.message = False, "the node was cleaned up meanwhile"
            return response
        if isinstance(outcome, Exception):
            response.success = False
            response.message = f"kept {before.name}: {type(outcome).__name__}: {outcome}"
            self.get_logger().error(f"reload: {response.message}")
            return response
        self.segmenter = outcome
        self.outputs.classes(outcome, self.values["confidence_threshold"])
        response.success, response.message = True, f"now {outcome.name}"
        self.get_logger().info(f"reload: {response.message}")
        return response

    # Health

    def _on_incompatible(self, stream: str) -> None:
        if stream in self.cameras and (clash := self.cameras[stream].link().incompatible):
            self.get_logger().error(f"{stream}: {self.cameras[stream].topic}: {clash}")

    def _on_health(self) -> None:
        if self.monitor.active:
            self._update_mode(time.monotonic())
            self.monitor.check(self.cameras, self.values)

    def _on_diagnostics(self) -> None:
        dropped = self._dropped_before + (self.worker.mailbox.dropped if self.worker else 0)
        self.monitor.publish(self.pairer.counters, dropped, getattr(self.segmenter, "name", ""))


def main(args: list[str] | None = None, load: Callable[[dict[str, Any]], Any] = load_segmenter) -> int:
    """Run the node until Ctrl-C or SIGTERM. Exit code 0 then, 1 if it could not start."""
    transport.use_shipped_profile()
    try:
        rclpy.init(args=args)
    except Exception as error:  # a params file that is not there or not YAML, an unknown --ros-args flag
        get_logger("segment").fatal(f"cannot start: {error}")
        return 1
    node: SegmentNode | None = None
    executor = SingleThreadedExecutor()
    code = 0
    try:
        node = SegmentNode(load)
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (StartupError, parameters.ParameterError) as error:
        get_logger("segment").fatal(str(error))
        code = 1
    except Exception:
        if rclpy.ok():  # else it is a callback that tried to publish while the process was told to end
            raise
    finally:
        executor.shutdown()
        if node is not None:
            node.stop_work()
            node.destroy_node()
        rclpy.try_shutdown()
    return code


if __name__ == "__main__":
    sys.exit(main())
