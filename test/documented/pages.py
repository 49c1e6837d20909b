"""The code blocks of the pages, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARK = r"<!-- not run(?: \((?P<only>[^)\n]+)\))?: (?P<reason>.+?) -->"
BLOCK = re.compile(
    rf"(?P<marks>(?:^ *{MARK.replace('P<only>', ':').replace('P<reason>', ':')}\n)*)"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
OURS = r"(?:sartm [a-z]|python -m (?:sartm|test)[\w.]*(?![\w.]))"
INLINE = re.compile(rf"`({OURS}[^`\n]*)`")
"""A command within a sentence or a table."""
INDENTED = re.compile(rf"^ {{4,}}({OURS}(?:.*\\\n)*.*)", re.MULTILINE)
"""A command in a block without fences."""
LANGUAGES = ("", "python", "yaml", "text")
"""Of a block: without one it is typed into a shell; `text` is what programs print, and folders."""
SHELL, PROMPT = "", "$ "
"""In a block with prompts, what has none is output."""
ASSIGNED = re.compile(r"(?P<name>[A-Za-z_]\w*)=(?P<value>.*)", re.DOTALL)
JOINTS = {"&&", ";"}


@dataclass(frozen=True)
class Command:
    """One command of a shell block: its words, without comments and the variables set for it alone."""

    page: str
    line: int
    words: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    reason: str = ""
    """Why it is not run; empty: it is."""

    @property
    def text(self) -> str:
        return shlex.join(self.words)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Block:
    """A fenced block: `reasons` has the beginnings of commands that are not run, "" for the whole block."""

    page: str
    line: int
    language: str
    body: str
    reasons: tuple[tuple[str, str], ...] = ()

    @property
    def reason(self) -> str:
        """Why nothing of it is run; empty: it is."""
        return dict(self.reasons).get("", "")

    @property
    def commands(self) -> list[Command]:
        """Of a shell block."""
        found: list[Command] = []
        variables: dict[str, str] = {}
        for line, text in lines(self.body):
            for words, environment in commands_in(text):
                if not words:
                    variables.update(environment)
                    continue
                words = tuple(new for word in words for new in expanded(word, variables))
                why = (reason for start, reason in self.reasons if shlex.join(words).startswith(start))
                found.append(Command(self.page, self.line + line, words, environment, next(why, "")))
        return found


def pages() -> list[Path]:
    """All that people read, but for the changelog."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@cache
def blocks(path: Path) -> tuple[Block, ...]:
    """The fenced blocks of a page, from its top."""
    return tuple(blocks_of(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))))


def blocks_of(text: str, page: str) -> Iterator[Block]:
    for found in BLOCK.finditer(text):
        marks = tuple((mark["only"] or "", mark["reason"]) for mark in re.finditer(MARK, found["marks"]))
        line = text.count("\n", 0, found.start("language")) + 2
        body = re.sub(f"^{found['indent']}", "", found["body"], flags=re.MULTILINE)
        yield Block(page, line, found["language"], body, marks)


def mentioned(path: Path) -> Iterator[Command]:
    """Commands outside of fenced blocks: looked at, never run."""
    text = BLOCK.sub(lambda block: "\n" * block[0].count("\n"), path.read_text(encoding="utf-8"))
    for found in (*INLINE.finditer(text), *INDENTED.finditer(text)):
        line = text.count("\n", 0, found.start()) + 1
        for words, environment in commands_in(found[1].replace("\\\n", " ").replace(r"\|", "|")):
            yield Command(str(path.relative_to(ROOT)), line, words, environment, "in a sentence")


def lines(body: str) -> Iterator[tuple[int, str]]:
    """(line, text) of what is typed; lines that end with a backslash go on with the next."""
    rows = list(enumerate(body.splitlines()))
    if any(row.startswith(PROMPT) for _, row in rows):
        rows = [(line, row.removeprefix(PROMPT)) for line, row in rows if row.startswith(PROMPT)]
    start, text = 0, ""
    for line, row in rows:
        start = start if text else line
        text += row.removesuffix("\\")
        if not row.endswith("\\"):
            yield start, text
            text = ""


def expanded(word: str, variables: dict[str, str]) -> list[str]:
    """What the shell makes of a word that is a variable of this block; others stay."""
    return variables[word[1:]].split() if word.startswith("$") and word[1:] in variables else [word]


def commands_in(text: str) -> Iterator[tuple[tuple[str, ...], tuple[tuple[str, str], ...]]]:
    """(words, variables) of each command of a line."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&")
    lexer.whitespace_split, lexer.commenters = True, "#"
    for is_joint, group in groupby(lexer, JOINTS.__contains__):
        words = list(group)
        if is_joint:
            continue
        environment = []
        while words and (found := ASSIGNED.fullmatch(words[0])):
            environment.append((found["name"], found["value"]))
            words.pop(0)
        yield tuple(words), tuple(environment)
