"""Other ways to run an image tower: OpenVINO against float32, and a CUDA device where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from tiny_clip import TINY, forward, random_pixels, random_state

from clip_folder import VISION, write_clip_folder
from whyhere.encoders import ClipViTBuilder, CustomTower, OnnxImageTower, _sessions, export_image_tower
from whyhere.errors import MissingFileError, UsageError
from whyhere.releases import load_image_tower

BFLOAT16 = 0.999  # cosine to float32: bfloat16 has 8 bits, so a product is off by 2^-9 and errors average out


def write_tower(folder: Path) -> Path:
    path = folder / "image_tower.onnx"
    ClipViTBuilder(TINY, random_state()).build().write(path)
    return path


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


@pytest.fixture(scope="session")
def openvino():
    return pytest.importorskip("openvino", reason="needs the extra: pip install 'whyhere[fast]'")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tower(tmp_path_factory.mktemp("tower"))


@pytest.fixture(scope="module")
def tower(path: Path, openvino) -> OnnxImageTower:
    return OnnxImageTower(path, threads=1, engine="openvino")


def test_openvino_agrees_with_a_numpy_forward_pass(tower):
    pixels = random_pixels(3)
    output = tower.embed(pixels)
    embedding, tokens = forward(random_state(), TINY, pixels)
    assert cosines(output.embedding, embedding).min() > BFLOAT16
    assert cosines(output.tokens, tokens).min() > BFLOAT16
    assert output.embedding.dtype == output.tokens.dtype == np.float32
    assert output.tokens.shape == tokens.shape
    np.testing.assert_array_equal(tower.embed_only(pixels), output.embedding)


@pytest.mark.parametrize(("wants", "precision"), [(False, "float32"), (True, "bfloat16")])
def test_openvino_computes_in_the_precision_that_it_would_choose(
    path, openvino, monkeypatch, wants, precision
):
    if wants and "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bfloat16 instructions")
    monkeypatch.setattr(_sessions, "_prefers_bfloat16", lambda core: wants)
    tower, pixels = OnnxImageTower(path, engine="openvino"), random_pixels(3)
    assert tower.computes_with == f"openvino, CPU, {precision}"
    exact = OnnxImageTower(path).embed(pixels)
    furthest = np.abs(tower.embed(pixels).embedding - exact.embedding).max()
    assert 1e-4 < furthest < 0.1 if wants else furthest < 1e-4


def test_openvino_tells_nothing_of_one_photo_to_another(tower):
    pixels = random_pixels(9)
    pixels[4] *= 1000
    together = tower.embed(pixels)
    for i in reversed(range(len(pixels))):
        alone = tower.embed(pixels[i : i + 1])
        np.testing.assert_array_equal(alone.embedding[0], together.embedding[i])
        np.testing.assert_array_equal(alone.tokens[0], together.tokens[i])


def test_openvino_does_not_depend_on_the_number_of_threads_or_on_the_process(tower, path):
    pixels = random_pixels(2)
    embedding = tower.embed(pixels).embedding
    two = OnnxImageTower(path, threads=2, engine="openvino")
    np.testing.assert_array_equal(two.embed(pixels).embedding, embedding)
    code = (
        "import sys; from tiny_clip import random_pixels; from whyhere.encoders import OnnxImageTower\n"
        "tower = OnnxImageTower(sys.argv[1], engine='openvino')\n"
        "sys.stdout.buffer.write(tower.embed(random_pixels(2)).embedding.tobytes())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
    )
    assert done.stdout == embedding.tobytes()


def test_openvino_takes_no_photos_and_views_of_another_layout(tower):
    assert tower.embed(random_pixels(0)).embedding.shape == (0, TINY.projection)
    pixels = random_pixels(2)
    view = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(tower.embed_only(view), tower.embed_only(pixels))


def test_openvino_may_be_shared_by_threads(tower):
    from concurrent.futures import ThreadPoolExecutor

    pixels = random_pixels(16)
    expected = tower.embed_only(pixels)
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda i: tower.embed_only(pixels[i : i + 1])[0], range(16)))
    np.testing.assert_array_equal(np.stack(rows), expected)


@pytest.mark.parametrize("weights", ["float32", "8-bit"])
def test_openvino_runs_what_a_model_folder_is_exported_to(tmp_path, openvino, weights):
    write_clip_folder(tmp_path)
    file = tmp_path / "tower.onnx"
    export_image_tower(tmp_path, file, weights=weights)
    pixels = random_pixels(2, VISION)
    exact = OnnxImageTower(file).embed_only(pixels)
    assert cosines(OnnxImageTower(file, engine="openvino").embed_only(pixels), exact).min() > BFLOAT16
    custom = CustomTower(file, image_size=VISION.image_size, engine="openvino")
    assert cosines(custom.embed_only(pixels), exact).min() > BFLOAT16
    assert custom.computes_with.startswith("openvino")


def test_without_openvino_the_message_names_the_extra(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingFileError, match=r'pip install "whyhere\[fast\]"'):
        OnnxImageTower(path, engine="openvino")
    with pytest.raises(MissingFileError, match=r'pip install "whyhere\[fast\]"'):
        CustomTower(path, image_size=TINY.image_size, engine="openvino")


def test_importing_openvino_reports_to_nobody(openvino, tmp_path):
    """The real telemetry package would send an event at once; this one leaves a file behind instead."""
    package = tmp_path / "openvino_telemetry"
    (package / "backend").mkdir(parents=True)
    told = tmp_path / "told"
    (package / "__init__.py").write_text(f"open({str(told)!r}, 'w').close()\n")
    (package / "backend" / "__init__.py").touch()
    (package / "backend" / "backend_ga4.py").touch()
    code = (
        "import pathlib, sys; from whyhere.encoders._sessions import import_openvino\n"
        "assert import_openvino().Core().available_devices\n"
        f"print(pathlib.Path({str(told)!r}).exists())\n"
        f"import openvino_telemetry; print(pathlib.Path({str(told)!r}).exists())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert done.stdout.split() == ["False", "True"]  # not for us; afterwards importable again for others


@pytest.mark.parametrize("damage", ["empty", "text", "cut short", "no weights", "weights cut short"])
def test_openvino_refuses_damaged_files(tmp_path, openvino, damage):
    path = write_tower(tmp_path)
    weights = path.with_suffix(".weights")
    match damage:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_bytes(b"not a model")
        case "cut short":
            path.write_bytes(path.read_bytes()[:-2000])
        case "no weights":
            weights.unlink()
        case "weights cut short":
            weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(MissingFileError, match="whyhere releases fetch base --force") as caught:
        OnnxImageTower(path, engine="openvino")
    assert str(path) in str(caught.value)


def test_refuses_an_engine_that_it_does_not_know(path):
    with pytest.raises(UsageError, match=r"'tensorflow'.*onnxruntime, openvino"):
        OnnxImageTower(path, engine="tensorflow")


@pytest.mark.weights
def test_the_environment_chooses_the_engine_of_a_release(base_release, openvino, monkeypatch):
    monkeypatch.setenv("WHYHERE_ENGINE", "openvino")
    fast = load_image_tower(base_release, threads=1)
    assert fast.computes_with.startswith("openvino, CPU")
    exact = load_image_tower(base_release, threads=1, engine="onnxruntime")  # what is asked for goes first
    assert exact.computes_with.endswith("float32")
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(2, 3, 14, 14)).repeat(16, axis=2).repeat(16, axis=3).astype(np.float32)
    ours, reference = fast.embed(pixels), exact.embed(pixels)
    assert cosines(ours.embedding, reference.embedding).min() > BFLOAT16
    assert np.median(cosines(ours.tokens, reference.tokens)) > BFLOAT16
    np.testing.assert_array_equal(fast.embed_only(pixels[1:]), ours.embedding[1:])
    monkeypatch.setenv("WHYHERE_ENGINE", "fastest")
    with pytest.raises(UsageError, match="WHYHERE_ENGINE in the environment: engine 'fastest'"):
        load_image_tower(base_release)


class FakeSession:
    """Stands in for onnxruntime's session: records how it was opened, and has no CUDA device if told so."""

    opened: ClassVar[list[dict]] = []
    fails: ClassVar[set[str]] = set()
    ignored: ClassVar[set[str]] = set()

    def __init__(self, path, options, *, providers, enable_fallback):
        self.names = [name for name, _ in providers]
        self.opened.append({"providers": dict(providers), "fallback": enable_fallback})
        if self.fails & set(self.names):
            raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected")

    def get_providers(self):
        return [name for name in self.names if name not in self.ignored] or ["CPUExecutionProvider"]

    def get_inputs(self):
        return [_Value("pixel_values", ["n", 3, 16, 16])]

    def get_outputs(self):
        return [_Value("image_embeds", ["n", 10]), _Value("tokens", ["n", 17, 24])]


