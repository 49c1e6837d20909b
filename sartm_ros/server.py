"""One model for the whole process, and the one thread that runs it for every camera pair.

    node A --job--> one-slot mailbox \\
    node B --job--> one-slot mailbox  > thread: take all that wait --> one batch through the model --> deliver to A, B
    ...                              /

Each node's mailbox keeps its newest job only, so whatever the model costs, nobody waits behind a queue. The executor
thread calls everything but the members of `Client`, which the model's thread calls.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sartm_ros import fallback
from sartm_ros.images import Incoming
from sartm_ros.loading import Loading
from sartm_ros.mailbox import Mailbox, MailRoom
from sartm_ros.parameters import MODEL, ParameterError

BATCH = 16
"""Camera pairs in one forward pass at most."""


@dataclass(frozen=True, eq=False)
class Job:
    """Frames for one mask, one of them None in degraded mode. `received`: arrival of the newer one, monotonic s."""

    rgb: Incoming | None
    thermal: Incoming | None
    received: float

    @property
    def master(self) -> Incoming:
        """The frame whose header and size the outputs carry: rgb, or thermal when it is alone."""
        frame = self.rgb or self.thermal
        assert frame is not None
        return frame

    @property
    def one_camera(self) -> bool:
        """Whether the other camera's frame is missing."""
        return self.rgb is None or self.thermal is None


@dataclass(frozen=True, eq=False)
class Request:
    """What the model needs for one mask; the fields of `sartm_core.segmenter.FramePair`."""

    rgb: np.ndarray | None
    thermal: np.ndarray | None
    registration: Any = None
    thermal_norm: Any = None
    confidence_threshold: float = 0.0


class Client(Protocol):
    """What the model's thread asks of a node."""

    def request(self, job: Job) -> Request | None:
        """Decode the frames; None when nobody wants the mask. May raise ImageError."""

    def deliver(self, job: Job, request: Request, result: Any, inference_ms: float) -> None:
        """Publish a result."""

    def failed(self, job: Job, error: Exception) -> None:
        """There is no mask for this job."""

    def fell_back(self, note: str) -> None:
        """The model goes on with less, since the GPU's memory ran out."""

    def give_up(self, reason: str) -> None:
        """There will be no more masks: become inactive."""


