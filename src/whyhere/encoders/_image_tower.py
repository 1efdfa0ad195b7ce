"""The image tower: from preprocessed pixels to an embedding and the hidden tokens of a photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from whyhere.encoders._sessions import open_session
from whyhere.errors import MissingFileError, WhyhereError

FloatArray = NDArray[np.float32]

_REMEDY = "run `whyhere releases fetch base --force`"
_INPUT, _EMBEDDING, _TOKENS = "pixel_values", "image_embeds", "tokens"


@dataclass(frozen=True, slots=True)
class TowerOutput:
    """What an image tower says about n photos.

    Attributes:
        embedding: Image embeddings as the tower gives them, not normalised; float32 [n, dim].
        tokens: Hidden states of the last layer before its final normalisation; float32 [n, tokens, hidden].
            Token 0 is the class token, the others are the patches row by row.
    """

    embedding: FloatArray
    tokens: FloatArray


class ImageTower(Protocol):
    """Anything that turns pixels into embeddings, one photo's answer never depending on another photo."""

    @property
    def image_size(self) -> int:
        """Side of the square input, px."""

    @property
    def dim(self) -> int:
        """Width of an embedding."""

    def embed(self, pixels: FloatArray) -> TowerOutput:
        """Embeddings and tokens of photos, float32 [n, 3, image_size, image_size]."""

    def embed_only(self, pixels: FloatArray) -> FloatArray:
        """Embeddings alone, [n, dim]: the same numbers without keeping the tokens in memory."""


class OnnxImageTower:
    """A CLIP image tower that lies in an ONNX file, run by ONNX Runtime, or by OpenVINO where asked for.

    Photos go through one at a time. A batch would be no more than a few per cent faster or slower
    (`docs/image-tower.md`): one photo is already some two hundred tokens, enough to keep the matrix kernels
    busy. And it makes independence from the rest of the batch exact, whatever the processor: kernels may
    round differently for matrices of different heights.

    Args:
        path: Model file written by `convert_clip_int8` or `convert_clip_safetensors`.
        threads: Threads for one photo; by default one per physical core.
        engine: What runs it: "onnxruntime" or, with the extra `whyhere[fast]`, "openvino": about twice as
            fast on processors with bfloat16 instructions, in that precision (`docs/speed.md`).
        providers: Where ONNX Runtime computes, the preferred one first, by its own names; by default on a
            CUDA device where `onnxruntime-gpu` is installed and finds one, else on the processor.

    Attributes:
        computes_with: Engine, device and precision in words, such as "onnxruntime, CPU, float32".

    Raises:
        MissingFileError: The file is missing, damaged, or not an image tower; or the engine is not installed.
        UsageError: There is no such engine, or no such provider on this machine.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        threads: int | None = None,
        engine: str = "onnxruntime",
        providers: Sequence[str] | None = None,
    ) -> None:
        path = Path(path)
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be 1 or more, not {threads}")
        if not path.is_file():
            raise MissingFileError(f"{path}: the image tower is missing; {_REMEDY}")
        try:
            self._session, self.computes_with = open_session(
                path, threads=threads or 0, engine=engine, providers=providers
            )
        except WhyhereError:
            raise
        except Exception as error:  # the engines' errors have no common base class
            raise MissingFileError(
                f"{path}: the image tower is damaged ({last_line(error)}); {_REMEDY}"
            ) from error
        try:
            (pixels,) = self._session.get_inputs()
            outputs = {output.name: output.shape for output in self._session.get_outputs()}
            _, channels, height, width = pixels.shape
            _, self._dim = outputs[_EMBEDDING]
            _, *self._token_shape = outputs[_TOKENS]
            if pixels.name != _INPUT or channels != 3 or not height == width > 0:
                raise ValueError(f"input {pixels.name} {pixels.shape}")
        except (KeyError, TypeError, ValueError) as error:
            raise MissingFileError(f"{path}: not an image tower of whyhere ({error}); {_REMEDY}") from error
        self._image_size = int(height)

    @property
    def image_size(self) -> int:
        """Side of the square input, px."""
        return self._image_size

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return int(self._dim)

    def embed(self, pixels: FloatArray) -> TowerOutput:
        """Embeddings and tokens of photos.

        Args:
            pixels: Preprocessed photos, float32 [n, 3, image_size, image_size]; n may be 0.

        Raises:
            ValueError: `pixels` has another shape or type.
        """
        check_pixels(pixels, self._image_size)
        embedding = np.empty((len(pixels), self.dim), np.float32)
        tokens = np.empty((len(pixels), *self._token_shape), np.float32)
        for i in range(len(pixels)):
            embedding[i : i + 1], tokens[i : i + 1] = self._run(pixels[i : i + 1], _EMBEDDING, _TOKENS)
        return TowerOutput(embedding, tokens)

    def embed_only(self, pixels: FloatArray) -> FloatArray:
        """Embeddings alone, [n, dim]: those of `embed` without keeping the tokens (600 kB a photo) in memory.

        Args:
            pixels: As in `embed`.

        Raises:
            ValueError: `pixels` has another shape or type.
        """
        check_pixels(pixels, self._image_size)
        embedding = np.empty((len(pixels), self.dim), np.float32)
        for i in range(len(pixels)):
            (embedding[i : i + 1],) = self._run(pixels[i : i + 1], _EMBEDDING)
        return embedding

    def _run(self, photo: FloatArray, *outputs: str) -> list[FloatArray]:
        return self._session.run(outputs, {_INPUT: photo})


def check_pixels(pixels: FloatArray, side: int) -> None:
    """Refuse pixels that are not float32 of shape [n, 3, side, side].

    Raises:
        ValueError: They are not.
    """
    if pixels.dtype != np.float32 or pixels.shape[1:] != (3, side, side):
        raise ValueError(
            f"pixels must be float32 [n, 3, {side}, {side}], not {pixels.dtype} {list(pixels.shape)}"
        )


def last_line(error: Exception) -> str:
    """The line of an engine's message that tells the reason: onnxruntime's only one, openvino's last."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
