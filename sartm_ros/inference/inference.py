"""The thread that runs the model, for every camera pair of the process.

    node A --job--> one-slot mailbox \\
    node B --job--> one-slot mailbox  > thread: take all that wait --> one batch through the model --> deliver to A, B
    ...                              /  (a second thread may convert what waits meanwhile: `conversion`)

Each node's mailbox keeps its newest job only, so whatever the model costs, nobody waits behind a queue. A batch that
fails is repeated pair by pair, so a bad pair costs its own mask. Nothing ends the threads but the last `close`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sartm_ros.inference import fallback
from sartm_ros.inference.conversion import Conversion, ahead
from sartm_ros.inference.jobs import Client, Request
from sartm_ros.inference.mailbox import Mailbox, MailRoom

BATCH = 16
"""Camera pairs in one forward pass at most."""
JOIN_S = 2.0
"""How long the end waits for a running batch. One that takes longer ends later, its results unread."""


Box = Mailbox[Conversion]
"""A node's mailbox: jobs are put, conversions of them are taken."""
Asked = tuple[Box, Conversion, Request]


class Inference:
    """`model` is what runs; the executor's thread sets it and calls `open`, `close` and `go_on`.

    relieve(model, pairs, reason) is called in the executor's thread when GPU memory ran out with `pairs` pairs in one
    batch; until it has called `go_on` nothing more is taken.
    """

    def __init__(self, relieve: Callable[[Any, int, str], None]) -> None:
        self.model: Any = None
        self.batch = BATCH
        """Pairs in one forward pass at most."""
        self.latest: Request | None = None
        """The frames of the last mask."""
        self._relieve = relieve
        self._clients: dict[Box, Client] = {}
        self._room: MailRoom[Conversion] | None = None
        self._threads: list[threading.Thread] = []
        self._delivering = threading.Lock()
        self._going = threading.Event()

    @property
    def clients(self) -> list[Client]:
        """Who has an open mailbox."""
        return list(self._clients.values())

    def open(self, client: Client) -> Box:
        """A mailbox for the jobs of a node that becomes active; the first one starts the threads."""
        if self._room is None:
            self._room, self._going = MailRoom(), threading.Event()
            self._going.set()
            self._start("sartm-worker", self._run, self._room, self._going)
            self._start("sartm-decode", ahead, self._room)
        box = self._room.open(lambda job: Conversion(client, job))
        self._clients = {**self._clients, box: client}
        return box

    def _start(self, name: str, work: Callable[..., None], *args: Any) -> None:
        def named() -> None:
            tell_system(name)
            work(*args)

        thread = threading.Thread(target=named, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self, box: Box) -> None:
        """Drop what waits in a mailbox; nothing reaches its node after this. The last one ends the threads."""
        box.close()
        with self._delivering:
            self._clients = {b: c for b, c in self._clients.items() if b is not box}
        if not self._clients and self._room is not None:
            self._room.close()
            self._going.set()
            deadline = time.monotonic() + JOIN_S
            for thread in self._threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            self._room, self._threads = None, []

    def go_on(self) -> None:
        """Take jobs again."""
        self._going.set()

    # The thread

    def _run(self, room: MailRoom[Conversion], going: threading.Event) -> None:
        while not room.closed:
            going.wait()
            taken = room.take()
            now, clients = time.monotonic(), self._clients
            jobs = [(box, conversion) for box, conversion in taken if box in clients]
            for _, conversion in jobs:
                conversion.trace.taken = now
            try:
                self._serve(jobs, going)
            except Exception as error:
                for _, conversion in jobs:
                    conversion.client.failed(error)

    def _serve(self, jobs: list[tuple[Box, Conversion]], going: threading.Event) -> None:
        asked: list[Asked] = []
        for box, conversion in jobs:
            try:
                request = conversion.result()
            except Exception as error:  # a bad frame costs its own mask
                conversion.client.failed(error)
                continue
            if request is not None:
                asked.append((box, conversion, request))
        while asked and going.is_set():
            size = (
                self.batch if getattr(self.model, "takes_batches", True) else 1
            )  # else the first would wait for the last
            adapter = asked[0][2].adapter  # others would not share its forward pass
            part = [one for one in asked if one[2].adapter == adapter][:size]
            asked = [one for one in asked if one not in part]
            if fault := self._infer(part):
                self._failed(part, fault, going)

    def _infer(self, part: list[Asked]) -> Exception | None:
        """One batch through the model, results to their nodes; or what went wrong, without what it held on to."""
        model = self.model
        if model is None:
            return None  # cleaned up meanwhile
        for _, conversion, _ in part:
            conversion.client.taken()
        begin = time.monotonic()
        try:
            results = model.batch([request for *_, request in part])
            if len(results) != len(part):
                raise RuntimeError(f"the model gave {len(results)} results for {len(part)} pairs")
        except Exception as error:
            return error.with_traceback(None)  # the traceback would keep the activations in memory
        end = time.monotonic()
        self.latest = part[-1][2]
        for (box, conversion, request), result in zip(part, results, strict=True):
            conversion.trace.asked, conversion.trace.answered = begin, end
            try:
                with self._delivering:
                    if box in self._clients:  # not closed meanwhile
                        conversion.client.deliver(request, result, conversion.trace)
            except Exception as error:
                conversion.client.failed(error)
        return None

    def _failed(self, part: list[Asked], error: Exception, going: threading.Event) -> None:
        """A batch gave no results: ask the executor for relief, or go one by one, so that only the bad pair loses."""
        if fallback.is_out_of_memory(error):
            model, reason = self.model, f"{type(error).__name__}: {error}"
            going.clear()
            part[0][1].client.in_executor(lambda: self._relieve(model, len(part), reason))
        elif len(part) > 1:
            for one in part:
                if alone := self._infer([one]):
                    one[1].client.failed(alone)
            return
        for _, conversion, _ in part:
            conversion.client.failed(error)


def tell_system(name: str) -> None:
    """Call this thread `name` in `top -H` and /proc too; Python itself does so from 3.14 on, on Linux."""
    with suppress(OSError):
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(name)
