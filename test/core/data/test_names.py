"""Any legal name of a frame, in any order, survives lists, CVAT's archive and back."""

from __future__ import annotations

import random
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sartm_core.data.layouts.folder import FolderPairs
from sartm_core.labels.bring import bring
from sartm_core.labels.export import export

LONGEST = 60
"""Bytes: what a file system allows, less the suffixes that are added."""
LETTERS = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="/\\\0"), min_size=1, max_size=12
)


def is_name(text: str) -> bool:
    """Whether a list may hold it as a line, and a file system as a file that is no metadata."""
    return text == text.strip() and not text.startswith((".", "#")) and len(text.encode()) <= LONGEST


def folded(text: str) -> str:
    """Equal for names that some file systems hold for one."""
    return unicodedata.normalize("NFC", text).casefold()


NAMES = st.lists(LETTERS.filter(is_name), min_size=1, max_size=4, unique_by=folded)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(NAMES, st.sampled_from(["NFC", "NFD"]), st.sampled_from(["", ".png"]), st.randoms(use_true_random=False))
def test_any_names_in_any_order(names: list[str], form: str, suffix: str, order: random.Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        labels = write(root, names, form)
        listed = order.sample(names, len(names))
        (root / "train.txt").write_text("".join(f"{name}{suffix}\n" for name in listed), encoding="utf-8")
        frames = FolderPairs(root, "train")
        assert list(frames.names) == [unicodedata.normalize("NFC", name) for name in listed]
        for name in frames.names:
            assert np.array_equal(frames.label_of(name), labels[name])
        archive = root / "out.zip"
        export(frames, archive, "none", "ignored")
        for path in (root / "labels").iterdir():
            path.unlink()
        bring(archive, FolderPairs(root, None), "ignored", "error", False)
        again = FolderPairs(root, "train")
        assert all(np.array_equal(again.label_of(name), labels[name]) for name in again.names)


def write(root: Path, names: list[str], form: str) -> dict[str, np.ndarray]:
    """A folder of pairs whose file names are in this Unicode form; the labels, by composed name."""
    (root / "classes.yaml").write_text("names: [unlabeled, car]\n")
    labels = {}
    for number, name in enumerate(names):
        label = np.full((2, 3), number % 2, np.uint8)
        label[0, 0] = 255
        for kind, image in (("rgb", np.zeros((2, 3, 3), np.uint8)), ("thermal", label), ("labels", label)):
            (root / kind).mkdir(exist_ok=True)
            Image.fromarray(image).save(root / kind / f"{unicodedata.normalize(form, name)}.png")
        labels[unicodedata.normalize("NFC", name)] = label
    return labels
