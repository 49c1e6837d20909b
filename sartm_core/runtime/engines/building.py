"""A session made once in a process of its own, for what it leaves on disk: a long build that can be stopped.

python -m sartm_core.runtime.engines.building network.onnx providers.json
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

log = logging.getLogger(__name__)

Providers = Sequence[tuple[str, dict[str, Any]]]
NEWS = 30.0
"""Seconds between two lines that say it still goes on."""
LAST_LINES = 3
"""Of what the process said, told when it fails."""


def build(network: bytes, providers: Providers, done: Path, patience: float, news: float = NEWS) -> None:
    """Make a session of an ONNX file's content, then the file `done`.

    Raises:
        TimeoutError: after `patience` seconds; the process has ended then.
        ValueError: what went wrong, in its last words.
    """
    done.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        file, options, said = (Path(folder) / name for name in ("network.onnx", "providers.json", "said.txt"))
        file.write_bytes(network)
        options.write_text(json.dumps(list(providers)), encoding="utf-8")
        command = [sys.executable, "-m", __name__, str(file), str(options)]
        with said.open("wb") as words, subprocess.Popen(command, stdout=words, stderr=words) as process:
            try:
                wait(process, patience, news)
            finally:
                process.kill()  # nothing where it has ended
        if process.returncode:
            lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-LAST_LINES:]
            raise ValueError(f"engine: the build ended with exit code {process.returncode}: {' '.join(lines)}")
    done.touch()


def wait(process: subprocess.Popen[bytes], patience: float, news: float) -> None:
    """Until it ends; TimeoutError when that takes too long."""
    started = monotonic()
    while process.poll() is None:
        left = patience - (monotonic() - started)
        if left <= 0:
            raise TimeoutError(f"not built within {patience:g} s")
        try:
            process.wait(min(news, left))
        except subprocess.TimeoutExpired:
            log.info("still building after %.0f of at most %.0f s", monotonic() - started, patience)


def main(network: str, providers: str) -> None:
    """Make the session. RuntimeError where the first provider is not the one that runs it."""
    import onnxruntime

    wanted = [(name, options) for name, options in json.loads(Path(providers).read_text(encoding="utf-8"))]
    check(onnxruntime.InferenceSession(network, providers=wanted).get_providers(), wanted)


def check(running: Sequence[str], wanted: Providers) -> None:
    """ValueError unless the first that is wanted runs."""
    if running[0] != wanted[0][0]:
        raise ValueError(
            f"engine: onnxruntime has {wanted[0][0]} but cannot load it, and took {running[0]}; most often a library "
            "is missing (TensorRT: pip install tensorrt, or libnvinfer of the version that onnxruntime was built for)"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
