"""Teachers of L_se, text encoders of the class names (paper III-E): one file each, and one line here.

Such a file has `embed(config, texts)`, the embeddings (C, D) of any length, and `source(config)`, whatever decides them
beside the texts, for the cache. Both raise ValueError saying what to do when something is missing.
"""

from __future__ import annotations

from typing import Any

from sartm_core.support.tables import entry

TEACHERS: dict[str, str | None] = {
    "none": None,
    "clip": "clip",
    "minilm": "minilm",
}
"""`LossConfig.teacher` -> its file in this folder."""


def teacher_of(name: str) -> Any:
    """The file of a teacher, None for `none`."""
    file = TEACHERS[name]
    return file and entry(__name__, file)
