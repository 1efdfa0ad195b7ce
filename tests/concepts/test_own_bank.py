"""A user's own bank: what is read from files and folders, and which mistakes are named."""

from __future__ import annotations

import pytest

from whyhere.concepts import VOCABULARY, load_bank, read_own_bank
from whyhere.errors import MissingFileError, UsageError

SUFFIXES = (".jpg", ".png")


def read(path):
    return read_own_bank(path, photo_suffixes=SUFFIXES)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def photos(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_a_name_or_an_id_is_enough(tmp_path):
    own = read(
        write(tmp_path / "mine.toml", '[[concept]]\nname = "Café Noir"\n[[concept]]\nid = "tea-house"')
    )
    assert own.bank.name == "mine"
    assert own.bank.ids == ("cafe-noir", "tea-house")
    first, second = own.bank.concepts
    assert (first.name, first.group, first.prompts, first.words) == (
        "Café Noir",
        "your own",
        ("Café Noir",),
        (),
    )
    assert second.name == "tea house"
    assert own.bank.templates == load_bank().templates
    assert own.spoken == {"cafe-noir", "tea-house"}


def test_the_shipped_bank_can_be_read_as_a_users_own():
    own = read(VOCABULARY.with_name("concepts.toml"))
    assert own.bank.concepts == load_bank().concepts
    assert own.bank.fingerprint == load_bank().fingerprint


def test_folders_are_concepts(tmp_path):
    photos(tmp_path / "bank" / "Red_Roof", "b.jpg", "a.PNG", "deeper/c.jpg", "notes.txt", ".hidden.jpg")
    photos(tmp_path / "bank" / "well", "d.jpg")
    photos(tmp_path / "bank" / "_other", "e.jpg")
    photos(tmp_path / "bank" / ".git", "f.jpg")
    photos(tmp_path / "bank" / "texts", "g.txt")
    own = read(tmp_path / "bank")
    assert own.bank.ids == ("red-roof", "well")
    assert own.bank.concepts[0].name == "Red Roof"
    assert [p.name for p in own.photos["red-roof"]] == ["a.PNG", "b.jpg", "c.jpg"]
    assert [p.name for p in own.background] == ["e.jpg"]
    assert not own.spoken


def test_a_file_in_the_folder_says_more(tmp_path):
    photos(tmp_path / "bank" / "well", "d.jpg")
    photos(tmp_path / "bank" / "roof", "e.jpg")
    write(
        tmp_path / "bank" / "concepts.toml",
        'name = "ours"\n[[concept]]\nname = "Well"\nwords = ["fountain"]\n[[concept]]\nname = "fog"\n',
    )
    own = read(tmp_path / "bank")
    assert own.bank.name == "ours"
    assert own.bank.ids == ("well", "fog", "roof")
    assert own.bank.find("well").words == ("fountain",)
    assert set(own.photos) == {"well", "roof"}
    assert own.spoken == {"well", "fog"}


def test_a_file_names_folders_of_photos(tmp_path):
    photos(tmp_path / "pictures", "a.jpg")
    own = read(write(tmp_path / "b.toml", '[[concept]]\nname = "well"\nphotos = "pictures"\n'))
    assert own.photos["well"] == (tmp_path / "pictures" / "a.jpg",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[concept]]\ndefinition = 'x'", r"line 1: a concept needs a name or an id"),
        ("[[concept]]\nname = 'a'\nwrods = ['b']", r"unknown key 'wrods'; known: id, name"),
        ("[[concept]]\nname = 'a'\nwords = 'b'", r"words must be a list"),
        ("[[concept]]\nname = '!!'", r"'!!' has no letter"),
        ("[[concept]]\nname = 'a'\nid = 'a b'", r"id 'a b' must be one word"),
        ("[[concept]]\nname = 'a'\n[[concept]]\nname = 'A'", r"line 3: id 'a' is already used"),
        ("[[concept]]\nname = 'a'\nplace_neutral = 1", r"place_neutral must be true or false"),
        ("format = 2\n[[concept]]\nname = 'a'", r"expected `format = 1`"),
        ("templates = ['x']\n[[concept]]\nname = 'a'", r"must contain"),
        ("templates = ['a {x} of {}.']\n[[concept]]\nname = 'a'", r"must have no brace but those of"),
        ("templates = []\n[[concept]]\nname = 'a'", r"at least one sentence"),
        ("top = 1\n[[concept]]\nname = 'a'", r"unknown key 'top'"),
        ("name = 'nothing else'", r"one \[\[concept\]\] table or more"),
        ("[[concept", r"not valid TOML"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        read(write(tmp_path / "bank.toml", text))


def test_missing_things_are_named(tmp_path):
    with pytest.raises(MissingFileError, match="no concept bank at"):
        read(tmp_path / "none")
    with pytest.raises(MissingFileError, match="no folder of photos at"):
        read(write(tmp_path / "bank.toml", "[[concept]]\nname = 'a'\nphotos = 'none'"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no concept here; expected one folder of photos"):
        read(tmp_path / "empty")


def test_two_folders_for_one_concept_are_refused(tmp_path):
    photos(tmp_path / "bank" / "red_roof", "a.jpg")
    photos(tmp_path / "bank" / "red-roof", "b.jpg")
    with pytest.raises(UsageError, match="another folder means the same concept 'red-roof'"):
        read(tmp_path / "bank")
