"""Text from outside (names of files, topics and classes, words of libraries) on its way to a terminal, a log, a topic.

Escape codes would steer the terminal, a line break would forge a line, a megabyte would drown the rest.
"""

from __future__ import annotations

import unicodedata

LONGEST = 2000
"""Characters of one message."""
CONTROLS = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, halves of characters, line and paragraph breaks."""
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Change the direction of the text after them."""
HEAD_SHARE = 0.75
"""Of what is left of a long text: what is wrong mostly stands at its start."""


def plain(text: object, longest: int = LONGEST, keep: str = "") -> str:
    """One line of at most about `longest` characters that any terminal shows as they are; `keep`: left as they are."""
    given = str(text)
    if len(given) > longest:
        head = int(longest * HEAD_SHARE)
        given = f"{given[:head]}... ({len(given) - longest} characters) ...{given[head - longest :]}"
    if given.isprintable():
        return given
    return "".join(c if c in keep or not steers(c) else c.encode("unicode_escape").decode() for c in given)


def steers(character: str) -> bool:
    """Whether a terminal does something else than to show it."""
    return character in TURNING or unicodedata.category(character) in CONTROLS
