"""The torch twin: same numbers as NumPy, gradients that are right, a start that is what it claims to be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from whyhere.alignment import fit_ridge  # noqa: E402
from whyhere.encoders import LocationEncoder  # noqa: E402
from whyhere.training import (  # noqa: E402
    DIVERGENCES,
    ConceptAlignmentModule,
    LocationNet,
    Start,
    TrainConfig,
    contrastive_loss,
)

pytestmark = pytest.mark.torch
P, D, K = 24, 20, 11


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def make_start(*, seed=0, ridge=True, places=512) -> Start:
    rng = np.random.default_rng(seed)
    features, locations = unit(rng.normal(size=(40, P))), unit(rng.normal(size=(40, places)))
    return Start(
        directions=unit(rng.normal(size=(K, D))).T.astype(np.float32),
        feature_mean=features.mean(axis=0).astype(np.float32),
        location_mean=locations.mean(axis=0).astype(np.float32),
        ridge=fit_ridge(features, locations, penalty=1.0) if ridge else None,
    )


def disturbed(module, *, seed=5):
    """Move every weight, as training does."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return module


def inputs(n=6, m=30, *, seed=1, places=512):
    rng = np.random.default_rng(seed)
    return unit(rng.normal(size=(n, P))).astype(np.float32), rng.normal(size=(m, places)).astype(np.float32)


@pytest.mark.parametrize("space", ["concept", "feature", "both"])
@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("head", ["residual", "mlp"])
def test_numpy_twin_scores_as_torch_does(space, normalise, head):
    config = TrainConfig(contrast_space=space, normalise=normalise, feature_head=head, hidden=7)
    module = disturbed(ConceptAlignmentModule(make_start(), config))
    features, embeddings = inputs()
    with torch.no_grad():
        terms = module.logits(
            module.encode_images(torch.from_numpy(features)),
            module.encode_places(torch.from_numpy(embeddings)),
        )
        logits = sum(term for term in terms if term is not None).numpy()
    alignment, temperature = module.export(tuple(f"c{j}" for j in range(K)))
    gallery = unit(embeddings).astype(np.float32)
    size = max(1.0, float(np.abs(logits).max() * temperature))
    for row, feature in enumerate(features):
        code = alignment.encode_image(feature)
        np.testing.assert_allclose(
            alignment.scores(code, gallery), logits[row] * temperature, atol=1e-5 * size, rtol=0
        )
        np.testing.assert_allclose(
            alignment.contributions(code, gallery).scores, logits[row] * temperature, atol=1e-5 * size, rtol=0
        )


def test_concept_activations_agree():
    module = disturbed(
        ConceptAlignmentModule(make_start(), TrainConfig(normalise=False, contrast_space="both"))
    )
    features, embeddings = inputs()
    with torch.no_grad():
        z_img, query = module.encode_images(torch.from_numpy(features))
        z_loc, _ = module.encode_places(torch.from_numpy(embeddings))
    alignment, _ = module.export(tuple(f"c{j}" for j in range(K)))
    code = alignment.encode_image(features[0])
    np.testing.assert_allclose(code.z_img, z_img[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(code.residual, query[0].numpy(), atol=1e-5)
    centred = unit(embeddings) - alignment.location_mean
    np.testing.assert_allclose(centred @ alignment.basis, z_loc.numpy(), atol=1e-5)


def test_the_module_starts_as_projection_on_the_directions():
    start = make_start()
    module = ConceptAlignmentModule(start, TrainConfig(normalise=False))
    features, embeddings = inputs()
    with torch.no_grad():
        z_img, query = module.encode_images(torch.from_numpy(features))
        z_loc, _ = module.encode_places(torch.from_numpy(embeddings))
    x = unit(features - start.feature_mean)
    np.testing.assert_allclose(z_img.numpy(), x[:, :D] @ start.directions, atol=1e-5)
    w = start.ridge.weights / np.linalg.norm(start.ridge.weights, 2)
    np.testing.assert_allclose(query.numpy(), x @ w.T, atol=1e-5)
    y = unit(embeddings) - start.location_mean
    np.testing.assert_allclose(z_loc.numpy(), y @ w[:, :D] @ start.directions, atol=1e-5)


def test_identity_start_without_ridge():
    module = ConceptAlignmentModule(make_start(ridge=False), TrainConfig(location_start="identity"))
    assert torch.equal(module.adapter, torch.eye(D, 512))


def test_gradients_of_the_whole_loss_are_right():
    """Finite differences in float64 through both sides, the temperature and a divergence."""
    start = make_start(places=10)
    module = disturbed(ConceptAlignmentModule(start, TrainConfig(hidden=3, contrast_space="both"))).double()
    features, embeddings = (torch.from_numpy(a).double() for a in inputs(4, 7, places=10))
    named = {name: p.detach().clone() for name, p in module.named_parameters()}
    names = ("adapter", "delta", "image.linear", "image.out", "feature.bias", "log_scale_concept")

    def loss(*values):
        weights = {**named, **dict(zip(names, values, strict=True))}
        images = torch.func.functional_call(module, weights, (features, embeddings))
        return images

    module.forward = lambda f, e: _loss(module, f, e)
    values = tuple(named[name].requires_grad_() for name in names)
    assert torch.autograd.gradcheck(loss, values, atol=1e-6, fast_mode=True)


def _loss(module, features, embeddings):
    images, places = module.encode_images(features), module.encode_places(embeddings)
    terms = [contrastive_loss(term, symmetric=True) for term in module.logits(images, places)]
    sigma = torch.tensor(0.7, dtype=torch.float64)
    divergence = DIVERGENCES["cauchy-schwarz"](images[0], places[0], sigma=sigma)
    return torch.stack([*terms, divergence, module.drift_penalty()]).sum()


def test_permuting_concepts_permutes_activations_and_nothing_else():
    start, config = make_start(), TrainConfig(hidden=5)
    order = np.random.default_rng(0).permutation(K)
    module = disturbed(ConceptAlignmentModule(start, config))
    permuted = disturbed(
        ConceptAlignmentModule(dataclasses.replace(start, directions=start.directions[:, order]), config)
    )
    with torch.no_grad():
        for name in ("linear", "bias", "out"):
            getattr(permuted.image, name).copy_(getattr(module.image, name)[order])
        permuted.image.hidden.copy_(module.image.hidden)
        permuted.image.hidden_bias.copy_(module.image.hidden_bias)
        permuted.delta.copy_(module.delta[:, order])
        features, embeddings = (torch.from_numpy(a) for a in inputs())
        a, b = module.encode_images(features)[0], permuted.encode_images(features)[0]
        torch.testing.assert_close(a[:, order], b)
        logits = [
            m.logits(m.encode_images(features), m.encode_places(embeddings))[0] for m in (module, permuted)
        ]
    torch.testing.assert_close(logits[0], logits[1])


def test_the_location_net_is_the_location_encoder(tmp_path):
    from safetensors.numpy import save_file

    net = LocationNet(seed=3)
    path = tmp_path / "location_encoder.safetensors"
    save_file(net.tensors(), path)
    rng = np.random.default_rng(0)
    lat, lon = rng.uniform(-90, 90, 50), rng.uniform(-180, 180, 50)
    expected = LocationEncoder.load(path).embed(lat, lon)
    with torch.no_grad():
        np.testing.assert_allclose(net(lat, lon).numpy(), expected, atol=1e-5)
        other = LocationNet(seed=4)
        other.load(path)
        np.testing.assert_array_equal(other(lat, lon).numpy(), net(lat, lon).numpy())
