"""An image tower that also tells what every patch of the photo hands to the embedding.

The embedding is read off the class token, and the class token is a sum: what each attention layer writes into
it is in turn a sum over the tokens that were attended to. So a patch's direct share of the embedding can be
read off without any approximation but one: the last normalisation divides by a number that depends on all
(here it is taken as it is). This is the decomposition of Gandelsman, Efros and Steinhardt 2024 (ICLR, arXiv
2310.05916); as they found, the last layers' attention carries nearly all of it. The final hidden states of
the patches themselves tell little of where things are: `docs/regions.md` compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whyhere.encoders import _onnx_format as fmt
from whyhere.encoders._image_tower import FloatArray, TowerOutput, check_pixels
from whyhere.encoders._sessions import import_onnxruntime
from whyhere.errors import MissingFileError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_INPUT, _EMBEDDING, _TOKENS = "pixel_values", "image_embeds", "tokens"
_LAYER = "vision_model.encoder.layers.{}.self_attn."
_EPSILON = 1e-5  # of the last normalisation


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


class TracingTower:
    """A CLIP image tower of whyhere, opened so that its last attention layers can be read; an `ImageTower`.

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
        path = Path(path)
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be 1 or more, not {threads}")
        model = fmt.read_model(path)
        produced = {output for node in model.graph.node for output in node.output}
        depth = sum(1 for name in produced if name.endswith(".self_attn.softmax"))
        if layers < 1 or 0 < depth < layers:
            raise ValueError(f"layers must lie in 1 to {depth}, not {layers}")
        self._layers = [_LAYER.format(depth - 1 - back) for back in range(layers)]
        wanted = [layer + part for layer in self._layers for part in ("softmax", "v_heads")]
        try:
            if not {*wanted, _EMBEDDING, _TOKENS} <= produced:
                raise ValueError("it has no attention layers of the expected names")
            weights = _Weights(model, path)
            self._out = [weights[f"{layer}out_proj.weight"] for layer in self._layers]
            self._scale = weights["vision_model.post_layernorm.weight"]
            self._projection = weights["visual_projection"]
            self._session = _open_with(model, [*wanted], path, threads or 0)
            _, channels, height, width = self._session.get_inputs()[0].shape
            if channels != 3 or not height == width > 0:
                raise ValueError(f"its input is {channels} x {height} x {width}")
        except (KeyError, OSError, TypeError, ValueError) as error:
            raise MissingFileError(
                f"{path}: cannot be traced ({error}); image regions need an image tower of whyhere "
                "with float32 weights"
            ) from error
        self._wanted, self._image_size = wanted, int(height)

    @property
    def image_size(self) -> int:
        """Side of the square input, px."""
        return self._image_size

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return int(self._projection.shape[1])

    def embed(self, pixels: FloatArray) -> TowerOutput:
        """Embeddings and tokens of photos, as `OnnxImageTower.embed`."""
        check_pixels(pixels, self._image_size)
        rows = [self._run(pixels[i : i + 1], _EMBEDDING, _TOKENS) for i in range(len(pixels))]
        if not rows:
            return TowerOutput(np.empty((0, self.dim), np.float32), np.empty((0, 0, 0), np.float32))
        return TowerOutput(np.concatenate([row[0] for row in rows]), np.concatenate([row[1] for row in rows]))

    def embed_only(self, pixels: FloatArray) -> FloatArray:
        """Embeddings alone, [n, dim]."""
        check_pixels(pixels, self._image_size)
        embedding = np.empty((len(pixels), self.dim), np.float32)
        for i in range(len(pixels)):
            (embedding[i : i + 1],) = self._run(pixels[i : i + 1], _EMBEDDING)
        return embedding

    def trace(self, pixels: FloatArray) -> PatchShares:
        """Look at one view and say what its patches add to the embedding.

        Args:
            pixels: One preprocessed view, float32 [1, 3, image_size, image_size].

        Raises:
            ValueError: `pixels` has another shape or type.
        """
        check_pixels(pixels, self._image_size)
        if len(pixels) != 1:
            raise ValueError(f"one view is traced at a time, not {len(pixels)}")
        embedding, tokens, *parts = self._run(pixels, _EMBEDDING, _TOKENS, *self._wanted)
        written = np.zeros(tokens.shape[1:], np.float32)
        for attention, values, out in zip(parts[::2], parts[1::2], self._out, strict=True):
            # Row 0 of the attention is what the class token, token 0, takes from every token, by head.
            mixed = attention[0, :, 0, :, None] * values[0]  # [heads, t, width]
            written += mixed.transpose(1, 0, 2).reshape(len(written), -1) @ out
        spread = np.sqrt(tokens[0, 0].astype(np.float64).var() + _EPSILON).astype(np.float32)
        centred = written - written.mean(axis=1, keepdims=True)
        shares = (centred / spread * self._scale) @ self._projection
        return PatchShares(embedding[0], shares[1:])

    def _run(self, photo: FloatArray, *outputs: str) -> list[FloatArray]:
        results: list[FloatArray] = self._session.run(outputs, {_INPUT: photo})
        return results


class _Weights:
    """The float32 weights of a model by name, read from its file of weights where they lie there."""

    def __init__(self, model: fmt.Message, path: Path) -> None:
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._folder = path.parent

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        tensor = self._tensors[name]
        if tensor.data_type != fmt.FLOAT:
            raise ValueError(f"{name} is no float32 tensor")
        if not tensor.data_location:
            inline: NDArray[np.float32] = fmt.to_array(tensor)
            return inline
        place = {entry.key: entry.value for entry in tensor.external_data}
        count = int(np.prod(tensor.dims))
        values = np.fromfile(
            self._folder / Path(place["location"]).name, "<f4", count, offset=int(place["offset"])
        )
        return values.reshape(tuple(tensor.dims)).astype(np.float32, copy=False)


def _open_with(model: fmt.Message, outputs: list[str], path: Path, threads: int) -> InferenceSession:
    """Open a model with more of its values as outputs; its weights stay in the folder of `path`."""
    onnxruntime = import_onnxruntime()
    for name in outputs:
        info: Any = fmt.ValueInfoProto(name=name)
        info.type.tensor_type.elem_type = fmt.FLOAT
        model.graph.output.append(info)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what fails is raised and reported by us
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    try:
        session: InferenceSession = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return session
    except Exception as error:  # onnxruntime's errors have no common base class
        raise ValueError(str(error).splitlines()[0]) from error
