"""What reports share."""

from __future__ import annotations

from sartm_core.support.reports import markdown_table, number, versions


def test_tables_have_columns_of_one_width() -> None:
    assert markdown_table([("a", "bcd"), ("12", "3")]) == "| a  | bcd |\n|----|-----|\n| 12 | 3   |"


def test_scores_without_a_value_are_none() -> None:
    assert number(float("nan")) is None and number(0.5) == 0.5


def test_only_what_is_installed_has_a_version() -> None:
    found = versions(("torch", "no-such-package"))
    assert list(found) == ["torch"] and found["torch"][0].isdigit()
