"""The log of a run: one JSON object a line, and TensorBoard where it is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class TrainingLog:
    """Appends records to `log.jsonl`.

    Args:
        folder: Where `log.jsonl` and the TensorBoard files lie.
        step: The step from which the run goes on; later records, of steps that a kill has undone, are
            dropped. 0 starts a new log.
        tensorboard: Write TensorBoard files too, where the package `tensorboard` is installed.
    """

    def __init__(self, folder: Path, *, step: int = 0, tensorboard: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "log.jsonl"
        kept = [line for line in _complete_lines(path) if json.loads(line)["step"] <= step] if step else []
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")
        self._writer = _summary_writer(folder / "tensorboard", step) if tensorboard else None

    def write(self, kind: str, *, step: int, **values: float) -> None:
        """Append a record.

        Args:
            kind: "train" for a step, "validation" for the end of an epoch.
            step: Steps done.
            values: The numbers.
        """
        record: dict[str, Any] = {"kind": kind, "step": step, **values}
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._writer is not None:
            self._writer.close()


def _complete_lines(path: Path) -> list[str]:
    """Return the lines that were written whole."""
    if not path.is_file():
        return []
    return [line for line in path.read_text(encoding="utf-8").split("\n")[:-1] if line.endswith("}")]


def _summary_writer(folder: Path, step: int) -> Any:  # noqa: ANN401 - an optional package
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
