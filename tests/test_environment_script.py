"""The scripts' environment: never somebody else's, made once."""

from __future__ import annotations

import importlib.util
import sys

import pytest


@pytest.fixture
def environment(tmp_path, monkeypatch):
    from pathlib import Path

    path = Path(__file__).resolve().parent.parent / "scripts" / "environment.py"
    spec = importlib.util.spec_from_file_location("environment", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "tiny"\nversion = "1"\n')
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def test_an_environment_that_it_did_not_make_is_left_alone(environment, tmp_path):
    mine = tmp_path / ".venv" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("precious")
    with pytest.raises(SystemExit, match="not made by this script"):
        environment.ensure(".venv")
    assert mine.read_text() == "precious"


def test_a_failed_setup_is_begun_again(environment, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        environment.venv, "create", lambda home, **options: (home.mkdir(exist_ok=True), made.append(home))
    )
    monkeypatch.setattr(environment.subprocess, "run", lambda *a, **k: type("Done", (), {"returncode": 1})())
    for _ in range(2):
        with pytest.raises(SystemExit, match="could not install"):
            environment.ensure(".venv")
    assert len(made) == 2


def test_a_finished_environment_is_reused(environment, tmp_path, monkeypatch):
    def create(home, **options):
        folder = home / ("Scripts" if sys.platform == "win32" else "bin")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ("python.exe" if sys.platform == "win32" else "python")).touch()
        made.append(home)

    made = []
    monkeypatch.setattr(environment.venv, "create", create)
    monkeypatch.setattr(environment.subprocess, "run", lambda *a, **k: type("Done", (), {"returncode": 0})())
    first = environment.ensure(".venv", extras="[test]")
    assert environment.ensure(".venv", extras="[test]") == first
    assert len(made) == 1
    environment.ensure(".venv", extras="[other]")
    assert len(made) == 2
