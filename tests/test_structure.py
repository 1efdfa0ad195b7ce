"""The house: who may import whom, what stays behind a door, and what a quick command must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import whyhere

PACKAGE = Path(whyhere.__file__).parent

# Every part imports only parts that stand before it: on a lower floor, or on its own to the left.
FLOORS = (
    ("errors", "_record", "_text", "_io", "stats", "reasons", "picture"),
    ("geo", "images", "encoders"),
    ("concepts", "references", "prediction", "alignment"),
    ("gallery", "ranking"),
    ("explain", "report"),
    ("releases", "embeddings", "tables"),
    ("_hints", "_parts", "_predict", "locator", "atlas"),
    ("evaluation", "training"),
    ("cli", "__init__", "__main__"),
)
ORDER = {part: number for number, part in enumerate(part for floor in FLOORS for part in floor)}
# Results show and save themselves, as notebooks expect; what draws and writes them is loaded when asked.
WHEN_ASKED = {("prediction", "report"), ("atlas", "atlas")}


def module_name(path: Path) -> str:
    parts = ("whyhere", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if len(parts) > 2 and parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def imports_of(name: str) -> frozenset[tuple[str, bool]]:
    """Return the modules of whyhere that one imports, each with whether it does so within a function."""
    found = set()

    def visit(node: ast.AST, inside: bool) -> None:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            taken = [one for one in submodules if one in MODULES]
            names = taken + ([node.module] if len(taken) < len(submodules) else [])
        found.update((one, inside) for one in names if one.startswith("whyhere."))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            inside = True  # never imported when it runs
        inside = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(MODULES[name].read_text(encoding="utf-8")), False)
    return frozenset(found)


def part_of(name: str) -> str:
    return "__init__" if name == "whyhere.__init__" else name.split(".")[1]


@pytest.mark.parametrize("part", sorted({part_of(name) for name in MODULES}))
def test_a_part_imports_only_parts_before_it(part):
    for name in MODULES:
        if part_of(name) == part:
            for other, inside in imports_of(name):
                asked = inside and (part, part_of(other)) in WHEN_ASKED
                known = inside and part == "__init__"  # for type checkers
                assert asked or known or ORDER[part_of(other)] <= ORDER[part], (name, other)


def test_no_import_goes_in_a_circle():
    """Neither at the top of modules nor within functions, but where results load what shows them."""
    state: dict[str, int] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert state.get(name) != 1, " -> ".join((*path[path.index(name) :], name))
        if name in state or name not in MODULES:
            return
        state[name] = 1
        for other, inside in sorted(imports_of(name)):
            if not (inside and (part_of(name), part_of(other)) in WHEN_ASKED):
                visit(other, (*path, name))
        state[name] = 2

    for name in MODULES:
        visit(name, ())


def test_a_package_keeps_its_insides_to_itself():
    reaching = set()
    for name, path in MODULES.items():
        for other, _ in imports_of(name):
            parts = other.split(".")
            private = next((n for n, part in enumerate(parts) if n >= 2 and part.startswith("_")), None)
            if private and not name.startswith(".".join(parts[:private])):
                reaching.add((path.relative_to(PACKAGE).as_posix(), other))
    assert not reaching


def test_every_part_stands_on_a_floor():
    assert {part_of(name) for name in MODULES} <= set(ORDER)
    assert len(FLOORS) <= 9


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


def test_modules_stay_readable():
    """One concept a file, however many lines that takes; but no more than fit one head."""
    long = {name: path.read_text(encoding="utf-8").count("\n") for name, path in MODULES.items()}
    assert {name: lines for name, lines in long.items() if lines >= 650} == {}
