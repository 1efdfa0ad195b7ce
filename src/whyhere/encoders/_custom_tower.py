"""An image tower that the user brings as an ONNX file, whatever its inputs and outputs are called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from whyhere.encoders._image_tower import FloatArray, TowerOutput, check_pixels, last_line
from whyhere.encoders._sessions import open_session
from whyhere.errors import MissingFileError, UsageError, WhyhereError


@dataclass(frozen=True, slots=True)
class TowerNames:
    """What the graph of a tower calls its input and outputs.

    Attributes:
        input: Pixels, float32 [n, 3, size, size].
        embedding: Embeddings, float32 [n, d].
        tokens: Hidden tokens, float32 [n, t, h]; None where the graph gives none.
    """

    input: str = "pixel_values"
    embedding: str = "image_embeds"
    tokens: str | None = None


class CustomTower:
    """An ONNX image tower with names of its own. Photos go through one at a time, as in `OnnxImageTower`.

    Args:
        path: The ONNX file.
        image_size: Side of its square input, px.
        names: What its input and outputs are called.
        threads: Threads for one photo; by default one per physical core.
        engine: What runs it, as in `OnnxImageTower`.

    Attributes:
        computes_with: Engine, device and precision in words.

    Raises:
        MissingFileError: The file is missing, damaged, has no such input or output, or does not give one
            embedding per photo; or the engine is not installed.
        UsageError: There is no such engine.
    """

    def __init__(
        self,
        path: Path,
        *,
        image_size: int,
        names: TowerNames = TowerNames(),
        threads: int | None = None,
        engine: str = "onnxruntime",
    ) -> None:
        if not path.is_file():
            raise MissingFileError(f"{path}: there is no such image tower; see image_tower in config.json")
        try:
            self._session, self.computes_with = open_session(path, threads=threads or 0, engine=engine)
        except WhyhereError:
            raise
        except Exception as error:  # the engines' errors have no common base class
            raise MissingFileError(f"{path}: cannot be opened as ONNX ({last_line(error)})") from error
        inputs = [item.name for item in self._session.get_inputs()]
        outputs = [item.name for item in self._session.get_outputs()]
        wanted = [names.embedding, *([names.tokens] if names.tokens else [])]
        if inputs != [names.input] or not set(wanted) <= set(outputs):
            raise MissingFileError(
                f"{path}: its inputs are {', '.join(inputs)} and its outputs {', '.join(outputs)}; "
                f"the config.json asks for input {names.input} and outputs {', '.join(wanted)}"
            )
        self._path, self._names, self._image_size = path, names, image_size
        try:
            (embedding,) = self._run(np.zeros((1, 3, image_size, image_size), np.float32), names.embedding)
        except Exception as error:  # onnxruntime's errors have no common base class
            reason = str(error).splitlines()[0]
            raise MissingFileError(f"{path}: does not take photos of {image_size} px ({reason})") from error
        if embedding.ndim != 2 or len(embedding) != 1 or embedding.dtype != np.float32:
            raise MissingFileError(
                f"{path}: output {names.embedding} is {embedding.dtype} {list(embedding.shape)}, not "
                "float32 [n, d]"
            )
        self._dim = int(embedding.shape[1])

    @property
    def image_size(self) -> int:
        """Side of the square input, px."""
        return self._image_size

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return self._dim

    def embed(self, pixels: FloatArray) -> TowerOutput:
        """Embeddings and tokens of photos, float32 [n, 3, image_size, image_size].

        Raises:
            UsageError: The tower's configuration names no tokens.
            ValueError: `pixels` has another shape or type.
        """
        if self._names.tokens is None:
            raise UsageError(f"{self._path}: name its hidden tokens in the config.json (image_tower.tokens)")
        check_pixels(pixels, self._image_size)
        names = (self._names.embedding, self._names.tokens)
        rows = [self._run(pixels[i : i + 1], *names) for i in range(len(pixels))]
        if not rows:
            return TowerOutput(np.empty((0, self._dim), np.float32), np.empty((0, 0, 0), np.float32))
        return TowerOutput(np.concatenate([row[0] for row in rows]), np.concatenate([row[1] for row in rows]))

    def embed_only(self, pixels: FloatArray) -> FloatArray:
        """Embeddings alone, [n, dim]."""
        check_pixels(pixels, self._image_size)
        embeddings = np.empty((len(pixels), self._dim), np.float32)
        for i in range(len(pixels)):
            (embeddings[i : i + 1],) = self._run(pixels[i : i + 1], self._names.embedding)
        return embeddings

    def _run(self, photo: FloatArray, *outputs: str) -> list[FloatArray]:
        return self._session.run(outputs, {self._names.input: photo})
