"""Links of the Markdown files as a Git host shows them: `python docs/_build/links.py` names every one that leads nowhere.

The site builder checks the site's own links; this one also sees README.md, CHANGELOG.md and links out of docs/.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```.*?^```[^\n]*$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"(?P<mark>!?\[[^\]]*\]\()(?P<target>[^)\s]+)(?P<end>[^)]*\))")
HEADING = re.compile(r"^#+ (?P<text>.+?)(?: \{ #(?P<id>[\w.-]+) \})?$", re.MULTILINE)
OUTSIDE = re.compile(r"[a-z]+:")
"""A link with a scheme; not looked at."""


def slug(heading: str) -> str:
    """The anchor of a heading, as Git hosts make it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(text: str) -> set[str]:
    """Every anchor of a page."""
    return {found["id"] or slug(found["text"]) for found in HEADING.finditer(FENCE.sub("", text))}


def targets(text: str) -> Iterator[str]:
    """Where the links of a page lead; those in code are no links."""
    for found in LINK.finditer(CODE.sub("", FENCE.sub("", text))):
        if not OUTSIDE.match(found["target"]):
            yield found["target"]


def sources(root: Path) -> list[Path]:
    """The Markdown files that people read."""
    return [*sorted(root.glob("*.md")), *sorted((root / "docs").glob("*.md"))]


def broken(root: Path) -> list[str]:
    """A line for each link that leads nowhere: file, link, what is missing."""
    complaints = []
    for path in sources(root):
        for target in targets(path.read_text(encoding="utf-8")):
            place, _, anchor = target.partition("#")
            goal = (path.parent / place).resolve() if place else path
            if not goal.exists():
                complaints.append(f"{path.relative_to(root)}: {target}: there is no {place}")
            elif anchor and anchor not in anchors(goal.read_text(encoding="utf-8")):
                complaints.append(f"{path.relative_to(root)}: {target}: no heading with this anchor")
    return complaints


def main() -> int:
    """Exit code 1 when a link leads nowhere."""
    complaints = broken(ROOT)
    sys.stderr.writelines(f"{line}\n" for line in complaints)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
