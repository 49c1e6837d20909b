"""Part "files": weights that change while they are read, and weights that cannot be right, at node and commands.

A hundred times ~/reload beside a process that rewrites the file in place: the node stays the same process, runs one of
the two files that were whole (by SHA-256), and its memory is flat. Then every file of test/core/hostile.py through
~/reload, predict, bag, evaluate and export: refused in words, and masks go on.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from sartm_core import SARTM
from sartm_core.runtime.opening import default_checkpoint
from sartm_core.support.text import LONGEST
from test.core.hostile import write_all
from test.ros.bag_files import drive, record
from test.soak.children import NODE, THREADS, Child, camera, child, isolate, node_arguments
from test.soak.ear import Ear
from test.soak.faults import MASKS_AFTER, PATIENCE_S, START_S
from test.soak.memory import Samples, step, trend
from test.soak.outcome import Outcome, rounded
from test.soak.progress import bar
from test.soak.services import Services

MB = 1e6
INPUT_SIZE = "160x160"
RATE_HZ = 5.0
MOST_GROWTH = 0.05
"""Of the resident memory, between the medians of the first and of the last tenth of the reloads."""
WARM_RELOADS = 10
"""Before memory counts: allocators and the two models side by side find their size."""
HALF = "taken half written"
"""The name of such answers; docs/reliability.md tells why they cannot be told from whole ones."""
MOST_HALVES = 0.05
"""Of all reloads: a busy machine may hold the writer up for longer than the reading takes."""
REWRITER = """
import sys, time
from pathlib import Path
live, wholes = Path(sys.argv[1]), [Path(p).read_bytes() for p in sys.argv[2:]]
turn = 0
while True:
    data = wholes[turn % len(wholes)]
    with open(live, "r+b") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        time.sleep(0.005)
        file.write(data[len(data) // 2 :])
    turn += 1
    time.sleep(0.3)
"""
PLAIN = ["--device", "cpu", "--engine", "torch", "--precision", "fp32"]


def two_files(folder: Path) -> dict[str, Path]:
    """SHA-256 -> file: the shipped weights and ones a little beside them, of the same size."""
    found = {}
    for number in range(2):
        model = SARTM.load(default_checkpoint())
        model.info = replace(model.info, metrics={})
        with torch.no_grad():
            for parameter in model.parameters():  # in both halves of the file
                parameter.mul_(1 + number * 1e-3)
        path = model.save(folder / f"whole{number}.safetensors")
        found[hashlib.sha256(path.read_bytes()).hexdigest()] = path
    return found


def half_written(wholes: list[Path]) -> list[str]:
    """SHA-256 of what a reader sees when the writer is held up between its two halves."""
    first, second = (path.read_bytes() for path in wholes)
    middle = len(first) // 2
    mixed = (first[:middle] + second[middle:], second[:middle] + first[middle:])
    return [hashlib.sha256(content).hexdigest() for content in mixed]


@contextlib.contextmanager
def rewriting(live: Path, wholes: list[Path]) -> Iterator[None]:
    """A process that writes the files over `live`, one after the other, in place."""
    process = subprocess.Popen([sys.executable, "-c", REWRITER, str(live), *map(str, wholes)])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def reload_beside_a_rewriter(
    count: int, folder: Path, node: Child, ear: Ear, services: Services, outcome: Outcome
) -> None:
    """`count` reloads: each takes a whole file or refuses in words."""
    wholes = two_files(folder)
    halves = half_written(list(wholes.values()))
    live = folder / "live.safetensors"
    live.write_bytes(next(iter(wholes.values())).read_bytes())
    samples: list[tuple[float, float]] = []
    answers: Counter[str] = Counter()
    begin = time.monotonic()
    with rewriting(live, list(wholes.values())), bar(count, "files", "reload") as progress:
        for number in range(count):
            services.set_checkpoint(str(live))
            success, message, _ = services.reload()
            progress.update()
            if node.code is not None:
                break
            taken = success and any(f"({digest[:12]}" in message for digest in wholes)
            refused = not success and "changed while it was read" in message
            half = success and any(f"({digest[:12]}" in message for digest in halves)
            answers["taken" if taken else HALF if half else "refused as changed" if refused else "odd"] += 1
            outcome.claim(taken or refused or half, f"reload {number} beside the rewriter: {message}")
            memory = node.memory()
            if memory and number >= WARM_RELOADS:
                samples.append((time.monotonic() - begin, float(memory["VmRSS"])))
    outcome.measured |= {f"reloads beside a rewriter, {name}": n for name, n in answers.items()}
    outcome.claim(answers[HALF] <= MOST_HALVES * count, f"{answers[HALF]} of {count} reloads took half of each file")
    outcome.claim(sum(answers.values()) == count, f"only {sum(answers.values())} of {count} reloads were answered")
    judge_memory(samples, outcome)
    outcome.series["VmRSS"] = samples
    masks_go_on("the reloads", ear, node, outcome)


def judge_memory(samples: Samples, outcome: Outcome) -> None:
    """Claim that it is flat."""
    if not samples:
        return
    values = [value / MB for _, value in samples]
    growth = step(samples)
    outcome.measured |= {
        "VmRSS after the warm-up, MB": rounded(values[0], 1),
        "VmRSS after the last reload, MB": rounded(values[-1], 1),
        "VmRSS, least and most MB": f"{min(values):.1f} to {max(values):.1f}",
        "VmRSS growth by trend, %": rounded(100 * trend(samples)),
        "VmRSS growth first to last tenth, %": rounded(100 * growth),
    }
    outcome.claim(not growth > MOST_GROWTH, f"memory grew by {growth:.1%} over the reloads")


def masks_go_on(what: str, ear: Ear, node: Child, outcome: Outcome) -> None:
    """Claim that masks come from now."""
    count = len(ear.masks)
    came = ear.wait(lambda: len(ear.masks) >= count + MASKS_AFTER, PATIENCE_S, node)
    outcome.claim(came, f"after {what}: {len(ear.masks) - count} masks within {PATIENCE_S:g} s")


def hostile_reloads(files: dict[str, tuple[Path, str]], services: Services, node: Child, outcome: Outcome) -> None:
    """Each of the files: refused by ~/reload, in a line."""
    refused = 0
    with bar(len(files), "files", "hostile file") as progress:
        for wrong, (path, _) in files.items():
            accepted, reason = services.set_checkpoint(str(path))
            success, message, _ = services.reload() if accepted else (False, reason, 0.0)
            holds = not success and is_in_words(message, path)
            refused += holds
            outcome.claim(holds, f"~/reload, {wrong}: success {success}: {message}")
            progress.update()
            if node.code is not None:
                break
    outcome.measured["hostile files, refused by ~/reload"] = f"{refused} of {len(files)}"


def is_in_words(message: str, path: Path) -> bool:
    """One short line that names the file, and no traceback."""
    line = message.strip()
    return path.name in line and len(line) < 2 * LONGEST and "\n" not in line and "Traceback" not in line


def hostile_commands(files: dict[str, tuple[Path, str]], folder: Path, outcome: Outcome) -> None:
    """Each of the files through each command, in this process: exit code 2, a line, nothing written."""
    from sartm_core.evaluate.__main__ import main as evaluate
    from sartm_core.export.__main__ import main as export
    from sartm_core.predict.__main__ import main as predict
    from sartm_ros.bag import main as bag

    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "a.png")
    recording, out = record(folder / "drive", drive(2)), folder / "out"
    commands = {
        "predict": (predict, ["--rgb", str(folder / "a.png"), *PLAIN]),
        "evaluate": (evaluate, ["--synthetic", "1", *PLAIN]),
        "export": (export, ["--format", "openvino"]),
        "bag segment": (bag, ["segment", str(recording), *PLAIN]),
    }
    for name, (command, words) in commands.items():
        refused = 0
        for wrong, (path, _) in files.items():
            told, code = io.StringIO(), None
            target = out / "a.xml" if name == "export" else out
            with contextlib.redirect_stderr(told):
                try:
                    code = command([*words, "--checkpoint", str(path), "--output", str(target)])
                except SystemExit as stop:
                    code = stop.code
            last = told.getvalue().strip().splitlines()[-1:] or [""]
            holds = code == 2 and is_in_words(last[0], path) and not any(out.glob("*"))
            refused += holds
            outcome.claim(holds, f"{name}, {wrong}: exit code {code}: {told.getvalue()[-500:]}")
        outcome.measured[f"hostile files, refused by {name}"] = f"{refused} of {len(files)}"


def run(folder: Path, reloads: int = 100) -> Outcome:
    """All of it on one node."""
    outcome = Outcome("files")
    folder = folder.absolute()
    domain = isolate(folder)
    hostile = folder / "hostile"
    hostile.mkdir(exist_ok=True)
    files = write_all(hostile)
    arguments = node_arguments(threads=THREADS, input_size=INPUT_SIZE, device="cpu", engine="torch", precision="fp32")
    with (
        domain.listener() as listener,
        child("node", NODE, arguments, domain) as node,
        camera("rgb", RATE_HZ, domain),
        camera("thermal", RATE_HZ, domain),
    ):
        ear, services, pid = Ear(listener), Services(listener), node.pid
        ready = ear.wait(lambda: len(ear.masks) >= MASKS_AFTER, START_S, node)
        outcome.claim(ready, f"no masks within {START_S:g} s; state '{ear.state}', log {node.log}")
        if ready:
            reload_beside_a_rewriter(reloads, folder, node, ear, services, outcome)
            hostile_reloads(files, services, node, outcome)
            masks_go_on("the hostile files", ear, node, outcome)
        outcome.claim(node.code is None and node.pid == pid, f"the node died with code {node.code}")
        code = node.interrupt()
        outcome.claim(code == 0, f"the node ended with code {code} at Ctrl-C, expected 0")
        outcome.claim(not node.troubles(), f"the node's log has {', '.join(node.troubles())}: {node.log}")
    with TemporaryDirectory(dir=folder) as own:
        hostile_commands(files, Path(own), outcome)
    return outcome
