"""The shape of the code: who may import whom, and what a quick command must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import whyhere

PACKAGE = Path(whyhere.__file__).parent

# photo -> images -> encoders -> alignment -> ranking -> explain -> report, with geo and concepts below all.
MAY_IMPORT = {
    "_record": set(),
    "errors": set(),
    "geo": {"errors", "_text"},
    "concepts": {"errors", "_io", "_record", "_text", "stats"},
    "references": {"errors", "stats", "_record", "geo"},
    "prediction": {"_record", "geo", "picture", "reasons"},
    "reasons": set(),
    "picture": {"errors"},
    "images": {"errors", "_text", "geo"},
    "encoders": {"errors", "geo", "images"},
    "_io": {"errors"},
    "stats": {"_record"},
    "tables": {"_record", "errors", "geo", "images"},
    "_text": set(),
    "gallery": {"errors", "geo", "encoders", "_io"},
    "alignment": {"errors", "_io", "geo", "concepts", "encoders"},
    "ranking": {"errors", "stats", "geo", "gallery", "alignment", "prediction"},
    "explain": {
        "_text",
        "errors",
        "stats",
        "picture",
        "reasons",
        "geo",
        "concepts",
        "prediction",
        "images",
        "encoders",
        "gallery",
        "alignment",
        "ranking",
    },
    "report": {"errors", "_text", "picture", "geo", "prediction", "reasons", "explain"},
    "releases": {
        "errors",
        "_io",
        "_text",
        "geo",
        "concepts",
        "prediction",
        "encoders",
        "gallery",
        "alignment",
    },
    "embeddings": {"errors", "_io", "images", "encoders", "releases"},
}
# Results show and save themselves, as notebooks expect; what draws and writes them is loaded when asked.
MAY_LOAD_WHEN_ASKED = {"prediction": {"picture", "report"}, "explain": {"report"}}
# These sit on top. Nothing needs training or evaluation to locate a photo.
NOT_FOR_LOCATING = {"training", "evaluation"}
JOINS = {"_assembly", "_answering", "_hints", "_explaining", "locator", "atlas", "__init__", "__main__"}
ON_TOP = {"cli", *JOINS, *NOT_FOR_LOCATING}


def imports_of(path: Path, *, when_asked: set[str] = frozenset()) -> set[str]:
    """Return the parts of whyhere that a module imports, but those `when_asked` not within functions."""
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "whyhere":
                names = [f"whyhere.{alias.name}" for alias in node.names]
        parts = {name.split(".")[1] for name in names if name.startswith("whyhere.")}
        found |= parts - when_asked if id(node) in inside else parts
    return found


def parts_and_modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        yield pytest.param(part, path, id=str(path.relative_to(PACKAGE)))


@pytest.mark.parametrize(("part", "path"), list(parts_and_modules()))
def test_a_stage_imports_only_stages_before_it(part, path):
    imported = imports_of(path, when_asked=MAY_LOAD_WHEN_ASKED.get(part, set())) - {part}
    if part in ON_TOP:
        forbidden = {"cli"} if part != "__main__" else set()
        if part not in {"cli", *NOT_FOR_LOCATING}:
            forbidden |= NOT_FOR_LOCATING
        assert not imported & forbidden
    else:
        assert imported <= MAY_IMPORT[part]


def modules_loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    return set(
        subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True
        ).stdout.split()
    )


HEAVY = {"torch", "onnxruntime", "transformers", "shapely", "h3", "PIL", "numpy", "safetensors"}


def test_help_loads_nothing_heavy():
    code = "import contextlib, io\nfrom whyhere.cli import main\nsys.argv = ['whyhere', '--help']\n"
    code += (
        "out = io.StringIO()\nwith contextlib.redirect_stdout(out), contextlib.suppress(SystemExit): main()\n"
    )
    code += "assert 'locate' in out.getvalue()"
    assert not modules_loaded_by(code) & HEAVY


def test_importing_the_package_loads_nothing_heavy():
    assert not modules_loaded_by("import whyhere") & HEAVY


def test_locating_never_needs_torch():
    loaded = modules_loaded_by("import whyhere.locator, whyhere.report, whyhere.releases")
    assert not loaded & {"torch", "transformers", "onnx"}


def test_every_public_name_is_there():
    for name in whyhere.__all__:
        assert getattr(whyhere, name).__name__ == name
    assert sorted(whyhere.__all__) == whyhere.__all__


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_modules_stay_readable(path):
    assert (
        len(path.read_text(encoding="utf-8").splitlines()) < 600
    )  # one concept a file, however many lines that takes
