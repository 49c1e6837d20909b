"""What a check of a data set found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

FAULT = "fault"
"""Training or scores on this data would stop or be wrong."""
WARNING = "warning"
"""Looks odd; may be meant."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or odd."""

    level: str
    """`FAULT` or `WARNING`."""
    check: str
    """What was checked, one word: `missing`, `unreadable`, `size`, `label`, `count`, `split`, `thermal`, `shift` ..."""
    file: str
    """The file, list or folder, relative to the data set's root; the root itself as it was given."""
    message: str


class Findings:
    """Collects findings; files are told relative to `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.items: list[Finding] = []

    def fault(self, check: str, path: Path, message: str) -> None:
        self.items.append(Finding(FAULT, check, self.relative(path), message))

    def warn(self, check: str, path: Path, message: str) -> None:
        self.items.append(Finding(WARNING, check, self.relative(path), message))

    def error(self, check: str, path: Path, error: ValueError) -> None:
        """A fault from an error whose text starts with the path."""
        self.fault(check, path, str(error).removeprefix(f"{path}: ").replace(f"{self.root}/", ""))

    def relative(self, path: Path) -> str:
        inside = path != self.root and path.is_relative_to(self.root)
        return (path.relative_to(self.root) if inside else path).as_posix()

    def count(self, level: str) -> int:
        return sum(item.level == level for item in self.items)

    def as_dicts(self) -> list[dict[str, str]]:
        """Faults first, otherwise in the order found."""
        return [asdict(item) for item in sorted(self.items, key=lambda item: item.level != FAULT)]
