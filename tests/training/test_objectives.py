"""Losses against the equations written out pair by pair, and their gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from whyhere.training import DIVERGENCES, contrastive_loss, median_distance  # noqa: E402

mean_match, cauchy_schwarz, mmd = (DIVERGENCES[name] for name in ("mean", "cauchy-schwarz", "mmd"))

pytestmark = pytest.mark.torch


def samples(n=7, m=5, k=4, *, seed=0, shift=0.5):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, k, generator=generator, dtype=torch.float64)
    return x, torch.randn(m, k, generator=generator, dtype=torch.float64) + shift


def kernel(a, b, sigma):
    """Eq. 5, one pair at a time."""
    return np.array([[math.exp(-float(((u - v) ** 2).sum()) / (2 * sigma**2)) for v in b] for u in a])


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
def test_mean_is_equation_6_as_printed(sigma):
    x, y = samples(n=6, m=6)

    def log_kernel(a, b):
        return np.array([[-float(((u - v) ** 2).sum()) / (2 * sigma**2) for v in b] for u in a])

    printed = (log_kernel(x, x) + log_kernel(y, y) - 2 * log_kernel(x, y)).sum() / len(x) ** 2
    got = float(mean_match(x, y, sigma=torch.tensor(sigma, dtype=torch.float64)))
    assert got == pytest.approx(printed, rel=1e-10)
    difference = (x.mean(0) - y.mean(0)).numpy()
    assert got == pytest.approx(float(difference @ difference) / sigma**2, rel=1e-6)


def test_cauchy_schwarz_and_mmd_are_their_definitions():
    (x, y), sigma = samples(), 0.8
    xx, yy, xy = (kernel(a, b, sigma).mean() for a, b in ((x, x), (y, y), (x, y)))
    expected = math.log(xx) + math.log(yy) - 2 * math.log(xy)
    assert float(cauchy_schwarz(x, y, sigma=torch.tensor(sigma, dtype=torch.float64))) == pytest.approx(
        expected, rel=1e-6
    )
    assert float(mmd(x, y, sigma=torch.tensor(sigma, dtype=torch.float64))) == pytest.approx(
        xx + yy - 2 * xy, rel=1e-6
    )


def test_cauchy_schwarz_survives_kernels_that_underflow():
    x, y = samples(shift=200.0)
    value = cauchy_schwarz(x, y, sigma=torch.tensor(0.1, dtype=torch.float64))
    assert torch.isfinite(value)
    assert float(value) > 1e6


@pytest.mark.parametrize("name", sorted(DIVERGENCES))
def test_divergences_vanish_for_equal_samples_and_not_for_shifted_ones(name):
    x, _ = samples()
    sigma = torch.tensor(1.0, dtype=torch.float64)
    assert float(DIVERGENCES[name](x, x.clone(), sigma=sigma)) == pytest.approx(0.0, abs=1e-9)
    assert float(DIVERGENCES[name](x, x + 1.0, sigma=sigma)) > 0.01


def test_only_the_printed_form_is_blind_to_spread():
    x, _ = samples(n=200)
    wide = (x - x.mean(0)) * 3 + x.mean(0)
    sigma = torch.tensor(1.0, dtype=torch.float64)
    assert float(mean_match(x, wide, sigma=sigma)) == pytest.approx(0.0, abs=1e-12)
    assert float(cauchy_schwarz(x, wide, sigma=sigma)) > 0.1
    assert float(mmd(x, wide, sigma=sigma)) > 0.05


@pytest.mark.parametrize("name", sorted(DIVERGENCES))
def test_gradients_of_divergences(name):
    x, y = (sample.requires_grad_() for sample in samples(n=4, m=3))
    sigma = torch.tensor(0.9, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda a, b: DIVERGENCES[name](a, b, sigma=sigma), (x, y))


def test_median_distance_is_the_median_of_pairs():
    x, y = samples()
    points = torch.cat((x, y)).numpy()
    pairs = [np.linalg.norm(a - b) for i, a in enumerate(points) for b in points[:i]]
    assert float(median_distance(x, y)) == pytest.approx(float(np.sort(pairs)[(len(pairs) - 1) // 2]))


def random_logits(seed=0, n=4, m=9):
    return torch.randn(n, m, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_contrastive_loss_is_equation_4():
    logits = random_logits()
    e = np.exp(logits.numpy())
    expected = -np.mean([math.log(e[i, i] / e[i].sum()) for i in range(4)])
    assert float(contrastive_loss(logits)) == pytest.approx(expected)
    other = -np.mean([math.log(e[i, i] / e[:4, i].sum()) for i in range(4)])
    assert float(contrastive_loss(logits, symmetric=True)) == pytest.approx((expected + other) / 2)


def test_left_out_places_are_no_negatives_but_the_own_place_always_counts():
    logits = random_logits()
    left_out = torch.zeros(4, 9, dtype=torch.bool)
    left_out[:, 6:] = True
    left_out[1, 1] = True
    assert float(contrastive_loss(logits, left_out=left_out)) == pytest.approx(
        float(contrastive_loss(logits[:, :6]))
    )


@pytest.mark.parametrize("symmetric", [False, True])
def test_gradient_of_the_contrastive_loss(symmetric):
    left_out = torch.zeros(4, 9, dtype=torch.bool)
    left_out[2, 7] = True
    assert torch.autograd.gradcheck(
        lambda logits: contrastive_loss(logits, left_out=left_out, symmetric=symmetric),
        (random_logits().requires_grad_(),),
    )
