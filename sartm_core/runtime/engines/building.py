"""A session made once in a process of its own, for what it leaves on disk: a long build that can be stopped.

python -m sartm_core.runtime.engines.building network.onnx providers.json
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sartm_core.support import child

Providers = Sequence[tuple[str, dict[str, Any]]]


def build(network: bytes, providers: Providers, done: Path, patience: float, news: float = child.NEWS) -> None:
    """Make a session of an ONNX file's content, then the file `done`.

    Raises:
        TimeoutError: after `patience` seconds; the process has ended then.
        ValueError: what went wrong, in its last words.
    """
    done.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        file, options = (Path(folder) / name for name in ("network.onnx", "providers.json"))
        file.write_bytes(network)
        options.write_text(json.dumps(list(providers)), encoding="utf-8")
        try:
            child.run(__name__, [str(file), str(options)], "building", patience, news)
        except child.ChildError as error:
            raise ValueError(f"engine: the build {error}") from error
    done.touch()


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
    child.end_with_parent()
    main(*sys.argv[1:])
