"""Free text of known words as directions: what is matched, what is named as unknown, and the shipped rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from whyhere.concepts import (
    NEGATIONS,
    SILENT,
    VOCABULARY,
    load_bank,
    load_directions,
    match_words,
    open_vocabulary,
    tokens_of,
    word_key,
)
from whyhere.errors import MissingFileError, UsageError

KNOWN = frozenset(
    ["beach", "rice", "rice paddy", "palm tree", "tree", "churches", "berry", "cafe", "bus stop sign", "man",
     "bus", "box", "t shirt", "glass"]
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "known", "unknown"),
    [
        ("beach", ("beach",), ()),
        ("a BEACH, and a café!", ("beach", "cafe"), ()),
        ("rice paddy", ("rice paddy",), ()),  # not "rice" and an unknown word
        ("rice field", ("rice",), ("field",)),
        ("bus stop", ("bus",), ("stop",)),
        ("the bus stop sign", ("bus stop sign",), ()),
        ("palm-trees", ("palm tree",), ()),
        ("church", ("churches",), ()),
        ("berries", ("berry",), ()),
        ("rice paddies", ("rice paddy",), ()),
        ("men", ("man",), ()),
        ("boxes", ("box",), ()),
        ("glass", ("glass",), ()),
        ("glas", (), ("glas",)),
        ("the beach's trees", ("beach", "tree"), ()),
        ("T-shirt", ("t shirt",), ()),
        ("beach beach beach", ("beach",), ()),
        ("no beach", ("beach",), ("no",)),
        ("a beach without a tree", ("beach", "tree"), ("without",)),
        ("a photo of the", (), ()),
        ("plage 42", (), ("plage", "42")),
        ("", (), ()),
        ("пляж 海", (), ("пляж", "海")),
    ],
)
def test_what_is_matched(text, known, unknown):
    assert match_words(text, KNOWN) == (known, unknown)


@given(st.text(max_size=60))
def test_every_word_of_any_text_is_accounted_for(text):
    known, unknown = match_words(text, KNOWN)
    said = {token for phrase in known for token in phrase.split()} | set(unknown)
    for token in tokens_of(text):
        near = {
            token,
            f"{token}s",
            f"{token}es",
            token.removesuffix("s"),
            token.removesuffix("es"),
            "man",
            "berry",
        }
        assert token in SILENT or said & near or token.endswith(("y", "ies"))


@given(st.text(max_size=40))
@example("\N{MATHEMATICAL MONOSPACE SMALL A}\N{MATHEMATICAL BOLD CAPITAL ALPHA}")
def test_a_key_is_its_own_key(text):
    assert word_key(word_key(text)) == word_key(text)


def test_rows_are_unit_and_centred():
    vocabulary = open_vocabulary()
    rows = np.stack([vocabulary.row(word) for word in vocabulary.words])
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    # Centred rows share next to nothing; uncentred text rows of CLIP have cosines of .7 with each other.
    own = rows[: len(vocabulary.own)]
    assert np.linalg.norm(own.mean(axis=0)) < 0.15
    assert np.abs(own.mean(axis=0) @ vocabulary.mean) < 0.05


def test_a_text_is_the_mean_of_its_words():
    vocabulary = open_vocabulary()
    both = vocabulary.row("snow") + vocabulary.row("mountain")
    found = vocabulary.direction("Snow on a mountain")
    assert found.known == ("snow", "mountain")
    assert found.vector.dtype == np.float32
    np.testing.assert_allclose(found.vector, both / np.linalg.norm(both), atol=1e-6)
    assert found.expected_cosine == 1.0
    assert not found.bridged


def test_a_pattern_is_how_images_change_with_the_text():
    """Covariance times detector (Haufe et al. 2014), shrunk; never far from the word itself."""
    vocabulary = open_vocabulary()
    np.testing.assert_allclose(vocabulary.response, vocabulary.response.T, atol=1e-3)
    assert (
        np.linalg.eigvalsh(vocabulary.response.astype(float)).min()
        > 0.9 * vocabulary.report["pattern"]["shrinkage"]
    )
    for word in ("snow", "beach", "mosque"):
        found = vocabulary.direction(word)
        expected = vocabulary.response @ found.vector
        np.testing.assert_allclose(found.pattern, expected / np.linalg.norm(expected), atol=1e-5)
        assert 0.3 < found.pattern @ found.vector < 0.9


def test_bridged_words_are_marked():
    found = open_vocabulary().direction("mosque and mountain")
    assert found.bridged == ("mosque",)
    assert 0.5 < found.expected_cosine < 1
    assert json.loads(json.dumps(found.to_dict()))["known"] == ["mosque", "mountain"]


def test_neighbours_make_sense():
    """Words mean what they say: the nearest among a few, own rows and bridged ones alike."""
    vocabulary = open_vocabulary()
    words = ["beach", "desert", "snow", "mosque", "palm tree", "cow", "bus", "vineyard"]
    rows = np.stack([vocabulary.row(word) for word in words])
    like = ["seashore", "dune", "ice", "minaret", "palmtrees", "cattle", "minibus", "winery"]
    nearest = np.argmax(np.stack([vocabulary.row(word) for word in like]) @ rows.T, axis=1)
    assert [words[at] for at in nearest] == words


def test_words_agree_with_the_directions_of_the_bank():
    """The bank was built from the same sources by another script: text-only concepts must point alike."""
    vocabulary, directions = open_vocabulary(), load_directions()
    cosines = []
    for entry in directions.concepts:
        if entry.source in ("text-row", "bridged-text") and not entry.weak:
            rows = [vocabulary.row(word_key(word)) for word in entry.words]
            mean = np.mean(rows, axis=0)
            cosines.append(float(mean @ directions.of(entry.id) / np.linalg.norm(mean)))
    assert len(cosines) > 100
    assert min(cosines) > 0.95


def test_every_word_of_the_bank_is_known():
    vocabulary = open_vocabulary()
    missing = {w for entry in load_directions().concepts for w in entry.words if w not in vocabulary}
    assert not missing
    assert all(concept.words for concept in load_bank() if concept.id == "beach")


def test_unknown_words_are_named_and_spellings_suggested():
    vocabulary = open_vocabulary()
    assert vocabulary.direction("beach qqzzy").unknown == ("qqzzy",)
    with pytest.raises(UsageError, match=r"unknown: mosqeu\); did you mean [^?]*mosque"):
        vocabulary.direction("the mosqeu")
    with pytest.raises(UsageError, match=r"unknown: qqzzyxx\)\. "):
        vocabulary.direction("qqzzyxx")
    for text in ("", "a photo of the"):
        with pytest.raises(UsageError, match="no word that says what is seen"):
            vocabulary.direction(text)


def test_no_silent_word_or_negation_is_in_the_vocabulary():
    words = set(open_vocabulary().words)
    assert not words & (SILENT | NEGATIONS)
    assert all(word == word_key(word) for word in words)


def test_the_report_holds_what_the_documentation_says():
    report = open_vocabulary().report
    assert report["bridge"]["centred_cosine"] > 0.75
    assert report["bridge"]["first"] > 0.88
    assert report["packing"]["mean_cosine"] > 0.999
    assert report["packing"]["own_word_first"] > 0.999
    assert report["words"] == len(open_vocabulary())
    text = (Path(__file__).parents[2] / "docs" / "text.md").read_text(encoding="utf-8")
    for number in (
        report["bridge"]["centred_cosine"],
        report["bridge"]["cosine"],
        report["bridge_before_shift"]["centred_cosine"],
    ):
        assert f"{number:.3f}" in text
    assert f"{report['words']:,}" in text


@pytest.fixture
def copy(tmp_path):
    for suffix in (".json", ".safetensors"):
        source = VOCABULARY.with_name(VOCABULARY.name + suffix)
        (tmp_path / f"v{suffix}").write_bytes(source.read_bytes())
    return tmp_path / "v"


def test_any_of_the_two_files_names_a_vocabulary(copy):
    for path in (copy, copy.with_suffix(".json"), copy.with_suffix(".safetensors")):
        assert len(open_vocabulary(path)) == len(open_vocabulary())


def test_damaged_files_are_refused(copy):
    about = json.loads(copy.with_suffix(".json").read_text(encoding="utf-8"))
    data = copy.with_suffix(".safetensors").read_bytes()
    copy.with_suffix(".safetensors").write_bytes(data[:-1] + b"\x00")
    with pytest.raises(MissingFileError, match="damaged"):
        open_vocabulary(copy)
    copy.with_suffix(".json").write_text(json.dumps({**about, "format": 2}), encoding="utf-8")
    with pytest.raises(MissingFileError, match="format 1"):
        open_vocabulary(copy)
    copy.with_suffix(".json").write_text("{", encoding="utf-8")
    with pytest.raises(MissingFileError, match="not a text vocabulary"):
        open_vocabulary(copy)
    with pytest.raises(MissingFileError, match=r"no text vocabulary at .*build_vocabulary\.py"):
        open_vocabulary(copy.with_name("none"))


@settings(max_examples=20, deadline=None)
@given(st.text(max_size=30))
def test_any_text_has_a_direction_or_a_clear_error(text):
    try:
        found = open_vocabulary().direction(text)
    except UsageError as error:
        assert "known" in str(error) or "no word that says" in str(error)  # noqa: PT017
    else:
        assert np.linalg.norm(found.vector) == pytest.approx(1, abs=1e-5)


def test_opening_it_is_light():
    code = "import sys; from whyhere.concepts import open_vocabulary; open_vocabulary().direction('beach');"
    code += "heavy = {'torch', 'onnxruntime', 'PIL', 'scipy'} & set(sys.modules);"
    code += "sys.exit(str(heavy) if heavy else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
