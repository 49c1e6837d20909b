"""What a process takes: CPU time by the kind of its threads, and memory. From /proc, so on Linux only; else nothing.

The main thread is the node's executor. Fast DDS names its threads `dds.*`. All others are the model's: the node's
workers (`sartm-*`: who prepares frames, asks the model and makes the mask; who decodes ahead), and those of the library
below.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

EXECUTOR, MIDDLEWARE, MODEL = "executor", "middleware", "model"
KINDS = (EXECUTOR, MIDDLEWARE, MODEL)
WORKER = "worker"
"""The node's own part of the model's threads, when it matters."""
MEASURING = "measuring"
"""The processes that send and listen."""
PREFIXES = {"dds.": MIDDLEWARE, "sartm-": WORKER}
"""Of the names that threads give themselves."""
KIB_PER_MIB = 1024


@dataclass(frozen=True)
class Usage:
    """Of a process so far."""

    cpu_s: dict[str, float]
    """By kind of thread; of those that live."""
    memory_mib: float
    """Resident now."""
    peak_mib: float
    """Resident at most."""


def threads(pid: int) -> dict[int, str]:
    """Thread ids of a process, and their kind. Empty where there is no /proc."""
    found = {}
    for folder in Path(f"/proc/{pid}/task").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            name, number = (folder / "comm").read_text(), int(folder.name)
            known = (kind for prefix, kind in PREFIXES.items() if name.startswith(prefix))
            found[number] = EXECUTOR if number == pid else next(known, MODEL)
    return found


def look(pid: int) -> Usage | None:
    """What a process has taken; None where there is no /proc."""
    kinds = threads(pid)
    if not kinds:
        return None
    cpu = dict.fromkeys(KINDS, 0.0)
    for number, kind in kinds.items():
        with suppress(OSError, IndexError, ValueError):  # it has ended, or the kernel keeps no such file
            spent = Path(f"/proc/{pid}/task/{number}/schedstat").read_text().split()[0]
            cpu[MODEL if kind == WORKER else kind] += int(spent) / 1e9
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    memory = {words[0]: int(words[1]) / KIB_PER_MIB for words in lines if words[0] in ("VmRSS:", "VmHWM:")}
    return Usage(cpu, memory["VmRSS:"], memory["VmHWM:"])


def pin(pid: int, how: str, measuring: Iterable[int] = ()) -> dict[str, list[int]]:
    """Bind a process's threads to CPUs, and the processes that measure it to those without the model; returns which.

    `split` and `beside` need two CPUs, else ValueError; `no` binds nothing.
    """
    if how == "no":
        return {}
    if not hasattr(os, "sched_setaffinity"):
        raise ValueError(f"Plan.pin: {how} needs Linux; use no")
    cpus = sorted(os.sched_getaffinity(0))
    apart = how in ("split", "beside")
    if apart and len(cpus) < 2:
        raise ValueError(f"Plan.pin: {how} needs two CPUs, this process may use {len(cpus)}; use one")
    first, others = cpus[:1], cpus[1:]
    model, free = (others, first) if apart else (first, others or first)
    worker = model if how == "split" else first
    places = {EXECUTOR: first, MIDDLEWARE: first, WORKER: worker, MODEL: model, MEASURING: free}
    bound = [(number, kind) for number, kind in threads(pid).items()]
    bound += [(number, MEASURING) for process in measuring for number in threads(process)]
    for number, kind in bound:
        with suppress(OSError):  # it has ended
            os.sched_setaffinity(number, places[kind])
    return places
