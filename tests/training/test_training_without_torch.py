"""The package without torch: importing it loads none, and training says what to install."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_importing_loads_no_torch():
    code = "import sys, whyhere.training, whyhere.cli._train\n"
    assert run(f"{code}print('torch' in sys.modules, 'tensorboard' in sys.modules)").split() == ["False"] * 2


def test_training_without_torch_names_the_extra():
    code = (
        "import sys\nsys.modules['torch'] = None\n"
        "from whyhere.errors import MissingFileError\n"
        "from whyhere.training import TrainConfig, train_release\n"
        "try: train_release('t.csv', 'out', TrainConfig(), features='f.npy')\n"
        "except MissingFileError as error: print(error)"
    )
    assert 'pip install "whyhere[train]"' in run(code)
