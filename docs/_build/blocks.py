"""Markdown as Git hosts read it, made into what the site builder's parser reads the same way.

That parser wants an empty line before a list or a table that follows text, and four columns for what is inside a list.
"""

from __future__ import annotations

import re

ITEM = re.compile(r"(?:[-*]|\d+\.) ")
"""The start of a list item, without its indent."""


def plain(markdown: str) -> str:
    """The page with those empty lines and columns; code blocks as they are."""
    out: list[str] = []
    fenced = in_list = False
    before = ""
    for line in markdown.splitlines():
        text = line.lstrip(" ")
        if text.startswith("```"):
            fenced, in_list = not fenced, False
        elif not fenced:
            item, row = bool(ITEM.match(text)), text.startswith("|")
            starts = (item and not in_list) or (row and not before.startswith("|"))
            if starts and before.strip():
                out.append("")
            in_list = (in_list or item) and bool(text)
            line = (len(line) - len(text)) * (2 if in_list else 1) * " " + text
        out.append(line)
        before = line
    return "\n".join(out) + "\n"
