"""The location encoder agrees with GeoCLIP's own, and refuses anything that is not its weights."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from whyhere.encoders import LocationEncoder, equal_earth, location_encoder_shapes
from whyhere.encoders._location import ARC_SINE, SINE, arc_sine
from whyhere.errors import MissingFileError

ORACLE = Path(__file__).parent.parent / "data" / "location_oracle.npz"
PARITY = 1e-5  # the promise; summation order alone gives 6e-8, one rounding of a coordinate up to 4e-5
lats, lons = st.floats(-90, 90), st.floats(-180, 180)


def random_tensors(seed=0):
    """Weights in the true shapes; scales as in the original, so that phases reach thousands of radians."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in location_encoder_shapes().items():
        if name.endswith(".b"):
            scale = 16.0 ** int(name[6])
            tensors[name] = (rng.standard_normal(shape) * scale).astype(np.float32)
        else:
            bound = 1 / math.sqrt(shape[-1] if len(shape) == 2 else 1024)
            tensors[name] = rng.uniform(-bound, bound, shape).astype(np.float32)
    return tensors


@pytest.fixture(scope="module")
def tensors():
    return random_tensors()


@pytest.fixture(scope="module")
def encoder(tensors, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "location_encoder.safetensors"
    save_file(tensors, path)
    return LocationEncoder.load(path)


@pytest.fixture(scope="module")
def real_weights():
    from whyhere.releases import asset_path

    try:
        return asset_path("geoclip") / "location_encoder.safetensors"
    except MissingFileError as error:
        pytest.skip(f"needs GeoCLIP's weights: {error}")


def some_points(n=64, seed=1):
    rng = np.random.default_rng(seed)
    corners = [
        (90, 0),
        (-90, 180),
        (0, 0),
        (0, 180),
        (0, -180),
        (1e-30, -1e-30),
        (60, 179.99999),
        (-60, -179.99999),
    ]
    free = np.stack((rng.uniform(-90, 90, n), rng.uniform(-180, 180, n)), 1)
    return np.concatenate((corners, free)).T


def reference(tensors, lat, lon):
    """Independent forward pass: everything after the float32 phases in float64, one point at a time."""
    rows = []
    for point in equal_earth(lat, lon):
        u0, u1 = (np.float32(2 * np.pi) * v for v in point)
        total = np.zeros(512)
        for n in range(3):
            get = {key[8:]: value for key, value in tensors.items() if key.startswith(f"LocEnc{n}.")}
            b0, b1 = get["capsule.0.b"].T
            phase = (
                (np.float64(u1) * np.float64(b1) + np.float64(u0 * b0)).astype(np.float32).astype(np.float64)
            )
            h = np.concatenate((np.cos(phase), np.sin(phase)))
            for k in (1, 3, 5):
                h = get[f"capsule.{k}.weight"].astype(np.float64) @ h + get[f"capsule.{k}.bias"]
                h[h < 0] = 0
            total += get["head.0.weight"].astype(np.float64) @ h + get["head.0.bias"]
        rows.append(total)
    return np.array(rows)


def test_random_weights_give_what_an_independent_forward_pass_gives(encoder, tensors):
    lat, lon = some_points()
    embeddings = encoder.embed(lat, lon)
    assert embeddings.dtype == np.float32
    assert embeddings.shape == (len(lat), 512)
    np.testing.assert_allclose(embeddings, reference(tensors, lat, lon), rtol=0, atol=2e-6)


@pytest.mark.weights
def test_the_original_gives_the_same_to_1e_5(real_weights):
    oracle = np.load(ORACLE)
    lat, lon = oracle["points"].T.astype(np.float64)
    np.testing.assert_allclose(
        LocationEncoder.load(real_weights).embed(lat, lon), oracle["embeddings"], rtol=0, atol=PARITY
    )


def original_in_torch(tensors, points):
    """GeoCLIP's forward pass, restated line by line with torch's operations in its order."""
    import torch

    a1, a2, a3, a4, sf = 1.340264, -0.081106, 0.000893, 0.003796, 66.50336
    lat, lon = torch.deg2rad(points[:, 0]), torch.deg2rad(points[:, 1])
    root3 = torch.sqrt(torch.tensor(3.0))
    theta = torch.asin((root3 / 2) * torch.sin(lat))
    denominator = 3 * (9 * a4 * theta**8 + 7 * a3 * theta**6 + 3 * a2 * theta**2 + a1)
    x = (2 * root3 * lon * torch.cos(theta)) / denominator
    y = a4 * theta**9 + a3 * theta**7 + a2 * theta**3 + a1 * theta
    v = (torch.stack((x, y), dim=1) * sf) / 180
    total = torch.zeros(len(v), 512)
    for n in range(3):
        get = {
            key[8:]: torch.from_numpy(value)
            for key, value in tensors.items()
            if key.startswith(f"LocEnc{n}.")
        }
        phases = 2 * np.pi * v @ get["capsule.0.b"].T
        h = torch.cat((torch.cos(phases), torch.sin(phases)), dim=-1)
        for k in (1, 3, 5):
            h = torch.relu(
                torch.nn.functional.linear(h, get[f"capsule.{k}.weight"], get[f"capsule.{k}.bias"])
            )
        total += torch.nn.functional.linear(h, get["head.0.weight"], get["head.0.bias"])
    return total.numpy()


@pytest.mark.torch
@pytest.mark.weights
def test_the_oracle_is_what_torch_gives_here(real_weights):
    pytest.importorskip("torch", reason="needs the training extra")
    import torch
    from safetensors.numpy import load_file

    oracle = np.load(ORACLE)
    again = original_in_torch(load_file(real_weights), torch.from_numpy(oracle["points"]))
    far = np.abs(again - oracle["embeddings"]).max(axis=1)
    # Another make of processor may round an arc sine differently: then a point or two move, by 4e-5 at most.
    assert (far > PARITY).sum() <= 2
    assert far.max() < 5e-5


@pytest.mark.torch
@pytest.mark.weights
def test_fresh_random_points_agree_with_torch(real_weights):
    pytest.importorskip("torch", reason="needs the training extra")
    import torch
    from safetensors.numpy import load_file

    rng = np.random.default_rng(77)
    points = np.stack((rng.uniform(-90, 90, 4000), rng.uniform(-180, 180, 4000)), 1).astype(np.float32)
    with torch.inference_mode():
        theirs = original_in_torch(load_file(real_weights), torch.from_numpy(points))
    ours = LocationEncoder.load(real_weights).embed(*points.T.astype(np.float64))
    far = np.abs(ours - theirs).max(axis=1)
    assert (far > PARITY).mean() <= 1e-3  # 3e-5 where measured; variants of torch's arc sine differ at 3e-4
    assert far.max() < 5e-5


@given(lats, lons)
def test_projection_is_the_equal_earth_formula(lat, lon):
    phi, lam = math.radians(lat), math.radians(lon)
    theta = math.asin(math.sqrt(3) / 2 * math.sin(phi))
    slope = 9 * 0.003796 * theta**8 + 7 * 0.000893 * theta**6 - 3 * 0.081106 * theta**2 + 1.340264
    x = 2 * math.sqrt(3) * lam * math.cos(theta) / (3 * slope)
    y = 0.003796 * theta**9 + 0.000893 * theta**7 - 0.081106 * theta**3 + 1.340264 * theta
    found = equal_earth(np.array([lat]), np.array([lon]))[0]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.array([x, y]) * 66.50336 / 180, rtol=0, atol=5e-7)


