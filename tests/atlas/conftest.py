"""Fixtures of the atlas tests: the tiny world and golden files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tiny_atlas import make_atlas

from whyhere.atlas import Atlas

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def atlas() -> Atlas:
    return make_atlas()


@pytest.fixture
def check_golden():
    """Compare text with a golden file; with WHYHERE_UPDATE_GOLDEN=1 in the environment, write it first."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("WHYHERE_UPDATE_GOLDEN"):
            GOLDEN.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return check