class ModelServer:
    """Loads the model, shares it, runs it. `load` turns parameter values into a `sartm_ros.model.Model`."""

    def __init__(self, load: Callable[[dict[str, Any]], Any]) -> None:
        self.load = load
        self.model: Any = None
        self.values: dict[str, Any] = {}
        """The MODEL parameters the model was loaded with."""
        self.users: list[Any] = []
        """Nodes between configure and cleanup."""
        self.latest: Request | None = None
        """The frames of the last mask, for trying new weights on."""
        self.reloading = False
        """Whether some node's `~/reload` is under way."""
        self._loading: Loading | None = None
        self._asked: dict[str, Any] = {}
        self._askers: list[Any] = []
        self._clients: dict[Mailbox[Job], Client] = {}
        self._room: MailRoom[Job] | None = None
        self._thread: threading.Thread | None = None
        self._busy = threading.Lock()
        self._batch = BATCH
        self._oom_fallback = fallback.SMALLER

    # The model (executor thread)

    def request(self, user: Any, values: dict[str, Any]) -> Loading:
        """Begin to load the model for a node, or join the loading under way.

        Raises ParameterError when other nodes of the process have, or wait for, a model of other parameters.
        """
        wanted = {name: values[name] for name in MODEL}
        if self._loading is not None and self._asked != wanted and self._askers == [user]:
            self.give_up(user)  # its parameters have changed since
        there = self.values if self.users else self._asked if self._loading else wanted
        for name in MODEL:
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
            self.model, self.values = model, {name: values[name] for name in MODEL}
        self._oom_fallback = values["oom_fallback"]
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
        if user in self.users:
            self.users.remove(user)
            if not self.users:
                self.model = self.latest = None
                self._batch = BATCH
                fallback.free_memory()

    def swap(self, model: Any, values: dict[str, Any]) -> None:
        """Other weights from the next frame on; the old ones are freed once the running batch is through."""
        self.model, self.values = model, {name: values[name] for name in MODEL}
        self._oom_fallback = values["oom_fallback"]
        fallback.free_memory()

    # Mailboxes (executor thread)

    def open(self, client: Client) -> Mailbox[Job]:
        """A mailbox for a node that becomes active; the first one starts the thread."""
        if self._room is None:
            self._room = MailRoom()
            self._thread = threading.Thread(target=self._run, args=(self._room,), name="sartm-worker", daemon=True)
            self._thread.start()
        box = self._room.open()
        self._clients = {**self._clients, box: client}
        return box

    def close(self, box: Mailbox[Job]) -> None:
        """Drop what waits in a mailbox, let the running batch finish; the last one ends the thread."""
        box.close()
        self._clients = {b: c for b, c in self._clients.items() if b is not box}
        if self._clients or self._room is None or self._thread is None:
            with self._busy:
                return
        self._room.close()
        self._thread.join()
        self._room = self._thread = None

    # The model's thread

    def _run(self, room: MailRoom[Job]) -> None:
        while not room.closed:
            taken = room.take()
            with self._busy:
                clients = self._clients
                self._serve([(clients[box], job) for box, job in taken if box in clients])

    def _serve(self, jobs: list[tuple[Client, Job]]) -> None:
        requests: list[tuple[Client, Job, Request]] = []
        for client, job in jobs:
            try:
                request = client.request(job)
            except Exception as error:  # a bad frame costs its own mask
                client.failed(job, error)
                continue
            if request is not None:
                requests.append((client, job, request))
        while requests:
            part, requests = requests[: self._batch], requests[self._batch :]
            self._infer(part)

    def _infer(self, part: list[tuple[Client, Job, Request]]) -> None:
        """One batch through the model. When it fails, one by one, so that a bad pair costs only its own mask."""
        model = self.model
        begin = time.monotonic()
        try:
            results = model.batch([request for _, _, request in part])
        except Exception as error:
            if len(part) > 1 and not fallback.is_out_of_memory(error):
                for one in part:
                    self._infer([one])
                return
            for client, job, _ in part:
                client.failed(job, error)
            if fallback.is_out_of_memory(error):
                self._relieve(len(part), f"{type(error).__name__}: {error}")
            return
        inference_ms = (time.monotonic() - begin) * 1e3
        self.latest = part[-1][2]
        for (client, job, request), result in zip(part, results, strict=True):
            try:
                client.deliver(job, request, result, inference_ms)
            except Exception as error:
                client.failed(job, error)

    def _relieve(self, batch: int, reason: str) -> None:
        """The GPU's memory ran out with `batch` pairs: need less of it, as `oom_fallback` says."""
        fallback.free_memory()
        note = ""
        if self._oom_fallback == fallback.SMALLER:
            if batch > 1:
                self._batch = batch // 2
                note = f"{self._batch} camera pairs at a time after the GPU ran out of memory"
            else:
                note = self.model.shrink()
        if not note and self._oom_fallback != fallback.INACTIVE:
            note = self._move_to_cpu(reason)
        if note:
            self.model.note = note
        for client in self._clients.values():
            client.fell_back(note) if note else client.give_up(f"the GPU ran out of memory ({reason})")

    def _move_to_cpu(self, reason: str) -> str:
        """Load the weights on the CPU; the note about it, empty when that is not possible."""
        if str(self.model.device) == fallback.CPU:
            return ""
        try:
            self.model = fallback.on_cpu(self.load, self.values, reason)
        except Exception:
            return ""
        fallback.free_memory()
        return str(self.model.note)
