"""Both commands of the README as on a stranger's machine: `python3 scripts/fresh.py [PYTEST ARGUMENTS...]`.

Clones HEAD, then runs `scripts/locate.py` and `scripts/test.py` there with nothing of this machine but its
PATH, proxies, certificates and pip's settings: an empty home, new virtual environments, no fontconfig of the
user's, another locale and time zone, one thread instead of many, and on x86 an older instruction set than the
processor's. What works only where it was written fails here first. `--keep` leaves the folder.
"""

from __future__ import annotations

import configparser
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from environment import ROOT

KEPT = ("PATH", "TERM", "CI", "CHROMIUM", "SYSTEMROOT", "COMSPEC", "PATHEXT", "LD_LIBRARY_PATH")
KEPT_ENDS = ("_PROXY", "_CA_BUNDLE")
KEPT_STARTS = ("PIP_", "SSL_CERT_", "WHYHERE_SAMPLE_")
# Rounding differs between thread counts and instruction sets, and no result may hang on it.
OTHER_THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
# One step below what the processor has: SSE alone, always, would make the tests several times slower.
# oneDNN is not held back: OpenVINO, which has a copy of its own, then ends in a segmentation fault.
BELOW_AVX512 = {"OPENBLAS_CORETYPE": "Haswell", "ATEN_CPU_CAPABILITY": "avx2"}
BELOW_AVX2 = {"OPENBLAS_CORETYPE": "Nehalem", "ATEN_CPU_CAPABILITY": "default"}
# The names of NumPy's instruction sets change with its version, and a foreign name is a warning: ask it.
NUMPY_SETS = """
try:
    from numpy._core._multiarray_umath import __cpu_dispatch__ as sets, __cpu_features__ as has
except ImportError:
    from numpy.core._multiarray_umath import __cpu_dispatch__ as sets, __cpu_features__ as has
print(" ".join(name for name in sets if has.get(name)))
"""


def main() -> int:
    """Run both commands and return the exit code of the first that failed, or 0."""
    arguments = sys.argv[1:]
    keep = "--keep" in arguments
    arguments = [argument for argument in arguments if argument != "--keep"]
    folder = Path(tempfile.mkdtemp(prefix="whyhere-fresh-"))
    folder.chmod(0o755)  # as a home is: some tests become another user, who must get there
    try:
        return both_commands(folder, arguments)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def both_commands(folder: Path, arguments: list[str]) -> int:
    """Run both commands in a clone below `folder`."""
    clone = folder / "whyhere"
    # With the user's own settings: git may be told in them to trust this checkout.
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True, stdin=subprocess.DEVNULL)
    environment = strange_environment(os.environ, Path.home(), folder)
    began = time.monotonic()
    said = run(clone, environment, "scripts/locate.py")
    print(f"scripts/locate.py took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    if said == 0 and not (clone / "whyhere-report.html").is_file():
        print("scripts/locate.py wrote no whyhere-report.html", file=sys.stderr)
        said = 1
    if said != 0:
        return said
    if "OPENBLAS_CORETYPE" in environment:
        python = clone / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        asked = subprocess.run([python, "-c", NUMPY_SETS], capture_output=True, text=True, check=True)
        environment["NPY_DISABLE_CPU_FEATURES"] = asked.stdout.strip()
    return run(clone, environment, "scripts/test.py", *arguments)


def strange_environment(outer: Mapping[str, str], home: Path, folder: Path) -> dict[str, str]:
    """Return the environment of the commands, and make the folders that it names.

    Args:
        outer: The environment of this process.
        home: The user's home, for pip's settings.
        folder: Where the new home goes.
    """
    kept = {
        name: value
        for name, value in outer.items()
        if name.upper() in KEPT or name.upper().endswith(KEPT_ENDS) or name.upper().startswith(KEPT_STARTS)
    }
    # Tests look for the sample photos beside the checkout, and the clone lies elsewhere.
    photos = ROOT.parent / "shared" / "data" / "osv5m-sample"
    if photos.is_dir():
        kept.setdefault("WHYHERE_SAMPLE_PHOTOS", str(photos))
    places = {name: folder / name.lower() for name in ("HOME", "TMPDIR")}
    for place in places.values():
        place.mkdir(parents=True)
    settings = folder / "pip.conf"
    if kept.get("PIP_CONFIG_FILE") != os.devnull:
        with settings.open("w", encoding="utf-8") as file:
            pip_settings(outer, home).write(file)
        kept["PIP_CONFIG_FILE"] = str(settings)
    return {
        **kept,
        **{name: str(place) for name, place in places.items()},
        "USERPROFILE": str(places["HOME"]),
        "TEMP": str(places["TMPDIR"]),
        "LC_ALL": "C",
        "TZ": "XXX+09:30",
        **OTHER_THREADS,
        **other_instructions(),
    }


def other_instructions() -> dict[str, str]:
    """Return what holds torch and OpenBLAS to older instructions; nothing beside x86."""
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return {}
    processor = Path("/proc/cpuinfo")
    return BELOW_AVX512 if processor.is_file() and "avx512f" in processor.read_text() else BELOW_AVX2


def pip_settings(outer: Mapping[str, str], home: Path) -> configparser.RawConfigParser:
    """Return what pip reads from the user's files, which it would look for in the home in vain."""
    settings = configparser.RawConfigParser()
    configured = Path(outer.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    mac = home / "Library" / "Application Support" / "pip" / "pip.conf"
    windows = Path(outer.get("APPDATA") or home / "AppData" / "Roaming") / "pip" / "pip.ini"
    files = [home / ".pip" / "pip.conf", configured, mac, windows]
    if outer.get("PIP_CONFIG_FILE"):
        files.append(Path(outer["PIP_CONFIG_FILE"]))
    settings.read(files, encoding="utf-8")
    return settings


def run(clone: Path, environment: Mapping[str, str], script: str, *arguments: str) -> int:
    """Run one of the commands with the Python outside all virtual environments."""
    print(f"== python3 {script} {' '.join(arguments)}", file=sys.stderr, flush=True)
    python = getattr(sys, "_base_executable", sys.executable)
    return subprocess.run(
        [python, script, *arguments], cwd=clone, env=environment, stdin=subprocess.DEVNULL
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
