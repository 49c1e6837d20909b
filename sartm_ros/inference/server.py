"""One model for the whole process: loaded in the background, shared by the nodes, replaced, made smaller.

The executor's thread alone changes anything here; `inference` runs the model in a thread of its own. When GPU memory
runs out, that thread stops and asks for `relieve`, which lets it go on with less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sartm_ros.errors import ParameterError
from sartm_ros.inference import fallback
from sartm_ros.inference.inference import BATCH, Inference
from sartm_ros.inference.loading import Loading


def hashes(model: Any) -> dict[str, str]:
    """SHA-256 of all weights of a model, by name."""
    return {name: model.weights(name).sha256 for name in model.adapters}


class ModelServer:
    """Loads and shares the model. `load` turns parameter values into a `sartm_ros.inference.model.Model`; `names`: the
    parameters of the model, which all nodes of the process share."""

    def __init__(self, load: Callable[[dict[str, Any]], Any], names: Sequence[str]) -> None:
        self.load, self.names = load, names
        self.inference = Inference(self.relieve)
        self.values: dict[str, Any] = {}
        """The parameters of the model it was loaded with."""
        self.members: list[Any] = []
        """All nodes of the process."""
        self.users: list[Any] = []
        """Those between configure and cleanup."""
        self.reloading = False
        """Whether some node's `~/reload` is under way."""
        self.reload_obstacle = ""
        """Why the reload under way must not go on."""
        self._loading: Loading | None = None
        self._asked: dict[str, Any] = {}
        self._askers: list[Any] = []
        self._fallbacks: dict[Any, str] = {}

    @property
    def model(self) -> Any:
        """What is in use, or None."""
        return self.inference.model

    @model.setter
    def model(self, model: Any) -> None:
        self.inference.model = model

    # The model

    def request(self, user: Any, values: dict[str, Any]) -> Loading:
        """Begin to load the model for a node, or join the loading under way.

        Raises ParameterError when other nodes of the process have, or wait for, a model of other parameters.
        """
        wanted = {name: values[name] for name in self.names}
        if self._loading is not None and self._asked != wanted and self._askers == [user]:
            self.give_up(user)  # its parameters have changed since
        there = self.values if self.users else self._asked if self._loading else wanted
        for name in self.names:
            if there[name] != wanted[name]:
                raise ParameterError(
                    f"{name}: got '{wanted[name]}', but the nodes of this process share one model, loaded with "
                    f"'{there[name]}'; give all of them the same, or start a process for each"
                )
        if self._loading is None:
            model, whole = self.model, dict(values)
            work = (lambda: model) if model is not None else (lambda: fallback.load(self.load, whole))
            self._loading, self._asked, self._askers = Loading(work), wanted, []
        if user not in self._askers:
            self._askers.append(user)
        return self._loading

    def join(self, user: Any, loading: Loading, values: dict[str, Any]) -> Any:
        """Take the model that was loaded into use for one node; raises what the loading raised."""
        try:
            model = loading.result()
        finally:
            self.give_up(user)
        if self.model is None:
            self.model, self.values = model, {name: values[name] for name in self.names}
        self.prefer(user, values["oom_fallback"])
        self.users.append(user)
        return self.model

    def give_up(self, user: Any) -> None:
        """A node waits for no model any more; what nobody waits for is forgotten."""
        self._askers = [asker for asker in self._askers if asker is not user]
        if self._loading is not None and not self._askers:
            self._loading.abandon()
            self._loading = None

    def leave(self, user: Any) -> None:
        """A node is cleaned up; the last one takes the model with it, and its memory."""
        self.give_up(user)
        self._fallbacks.pop(user, None)
        if user in self.users:
            self.users.remove(user)
            if not self.users:
                self.model = self.inference.latest = None
                self.inference.batch = BATCH
                fallback.free_memory()

    def swap(self, model: Any, values: dict[str, Any]) -> None:
        """Other weights from the next batch on; the old ones are freed once the running batch is through."""
        self.model, self.values = model, {name: values[name] for name in self.names}
        self.inference.batch = BATCH
        self.inference.go_on()
        fallback.free_memory()

    def prefer(self, user: Any, choice: str) -> None:
        """What a node wants when memory runs out (`oom_fallback`); of several nodes the strictest wins."""
        self._fallbacks[user] = choice

    # Too little memory

    def relieve(self, model: Any, pairs: int, reason: str) -> None:
        """The GPU's memory ran out with `pairs` pairs in `model`: need less, as `oom_fallback` says."""
        try:
            self._relieve(model, pairs, reason)
        except Exception as error:
            self._give_up(f"{reason}; and what should help failed: {type(error).__name__}: {error}")

    def _relieve(self, model: Any, pairs: int, reason: str) -> None:
        choices = self._fallbacks.values()
        choice = next((c for c in (fallback.INACTIVE, fallback.CPU) if c in choices), fallback.SMALLER)
        fallback.free_memory()
        if model is not self.model:
            self.inference.go_on()
        elif self.reloading:  # two models at a time are too many: the running one matters more
            self.reload_obstacle = f"GPU memory ran out while both models were loaded ({reason})"
            self.inference.go_on()
        elif choice == fallback.SMALLER and pairs > 1:
            self.inference.batch = pairs // 2
            self._fell_back(f"{self.inference.batch} camera pairs at a time after the GPU ran out of memory")
        elif choice == fallback.SMALLER and (note := model.shrink()):
            self._fell_back(note)
        elif choice != fallback.INACTIVE and model.device != fallback.CPU:
            values, clients = dict(self.values), self.inference.clients
            loading = Loading(lambda: fallback.on_cpu(self.load, values, reason))
            if clients:
                loading.when_done(lambda: clients[0].in_executor(lambda: self._move(model, loading, reason)))
        else:
            self._give_up(reason)

    def _move(self, before: Any, loading: Loading, reason: str) -> None:
        """Use the copy of the model that was loaded on the CPU, if it is one."""
        if self.model is not before:
            return
        try:
            model = loading.result()
        except Exception as error:
            self._give_up(f"{reason}; and on the CPU: {type(error).__name__}: {error}")
            return
        if hashes(model) != hashes(before):  # a file has changed since: nobody asked for other weights
            self._give_up(f"{reason}; and the file of the weights has changed meanwhile")
            return
        self.model = model
        fallback.free_memory()
        self._fell_back(model.note)

    def _fell_back(self, note: str) -> None:
        self.model.note = note
        self.inference.go_on()
        for client in self.inference.clients:
            client.fell_back(note)

    def _give_up(self, reason: str) -> None:
        for client in self.inference.clients:
            client.give_up(f"the GPU ran out of memory ({reason})")
        self.inference.go_on()
