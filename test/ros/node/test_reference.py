"""The node's pages say what the code says: their tables are generated, their topics are those of a running node."""

from __future__ import annotations

import ast
import importlib.util
import itertools
import re

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from hypothesis import given
from hypothesis import strategies as st

from sartm_ros.health import health
from sartm_ros.node import parameters, reference
from sartm_ros.pairing.nearest import STREAMS
from test.ros.processes import ROOT

SAYS = ROOT / "docs" / "node_says.md"
NAMESPACE, NODE = "/sartm", "/sartm/segment"
PARAMETER_SERVICES = "rcl_interfaces/srv/", "type_description_interfaces/srv/", "logging"
"""Types (beginnings) of the services that rclpy gives every node."""


def installed(topic: reference.Topic) -> bool:
    """Whether the package that brings this topic is there."""
    return not topic.needs or importlib.util.find_spec(topic.needs) is not None


def active(robot) -> None:
    """Wait until the node listens to its cameras."""
    wanted = {topic.resolved(NAMESPACE) for topic in reference.INPUTS}
    robot.until(lambda: wanted <= {end.topic_name for end in robot.node.subscriptions}, "an active node")


def test_the_pages_are_what_the_code_says():
    pages = [(ROOT / page).read_text(encoding="utf-8") for page in reference.PAGES]
    assert reference.fill(pages) == pages, f"out of date. Mend it with: {reference.COMMAND}"


def test_check_names_the_command_and_write_mends(tmp_path, capsys):
    pages = [tmp_path / "one.md", tmp_path / "other.md"]
    for page, names in zip(pages, (list(reference.TABLES)[:2], list(reference.TABLES)[2:]), strict=True):
        page.write_text("".join(f"text\n<!-- generated: {name} -->\nOUTDATED\n<!-- end -->\n" for name in names))
    given = [str(page) for page in pages]
    assert reference.main(["--check", *given]) == 1
    said = capsys.readouterr().err
    assert reference.COMMAND in said and all(f"{page} is out of date" in said for page in given)
    assert reference.main(["--write", *given]) == 0
    written = "".join(page.read_text() for page in pages)
    assert "OUTDATED" not in written and written.count("text\n") == len(reference.TABLES)
    assert reference.main(["--check", *given]) == 0


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("no markers", "tables marked: none"),
        ("<!-- generated: states -->\n", "1 markers"),
        ("<!-- generated: state -->\n<!-- end -->", "tables marked: state"),
        (2 * "<!-- generated: states -->\n<!-- end -->\n", "tables marked: states, states"),
    ],
)
def test_a_page_with_wrong_markers_is_refused_and_kept(tmp_path, capsys, page, reason):
    path = tmp_path / "node.md"
    path.write_text(page)
    assert reference.main(["--write", str(path)]) == 1
    assert reason in capsys.readouterr().err and path.read_text() == page


def test_a_page_that_is_not_there_is_named(tmp_path, capsys):
    assert reference.main(["--check", str(tmp_path / "nowhere.md")]) == 1
    assert "nowhere.md" in capsys.readouterr().err


@given(st.lists(st.lists(st.text("ab|`\\ ", max_size=8), min_size=2, max_size=2), max_size=5))
def test_every_row_of_a_table_has_as_many_cells_as_its_title(rows):
    table = reference.markdown(("a", "b"), rows).splitlines()
    assert len(table) == 2 + len(rows)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {3}


def test_every_parameter_is_in_the_table_with_its_default():
    rows = reference.parameters().splitlines()[2:]
    assert len(rows) == len(parameters.SPECS)
    for row, spec in zip(rows, parameters.SPECS, strict=True):
        assert row.startswith(f"| `{spec.name}` | `{reference.shown(spec.default)}` | ")
        assert row.endswith(f" | {spec.applies} | {spec.description} |")


def test_topics_of_a_running_node_are_those_of_the_tables(rig):
    robot = rig()
    active(robot)
    skipped = {name.replace("~", NODE) for name in reference.EVERY_NODE}
    for table, ask in (
        (reference.OUTPUTS, robot.peer.get_publisher_names_and_types_by_node),
        (reference.INPUTS, robot.peer.get_subscriber_names_and_types_by_node),
    ):
        wanted = {topic.resolved(NAMESPACE): [topic.type] for topic in table if installed(topic)}
        found: dict[str, list[str]] = {}

        def seen(ask=ask, wanted=wanted, found=found) -> bool:
            found.clear()
            found.update((name, types) for name, types in ask("segment", NAMESPACE) if name not in skipped)
            return found == wanted

        try:
            robot.until(seen, "topics as in the table")
        except AssertionError:
            assert found == wanted  # shows what differs
            raise


def test_qos_of_a_running_node_is_that_of_the_tables(rig):
    robot = rig()
    active(robot)
    ends = {end.topic_name: end.qos_profile for end in (*robot.node.publishers, *robot.node.subscriptions)}
    for topic in (*reference.INPUTS, *reference.OUTPUTS):
        if installed(topic):
            name = topic.resolved(NAMESPACE)
            assert name in ends, f"the node has no {name}"
            qos = ends[name]
            found = reference.Qos(qos.reliability.name.lower(), qos.depth, qos.durability.name.lower())
            assert found == topic.qos, topic.name


def test_services_of_a_running_node_are_those_of_the_table(rig):
    robot = rig()
    wanted = {name.replace("~", NODE): [kind] for name, kind, _ in reference.SERVICES}
    found: dict[str, list[str]] = {}

    def seen() -> bool:
        found.clear()
        for name, types in robot.peer.get_service_names_and_types_by_node("segment", NAMESPACE):
            if not types[0].startswith(PARAMETER_SERVICES):
                found[name] = types
        return found == wanted

    try:
        robot.until(seen, "services as in the table")
    except AssertionError:
        assert found == wanted
        raise


def test_every_state_of_the_cameras_is_in_the_table():
    patterns = [re.escape(text).replace(r"\.\.\.", ".+") for text, _ in reference.STATES]
    for mode, enabled, rgb, thermal in itertools.product(
        (health.BOTH, *STREAMS, health.NONE), (True, False), *2 * ((health.SILENT, health.FROZEN),)
    ):
        text = health.describe_mode(mode, enabled, {"rgb": rgb, "thermal": thermal})
        assert any(re.fullmatch(pattern, text) for pattern in patterns), text
    assert "no masks: frames do not pair" in {text for text, _ in reference.STATES} & set(literals())


def literals() -> list[str]:
    """Every string in the node's code, parts of f-strings included."""
    out = []
    for path in (*(ROOT / "sartm_ros").rglob("*.py"), ROOT / "sartm_core" / "data" / "swapped.py"):
        if path.name != "reference.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            out += [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return out


def quoted() -> list[str]:
    """The log texts (second column, in code type) of the page's troubleshooting table; `...` stands for anything."""
    section = SAYS.read_text(encoding="utf-8").split("## When something is wrong")[1].split("\n## ")[0]
    cells = [line.split(" | ")[1] for line in section.splitlines() if line.startswith("| ") and " | " in line]
    return [part.strip() for cell in cells for text in re.findall(r"`([^`]+)`", cell) for part in text.split("...")]


def test_every_log_text_that_the_page_quotes_is_in_the_code():
    known = literals()
    parts = [part for part in quoted() if part]
    assert len(parts) > 10
    assert [part for part in parts if not any(part in text for text in known)] == []
