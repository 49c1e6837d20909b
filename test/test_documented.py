"""What the pages tell people to type: that it can be typed, always; that it works, with
`python -m pytest -m slow test/test_documented.py` (for one page `-k README`)."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import yaml

from test.documented import pages
from test.documented.known import complaints
from test.documented.pages import SHELL, Block, Command

ALL = [(path, block) for path in pages.pages() for block in pages.blocks(path)]
PLACEHOLDER = re.compile(r"\.[A-Z]+$|--dataset two")
"""A module's name to be filled in, and CONTRIBUTING's example of a layout that somebody writes."""


def page_of(path: Path) -> str:
    return str(path.relative_to(pages.ROOT))


@pytest.fixture(params=pages.pages(), ids=page_of)
def page(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_every_block_is_seen(page: Path) -> None:
    fences = re.findall(r"^ *```", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) == 2 * len(pages.blocks(page))
    marks = re.findall(r"^ *<!-- not run", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(marks) == sum(len(block.reasons) for block in pages.blocks(page)), "a mark stands right above its block"


def test_commands_can_be_typed(page: Path) -> None:
    commands = [
        (command, False) for block in pages.blocks(page) if block.language == SHELL for command in block.commands
    ]
    commands += [(command, True) for command in pages.mentioned(page) if not PLACEHOLDER.search(command.text)]
    assert [f"{command}: {fault}" for command, partial in commands for fault in complaints(command, partial)] == []


def test_every_command_is_run_or_says_why_not(page: Path) -> None:
    from test.documented.running import RUNNABLE

    blocks = [block for block in pages.blocks(page) if block.language == SHELL]
    unknown = [command for block in blocks for command in block.commands if not command.reason]
    assert [str(command) for command in unknown if command.words[0] not in RUNNABLE] == [], "`<!-- not run: WHY -->`"


def test_marks_are_about_something(page: Path) -> None:
    for block in pages.blocks(page):
        for start, reason in block.reasons:
            assert not start or any(command.text.startswith(start) for command in block.commands), (start, reason)


@pytest.mark.parametrize("block", [b for _, b in ALL if b.language == "python"], ids=lambda b: f"{b.page}:{b.line}")
def test_python_compiles_and_its_imports_are_there(block: Block) -> None:
    compile(block.body, block.page, "exec")
    for module, names in re.findall(r"^from ([\w.]+) import ([\w, ]+)", block.body, re.MULTILINE):
        assert [name for name in names.split(", ") if not hasattr(importlib.import_module(module), name)] == []
    for modules in re.findall(r"^import (.+)$", block.body, re.MULTILINE):
        for module in modules.split(", "):
            importlib.import_module(module.partition(" as ")[0])


@pytest.mark.parametrize("block", [b for _, b in ALL if b.language == "yaml"], ids=lambda b: f"{b.page}:{b.line}")
def test_yaml_is_yaml(block: Block) -> None:
    assert isinstance(yaml.safe_load(block.body), dict)


def test_languages_are_known() -> None:
    assert {block.language for _, block in ALL} <= set(pages.LANGUAGES)
    assert len([block for _, block in ALL if block.language == SHELL]) > 40


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ("sartm predict --rgb a.png --output out", ""),
        ("sartm predict --colour a.png --output out", "--colour"),
        ("sartm trian --output out", "no command 'trian'"),
        ("sartm train --config config/train/gone.yaml --output out", "there is no config/train/gone.yaml"),
        ("sartm train --config config/train/synthetic.yaml --trainer.batch_size none --output out", "batch_size"),
        ("sartm labels export --data DIR", "are required: --output"),
        ("sartm bag extract drive --output frames --evry 3", "--evry"),
        ("sartm node --chekpoint x", "did you mean --checkpoint"),
        ("sartm node --ros-args -p chekpoint:=x", "chekpoint"),
        ("python -m sartm_core.nothing", "there is no module sartm_core.nothing"),
        ("make demo DATA=mine", ""),
        ("make demo DATEN=mine", "no variable DATEN"),
        ("make dmeo", "no target dmeo"),
        ('pip install "sartm_ros[tool]"', "no extra 'tool'"),
        ("ros2 run sartm_ros segmentt", "no executable 'segmentt'"),
        ("ros2 launch sartm_ros segment.launch.py rgbtopic:=/a", "no argument 'rgbtopic'"),
        ("ros2 param set /sartm/segment sync.tolerence 0.1", "no parameter 'sync.tolerence'"),
        ("ros2 topic hz /sartm/mask", "the node has no /sartm/mask"),
        ("sratm doctor", "no program"),
    ],
)
def test_a_command_that_cannot_be_typed_is_found(typed: str, complaint: str) -> None:
    ((words, environment),) = pages.commands_in(typed)
    found = " ".join(complaints(Command("page", 1, words, environment)))
    assert complaint in found if complaint else not found


def test_blocks_are_read_as_a_shell_reads_them() -> None:
    page = """\
<!-- not run (make): long -->
```
# a comment
make test  # and so on
O='-a 1'
X=2 sartm a $O \\
  -b && cd c
```
<!-- not run: why -->
```
ros2 run x
```
  ```
  $ sartm d
  output 'of it
  ```
```text
no command
```
"""
    first, second, third, fourth = pages.blocks_of(page, "page")
    assert [(c.words, c.environment, c.reason) for c in first.commands] == [
        (("make", "test"), (), "long"),
        (("sartm", "a", "-a", "1", "-b"), (("X", "2"),), ""),
        (("cd", "c"), (), ""),
    ]
    assert (second.reason, second.commands[0].reason) == ("why", "why")
    assert [(c.line, c.words) for c in third.commands] == [(14, ("sartm", "d"))]
    assert fourth.language == "text"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_commands_work(page: Path, tmp_path: Path) -> None:
    pytest.importorskip("rclpy", reason="pip install 'sartm_ros[ros]'")
    from test.documented.running import Shell
    from test.ros.processes import new_domain

    shell = Shell(tmp_path / "home", {"ROS_DOMAIN_ID": str(new_domain())})
    for block in pages.blocks(page):
        shell.block(block)
