"""Runs what a page tells people to type, from its top, in a folder of its own: smaller where it would take long."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from test.documented.pages import ROOT, Block, Command
from test.documented.workshop import BY_HAND, lay_out, provide
from test.patience import patience

SHELL_ONLY = {"cd", "git", "mkdir", "source"}
"""The reader is where these lead; nothing of ours would run."""
RUNNABLE = {"sartm", "python", "make", *SHELL_ONLY}
OUTPUTS = ("--output", "--pick")
"""The word behind is made by the command."""
SMALL_TRAINING = "--trainer.max_steps 2 --trainer.batch_size 2 --trainer.val_batch_size 1 --data.workers 0"
QUICK_BENCHMARK = "--runs 5 --warmup 1 --agreement-frames 1 --startup false --threads 2 --precision fp32"
CUTS = {
    "sartm train": SMALL_TRAINING,
    "sartm ablate": "--seeds 0 --dry-run",
    "sartm ablate --table losses": f"--seeds 0 {SMALL_TRAINING}",
    "sartm benchmark --compare": "--anyway",
    "sartm benchmark --adapters": f"--adapters 2 --backbones nano --engine torch {QUICK_BENCHMARK}",
    "sartm benchmark": f"--backbones nano --engine torch --resolutions 96x128 {QUICK_BENCHMARK}",
    "sartm benchmark-node --compare": "",
    "sartm benchmark-node": "--runs 1 --seconds 1 --rates 5 --peak false",
    "sartm evaluate": "--worst 1",
    "sartm evaluate --output": "--synthetic 2",
    "sartm compare": "--resamples 100 --most 1",
    "sartm bag extract": "--every 2",
    "sartm view": "--port 0",
    "sartm browse": "--port 0",
    "make demo": "FRAMES=6",
}
"""Beginning of a command -> what is typed behind it; the longest beginning counts."""
SERVICES = {
    "sartm node": "listening to",
    "sartm replay": "replaying",
    "sartm view": r"http://\S+",
    "sartm browse": r"http://\S+",
}
"""What goes on until Ctrl-C -> what it says when it is ready."""
INTERRUPTED = (0, 130)
LIMIT_S, READY_S, END_S = 300.0, 120.0, 30.0
PRELUDE = """
import numpy as np, torch
from PIL import Image
from sartm_core import SARTM, Segmenter
Image.Image.show = lambda picture: None  # no window here
rgb, thermal = np.zeros((480, 640, 3), np.uint8), np.full((512, 640), 29500, np.uint16)
depth = np.full((480, 640), 5.0, np.float32)
pairs, SAM2 = [(rgb, thermal)], None
"""
"""What Python blocks take for granted."""


@dataclass
class Shell:
    """A reader with a terminal."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lay_out(self.folder)
        domain = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_LOG_DIR": str(self.folder)}
        paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        outer = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        self.environment = {**outer, **domain, **paths, **self.environment}

    def block(self, block: Block) -> None:
        """All of a block that is not marked. AssertionError with what was said when something fails."""
        if block.language == "python" and not block.reason:
            self.python(block)
        for command in block.commands if block.language == "" else ():
            if not command.reason:
                self.command(command)

    def python(self, block: Block) -> None:
        for node in ast.walk(ast.parse(block.body)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                provide(self.folder, node.value, block.body)
        self._run([sys.executable, "-c", PRELUDE + block.body], f"{block.page}:{block.line}")

    def command(self, command: Command) -> None:
        if command.words[0] in SHELL_ONLY:
            return
        for word, before in zip(command.words, ("", *command.words), strict=False):
            if before not in OUTPUTS:
                provide(self.folder, word.rpartition("=")[2], command.text)
        for (page, start), work in BY_HAND.items():
            if command.page == page and command.text.startswith(start):
                work(self.folder)
        words = [*program(command.words), *cut(command.text)]
        ready = next((text for start, text in SERVICES.items() if command.text.startswith(start)), None)
        if ready:
            self._serve(words, str(command), ready)
        else:
            self._run(words, str(command), dict(command.environment))

    def _run(self, words: list[str], name: str, environment: dict[str, str] | None = None) -> None:
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment | (environment or {}), text=True, timeout=LIMIT_S * patience(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, f"{name}\nran {words}\nexit code {done.returncode}\n{done.stdout[-3000:]}"
        print(f"ran {name}", flush=True)

    def _serve(self, words: list[str], name: str, ready: str) -> None:
        log = self.folder / "service.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                words, cwd=self.folder, env=self.environment, stdout=out, stderr=subprocess.STDOUT
            )
        try:
            deadline = time.monotonic() + READY_S * patience()
            while not re.search(ready, log.read_text()) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            said = log.read_text()
            assert re.search(ready, said), f"{name}\nran {words}\nnever said {ready!r}\n{said[-3000:]}"
            process.send_signal(signal.SIGINT)
            code = process.wait(END_S * patience())
            assert code in INTERRUPTED, f"{name}\nran {words}\nexit code {code} after Ctrl-C\n{log.read_text()[-3000:]}"
        finally:
            process.kill()
            process.wait()
        print(f"ran {name}", flush=True)


def cut(text: str) -> list[str]:
    """What is added to a command to make it small."""
    starts = [start for start in CUTS if text.startswith(start)]
    return CUTS[max(starts, key=len)].split() if starts else []


def program(words: tuple[str, ...]) -> list[str]:
    """The words with this interpreter in the place of `sartm` and `python`; `make` uses its environment, too."""
    if words[0] == "sartm":
        return [sys.executable, "-m", "sartm_core", *words[1:]]
    if words[0] == "python":
        return [sys.executable, *words[1:]]
    venv = sys.prefix
    return ["make", "-f", str(ROOT / "Makefile"), f"VENV={venv}", "-o", f"{venv}/.ready-demo", *words[1:]]
