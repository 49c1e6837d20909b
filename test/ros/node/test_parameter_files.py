"""Files whose sections are of no node: named, not passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from sartm_ros.node.parameter_files import without_effect

NODE = "/sartm/segment"


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("/**: {ros__parameters: {a: 1}}", True),
        ("/**/segment: {ros__parameters: {a: 1}}", True),
        ("/*/segment: {ros__parameters: {a: 1}}", True),
        ("/sartm/segment: {ros__parameters: {a: 1}}", True),
        ("sartm: {segment: {ros__parameters: {a: 1}}}", True),
        ("sartm/segment: {ros__parameters: {a: 1}}", True),
        ("segment: {ros__parameters: {a: 1}}", False),
        ("/*: {ros__parameters: {a: 1}}", False),
        ("/segment/**: {ros__parameters: {a: 1}}", False),
        ("/other: {ros__parameters: {a: 1}}\n/**/segment: {ros__parameters: {a: 1}}", True),
        ("a: 1", False),
        ("", False),
    ],
)
def test_a_file_without_a_section_for_the_node_is_named(text: str, fits: bool, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    found = without_effect(["--ros-args", "-p", "threads:=1", "--params-file", str(file)], [NODE])
    assert [str(file) in warning and "write /**/segment:" in warning for warning in found] == ([] if fits else [True])


def test_rcl_agrees_about_sections(tmp_path: Path) -> None:
    """What is called without effect has none, and the other way round, by rcl itself."""
    import rclpy
    from rclpy.context import Context
    from rclpy.node import Node

    for number, key in enumerate(("/**", "/**/segment", "/*/segment", "/sartm/segment", "segment", "/*", "/x/segment")):
        file = tmp_path / f"{number}.yaml"
        file.write_text(f"{key}:\n  ros__parameters:\n    threads: 7\n")
        context = Context()
        rclpy.init(args=["--ros-args", "--params-file", str(file)], context=context)
        try:
            node = Node("segment", namespace="sartm", context=context)
            node.declare_parameter("threads", 1)
            taken = node.get_parameter("threads").value == 7
            node.destroy_node()
        finally:
            context.shutdown()
        assert taken != bool(without_effect(["--params-file", str(file)], [NODE])), key
