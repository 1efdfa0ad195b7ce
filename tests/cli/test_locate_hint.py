"""`whyhere locate --hint`: passed on, and said in so many words on standard error."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from whyhere._hints import read_hint
from whyhere.cli import app
from whyhere.concepts import open_vocabulary
from whyhere.errors import UsageError
from whyhere.prediction import ReleaseCard


class StubLocator:
    """Takes what `Locator.locate_many` takes and answers nothing."""

    card = ReleaseCard(name="stub", version="1", summary="", accuracy="", limits=(), attribution=())

    def __init__(self):
        self.asked = []

    def locate_many(self, photos, **options):
        self.asked.append(options)
        read_hint(options["hint"] or "beach")  # refuses at once, as the real one does
        list(photos)
        return iter(())

    def hint_words(self, hint):
        return read_hint(hint)


@pytest.fixture
def locate(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    stub = StubLocator()
    monkeypatch.setattr("whyhere.locator.Locator.from_release", lambda *_, **options: stub)

    def run(*options):
        return stub, CliRunner().invoke(app, ["locate", str(tmp_path / "a.png"), *options])

    return run


def test_the_hint_reaches_the_locator_and_is_said(locate):
    stub, result = locate("--hint", "Palm trees, no qqzzy")
    assert result.exit_code == 0, result.output
    assert stub.asked[0]["hint"] == "Palm trees, no qqzzy"
    assert "--hint: unknown word 'no' is left out" in result.stderr
    assert "--hint: unknown word 'qqzzy' is left out" in result.stderr
    assert "answers are given the hint palm tree, which is your word, not the photo's" in result.stderr
    assert "by a factor of 10 at most" in result.stderr
    assert "hint" not in result.stdout


def test_a_place_in_a_hint_is_said_with_the_option_that_is_stricter(locate):
    _, result = locate("--hint", "Norwegian beach, Bavaria")
    assert "given the hint Norway, Bavaria, Germany, beach, which is your word" in result.stderr
    assert 'to answer nowhere else: --region "Norway; Bavaria, Germany"' in result.stderr


def test_an_uncertain_word_is_called_so(locate):
    vocabulary = open_vocabulary()
    word = next(w for w in vocabulary.words if vocabulary.expected_cosine(w) < 0.5 and " " not in w)
    _, result = locate("--hint", word)
    assert f"the direction of {word!r} is uncertain" in result.stderr


def test_without_a_hint_nothing_is_said(locate):
    stub, result = locate()
    assert stub.asked[0]["hint"] is None
    assert "hint" not in result.stderr


def test_a_hint_without_a_known_word_is_refused(locate):
    _, result = locate("--hint", "qqzzyxx")
    assert isinstance(result.exception, UsageError)
    assert "qqzzyxx" in str(result.exception)
