"""The documentation site, as far as it can be known without building it (`make docs` does that, strictly)."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from test.test_imports import CORE_COMMANDS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def build() -> Any:
    """Imports a module of docs/_build by its name."""
    sys.path.insert(0, str(DOCS / "_build"))
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(DOCS / "_build"))


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    """mkdocs.yml; its one Python object (the slug function) is left out."""
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
    return yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), loader)


def leaves(nav: Any) -> list[str]:
    """The pages of a navigation tree."""
    if isinstance(nav, str):
        return [nav]
    return [page for entry in (nav.values() if isinstance(nav, dict) else nav) for page in leaves(entry)]


def test_every_page_is_in_the_navigation_once(build: Any, settings: dict[str, Any]) -> None:
    written = [path.name for path in DOCS.glob("*.md")]
    assert sorted(leaves(settings["nav"])) == sorted([*written, *build("generate").NAMES])
    assert len(written) > 20


def test_warnings_are_errors(settings: dict[str, Any]) -> None:
    assert settings["strict"] is True
    checks = settings["validation"]
    assert {value for group in checks.values() for value in group.values()} == {"warn"}
    (recipe,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if "-m mkdocs" in line]
    assert "--strict" in recipe and "--quiet" not in recipe, "with --quiet mkdocs does not see its own warnings"
    assert settings["theme"]["font"] is False, "web fonts come from the network"


def test_every_command_is_on_the_help_page(build: Any) -> None:
    commands = build("commands")
    runnable = commands.runnable(ROOT)
    assert runnable == {*commands.COMMANDS, *commands.NODES, *commands.INTERNAL, commands.OVERVIEW}
    on_top = {f"sartm_core.{name}" for name in CORE_COMMANDS if f"sartm_core.{name}" in runnable}
    assert len(on_top) > 10 and on_top <= set(commands.COMMANDS)


def test_the_pages_that_commands_and_configurations_name_exist(build: Any) -> None:
    guides = [guide for guide, _, _ in build("commands").COMMANDS.values()]
    guides += [config[-1] for config in build("configuration").CONFIGS]
    assert [guide for guide in guides if not (DOCS / guide).is_file()] == []


def test_subcommands_are_read_from_a_help_text(build: Any) -> None:
    arguments = "  COMMAND\n    info      topics\n              more\n    play_all  all\n"
    text = f"usage: x\n\npositional arguments:\n{arguments}\noptions:\n    -h\n"
    assert build("commands").listed(text) == ("info", "play_all")
    assert build("commands").listed("usage: x\n\noptions:\n  -h\n") == ()


def test_a_command_without_help_is_an_error(build: Any, tmp_path: Path) -> None:
    (tmp_path / "no_help.py").write_text("import sys\nsys.exit('no such option: --help')\n")
    code = (
        f"import sys; sys.path[:0] = [{str(DOCS / '_build')!r}, {str(tmp_path)!r}]\n"
        "import commands\ntry:\n    commands.help_text(('no_help',))\nexcept commands.HelpError as e:\n    print(e)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("python -m no_help --help: no such option: --help")


def test_links_of_the_markdown_files_lead_somewhere(build: Any) -> None:
    assert build("links").broken(ROOT) == []


@pytest.mark.parametrize(
    ("link", "complaint"),
    [
        ("other.md", None),
        ("other.md#b-c_d", None),
        ("#here", None),
        ("../README.md", None),
        ("https://example.org/none.md", None),
        ("gone.md", "docs/a.md: gone.md: there is no gone.md"),
        ("other.md#gone", "docs/a.md: other.md#gone: no heading with this anchor"),
        ("../config/gone.yaml", "docs/a.md: ../config/gone.yaml: there is no ../config/gone.yaml"),
    ],
)
def test_a_broken_link_is_named(build: Any, tmp_path: Path, link: str, complaint: str | None) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# Readme\n")
    (tmp_path / "docs" / "other.md").write_text("# Other\n## B: c_d\n```\n## gone\n```\n")
    (tmp_path / "docs" / "a.md").write_text(
        f"# A\n## Here\nSee [it]({link}).\n`[x](in-code.md)`\n```\n[y](fenced.md)\n```\n"
    )
    assert build("links").broken(tmp_path) == ([complaint] if complaint else [])


def test_links_out_of_docs_lead_into_the_site(build: Any) -> None:
    pytest.importorskip("mkdocs", reason="make docs installs it")
    inside = build("hooks").inside
    assert inside("../config/segment.yaml", "node.md") == "reference/files.md#config-segment-yaml"
    assert inside("../README.md#fast", "node.md") == "readme.md#fast"
    assert inside("docs/node.md#topics", "readme.md") == "node.md#topics"
    assert inside("config/cameras.yaml", "readme.md") == "reference/files.md#config-cameras-yaml"
    assert inside("CHANGELOG.md", "readme.md") == "changelog.md"
    assert inside("../CONTRIBUTING.md#style", "design.md") == "contributing.md#style"
    assert inside("docs/node.md", "changelog.md") == "node.md"
    assert inside("first-steps.ipynb", "index.md") == inside("docs/first-steps.ipynb", "readme.md") == "first-steps.md"
    for untouched in ("nav2.md#parameters", "#here", "https://example.org", "../gone.md"):
        assert inside(untouched, "node.md") == untouched
    assert inside("../node.md", "reference/commands.md") == "../node.md"


def test_lists_and_tables_after_text_are_lists_and_tables(build: Any) -> None:
    page = (
        "Text\n- one\n  goes on\n  1. inner\n- two\nmore\n\nText\n| a |\n|---|\n| b |\n```\nx\n- code\n  | code\n```\n"
    )
    assert build("blocks").plain(page) == (
        "Text\n\n- one\n    goes on\n    1. inner\n- two\nmore\n\nText\n\n| a |\n|---|\n| b |\n"
        "```\nx\n- code\n  | code\n```\n"
    )
    written = "# A\n\n- one\n- two\n\n| a |\n|---|\n"
    assert build("blocks").plain(written) == written


def test_a_page_that_needs_the_network_is_found(build: Any, tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="make docs installs it")
    (tmp_path / "good.html").write_text(
        '<a href="https://example.org">x</a><img src="a.png"><script src="b.js"></script>'
    )
    assert build("hooks").network_loads(tmp_path) == []
    (tmp_path / "bad.html").write_text(
        '<script async src="https://example.org/x.js"></script><link href=//cdn.example/x.css>'
    )
    assert build("hooks").network_loads(tmp_path) == [
        "bad.html: https://example.org/x.js",
        "bad.html: //cdn.example/x.css",
    ]


def test_launch_arguments_are_read_without_ros(build: Any) -> None:
    nodes = build("nodes")
    for name in nodes.LAUNCH_FILES:
        path = ROOT / "launch" / name
        arguments = {argument: text for argument, _, text in nodes.launch_arguments(path)}
        assert "use_sim_time" in arguments and all(arguments.values())
        source = path.read_text(encoding="utf-8")
        assert all(f'"{argument}"' in source for argument in arguments)
    assert ("namespace", "sartm", "Namespace of the node and of its topics.") in list(
        nodes.launch_arguments(ROOT / "launch" / "segment.launch.py")
    )


def test_every_field_of_the_training_configuration_is_on_its_page(build: Any) -> None:
    from sartm_core.support.cli import leaves as fields
    from sartm_core.train.config import TrainConfig

    page = build("configuration").fields_page()
    rows = {name: text for name, text, _ in fields(TrainConfig)}
    assert len(rows) > 50
    assert [name for name in rows if f"| `--{name}` |" not in page] == []
    assert "| `--seed` | `int` | `0` | Seed of weights" in page
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in page.splitlines() if line.startswith("|")}
    assert widths == {5}


def test_the_objects_of_the_python_pages_exist(build: Any) -> None:
    missing = []
    for _, _, objects in build("api").PAGES.values():
        for name in objects:
            path = ROOT.joinpath("sartm_core", *name.split("."))
            path = path / "__init__" if path.is_dir() else path
            owner, last = (path, None) if path.with_suffix(".py").is_file() else (path.parent, path.name)
            tree = ast.parse(owner.with_suffix(".py").read_text(encoding="utf-8"))
            if last and last not in {getattr(node, "name", None) for node in tree.body}:
                missing.append(name)
    assert missing == []


def test_images_of_the_pages_are_there_and_readable_in_both_schemes() -> None:
    for path in (DOCS / "images").glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        assert "prefers-color-scheme: dark" in text and "<title>" in text, path.name
        assert not re.search(r"(href|src|url\()\W*https?:", text), f"{path.name} loads from the network"


def test_the_notebook_runs_and_shows_what_it_holds(build: Any) -> None:
    notebook = build("notebook")
    held = notebook.load()
    shown = notebook.run(held)
    assert [notebook.told(outputs) for outputs in shown] == [
        notebook.told(cell["outputs"]) for cell in notebook.code_cells(held)
    ]
    pictures = [output for outputs in shown for output in outputs if "image/png" in output.get("data", ())]
    assert len(pictures) >= 4 and len(shown) > 5


def test_the_notebook_is_a_page_with_its_pictures(build: Any) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# A\n", "b"]},
        {"cell_type": "code", "source": ["print(1)\n", "p"], "outputs": []},
    ]
    notebook = build("notebook")
    printed = {"output_type": "stream", "text": ["1\n"]}
    shown = {"output_type": "execute_result", "data": {"image/png": "iVBORw==", "text/plain": ["P()"]}}
    cells[1]["outputs"] = [printed, shown]
    page = notebook.page({"cells": cells})
    code = "```python\nprint(1)\np\n```\n\n```text\n1\n```"
    assert page == f"# A\nb\n\n{code}\n\n![P](data:image/png;base64,iVBORw==)\n"
    names: dict[str, Any] = {}
    assert notebook.show("import math\nmath.floor(2.5)", names, 1)[0]["data"] == {"text/plain": ["2"]}
    assert notebook.show("print(math)", names, 2)[0]["output_type"] == "stream"
    with pytest.raises(ZeroDivisionError):
        notebook.show("1 / 0", names, 3)


def test_the_site_is_not_packed_or_tracked() -> None:
    assert "/site/" in (ROOT / ".gitignore").read_text().splitlines()
    assert re.search(r"^make .*\bdocs\b", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
