"""Run every command of whyhere and the library in one process, so that it can be watched from outside.

Usage: every_command.py FOLDER, with `write_inputs(FOLDER)` done before. Writes below FOLDER/out, and there to
`codes.json` how every command ended.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import sys
import traceback
from importlib.util import find_spec
from pathlib import Path

COMMANDS = """
locate photos/0.png photos/1.png --release mine --html out/locate.html -o out/locate.json
locate photos/0.png --release mine --format csv
locate photos/0.png --release mine --format kml --region -60,-170,60,170
explain photos/0.png --release mine --html out/explain.html
place 48,2 --release mine --out out/place.html
map c1 --release mine --out out/map.png
compare -60,-180,0,180 0,-180,70,180 --release mine --out out/compare.html
evaluate table.csv --photos photos --release mine --out out/evaluation
faithfulness --data table.csv --photos photos --release mine --draws 2 --out out/faithfulness
probe --release mine --table places.csv --target lon --probes linear --splits random --points 100 --jobs 1
train --data table.csv --features features.npy --release out/trained --config train.toml
concepts list
concepts show beach
concepts build bank.toml --out out/bank
concepts check bank.toml
releases list
releases show mine
releases credits mine
releases verify mine
releases remove mine --yes
"""
FETCHES = {"releases fetch"}  # the one command that is there to use the network


def write_inputs(folder: Path) -> None:
    """Write a release, photos and tables below `folder`."""
    import numpy as np

    from tiny_training import write_photos, write_table, write_tiny_release

    write_tiny_release(folder / "mine")
    credits = b"title,author,licence,source\nA test,Nobody,CC0,here\n"
    (folder / "mine" / "credits.csv.gz").write_bytes(gzip.compress(credits))
    write_photos(folder / "photos", count=12)
    np.save(folder / "features.npy", write_table(folder / "table.csv", count=12))
    write_table(folder / "places.csv", count=150)
    (folder / "train.toml").write_text(
        f'start_release = "{folder / "mine"}"\nbatch_size = 8\nqueue_size = 8\nhidden = 4\nepochs = 1\n'
        "checkpoint_steps = 1\nvalidation_share = 0.0\ncalibrate = false\n"
    )
    (folder / "bank.toml").write_text(
        'templates = ["a photo of {}"]\n[[concept]]\nid = "x-snow"\nname = "Snow"\ngroup = "climate"\n'
        'definition = "Snow."\nprompts = ["snow", "deep snow"]\n'
    )
    (folder / "out").mkdir()


def run(line: str) -> int:
    """Run one command line in this process and return its exit code."""
    from whyhere.cli import main

    sys.argv = ["whyhere", *line.split()]
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except Exception:
        traceback.print_exc()
        return -1
    return 0


def use_the_library() -> None:
    """Do by hand what a program would do."""
    from whyhere import Atlas, Locator

    engines = ["onnxruntime"]
    if find_spec("openvino"):
        engines.append("openvino")
    for engine in engines:
        os.environ["WHYHERE_ENGINE"] = engine
        locator = Locator.from_release("mine")
        assert len(list(locator.locate_many(["photos/2.png", "photos/3.png"]))) == 2
        locator.explain("photos/2.png")
    del os.environ["WHYHERE_ENGINE"]
    Atlas.from_release("mine").place(10.0, 10.0)


def main() -> None:
    """Run it all."""
    import whyhere  # noqa: F401 - before anything else, as a program would

    os.chdir(sys.argv[1])
    codes = {}
    with Path("out/said.txt").open("w", encoding="utf-8") as said, contextlib.redirect_stdout(said):
        use_the_library()
        for line in COMMANDS.split("\n"):
            if line:
                codes[line] = run(line)
    Path("out/codes.json").write_text(json.dumps(codes))


if __name__ == "__main__":
    main()
