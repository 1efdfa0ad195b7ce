"""CLIP's tokenizer and text tower against `transformers`, on small vocabularies and random weights."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from clip_folder import TEXT, vocabulary, write_clip_folder, write_vocabulary
from whyhere.encoders import ClipTokenizer, TextTower, export_text_tower
from whyhere.errors import MissingFileError

TEXTS = [
    "a photo of a beach.",
    "It's   the LANDSCAPE, they're 42 houses!",
    "don'T 'LL ''s",
    "Ünïcode №5 ½ 你好 emoji🎉🎉 ൻ ྲ 가나다",
    "ΟΔΟΣ ΣΑΣ İstanbul e\u0301 \x1c\x1f tab\tq \u2003\u3000x\u200b",
    "_under_score!!!'s <|a|>",
    "",
    "   ",
    "mountain " * 60,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vocabulary")
    write_vocabulary(path)
    return path


@pytest.fixture(scope="module")
def original():
    transformers = pytest.importorskip("transformers")
    tokens, merges = vocabulary()
    return transformers.CLIPTokenizer(vocab=tokens, merges=merges)


def numbers_of(original, text: str) -> list[int]:
    return original(text, truncation=True, max_length=77)["input_ids"]


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_are_those_of_transformers(folder, original, text):
    assert ClipTokenizer.load(folder).encode(text).tolist() == numbers_of(original, text)


# The names of the special tokens are text like any other here, and none in the original. Characters that this
# Python's Unicode does not know (Cn) may be letters to the original's newer one.
_CHARACTERS = st.characters(exclude_categories=("Cs", "Cn"))
_TEXT = st.text(_CHARACTERS, max_size=60).filter(lambda text: "<|" not in text)


@settings(max_examples=400, deadline=None)
@given(text=st.one_of(_TEXT, st.text("aAe'sStTlLdDmv 19.,!-é\u00a0", max_size=40)))
def test_tokens_of_any_text_are_those_of_transformers(folder, original, text):
    assert ClipTokenizer.load(folder).encode(text).tolist() == numbers_of(original, text)


def test_tokenizer_json_gives_the_same_tokens(folder, original, tmp_path):
    original.save_pretrained(tmp_path)
    assert not (tmp_path / "merges.txt").exists()
    one, other = ClipTokenizer.load(tmp_path), ClipTokenizer.load(folder)
    for text in TEXTS:
        assert one.encode(text).tolist() == other.encode(text).tolist()
    data = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    data["model"]["merges"] = [
        " ".join(pair) for pair in data["model"]["merges"]
    ]  # as files of 2022 have them
    (tmp_path / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")
    assert ClipTokenizer.load(tmp_path).encode(TEXTS[1]).tolist() == one.encode(TEXTS[1]).tolist()


def test_special_tokens_inside_a_text_end_nothing(folder):
    tokens, _ = vocabulary()
    encoded = ClipTokenizer.load(folder).encode("beach <|endoftext|> snow").tolist()
    assert encoded.count(tokens["<|endoftext|>"]) == 1
    assert encoded[-1] == tokens["<|endoftext|>"]


def test_a_folder_without_vocabulary_says_what_belongs_there(tmp_path):
    with pytest.raises(MissingFileError, match=r"no tokenizer\.json, and no vocab\.json with merges\.txt"):
        ClipTokenizer.load(tmp_path)


@pytest.mark.parametrize("change", ["drop a byte", "no dictionary", "no json", "three in a merge"])
def test_a_vocabulary_that_is_none_is_refused(tmp_path, change):
    write_vocabulary(tmp_path)
    tokens, _ = vocabulary()
    if change == "drop a byte":
        del tokens["ÿ"]
    (tmp_path / "vocab.json").write_text(
        {"no dictionary": "3", "no json": "{"}.get(change) or json.dumps(tokens), encoding="utf-8"
    )
    if change == "three in a merge":
        (tmp_path / "merges.txt").write_text("#version: 0.2\na b c\n", encoding="utf-8")
    with pytest.raises(MissingFileError, match="not the vocabulary of a CLIP tokenizer"):
        ClipTokenizer.load(tmp_path)


# The tower.


def exported(folder: Path, target: Path) -> TextTower:
    target.mkdir(exist_ok=True)
    export_text_tower(folder, target)
    return TextTower.load(target)


def embeddings_of_transformers(folder: Path, texts: list[str]) -> np.ndarray:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokens, merges = vocabulary()
    tokenizer = transformers.CLIPTokenizer(vocab=tokens, merges=merges)
    model = transformers.CLIPTextModelWithProjection.from_pretrained(folder).eval()
    inputs = tokenizer(
        texts, return_tensors="pt", padding="max_length", truncation=True, max_length=77
    )  # padded to 77, as CLIP was trained
    with torch.no_grad():
        return model(**inputs).text_embeds.numpy()


@pytest.mark.torch
@pytest.mark.parametrize("quick_gelu", [True, False])
def test_embeddings_are_those_of_transformers(tmp_path, quick_gelu):
    write_clip_folder(tmp_path / "clip", text=dataclasses.replace(TEXT, quick_gelu=quick_gelu))
    expected = embeddings_of_transformers(tmp_path / "clip", TEXTS)
    found = exported(tmp_path / "clip", tmp_path / "out").embed(TEXTS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.torch
def test_the_widths_of_vit_l_14s_text_tower(tmp_path):
    text = dataclasses.replace(TEXT, hidden=768, mlp=3072, layers=4, heads=12, vocabulary=2000)
    write_clip_folder(tmp_path / "clip", text=text)
    expected = embeddings_of_transformers(tmp_path / "clip", TEXTS[:4])
    found = exported(tmp_path / "clip", tmp_path / "out").embed(TEXTS[:4])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_text_does_not_depend_on_the_others(tmp_path):
    write_clip_folder(tmp_path / "clip")
    tower = exported(tmp_path / "clip", tmp_path / "out")
    told: list[tuple[int, int]] = []
    together = tower.embed(TEXTS, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(TEXTS), len(TEXTS))
    for row, text in enumerate(TEXTS):
        np.testing.assert_allclose(tower.embed([text])[0], together[row], atol=1e-5)
    assert tower.embed([]).shape == (0, tower.dim)


def test_half_precision_weights_are_read(tmp_path):
    write_clip_folder(tmp_path / "clip")
    write_clip_folder(tmp_path / "half", dtype=np.float16)
    whole, half = (exported(tmp_path / name, tmp_path / f"{name}.out") for name in ("clip", "half"))
    difference = np.abs(whole.embed(TEXTS) - half.embed(TEXTS)).max()
    assert 0 < difference < 0.05


def test_a_missing_or_damaged_tower_names_the_command(tmp_path):
    with pytest.raises(MissingFileError, match="whyhere releases fetch geoclip-l14"):
        TextTower.load(tmp_path)
    write_clip_folder(tmp_path / "clip")
    exported(tmp_path / "clip", tmp_path / "out")
    path = tmp_path / "out" / "text_tower.safetensors"
    state = load_file(path)
    for name, change in {
        "text_model.final_layer_norm.bias": None,
        "text_projection.weight": np.zeros((3, 3), np.float32),
        "text_model.encoder.layers.1.mlp.fc1.bias": np.full(48, np.nan, np.float32),
    }.items():
        broken = {**state, name: change}
        save_file(
            {key: array for key, array in broken.items() if array is not None},
            path,
            metadata={"heads": "4", "activation": "quick_gelu"},
        )
        with pytest.raises(MissingFileError, match="--force"):
            TextTower.load(tmp_path / "out")
    path.write_bytes(b"no safetensors")
    with pytest.raises(MissingFileError, match="not a text tower"):
        TextTower.load(tmp_path / "out")


def test_a_vocabulary_larger_than_the_tower_is_refused(tmp_path):
    write_clip_folder(tmp_path / "clip", text=dataclasses.replace(TEXT, vocabulary=600))
    with pytest.raises(MissingFileError, match="the tokenizer has 608 tokens"):
        export_text_tower(tmp_path / "clip", tmp_path)