class _Value:
    def __init__(self, name, shape):
        self.name, self.shape = name, shape


CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@pytest.fixture
def fake(monkeypatch):
    """Onnxruntime with a CUDA provider, as far as its answers go."""
    import onnxruntime

    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["TensorrtExecutionProvider", CUDA, CPU]
    )
    monkeypatch.setattr(onnxruntime, "InferenceSession", FakeSession)
    monkeypatch.setattr(FakeSession, "opened", [])
    return FakeSession


def test_takes_a_cuda_device_by_itself(path, fake):
    tower = OnnxImageTower(path)
    assert tower.computes_with == "onnxruntime, CUDA, float32"
    (opened,) = fake.opened
    assert list(opened["providers"]) == [CUDA, CPU]
    assert opened["providers"][CUDA]["use_tf32"] == "0"  # else products would have 10 bits of precision
    assert not opened["fallback"]


def test_without_a_device_it_computes_on_the_processor(path, fake, monkeypatch):
    monkeypatch.setattr(fake, "fails", {CUDA})
    assert OnnxImageTower(path).computes_with == "onnxruntime, CPU, float32"
    assert [list(opened["providers"]) for opened in fake.opened] == [[CUDA, CPU], [CPU]]


def test_a_device_that_onnxruntime_passes_over_is_not_claimed(path, fake, monkeypatch):
    monkeypatch.setattr(fake, "ignored", {CUDA})
    assert OnnxImageTower(path).computes_with == "onnxruntime, CPU, float32"


