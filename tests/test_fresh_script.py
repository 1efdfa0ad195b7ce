"""The environment of a stranger: nothing of the user's but how to reach the package index."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


@pytest.fixture
def fresh(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    spec = importlib.util.spec_from_file_location("fresh", SCRIPTS / "fresh.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_home_fonts_and_caches_of_the_user_are_gone(fresh, tmp_path):
    outer = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "FONTCONFIG_FILE": "/home/me/fonts.conf",
        "WHYHERE_HOME": "/home/me/weights",
        "PYTHONPATH": "/home/me/src",
        "OMP_NUM_THREADS": "8",
        "https_proxy": "a proxy",
    }
    strange = fresh.strange_environment(outer, tmp_path / "me", tmp_path / "new")
    assert not [name for name, value in strange.items() if "/home/me" in value]
    assert strange["PATH"] == "/bin"
    assert strange["https_proxy"] == "a proxy"
    assert strange["OMP_NUM_THREADS"] == "1"
    assert not list(Path(strange["HOME"]).iterdir())


def test_pip_is_configured_as_the_user_has_it(fresh, tmp_path):
    """Asked of pip itself: the user's two files and the one that the environment names, the last one wins."""
    home = tmp_path / "me"
    files = {
        home / ".pip" / "pip.conf": "[global]\ntimeout = 11\nretries = 1\nindex-url = file:///first",
        home
        / ".config"
        / "pip"
        / "pip.conf": "[global]\nretries = 2\nextra-index-url =\n  file:///a\n  file:///b",
        tmp_path / "named.conf": "[global]\nindex-url = file:///100%named",
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    outer = {
        "PATH": os.environ["PATH"],
        "PIP_CONFIG_FILE": str(tmp_path / "named.conf"),
        "PIP_FIND_LINKS": "/wheels",
    }
    strange = fresh.strange_environment(outer, home, tmp_path / "new")
    shown = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        env=strange,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert "global.timeout='11'" in shown
    assert "global.retries='2'" in shown
    assert "global.index-url='file:///100%named'" in shown
    assert "global.extra-index-url='\\nfile:///a\\nfile:///b'" in shown
    assert ":env:.find-links='/wheels'" in shown


def test_no_settings_at_all_stay_none(fresh, tmp_path):
    strange = fresh.strange_environment({"PIP_CONFIG_FILE": os.devnull}, tmp_path / "me", tmp_path / "new")
    assert strange["PIP_CONFIG_FILE"] == os.devnull
