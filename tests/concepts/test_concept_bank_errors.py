"""Mistakes in a bank file are refused with the file and the line."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whyhere.concepts import load_bank
from whyhere.errors import MissingFileError, UsageError, WhyhereError

HEADER = 'format = 1\nname = "mine"\n\n'
GOOD = {
    "id": '"old-mill"',
    "name": '"old mill"',
    "group": '"architecture"',
    "definition": '"A mill."',
    "prompts": '["an old mill"]',
    "source": '"own"',
}


def concept(**changes):
    entry = {**GOOD, **changes}
    return "[[concept]]\n" + "".join(f"{key} = {value}\n" for key, value in entry.items() if value) + "\n"


def write(tmp_path, text):
    file = tmp_path / "bank.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_smallest_bank(tmp_path):
    bank = load_bank(write(tmp_path, HEADER + concept()))
    assert bank.name == "mine"
    assert bank.ids == ("old-mill",)
    assert bank.templates == ("{}",)
    assert bank.concepts[0].words == ()
    assert not bank.concepts[0].place_neutral


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": '"Old Mill"'}, "kebab-case"),
        ({"id": ""}, "'id' is missing"),
        ({"group": '"things"'}, "unknown group 'things'; known: climate and weather"),
        ({"prompts": "[]"}, "at least one phrase"),
        ({"prompts": '["a", "a"]'}, "the same text twice"),
        ({"prompts": '"an old mill"'}, "list of non-empty texts"),
        ({"definition": '"""two\nlines"""'}, "text on one line"),
        ({"definition": '"  "'}, "text on one line"),
        ({"teacher": '["beach"]'}, "must start with one of places365:, sun:"),
        ({"words": "[1]"}, "list of non-empty texts"),
        ({"colour": '"red"'}, "unknown key 'colour'"),
        ({"place_neutral": "1"}, "true or false"),
        ({"reference": "3"}, "reference must be text"),
    ],
)
def test_mistake_is_named_with_its_line(tmp_path, changes, message):
    text = HEADER + concept(id='"first"') + concept(**changes)
    line = text[: text.rindex("[[concept]]")].count("\n") + 1
    file = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load_bank(file)
    assert message in str(caught.value)
    assert f"{file}, line {line}" in str(caught.value)


def test_double_id_names_both_lines(tmp_path):
    with pytest.raises(UsageError, match=r"line 12: id 'old-mill' is already used in .*line 4"):
        load_bank(write(tmp_path, HEADER + concept() + concept()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "format = 1"),
        ("format = 2", "found 2"),
        ("format = 1", r"one \[\[concept\]\] table"),
        ("format = 1\nconcept = 3", r"one \[\[concept\]\] table"),
        ("format = ", "not valid TOML"),
        (HEADER + 'templates = ["a photo"]\n' + concept(), "exactly once"),
        (HEADER + 'templates = ["a {x} of {}."]\n' + concept(), "no brace but those of"),
        (HEADER + 'templates = ["a photo of {}.", "{{}}"]\n' + concept(), "no brace but those of"),
        (HEADER + "templates = []\n" + concept(), "at least one sentence"),
        (HEADER + "extra = 1\n" + concept(), "unknown key 'extra'"),
        ("format = 1\nname = 3\n" + concept(), "name must be text"),
    ],
)
def test_broken_file(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        load_bank(write(tmp_path, text))


def test_inline_tables_are_counted(tmp_path):
    text = HEADER + 'concept = [{id = "a"}]\n'
    with pytest.raises(UsageError, match=r"concept 1: 'name' is missing"):
        load_bank(write(tmp_path, text))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(MissingFileError, match="no concept bank at"):
        load_bank(tmp_path / "absent.toml")
    with pytest.raises(MissingFileError):
        load_bank(tmp_path)


def test_not_text(tmp_path):
    file = tmp_path / "bank.toml"
    file.write_bytes(b"format = 1\n\xff\xfe")
    with pytest.raises(UsageError, match="UTF-8"):
        load_bank(file)


VALUES = st.one_of(
    st.text(max_size=12),
    st.integers(-3, 3),
    st.booleans(),
    st.lists(st.text(max_size=6), max_size=3),
    st.sampled_from(["landform", "old-mill", "places365:beach"]),
)


def toml(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.dictionaries(
        st.sampled_from([*GOOD, "words", "teacher", "synonyms", "reference", "x"]), VALUES
    )
)
def test_any_entry_is_a_bank_or_one_named_error(tmp_path, changes):
    file = write(tmp_path, HEADER + concept(**{key: toml(value) for key, value in changes.items()}))
    try:
        bank = load_bank(file)
    except WhyhereError as error:
        assert str(file) in str(error)  # noqa: PT017 - either outcome is right, an unnamed error is not
    else:
        assert len(bank) == 1
        assert "x" not in changes


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=80))
def test_any_text_is_refused_with_the_file(tmp_path, text):
    file = write(tmp_path, text.encode("utf-8", "replace").decode("utf-8"))
    with pytest.raises(UsageError) as caught:
        load_bank(file)
    assert str(file) in str(caught.value)
