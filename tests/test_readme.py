"""What the README tells people to type works."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.S | re.M)


def test_every_file_that_the_readme_names_is_there():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert len(links) > 10
    for link in links:
        assert (ROOT / link).exists(), link
    for script in re.findall(r"python3 (scripts/\S+\.py)", README):
        assert (ROOT / script).is_file(), script


def test_every_option_that_the_readme_shows_is_known():
    from typer.testing import CliRunner

    from whyhere.cli import app

    lines = [
        line.split("#")[0].split("|")[0]
        for block in blocks("")
        for line in block.splitlines()
        if line.startswith("whyhere ")
    ]
    assert len(lines) > 5
    for line in lines:
        _, *words = shlex.split(line)
        commands = [word for word in words[:2] if re.fullmatch("[a-z]+", word)]
        options = {word.split("=")[0] for word in words if re.match("--?[a-z]", word)}
        command = commands if words[0] in {"releases", "concepts"} else commands[:1]
        shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
        assert shown.exit_code == 0, line
        for option in options:
            assert option in shown.output, f"{option} in: {line}"


@pytest.mark.weights
def test_the_python_example_runs(base_release, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("photo.jpg", "a.jpg", "b.jpg")):
        pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((320, 240)).save(name)
    (example,) = blocks("python")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(example, "README.md", "exec"), {})
    assert "within" in printed.getvalue()
    assert "'photo': 'b.jpg'" in printed.getvalue()
