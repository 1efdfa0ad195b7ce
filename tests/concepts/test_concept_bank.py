"""The bank that ships: complete, without doubles, and covering what the paper names."""

import re
import tomllib
from collections import Counter

import pytest

from whyhere.concepts import GROUPS, VOCABULARY, ConceptBank, load_bank
from whyhere.errors import UsageError

PAPER = """
tropical climate, mountain, cathedral, forest, skyscraper, esplanade, advertisement, typhoon,
historical civilization, tuk-tuk, incense, monorail, windmill, theater, factory, scaffolding,
promenade, drizzle, mangrove, sombrero, eucalyptus, cairn, prayer flags, grapevine, favela,
temperate, sari, underpass, power line, crater, vending, chimney, dune, gondola, island, uniform,
tea, brickwork, reflection, gate, lorry, bus, motorcycle, fortress, hedge, townhouse, hairstyle,
succulent, sand dune, plantation, cobblestone, souk, woodland, oak tree, shanty town, summit,
pennant, demonstration
"""
PAPER_NAMES = [" ".join(name.split()) for name in PAPER.split(",")]


@pytest.fixture(scope="module")
def bank() -> ConceptBank:
    return load_bank()


def names_of(concept):
    return {name.casefold() for name in (concept.name, *concept.synonyms)}


def test_size_and_groups(bank):
    assert 200 <= len(bank) <= 320
    assert {concept.group for concept in bank} == set(GROUPS)
    assert min(Counter(concept.group for concept in bank).values()) >= 8


def test_ids_and_names_are_unique(bank):
    assert len(set(bank.ids)) == len(bank)
    called = Counter(name for concept in bank for name in names_of(concept))
    assert [name for name, count in called.items() if count > 1] == []


def test_paper_lists_58_names():
    assert len(PAPER_NAMES) == len(set(PAPER_NAMES)) == 58


@pytest.mark.parametrize("name", PAPER_NAMES)
def test_paper_name_is_a_concept_or_a_synonym(bank, name):
    assert name in names_of(bank.find(name))


def test_every_concept_is_described(bank):
    for concept in bank:
        assert concept.prompts, concept.id
        assert concept.definition.endswith("."), concept.id
        assert concept.source, concept.id
        assert all("{}" not in prompt for prompt in concept.prompts), concept.id


def test_most_concepts_can_be_verified_on_a_map(bank):
    assert sum(bool(concept.reference) for concept in bank) > len(bank) / 2


def test_removed_terms_are_not_in_the_bank(bank):
    removed = tomllib.loads(VOCABULARY.with_name("removed.toml").read_text(encoding="utf-8"))["removed"]
    assert len(removed) >= 50
    assert {term["id"] for term in removed}.isdisjoint(bank.ids)
    known = {name for concept in bank for name in names_of(concept)}
    assert {term["name"].casefold() for term in removed}.isdisjoint(known)
    assert len({term["id"] for term in removed}) == len(removed)
    assert all(term["reason"] for term in removed)


def test_teacher_names_have_the_teachers_form(bank):
    for concept in bank:
        for name in concept.teacher:
            assert re.fullmatch(r"(places365:[a-z_]+(/[a-z_]+)?|sun:[a-z -]+)", name), name


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("favela", "shanty-town"),
        ("Sand_Dune", "sand-dune"),
        ("POWER LINE", "power-line"),
        ("tuktuk", "tuk-tuk"),
        ("rice-paddy", "rice-paddy"),
    ],
)
def test_find_by_id_name_and_synonym(bank, asked, answer):
    assert bank.find(asked).id == answer


def test_find_unknown_names_close_ones(bank):
    with pytest.raises(UsageError, match=r"did you mean .*mountain"):
        bank.find("mountainn")


def test_fingerprint_depends_on_what_directions_depend_on(bank):
    from msgspec.structs import replace

    first, *rest = bank.concepts
    renamed = replace(first, definition="Something else.")
    reworded = replace(first, words=("elsewhere",))
    same = replace(bank, concepts=(renamed, *rest))
    other = replace(bank, concepts=(reworded, *rest))
    assert same.fingerprint == bank.fingerprint
    assert other.fingerprint != bank.fingerprint
