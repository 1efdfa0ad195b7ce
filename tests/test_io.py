"""A checksum is taken again exactly when a file may have changed, and memory only ever acquits."""

from __future__ import annotations

import hashlib
import json
import time

import pytest

from whyhere import _io
from whyhere._io import file_problem, known_sha256, seal, sealed_problems


@pytest.fixture
def reads(monkeypatch):
    """Names of the files that were read in full."""
    seen = []
    real = _io.sha256_of

    def note(path, *told):
        seen.append(path.name)
        return real(path, *told)

    monkeypatch.setattr(_io, "sha256_of", note)
    return seen


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"a" * 1000)
    time.sleep(0.06)  # younger files are not remembered: their next change might bear the same time
    return path


def digest(data):
    return hashlib.sha256(data).hexdigest()


def test_a_file_is_read_once_until_it_changes(file, tmp_path, reads):
    memory = tmp_path / "memory.json"
    assert {known_sha256(file, memory) for _ in range(3)} == {digest(b"a" * 1000)}
    assert reads == ["weights.bin"]
    file.write_bytes(b"a" * 999 + b"b")
    assert known_sha256(file, memory) == digest(b"a" * 999 + b"b")
    assert len(reads) == 2


@pytest.mark.parametrize(
    "damage", ["{", "[]", '{"check": "", "files": {}}', '{"files": 1}', "[" * 100_000, "edited"]
)
def test_a_damaged_memory_is_no_memory(file, tmp_path, reads, damage):
    memory = tmp_path / "memory.json"
    known_sha256(file, memory)
    text = memory.read_text()
    memory.write_text(text.replace(digest(b"a" * 1000), "0" * 64) if damage == "edited" else damage)
    assert known_sha256(file, memory) == digest(b"a" * 1000)
    assert len(reads) == 2


def test_memory_never_condemns(file, tmp_path):
    memory = tmp_path / "memory.json"
    known_sha256(file, memory)
    entries = json.loads(memory.read_text())["files"]
    entries[str(file)][-1] = "0" * 64
    memory.write_text(json.dumps({"check": _io._check(entries), "files": entries}))
    assert file_problem(file, {"size": 1000, "sha256": digest(b"a" * 1000)}, memory) is None


def test_nothing_is_remembered_where_nothing_can_be_written(file, tmp_path, reads):
    for _ in range(2):
        assert known_sha256(file, tmp_path / "absent" / "memory.json") == digest(b"a" * 1000)
    assert len(reads) == 2
    assert not (tmp_path / "absent").exists()


def test_a_file_that_just_changed_is_not_remembered(tmp_path, reads):
    file = tmp_path / "new"
    for _ in range(2):
        file.write_bytes(b"x")
        known_sha256(file, tmp_path / "memory.json")
    assert len(reads) == 2


def test_a_sealed_directory_names_what_changed(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a", "b", "sub/c"):
        (tmp_path / name).write_text(name)
    assert sealed_problems(tmp_path, tmp_path / "memory") is None
    seal(tmp_path, coming={"later": b"later"})
    (tmp_path / "later").write_text("later")
    assert set(sealed_problems(tmp_path, tmp_path / "memory").values()) == {None}
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").unlink()
    (tmp_path / "sub" / "c").write_text("longer")
    told = {
        name: problem for name, problem in sealed_problems(tmp_path, tmp_path / "memory").items() if problem
    }
    assert {name: problem.split(str(tmp_path))[1] for name, problem in told.items()} == {
        "a": "/a has changed: its SHA-256 is not the recorded one",
        "b": "/b is missing",
        "sub/c": "/sub/c has 6 bytes instead of 5",
    }
