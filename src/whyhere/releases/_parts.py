"""Where the parts of a release come from: an asset, or files of the user's own beside the configuration."""

from __future__ import annotations

from dataclasses import dataclass

VIEW_AVERAGES = ("embeddings", "logits")


@dataclass(frozen=True, slots=True)
class PartConfig:
    """Where one part of a release lies: exactly one of the two is given.

    Attributes:
        asset: Asset that holds it; "" where it is a folder.
        folder: Folder that holds it, relative to the release or absolute; "" where it is an asset.
    """

    asset: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True)
class ImageTowerConfig:
    """Which image tower a release uses: exactly one of asset, file and folder is given.

    Attributes:
        asset: Asset that holds it; "" where it is the user's own.
        views: Crops of a photo.
        file: ONNX file of the user's own, relative to the release or absolute.
        folder: Folder of a CLIP model in the layout of the Hugging Face hub; exported at first use.
        weights: How the export of a folder stores its matrices, "float32" or "8-bit".
        view_average: What is averaged over the views: "embeddings" of unit length, or "logits", for which
            the alignment sees the raw embedding of every view.
        input: What the graph of a file calls its pixels.
        embedding: What it calls its embeddings.
        tokens: What it calls its hidden tokens; None where it gives none.
        size_px: Side of the square that a file's tower sees; that of a folder is read off its weights.
        mean: Mean of red, green and blue that a file or folder wants; CLIP's by default.
        std: Standard deviation of them.
        resample: How photos are resized for it.
        licence: Under which licence the weights of a file or folder may be used, in words.
    """

    asset: str
    views: int
    file: str = ""
    folder: str = ""
    weights: str = "float32"
    view_average: str = "embeddings"
    input: str = "pixel_values"
    embedding: str = "image_embeds"
    tokens: str | None = None
    size_px: int = 224
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resample: str = "bicubic"
    licence: str = ""
