"""Names of files, made safe to print."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyhere.images import display_name

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("holiday/img 1.jpg", "holiday/img 1.jpg"),
        ("Žďár/日本/🏝️.jpg", "Žďár/日本/🏝️.jpg"),
        ("C:\\photos\\a.jpg", "C:\\photos\\a.jpg"),
        ("a\nb\tc\rd.jpg", "a\\nb\\tc\\rd.jpg"),
        ("\x1b[31mred.jpg", "\\x1b[31mred.jpg"),
        ("\x9b31m.jpg", "\\x9b31m.jpg"),
        (os.fsdecode(b"caf\xe9.jpg"), "caf\\xe9.jpg"),
        ("\ud800.jpg", "\\ud800.jpg"),
        ("photo\u202egpj.exe", "photo\\u202egpj.exe"),
        ("a\u2028b", "a\\u2028b"),
        ("Screenshot at 1.00.00\u202fPM.png", "Screenshot at 1.00.00\u202fPM.png"),
        (Path("a") / "b.jpg", str(Path("a") / "b.jpg")),
    ],
)
def test_examples(path, expected):
    assert display_name(path) == expected


@given(ANY_TEXT)
def test_is_one_line_that_can_be_written_as_utf8(text):
    shown = display_name(text)
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert len(shown.splitlines()) <= 1
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)
    assert display_name(shown) == shown


@given(st.binary().map(os.fsdecode))
def test_any_bytes_of_a_name_can_be_shown(text):
    display_name(text).encode("utf-8")
