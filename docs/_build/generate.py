"""Every page of the site that is made from the code, as one JSON object on the standard output: path -> Markdown.

A process of its own, because it imports the commands and with them torch, which the site builder need not know.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import api
import commands
import configuration
import nodes
import notebook

ROOT = Path(__file__).resolve().parents[2]
NAMES = (
    "readme.md",
    "changelog.md",
    "contributing.md",
    "first-steps.md",
    "reference/commands.md",
    "reference/configuration.md",
    "reference/files.md",
    "reference/nodes.md",
    *(f"reference/{name}.md" for name in api.PAGES),
)
"""What there is; the paths are relative to docs/."""


def pages() -> dict[str, str]:
    """The pages. Raises when the code does not say what a page needs."""
    texts = (
        *((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
        notebook.page(notebook.load()),
        commands.page(commands.every_help()),
        configuration.fields_page(),
        configuration.files_page(ROOT),
        nodes.page(ROOT),
        *(api.page(name) for name in api.PAGES),
    )
    return dict(zip(NAMES, texts, strict=True))


def main() -> int:
    """Exit code 0; 1 when a page of the node is out of date or a command has no help."""
    sys.path.insert(0, str(ROOT))
    check = [sys.executable, "-m", "sartm_ros.node.reference", "--check"]
    if subprocess.run(check, cwd=ROOT).returncode:
        return 1
    try:
        sys.stdout.write(json.dumps(pages()))
    except commands.HelpError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