@given(lats, lons)
def test_projection_is_odd_in_both_coordinates(lat, lon):
    here = equal_earth(np.array([lat, -lat]), np.array([lon, -lon]))
    np.testing.assert_array_equal(here[0], -here[1])


def test_the_sine_polynomial_is_the_best_of_its_degree():
    """Chebyshev: as many alternating equal extrema of the relative error as coefficients plus one."""
    x = np.linspace(1e-3, math.pi / 2, 200_001)
    s = x * x
    error = x * (1 + s * (SINE[0] + s * (SINE[1] + s * (SINE[2] + s * SINE[3])))) / np.sin(x) - 1
    swings = np.split(error, np.flatnonzero(np.diff(np.sign(error))) + 1)  # between its sign changes
    extrema = [swing[np.argmax(np.abs(swing))] for swing in swings]
    assert len(extrema) == len(SINE) + 1
    np.testing.assert_allclose(np.abs(extrema), 6.0539e-9, rtol=1e-3)


def test_the_arc_sine_is_close_everywhere():
    x = np.concatenate((np.linspace(-1, 1, 200_001), [0.5, -0.5, 1e-30])).astype(np.float32)
    exact = np.arcsin(x.astype(np.float64))
    found = arc_sine(x)
    assert (np.abs(found - exact) <= 0.8 * np.spacing(np.abs(exact).astype(np.float32))).all()
    assert all(float(np.float32(c)) == c for c in ARC_SINE)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_batch_size_changes_only_the_last_bits(encoder, batch_size):
    lat, lon = some_points(20)
    np.testing.assert_allclose(
        encoder.embed(lat, lon, batch_size=batch_size), encoder.embed(lat, lon), rtol=0, atol=2e-6
    )


