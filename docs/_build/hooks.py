"""What the site builder (mkdocs) calls: add the generated pages, lead links out of docs/ into the site, look at the result."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from blocks import plain
from configuration import heading
from links import LINK, OUTSIDE, broken
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ELSEWHERE = {"README.md": "readme.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Files of the repository that are pages here."""
EXTRA = {"assets/javascripts/iframe-worker.js": "iframe-worker.js", "assets/site.css": "site.css"}
"""Files of this folder that the site needs: the first for search in a site opened from a disk."""
LOADS = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=[\"']?(?P<url>(?:https?:)?//[^\"'\s>]+)[^>]*>")
"""What a browser would fetch from the network when it opens a page."""


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages, made by a process of its own."""
    complaints = broken(ROOT)
    if complaints:
        raise PluginError("links that lead nowhere:\n" + "\n".join(complaints))
    made = subprocess.run([sys.executable, HERE / "generate.py"], stdout=subprocess.PIPE, text=True)
    if made.returncode:
        raise PluginError("docs/_build/generate.py: no pages; see above")
    for path, text in json.loads(made.stdout).items():
        files.append(File.generated(config, path, content=text))
    for path, name in EXTRA.items():
        files.append(File.generated(config, path, content=(HERE / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links out of docs/ lead to what the site has in their place; lists and tables are those of a Git host."""

    def moved(found: re.Match[str]) -> str:
        return found["mark"] + inside(found["target"], page.file.src_uri) + found["end"]

    return LINK.sub(moved, plain(markdown))


def inside(target: str, source: str) -> str:
    """A link of the page `source` as it is in the site; one that stays within docs/ is left alone."""
    if OUTSIDE.match(target) or target.startswith("#"):
        return target
    target = target.replace(".ipynb", ".md")  # the notebook is a page
    path, mark, anchor = target.partition("#")
    outside = source in ELSEWHERE.values()
    goal = (ROOT / ("" if outside else "docs") / Path(source).parent / path).resolve()
    if not goal.is_relative_to(ROOT):
        return target
    if goal.is_relative_to(ROOT / "docs"):
        return target.removeprefix("docs/") if outside else target
    up = "../" * source.count("/")
    name = goal.relative_to(ROOT).as_posix()
    if name in ELSEWHERE:
        return up + ELSEWHERE[name] + mark + anchor
    if name.startswith("config/"):
        return f"{up}reference/files.md#{heading(name)}"
    return target  # the builder says that it leads nowhere


def on_post_build(config: Any) -> None:
    """No page may need the network."""
    needed = network_loads(Path(config.site_dir))
    if needed:
        raise PluginError("pages that need the network:\n" + "\n".join(needed))


def network_loads(site: Path) -> list[str]:
    """A line for each thing that a page of the site would fetch from elsewhere."""
    found = []
    for path in sorted(site.rglob("*.html")):
        for match in LOADS.finditer(path.read_text(encoding="utf-8")):
            if 'rel="canonical"' not in match[0]:
                found.append(f"{path.relative_to(site)}: {match['url']}")
    return found
