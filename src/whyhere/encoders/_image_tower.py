"""Image towers: from preprocessed pixels to an embedding and the hidden tokens of a photo.

Photos go through one at a time. A batch would be no more than a few per cent faster or slower
(`docs/image-tower.md`): one photo is already some two hundred tokens, enough to keep the matrix kernels busy.
And it makes independence from the rest of the batch exact, whatever the processor: kernels may round
differently for matrices of different heights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from whyhere.encoders import _onnx as fmt
from whyhere.encoders._sessions import Session, import_onnxruntime, open_session
from whyhere.errors import MissingFileError, UsageError, WhyhereError

FloatArray = NDArray[np.float32]

_REMEDY = "run `whyhere releases fetch base --force`"
_LAYER = "vision_model.encoder.layers.{}.self_attn."
_EPSILON = 1e-5  # of the last normalisation


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


@dataclass(frozen=True, slots=True)
class PatchShares:
    """One view as the tower sees it, and what its patches add to that.

    Attributes:
        embedding: The image embedding, not normalised; float32, shape (d,).
        shares: What every patch adds to the embedding directly, through the attention of the class token in
            the traced layers; float32, shape (patches, d), row by row.
    """

    embedding: FloatArray
    shares: FloatArray


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


_OURS = TowerNames(tokens="tokens")


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


class _SessionTower:
    """A graph that is open, its input and outputs known: what all towers share."""

    _session: Session
    _path: Path
    _names: TowerNames
    _image_size: int
    _dim: int
    _token_shape: Sequence[int] = (0, 0)

    @property
    def image_size(self) -> int:
        """Side of the square input, px."""
        return self._image_size

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return self._dim

    def embed(self, pixels: FloatArray) -> TowerOutput:
        """Embeddings and tokens of photos.

        Args:
            pixels: Preprocessed photos, float32 [n, 3, image_size, image_size]; n may be 0.

        Raises:
            UsageError: The tower's configuration names no tokens.
            ValueError: `pixels` has another shape or type.
        """
        if self._names.tokens is None:
            raise UsageError(f"{self._path}: name its hidden tokens in the config.json (image_tower.tokens)")
        self._check(pixels)
        names = (self._names.embedding, self._names.tokens)
        rows = [self._run(pixels[i : i + 1], *names) for i in range(len(pixels))]
        if not rows:
            shape = (0, *self._token_shape)
            return TowerOutput(np.empty((0, self._dim), np.float32), np.empty(shape, np.float32))
        return TowerOutput(np.concatenate([row[0] for row in rows]), np.concatenate([row[1] for row in rows]))

    def embed_only(self, pixels: FloatArray) -> FloatArray:
        """Embeddings alone, [n, dim]: those of `embed` without keeping the tokens (600 kB a photo) in memory.

        Args:
            pixels: As in `embed`.

        Raises:
            ValueError: `pixels` has another shape or type.
        """
        self._check(pixels)
        embeddings = np.empty((len(pixels), self._dim), np.float32)
        for i in range(len(pixels)):
            (embeddings[i : i + 1],) = self._run(pixels[i : i + 1], self._names.embedding)
        return embeddings

    def _run(self, photo: FloatArray, *outputs: str) -> list[FloatArray]:
        return self._session.run(outputs, {self._names.input: photo})

    def _check(self, pixels: FloatArray) -> None:
        side = self._image_size
        if pixels.dtype != np.float32 or pixels.shape[1:] != (3, side, side):
            raise ValueError(
                f"pixels must be float32 [n, 3, {side}, {side}], not {pixels.dtype} {list(pixels.shape)}"
            )


class OnnxImageTower(_SessionTower):
    """A CLIP image tower that lies in an ONNX file, run by ONNX Runtime, or by OpenVINO where asked for.

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
        self._path, self._names = Path(path), _OURS
        _check_threads(threads)
        if not self._path.is_file():
            raise MissingFileError(f"{path}: the image tower is missing; {_REMEDY}")
        try:
            self._session, self.computes_with = open_session(
                self._path, threads=threads or 0, engine=engine, providers=providers
            )
        except WhyhereError:
            raise
        except Exception as error:  # the engines' errors have no common base class
            raise MissingFileError(
                f"{path}: the image tower is damaged ({_last_line(error)}); {_REMEDY}"
            ) from error
        try:
            (pixels,) = self._session.get_inputs()
            outputs = {output.name: output.shape for output in self._session.get_outputs()}
            _, channels, height, width = pixels.shape
            _, self._dim = outputs["image_embeds"]
            _, *self._token_shape = outputs["tokens"]
            if pixels.name != _OURS.input or channels != 3 or not height == width > 0:
                raise ValueError(f"input {pixels.name} {pixels.shape}")
        except (KeyError, TypeError, ValueError) as error:
            raise MissingFileError(f"{path}: not an image tower of whyhere ({error}); {_REMEDY}") from error
        self._image_size = int(height)