def test_progress_counts_the_points(encoder):
    seen = []
    lat, lon = some_points(20)
    encoder.embed(lat, lon, batch_size=10, progress=seen.append)
    assert seen == [10, 20, 28]


def test_no_points_give_no_embeddings(encoder):
    assert encoder.embed([], []).shape == (0, 512)


@pytest.mark.parametrize(
    ("lat", "lon", "message"),
    [
        ([0.0, math.nan], [0.0, 0.0], "point 1"),
        ([0.0], [math.inf], "point 0"),
        ([90.001], [0.0], "swapped"),
        ([0.0], [180.5], "-180 to 180"),
        ([0.0, 1.0], [0.0], "equally long"),
        ([[0.0]], [[0.0]], "one-dimensional"),
    ],
)
def test_bad_coordinates_are_refused(encoder, lat, lon, message):
    with pytest.raises(ValueError, match=message):
        encoder.embed(lat, lon)


def test_batch_size_below_one_is_refused(encoder):
    with pytest.raises(ValueError, match="batch_size"):
        encoder.embed([0.0], [0.0], batch_size=0)


def broken(change):
    tensors = random_tensors()
    change(tensors)
    return tensors


BIAS = "LocEnc2.head.0.bias"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(BIAS), "head.0.bias is missing"),
        (lambda t: t.update(extra=np.zeros(1, np.float32)), "extra is not part"),
        (lambda t: t.update({BIAS: t[BIAS][:-1].copy()}), r"\(511,\) instead of F32 \(512,\)"),
        (lambda t: t.update({BIAS: t[BIAS].astype(np.float16)}), "is F16"),
        (lambda t: t[BIAS].__setitem__(3, np.nan), "not finite"),
    ],
)
def test_wrong_tensors_are_refused(tmp_path, change, message):
    path = tmp_path / "w.safetensors"
    save_file(broken(change), path)
    with pytest.raises(MissingFileError, match=message) as caught:
        LocationEncoder.load(path)
    assert str(path) in str(caught.value)
    assert "whyhere releases fetch" in str(caught.value)


def test_absent_truncated_and_foreign_files_are_refused(tmp_path, tensors):
    path = tmp_path / "w.safetensors"
    with pytest.raises(MissingFileError, match="missing"):
        LocationEncoder.load(path)
    save_file(tensors, path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:5], b"", b"PK\x03\x04 not tensors at all"):
        path.write_bytes(content)
        with pytest.raises(MissingFileError, match="not the weights"):
            LocationEncoder.load(path)
