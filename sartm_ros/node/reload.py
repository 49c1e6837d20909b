"""`~/reload`: other weights while the node works. Loaded beside the old, tried on a frame, then swapped or dropped."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from rclpy.task import Future
from std_srvs.srv import Trigger

from sartm_core.support.text import plain
from sartm_ros.inference import fallback
from sartm_ros.inference.loading import Loading
from sartm_ros.inference.server import ModelServer

TRIAL_SIZE = (480, 640)
"""Of the empty frame the new weights are tried on when no real one has come yet."""


def strangers(running: Any, coming: Any) -> str:
    """Why the weights that come must not take the place of those that run; empty when they have the same classes."""
    if tuple(running.classes) == tuple(coming.classes):
        return ""
    return (
        f"its classes are {', '.join(coming.classes)}; running are {', '.join(running.classes)}. Readers of the "
        "masks would take one for another: set allow_class_change to true if they know"
    )


class ReloadError(RuntimeError):
    """New weights that cannot be used; the text says why."""


class Reloader:
    """The service of one node. Whatever fails, the running model goes on and the node's parameters tell about it."""

    def __init__(self, node: Any, server: ModelServer) -> None:
        self._node = node
        self._server = server
        self.last = ""
        """What became of the last reload, for the diagnostics."""

    async def serve(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Answer the service once the new weights are in use, or are dropped; frames go on meanwhile."""
        try:
            response.message = self.last = await self._reload()
            response.success = True
            self._node.get_logger().info(f"reload: {self.last}")
        except Exception as error:  # each one means: the old weights stay
            text = str(error) if isinstance(error, ReloadError) else f"{type(error).__name__}: {error}"
            kept = getattr(self._server.model, "name", "")
            response.success, response.message = False, plain(f"kept {kept}: {text}" if kept else text)
            self.last = f"failed, {response.message}"
            self._node.get_logger().error(f"reload: {response.message}")
            if self._node in self._server.users:
                self._node.restore_parameters(self._server.values)
        if not response.success:
            fallback.free_memory()  # not above: there the exception still holds all that was loaded
        self._node.report()
        return response

    async def _reload(self) -> str:
        server, before, values = self._server, self._server.model, dict(self._node.values)
        if before is None or self._node not in server.users:
            raise ReloadError("nothing to reload: configure the node first")
        if server.reloading:
            raise ReloadError("another reload is under way")
        server.reloading, server.reload_obstacle = True, ""
        try:
            self.last = "loading"
            self._node.get_logger().info("reload: loading; masks go on from the old weights meanwhile")
            self._node.report()
            loading = Loading(lambda: self._load(before, values), "sartm-reload")
            await self._patiently(loading, values["load_timeout"])
        finally:
            server.reloading = False
            for user in server.users:
                user.monitor.losses.pace.restart(time.monotonic())  # what came slower meanwhile does not count
        if server.model is not before and not server.users:
            raise ReloadError("the node was cleaned up meanwhile")
        if server.model is not before:
            raise ReloadError("another model was loaded meanwhile")
        if not loading.done:
            loading.abandon()
            loading.when_done(fallback.free_memory)
            raise ReloadError(f"not loaded within load_timeout ({values['load_timeout']:g} s)")
        model = loading.result()
        if server.reload_obstacle:
            raise ReloadError(server.reload_obstacle)
        self._check(before, model)  # again: `adapter` may have been set meanwhile
        server.swap(model, values)
        for member in server.members:
            member.restore_parameters(server.values)
        for user in server.users:
            user.use_model(model)
        loaded = [model.weights(name) for name in model.adapters]
        return f"now {', '.join(f'{one.name} ({one.sha256[:12]})' for one in loaded)}"

    def _load(self, before: Any, values: dict[str, Any]) -> Any:
        """In a thread: load, compare, try on the latest frame."""
        model = self._server.load(values | {"oom_fallback": fallback.INACTIVE})  # at full size, or not at all
        self._check(before, model)
        latest = self._server.inference.latest
        if latest is None:
            model.check(np.zeros((*TRIAL_SIZE, 3), np.uint8), np.zeros(TRIAL_SIZE, np.uint8))
        else:
            model.check(latest.rgb, latest.thermal)
        return model

    def _check(self, before: Any, model: Any) -> None:
        """Raise ReloadError unless the new model fits every node that uses the old one."""
        for user in self._server.users:
            adapter = user.values["adapter"]
            try:
                reason = strangers(before.weights(adapter), model.weights(adapter))
                user.check_model(model)
            except ValueError as error:
                raise ReloadError(f"the new weights do not fit: {error}") from error
            if reason and not self._node.values["allow_class_change"]:
                raise ReloadError(reason)

    async def _patiently(self, loading: Loading, limit: float) -> None:
        """Return when the loading is done or has taken `limit` seconds; the executor goes on meanwhile."""
        over: Future = Future(executor=self._node.executor)

        def watch() -> None:
            loading.wait(limit)
            over.set_result(None)

        threading.Thread(target=watch, name="sartm-reload-watch", daemon=True).start()
        await over
