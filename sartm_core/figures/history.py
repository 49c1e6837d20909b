"""What a training run has written down epoch by epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_history(run: Path) -> list[dict[str, Any]]:
    """The lines of `history.jsonl`. ValueError says what is missing and how to get it."""
    path = run / "history.jsonl"
    if not path.is_file():
        raise ValueError(
            f"{path}: no such file; give the --output folder of a training run whose first epoch has ended"
        )
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a history of sartm_core.train ({error})") from error
