"""From camera messages to jobs for the model: checked, counted, paired. Everything here runs in the executor thread.

message --parse--> frame --both cameras alive--> pairing --pair--+--> mailbox (one slot)
                     +-----the other one gone------ alone -------+
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration

from sartm_ros.frames.images import ImageError, Incoming, parse
from sartm_ros.health.health import BOTH
from sartm_ros.health.monitor import Monitor
from sartm_ros.inference.inference import Box
from sartm_ros.inference.jobs import Job
from sartm_ros.node.guards import survives
from sartm_ros.node.inputs import Camera
from sartm_ros.node.parameters import BY_NAME
from sartm_ros.node.settings import Settings
from sartm_ros.pairing.nearest import RGB, STREAMS, THERMAL, Pair
from sartm_ros.pairing.policies import make_pairer
from sartm_ros.pairing.stamps import NS


class Intake:
    """The two cameras of a node and what becomes of their frames."""

    def __init__(self, node: Any, monitor: Monitor, values: dict[str, Any]) -> None:
        self._node = node
        self.context = node.context
        self.monitor = monitor
        self._values = values
        self.settings = Settings.of(values)
        self.cameras: dict[str, Camera] = {}
        self.pairer = make_pairer(values | {"sync.policy": "nearest"})
        self._mailbox: Box | None = None
        # The wait for a better partner is about this machine's time, whatever use_sim_time says.
        self._wait_timer = node.create_timer(1.0, self._on_wait_over, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._wait_timer.cancel()
        backwards = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False)
        self._jumps = node.get_clock().create_jump_callback(backwards, post_callback=self._on_clock_jump)

    def configure(self, values: dict[str, Any]) -> None:
        """A new pairing policy. Raises ParameterError when what it needs is not installed."""
        self._values = values
        self.pairer = make_pairer(values)

    def start(self, mailbox: Box) -> None:
        """Subscribe to both cameras; jobs go to the mailbox."""
        self._mailbox = mailbox
        for stream in STREAMS:  # one by one: `stop` closes what is there
            self.cameras[stream] = Camera(self._node, stream, self._values, self._on_message, self._on_incompatible)

    def stop(self) -> None:
        """Close the subscriptions, forget queued frames. Safe to call twice."""
        self._wait_timer.cancel()
        for camera in self.cameras.values():
            camera.close()
        self.cameras = {}
        self._mailbox = None
        self.pairer.clear("no_partner")
        self.monitor.leftover.take()

    def end(self) -> None:
        """The node is destroyed: also forget the clock."""
        self.stop()
        self._jumps.unregister()

    def update(self, values: dict[str, Any], settings: Settings) -> None:
        """Parameters have changed."""
        live_sync = [name for name in values if name.startswith("sync.") and BY_NAME[name].live]
        if any(values[name] != self._values[name] for name in live_sync):
            counters = self.pairer.counters
            self.pairer.clear("superseded")
            self.pairer = make_pairer(values | {"sync.policy": self.pairer.policy})
            self.pairer.counters = counters
        self._values = values
        self.settings = settings

    def update_mode(self, now: float) -> None:
        """Ask which cameras are alive. When one is left, its newest frame waits for no partner any more."""
        before = self.monitor.mode
        if not self.monitor.update_mode(self._values, now):
            return
        mode = self.monitor.mode
        if mode in STREAMS and (waiting := self.pairer.last(mode)) is not None:
            self._alone(mode, *waiting)
        if mode in STREAMS or before == BOTH:
            self.pairer.clear("no_partner")  # a frame that goes out alone must not come back in a pair
            self._wait_timer.cancel()

    @survives
    def _on_message(self, stream: str, message: Any, arrived: float = 0.0) -> None:
        if stream not in self.cameras:
            return  # deactivated while this message was under way
        now = time.monotonic()
        self.monitor.tick(now)
        try:
            frame = parse(message, stream, self.cameras[stream].topic, self.settings.crop)
        except ImageError as error:
            self.monitor.refuse(stream, error)
            return
        late = self.monitor.beat.late(stream, frame.stamp_ns, now)
        self.monitor.saw(stream, frame, now)
        self.update_mode(now)
        if self.monitor.mode not in STREAMS:
            self._emit(self.pairer.push(stream, frame.stamp_ns, (frame, now, arrived or now, late), now))
        elif self.monitor.mode == stream:  # the other one is gone
            self._alone(stream, frame, now, arrived or now, late)

    @survives
    def _on_wait_over(self) -> None:
        self._emit(self.pairer.poll(time.monotonic()))

    @survives
    def _on_clock_jump(self, jump: TimeJump) -> None:
        self._node.get_logger().info("the ROS clock went backwards: pairing starts anew")
        self.pairer.clear("backward_jump")

    def _emit(self, pairs: list[Pair]) -> None:
        for pair in pairs:
            (rgb, *rgb_came, rgb_late), (thermal, *thermal_came, thermal_late) = pair.rgb, pair.thermal
            self.monitor.last_pair = time.monotonic()
            self.monitor.look_for_swapped(rgb, thermal)
            (older, _), (received, arrived) = sorted((rgb_came, thermal_came))
            job = Job(rgb, thermal, received, received - older, arrived=arrived)
            self._submit(job, rgb_late or thermal_late)
        self._wait_timer.cancel()
        deadline = self.pairer.deadline()
        if deadline is not None:
            self._wait_timer.timer_period_ns = max(1, round((deadline - time.monotonic()) * NS))
            self._wait_timer.reset()

    def _alone(self, stream: str, frame: Incoming, received: float, arrived: float, late: bool) -> None:
        if self._values["degraded.enabled"]:
            frames = {RGB: None, THERMAL: None} | {stream: frame}
            self._submit(Job(frames[RGB], frames[THERMAL], received, arrived=arrived), late)

    def use_leftover(self, now: float) -> None:
        """After a standstill: when nothing newer came, what waited goes to the model."""
        if self.monitor.beat.drained(now) and (job := self.monitor.leftover.take()) is not None:
            self._submit(replace(job, received=now, leftover=True))

    def _submit(self, job: Job, late: bool = False) -> None:
        if late:
            self.monitor.leftover.keep(job)
        elif self._mailbox is not None:
            self.monitor.leftover.newer(job.received)
            self.monitor.losses.pace.fed(time.monotonic())
            self._mailbox.put(job)
            time.sleep(0)  # gives up the interpreter, so that the model's thread has the job at once, not 0.5 ms later

    @survives
    def _on_incompatible(self, stream: str) -> None:
        if stream in self.cameras and (clash := self.cameras[stream].link().incompatible):
            self._node.get_logger().error(f"{stream}: {self.cameras[stream].topic}: {clash}")