class CustomTower(_SessionTower):
    """An image tower that the user brings as an ONNX file, whatever its inputs and outputs are called.

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
        self._path, self._names, self._image_size = path, names, image_size
        if not path.is_file():
            raise MissingFileError(f"{path}: there is no such image tower; see image_tower in config.json")
        try:
            self._session, self.computes_with = open_session(path, threads=threads or 0, engine=engine)
        except WhyhereError:
            raise
        except Exception as error:  # the engines' errors have no common base class
            raise MissingFileError(f"{path}: cannot be opened as ONNX ({_last_line(error)})") from error
        inputs = [item.name for item in self._session.get_inputs()]
        outputs = [item.name for item in self._session.get_outputs()]
        wanted = [names.embedding, *([names.tokens] if names.tokens else [])]
        if inputs != [names.input] or not set(wanted) <= set(outputs):
            raise MissingFileError(
                f"{path}: its inputs are {', '.join(inputs)} and its outputs {', '.join(outputs)}; "
                f"the config.json asks for input {names.input} and outputs {', '.join(wanted)}"
            )
        try:
            (embedding,) = self._run(np.zeros((1, 3, image_size, image_size), np.float32), names.embedding)
        except Exception as error:  # the engines' errors have no common base class
            reason = str(error).splitlines()[0]
            raise MissingFileError(f"{path}: does not take photos of {image_size} px ({reason})") from error
        if embedding.ndim != 2 or len(embedding) != 1 or embedding.dtype != np.float32:
            raise MissingFileError(
                f"{path}: output {names.embedding} is {embedding.dtype} {list(embedding.shape)}, not "
                "float32 [n, d]"
            )
        self._dim = int(embedding.shape[1])


class TracingTower(_SessionTower):
    """A CLIP image tower of whyhere that also tells what every patch of the photo hands to the embedding.

    The embedding is read off the class token, and the class token is a sum: what each attention layer writes
    into it is in turn a sum over the tokens that were attended to. So a patch's direct share of the embedding
    can be read off without any approximation but one: the last normalisation divides by a number that depends
    on all (here it is taken as it is). This is the decomposition of Gandelsman, Efros and Steinhardt 2024
    (ICLR, arXiv 2310.05916); as they found, the last layers' attention carries nearly all of it. The final
    hidden states of the patches themselves tell little of where things are: `docs/regions.md` compares.

    It is a session of its own beside `OnnxImageTower`, with memory of its own: open it once, and only where
    regions are wanted.

    Args:
        path: Model file of an `OnnxImageTower` with float32 weights.
        layers: How many layers are traced, the last ones.
        threads: Threads for one photo; by default one per physical core.

    Raises:
        MissingFileError: The file is missing, damaged, not an image tower of whyhere, or has 8-bit weights.
    """

    def __init__(self, path: str | Path, *, layers: int = 4, threads: int | None = None) -> None:
        self._path, self._names = Path(path), _OURS
        _check_threads(threads)
        model = fmt.read_model(self._path)
        produced = {output for node in model.graph.node for output in node.output}
        depth = sum(1 for name in produced if name.endswith(".self_attn.softmax"))
        if layers < 1 or 0 < depth < layers:
            raise ValueError(f"layers must lie in 1 to {depth}, not {layers}")
        traced = [_LAYER.format(depth - 1 - back) for back in range(layers)]
        self._wanted = [layer + part for layer in traced for part in ("softmax", "v_heads")]
        try:
            if not {*self._wanted, "image_embeds", "tokens"} <= produced:
                raise ValueError("it has no attention layers of the expected names")
            weights = fmt.FloatWeights(model, self._path.parent)
            self._out = [weights[f"{layer}out_proj.weight"] for layer in traced]
            self._scale = weights["vision_model.post_layernorm.weight"]
            self._projection = weights["visual_projection"]
            self._session = _open_with(model, self._wanted, self._path.parent, threads or 0)
            _, channels, height, width = self._session.get_inputs()[0].shape
            if channels != 3 or not height == width > 0:
                raise ValueError(f"its input is {channels} x {height} x {width}")
        except (KeyError, OSError, TypeError, ValueError) as error:
            raise MissingFileError(
                f"{path}: cannot be traced ({error}); image regions need an image tower of whyhere "
                "with float32 weights"
            ) from error
        self._image_size, self._dim = int(height), int(self._projection.shape[1])

    def trace(self, pixels: FloatArray) -> PatchShares:
        """Look at one view and say what its patches add to the embedding.

        Args:
            pixels: One preprocessed view, float32 [1, 3, image_size, image_size].

        Raises:
            ValueError: `pixels` has another shape or type.
        """
        self._check(pixels)
        if len(pixels) != 1:
            raise ValueError(f"one view is traced at a time, not {len(pixels)}")
        embedding, tokens, *parts = self._run(pixels, "image_embeds", "tokens", *self._wanted)
        written = np.zeros(tokens.shape[1:], np.float32)
        for attention, values, out in zip(parts[::2], parts[1::2], self._out, strict=True):
            # Row 0 of the attention is what the class token, token 0, takes from every token, by head.
            mixed = attention[0, :, 0, :, None] * values[0]  # [heads, t, width]
            written += mixed.transpose(1, 0, 2).reshape(len(written), -1) @ out
        spread = np.sqrt(tokens[0, 0].astype(np.float64).var() + _EPSILON).astype(np.float32)
        centred = written - written.mean(axis=1, keepdims=True)
        shares = (centred / spread * self._scale) @ self._projection
        return PatchShares(embedding[0], shares[1:])


def _open_with(model: fmt.Message, outputs: list[str], folder: Path, threads: int) -> Session:
    """Open a model with more of its values as outputs; its weights stay in their folder."""
    onnxruntime = import_onnxruntime()
    for name in outputs:
        info: Any = fmt.ValueInfoProto(name=name)
        info.type.tensor_type.elem_type = fmt.FLOAT
        model.graph.output.append(info)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what fails is raised and reported by us
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    try:
        session: Session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return session
    except Exception as error:  # onnxruntime's errors have no common base class
        raise ValueError(str(error).splitlines()[0]) from error


def _check_threads(threads: int | None) -> None:
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be 1 or more, not {threads}")


def _last_line(error: Exception) -> str:
    """The line of an engine's message that tells the reason: onnxruntime's only one, openvino's last."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