def test_providers_can_be_chosen(path, fake):
    assert OnnxImageTower(path, providers=[CPU]).computes_with == "onnxruntime, CPU, float32"
    assert OnnxImageTower(path, providers=[CUDA]).computes_with == "onnxruntime, CUDA, float32"


def test_a_chosen_provider_is_never_replaced(path, fake, monkeypatch):
    monkeypatch.setattr(fake, "ignored", {CUDA})
    with pytest.raises(UsageError, match="CUDAExecutionProvider cannot be used"):
        OnnxImageTower(path, providers=[CUDA])


def test_a_provider_that_is_not_installed_is_refused_with_the_remedy(path, monkeypatch):
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    with pytest.raises(UsageError, match="pip install onnxruntime-gpu"):
        OnnxImageTower(path, providers=[CUDA, CPU])


def test_providers_are_not_for_openvino(path):
    with pytest.raises(UsageError, match="onnxruntime's"):
        OnnxImageTower(path, engine="openvino", providers=[CPU])


def test_a_damaged_file_is_a_damaged_file_with_cuda_too(tmp_path, fake, monkeypatch):
    monkeypatch.setattr(fake, "fails", {CUDA, CPU})
    with pytest.raises(MissingFileError, match="damaged"):
        OnnxImageTower(write_tower(tmp_path))
