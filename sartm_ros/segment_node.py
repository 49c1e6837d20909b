"""The segmentation node: two camera topics in, class masks out. Wiring only.

    camera messages --intake: check, pair--> mailbox (one slot) --server: model--> delivery: publishers
                        (executor thread)    newest wins           (model's thread)

Run it: `sartm node --ros-args --params-file config/segment.yaml`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from sartm_ros import running
from sartm_ros.health.diagnostics import model_facts
from sartm_ros.health.monitor import Monitor
from sartm_ros.inference.inference import Box
from sartm_ros.inference.loading import Loading
from sartm_ros.inference.server import ModelServer
from sartm_ros.node import arguments, parameters
from sartm_ros.node.delivery import Delivery
from sartm_ros.node.guards import survives
from sartm_ros.node.intake import Intake
from sartm_ros.node.lifecycle import StartupError, guarded, refuse_impossible
from sartm_ros.node.outputs import Outputs
from sartm_ros.node.plain_log import PlainNode
from sartm_ros.node.reload import Reloader, strangers
from sartm_ros.node.settings import Settings
from sartm_ros.node.weights import load_segmenter

HEALTH_PERIOD_S = 0.25
DIAGNOSTICS_PERIOD_S = 1.0
POLL_S = 0.02
"""How often a node that starts by itself asks whether its model is loaded."""
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class SegmentNode(PlainNode):
    """Lifecycle node `segment` (namespace `sartm`). `load` turns parameter values into a
    `sartm_ros.inference.model.Model`; `server` is shared by the nodes of one process, or one of its own."""

    def __init__(
        self,
        load: Callable[[dict[str, Any]], Any] = load_segmenter,
        server: ModelServer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__("segment", **{"namespace": "sartm", **kwargs})
        for warning in parameters.unknown(parameters.overrides(self)):
            self.get_logger().warning(warning)
        parameters.declare(self)
        self.values = parameters.read(self)
        self.server = server or ModelServer(load, parameters.MODEL)
        self.server.members.append(self)
        self.outputs = Outputs(self)
        self.monitor = Monitor(self, self.outputs, self.report)
        self.intake = Intake(self, self.monitor, self.values)
        self.delivery = Delivery(self, self.outputs, self.monitor, self.intake.settings)
        self.delivery.on_give_up = self._on_give_up
        self.reloader = Reloader(self, self.server)
        self.mailbox: Box | None = None
        self._dropped_before, self._restoring = 0, False
        self.monitor.lifecycle("unconfigured")
        refuse_impossible(self)
        self.add_on_set_parameters_callback(self._on_parameters)
        own_group = MutuallyExclusiveCallbackGroup()  # while it awaits the new weights, the other callbacks run on
        self.create_service(Trigger, "~/reload", self.reloader.serve, callback_group=own_group)
        self.create_service(Trigger, "~/reset_alarm", self.outputs.serve_reset)
        # Silence is about this machine's time, whatever use_sim_time says.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(HEALTH_PERIOD_S, self._on_health, clock=steady)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self.report, clock=steady)
        self._autostart_timer = self.create_timer(POLL_S, self._autostart, clock=steady)
        if self.values["autostart"]:
            self.get_logger().info(parameters.LOADING)
        else:
            self._autostart_timer.cancel()

    @property
    def model(self) -> Any:
        """The model in use, None before configure and after cleanup."""
        return self.server.model if self in self.server.users else None

    @property
    def weights(self) -> Any:
        """Those of the model that make this node's masks, None without a model."""
        return self.model.weights(self.values["adapter"]) if self.model is not None else None

    # Lifecycle

    def _autostart(self) -> None:
        """Load in the background, the executor free for everything else; then configure and activate."""
        self.monitor.lifecycle("loading")
        try:
            loading = self.server.request(self, self.values)
        except parameters.ParameterError as error:
            raise StartupError(f"autostart: {error}") from None
        if not (loading.done or loading.late(self.values["load_timeout"])):
            return
        for step in (self.trigger_configure, self.trigger_activate):
            if step() != SUCCESS:
                if not self.context.ok():  # Ctrl-C in the middle of it
                    raise KeyboardInterrupt
                raise StartupError("autostart: could not configure and activate; see the error above")

    @guarded
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._autostart_timer.cancel()  # whoever asked for this has taken over
        self.monitor.lifecycle("loading")
        self.intake.configure(self.values)
        loading = self.server.request(self, self.values)
        self._wait(loading)
        model = self.server.join(self, loading, self.values)
        self.check_model(model)
        self.use_model(model)
        weights = self.weights
        self.get_logger().info(f"model {weights.name} on {model.device}: classes {', '.join(weights.classes)}")
        self.monitor.lifecycle("inactive")
        return super().on_configure(state)

    def _wait(self, loading: Loading) -> None:
        """Wait for the model inside a transition, which rclpy cannot suspend; the diagnostics go on."""
        limit = self.values["load_timeout"]
        while not loading.wait(DIAGNOSTICS_PERIOD_S):
            self.report()
            if not self.context.ok():
                raise KeyboardInterrupt
            if loading.late(limit):
                raise StartupError(f"the model was not loaded within load_timeout ({limit:g} s)")

    @guarded
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        if self.model is None:
            raise StartupError("there is no model; clean up and configure again")
        self.mailbox = self.server.inference.open(self.delivery)
        self.delivery.aside.start()
        self.intake.start(self.mailbox)
        self.monitor.lifecycle("ok", active=True)
        self.get_logger().info("listening to " + " and ".join(one.topic for one in self.intake.cameras.values()))
        return super().on_activate(state)

    @guarded
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.stop_work()
        self.monitor.lifecycle("inactive")
        return super().on_deactivate(state)

    @guarded
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.release()
        self.monitor.lifecycle("unconfigured")
        return super().on_cleanup(state)

    @guarded
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._autostart_timer.cancel()
        self.release()
        self.monitor.lifecycle("finalized")
        return super().on_shutdown(state)

    def stop_work(self) -> None:
        """Close the subscriptions, forget queued frames, let the running batch finish. Safe to call twice."""
        self.intake.stop()
        self.delivery.stop()
        if self.mailbox is not None:
            self.server.inference.close(self.mailbox)
            self._dropped_before += self.mailbox.dropped
            self.mailbox = None

    def release(self) -> None:
        """Stop the work and let go of the model. Safe to call twice."""
        self.stop_work()
        self.server.leave(self)
        self._settle(self.values)

    def close(self) -> None:
        """Let go of everything, before `destroy_node`."""
        self.release()
        self.intake.end()
        self.server.members.remove(self)

    @survives
    def _on_give_up(self, reason: str) -> None:
        """There will be no more masks."""
        if self.mailbox is not None:
            self.trigger_deactivate()
            self.monitor.lifecycle(f"inactive: {reason}")

    # The model

    def check_model(self, model: Any) -> None:
        """Raise ValueError when a model does not fit this node's parameters."""
        Settings.of(self.values, model)

    def use_model(self, model: Any) -> None:
        """Another model is in use: tell the world its classes, and why it runs the way it does."""
        if model.choice:
            self.get_logger().info(f"model {model.name}: {model.choice}")
        for warning in model.warnings:
            self.get_logger().warning(warning)
        self._settle(self.values)
        self._tell_classes()

    def _tell_classes(self) -> None:
        class_map = self.delivery.settings.class_map
        if class_map is not None:
            self.outputs.classes(self.weights, self.values["confidence_threshold"], class_map)

    def restore_parameters(self, model_values: dict[str, Any]) -> None:
        """Make the model's parameters tell what is loaded."""
        changed = [Parameter(name, value=v) for name, v in model_values.items() if v != self.values[name]]
        self._restoring = True
        try:
            self.set_parameters(changed)
        finally:
            self._restoring = False

    # Parameters

    def _on_parameters(self, changes: list[Any]) -> Any:
        """Take or refuse changes. No value may make it raise: that would end the executor, and the node."""
        try:
            return self._judge(changes)
        except Exception as error:
            self.monitor.internal("parameters", error)
            return parameters.refused(f"{', '.join(change.name for change in changes)}: cannot be used ({error})")

    def _judge(self, changes: list[Any]) -> Any:
        result, values = parameters.checked(self, changes)
        changed = {name for name in values if values[name] != self.values[name]}
        if self._restoring:  # the file of the running model may be gone by now
            result.successful, result.reason = True, ""
        elif self.server.reloading and (busy := changed & set(parameters.MODEL)):
            return parameters.refused(f"{', '.join(busy)}: a reload is under way; set it again after it")
        if not result.successful:
            return result
        try:
            self._check_classes(values)
            self._settle(values)
        except Exception as error:  # e.g. a class_remap that names a class the model does not have
            return parameters.refused(error)
        self.values = values
        if self in self.server.users:
            self.server.prefer(self, values["oom_fallback"])
        if changed & {"confidence_threshold", "class_remap", "adapter"} and self.model is not None:
            self._tell_classes()
        return result

    def _check_classes(self, values: dict[str, Any]) -> None:
        """Raise ValueError when another adapter has other classes, and nobody said that it may."""
        if self.model is None or self._restoring or values["allow_class_change"]:
            return
        if reason := strangers(self.weights, self.model.weights(values["adapter"])):
            raise ValueError(f"adapter: got '{values['adapter']}', but {reason}")

    def _settle(self, values: dict[str, Any]) -> None:
        settings = Settings.of(values, self.model)
        self.intake.update(values, settings)
        self.delivery.settings = settings

    # Health

    @survives
    def _on_health(self) -> None:
        now = time.monotonic()
        self.monitor.tick(now)
        if self.monitor.active:
            self.intake.update_mode(now)
            self.intake.use_leftover(now)
            self.delivery.listen_beside()
            compiling = self.model.compiling if self.model else ""
            shared = len(self.server.inference.clients), compiling, self.server.reloading
            self.monitor.check(self.intake.cameras, self.values, now, self.intake.pairer.counters, *shared)

    @survives
    def report(self) -> None:
        """Publish the diagnostics."""
        self.monitor.look_for_namesakes()
        passed_over = self._dropped_before + (self.mailbox.dropped if self.mailbox else 0)
        dropped = {"dropped_busy": passed_over, "dropped_outputs": self.delivery.aside.dropped}
        model = model_facts(self.model, self.weights, self.reloader.last)
        self.monitor.publish(self.intake.pairer.counters, dropped, model)


def main(args: list[str] | None = None, load: Callable[[dict[str, Any]], Any] = load_segmenter) -> int:
    """Run the node until Ctrl-C or SIGTERM. Exit code 0 then, 1 if it could not start."""
    known = [(spec.name, spec.default, spec.text) for spec in parameters.SPECS]
    return arguments.main(args, __doc__, known, lambda given: running.run(lambda: [SegmentNode(load)], given))


if __name__ == "__main__":
    sys.exit(main())
