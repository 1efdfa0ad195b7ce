"""Directions of a user's own bank on a small world where the truth is known, and their way through a file."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from whyhere.concepts import (
    VOCABULARY,
    ConceptBank,
    OwnBank,
    OwnMaterial,
    build_own_directions,
    load_bank,
    load_directions,
    open_vocabulary,
    save_directions,
)
from whyhere.errors import MissingFileError, UsageError
from whyhere.stats import unit_rows

WIDTH = 16
AXES = np.linalg.qr(np.random.default_rng(3).normal(size=(WIDTH, WIDTH)))[0]
SHARED = AXES[-1]  # what all texts of the planted text tower share


def concept(name, **changes):
    base = load_bank().concepts[0]
    plain = {"words": (), "teacher": (), "prompts": (name,), "place_neutral": False, "synonyms": ()}
    return msgspec.structs.replace(base, **{"id": name.replace(" ", "-"), "name": name, **plain, **changes})


def bank_of(*concepts, photos=(), templates=("a photo of {}.",)):
    return OwnBank(
        path=Path("own.toml"),
        bank=ConceptBank("own", concepts, templates),
        photos=dict.fromkeys(photos, (Path("x.jpg"),)),
        background=(),
        spoken=frozenset(c.id for c in concepts if c.id not in photos or c.words),
    )


def shots(axis, count, *, seed, strength=1.0):
    """Photos of a thing: its axis, the cone of the images, and noise."""
    rng = np.random.default_rng(seed)
    return unit_rows(strength * AXES[axis] + 2 * AXES[-2] + 0.25 * rng.normal(size=(count, WIDTH)))


def encode(texts):
    """A text tower that knows which axis "thing 0", "thing 1"... mean; other texts lie anywhere."""
    rows = []
    for text in texts:
        found = [axis for axis in range(6) if f"thing {axis}" in text]
        rng = np.random.default_rng(abs(hash_of(text)))
        rows.append(3 * SHARED + (AXES[found[0]] if found else 0.5 * unit_rows(rng.normal(size=WIDTH))))
    return np.array(rows, np.float32) * 7


def hash_of(text):
    return int.from_bytes(text.encode(), "big") % (2**32)


def material(**changes):
    return OwnMaterial(**{"tower": "", "tower_fingerprint": "f", "photos": {}, **changes})


def test_prompts_through_a_text_tower_find_the_planted_axes():
    own = bank_of(concept("thing 0"), concept("thing 1", prompts=("thing 1", "a big thing 1")))
    built = build_own_directions(own, material(encode=encode))
    assert [c.source for c in built.concepts] == ["text-tower"] * 2
    assert built.ids == ("thing-0", "thing-1")
    # Two concepts are not each other's opposite, and what all texts share is gone.
    np.testing.assert_allclose(np.abs(built.directions @ SHARED), 0, atol=0.2)
    assert built.directions[0] @ AXES[0] > 0.95
    assert built.directions[1] @ AXES[1] > 0.95
    assert abs(built.directions[0] @ built.directions[1]) < 0.15
    np.testing.assert_allclose(np.linalg.norm(built.directions, axis=1), 1, atol=1e-5)


def test_a_text_tower_of_another_model_is_refused():
    vocabulary = open_vocabulary()
    own = bank_of(concept("beach"))
    with pytest.raises(UsageError, match="of width 16, the image tower clip-vit-b16 of width 512"):
        build_own_directions(own, material(encode=encode, vocabulary=vocabulary))

    def noise(texts):
        return np.random.default_rng(0).normal(size=(len(texts), 512)).astype(np.float32)

    with pytest.raises(UsageError, match=r"does not belong to the image tower.*check --text-tower"):
        build_own_directions(own, material(encode=noise, vocabulary=vocabulary))


def test_a_text_tower_of_the_same_model_is_taken():
    vocabulary = open_vocabulary()

    def same(texts):
        rows = []
        for text in texts:
            known = [w for w in vocabulary.match(text)[0] if not vocabulary.is_bridged(w)]
            rows.append(vocabulary.mean * 2 + (vocabulary.row(known[0]) if known else 0))
        return np.array(rows, np.float32)

    own = bank_of(concept("mountain"))
    built = build_own_directions(own, material(tower="clip-vit-b16", encode=same, vocabulary=vocabulary))
    assert built.directions[0] @ vocabulary.row("mountain") > 0.9
    assert built.report["text_tower_agrees_with_known_rows"] > 0.8


def test_words_of_the_vocabulary():
    vocabulary = open_vocabulary()
    own = bank_of(
        concept("mountain"),
        concept("torii gate"),
        concept("seaside", words=("beach", "seashore", "zzyzx shore")),
        concept("mountains"),
        concept("fog", place_neutral=True),
    )
    built = build_own_directions(own, material(tower="clip-vit-b16", vocabulary=vocabulary))
    mountain, torii, seaside, mountains, fog = built.concepts
    assert (mountain.source, mountain.words, mountain.weak) == ("text-row", ("mountain",), False)
    assert (torii.source, torii.reason, torii.unknown) == ("none", "unknown: torii", ("torii",))
    assert (seaside.source, seaside.words, seaside.unknown) == (
        "bridged-text",
        ("beach", "seashore"),
        ("zzyzx",),
    )
    assert mountains.reason.startswith("nearly the same as mountain (cosine 0.9")
    assert fog.reason == "place-neutral"
    assert built.ids == ("mountain", "seaside")
    mean = vocabulary.row("beach") + vocabulary.row("seashore")
    np.testing.assert_allclose(built.of("seaside"), mean / np.linalg.norm(mean), atol=1e-5)
    assert (mountain.nearest, mountains.nearest) == ("mountains", "mountain")


def test_example_photos_find_the_planted_axes():
    photos = {f"thing-{axis}": shots(axis, 12, seed=axis) for axis in range(3)}
    own = bank_of(*(concept(f"thing {axis}") for axis in range(3)), photos=tuple(photos))
    built = build_own_directions(own, material(photos=photos))
    for axis, entry in enumerate(built.concepts):
        assert (entry.source, entry.examples, entry.weak) == ("example-photos", 12, False)
        assert entry.auroc > 0.95
        assert entry.auroc_low < entry.auroc <= entry.auroc_high
        assert np.argmax(AXES @ built.of(entry.id)) == axis
    fresh = np.concatenate([shots(axis, 20, seed=50 + axis) for axis in range(3)]).astype(np.float32)
    assert np.mean(built.activations(fresh).argmax(axis=1) == np.repeat(range(3), 20)) > 0.95
    assert (built.activation_sd > 0).all()


def test_order_of_photos_and_concepts_changes_nothing_else():
    photos = {f"thing-{axis}": shots(axis, 8, seed=axis) for axis in range(3)}
    own = bank_of(*(concept(f"thing {axis}") for axis in range(3)), photos=tuple(photos))
    other = bank_of(*(concept(f"thing {axis}") for axis in (2, 0, 1)), photos=tuple(photos))
    one = build_own_directions(own, material(photos=photos))
    two = build_own_directions(other, material(photos={k: v[::-1] for k, v in reversed(photos.items())}))
    for concept_id in own.bank.ids:
        np.testing.assert_allclose(one.of(concept_id), two.of(concept_id), atol=1e-5)
        a, b = (next(c for c in d.concepts if c.id == concept_id) for d in (one, two))
        assert a.auroc == b.auroc


@pytest.mark.parametrize(
    ("photos", "reason"),
    [
        ([shots(0, 3, seed=1), shots(1, 9, seed=2)], "only 3 example photos, 5 are needed"),
        ([shots(0, 9, seed=1)], "no other photos to compare with"),
        ([shots(0, 9, seed=1, strength=0), shots(1, 9, seed=2, strength=0)], "hard to tell"),
        ([np.tile(AXES[0], (6, 1)), np.tile(AXES[0], (6, 1))], "photos are all alike"),
    ],
)
def test_weak_photos_say_why(photos, reason):
    named = {f"thing-{axis}": stack for axis, stack in enumerate(photos)}
    own = bank_of(*(concept(f"thing {axis}") for axis in range(len(photos))), photos=tuple(named))
    built = build_own_directions(own, material(photos=named))
    assert reason in built.concepts[0].reason
    assert "thing-0" not in built.ids


def test_a_background_is_enough_to_compare_with():
    photos = {"thing-0": shots(0, 10, seed=1)}
    own = bank_of(concept("thing 0"), photos=("thing-0",))
    built = build_own_directions(own, material(photos=photos, background=shots(4, 10, seed=2)))
    assert built.ids == ("thing-0",)
    assert built.report["background"] == 10


def test_text_and_photos_are_combined_and_compared():
    photos = {f"thing-{axis}": shots(axis, 10, seed=axis) for axis in range(2)}
    agree = bank_of(*(concept(f"thing {a}", words=("x",)) for a in range(2)), photos=tuple(photos))
    built = build_own_directions(agree, material(photos=photos, encode=encode))
    assert [c.source for c in built.concepts] == ["combined"] * 2
    assert min(c.agreement for c in built.concepts) > 0.5
    assert built.of("thing-0") @ AXES[0] > 0.8
    # The words of one, the photos of the other: said, and left out.
    crossed = {"thing-0": photos["thing-1"], "thing-1": photos["thing-0"]}
    built = build_own_directions(agree, material(photos=crossed, encode=encode))
    assert not built.ids
    assert all("text and photos disagree (correlation -" in c.reason for c in built.concepts)


def test_a_folder_without_a_word_is_its_photos_alone():
    photos = {f"thing-{axis}": shots(axis, 10, seed=axis) for axis in range(2)}
    own = bank_of(concept("thing 0"), concept("thing 1"), photos=tuple(photos))
    built = build_own_directions(own, material(photos=photos, encode=encode))
    assert [c.source for c in built.concepts] == ["example-photos"] * 2
    assert all(c.agreement > 0.5 for c in built.concepts)


@pytest.mark.parametrize("photos", [{}, {"thing-1": np.zeros((0, WIDTH))}])
def test_a_folder_without_a_readable_photo_is_not_read_by_its_name(photos):
    own = bank_of(concept("thing 0"), concept("thing 1"), photos=("thing-1",))
    built = build_own_directions(own, material(encode=encode, photos=photos))
    assert built.ids == ("thing-0",)
    folder = built.concepts[1]
    assert (folder.source, folder.reason) == ("none", "none of its photos can be read")
    assert (folder.words, folder.unknown, folder.examples) == ((), (), 0)


def test_sources_must_fit_each_other():
    own = bank_of(concept("thing 0"), photos=("thing-0",))
    with pytest.raises(UsageError, match=r"different widths \(16, 20\)"):
        build_own_directions(own, material(photos={"thing-0": np.eye(20)[:6]}, encode=encode))
    with pytest.raises(UsageError, match="nothing to make directions from"):
        build_own_directions(bank_of(concept("thing 0")), material())


def test_a_bank_travels_with_its_directions(tmp_path):
    own = bank_of(concept("mountain", group="your own"), concept("torii gate"))
    built = build_own_directions(own, material(tower="clip-vit-b16", vocabulary=open_vocabulary()))
    save_directions(built, tmp_path / "mine")
    for path in (tmp_path / "mine", tmp_path / "mine.json", tmp_path / "mine.safetensors"):
        read = load_directions(path)
        assert read.bank == own.bank
        assert read.concepts == built.concepts
        np.testing.assert_array_equal(read.directions, built.directions)
    with pytest.raises(UsageError, match="another version of the concept bank"):
        load_directions(tmp_path / "mine", bank=load_bank())
    content = json.loads((tmp_path / "mine.json").read_text(encoding="utf-8"))
    del content["bank"]["concepts"][0]["words"]
    (tmp_path / "mine.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(MissingFileError, match="not a complete direction file"):
        load_directions(tmp_path / "mine")


def test_the_shipped_file_is_as_it_was(tmp_path):
    """Fields of users' banks leave no trace in the shipped file."""
    save_directions(load_directions(), tmp_path / "again")
    for suffix in (".json", ".safetensors"):
        shipped = VOCABULARY.with_name(f"directions-clip-vit-b16{suffix}")
        assert (tmp_path / f"again{suffix}").read_bytes() == shipped.read_bytes()
