"""Text from outside shows itself, and does nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sartm_core.support.text import plain


@given(st.text(st.characters(codec=None), max_size=300))
def test_any_text_becomes_one_short_line_without_a_character_that_steers(text: str) -> None:
    shown = plain(text, 100)
    assert len(shown.splitlines()) <= 1 and not set(shown) & {"\x1b", "\x07", "\x9b", "\u202e", "\r"}
    assert len(plain(text[:100], 100)) <= 10 * 100
    shown.encode()  # a half character would raise


def test_a_long_text_keeps_its_ends_and_plain_text_is_as_it_was() -> None:
    assert plain("Über 5 °C: 熱 👨‍👩‍👧 ok") == "Über 5 °C: 熱 👨‍👩‍👧 ok"
    assert plain("a\x1b[31m\nb\u202ec") == "a\\x1b[31m\\nb\\u202ec" and plain("a\nb", keep="\n") == "a\nb"
    shown = plain("begin" + "x" * 10**6 + "end", 100)
    assert len(shown) < 150 and shown.startswith("begin") and shown.endswith("end") and "999908 characters" in shown
