from itertools import permutations

import numpy as np
import pytest
from scipy.stats import ortho_group
from tests.helpers import assert_close, moments_of

from intertwine.similarity.canonical import canonical_correlations
from intertwine.similarity.moment_measures import SpectraOf, pair_nulls, pair_scores
from intertwine.similarity.rotation_null import RotationNull, haar_corner
from intertwine.similarity.spectrum import Spectrum

ROTATED = ("cca_mean", "svcca", "pwcca", "pwcca_back", "procrustes")
# (order, p, q): many rows left, fewer than columns, none, and p + q above the order.
CORNERS = [(12, 3, 2), (12, 2, 3), (9, 6, 5), (9, 5, 6), (6, 6, 3), (7, 1, 1), (5, 5, 5)]


def spectra_of_draws(order: int, p: int, q: int, draws: int):
    """Return the singular values of drawn corners, (draws, min(p, q))."""
    rng = np.random.default_rng([order, p, q])
    corners = [haar_corner(rng, order, p, q) for _ in range(draws)]
    return np.linalg.svd(np.array(corners), compute_uv=False)


@pytest.mark.parametrize(("order", "p", "q"), CORNERS)
def test_corners_are_those_of_orthogonal_matrices(order, p, q):
    """A corner has its shape, no singular value above 1, and p + q − order of exactly 1."""
    rng = np.random.default_rng(0)
    assert haar_corner(rng, order, p, q).shape == (p, q)
    rho = spectra_of_draws(order, p, q, 20)
    assert (rho <= 1 + 1e-12).all()
    ones = max(p + q - order, 0)
    assert_close(rho[:, :ones], np.ones((20, ones)), 1e-12)
    assert (rho[:, ones:] < 1 - 1e-9).all()


@pytest.mark.quick("6-6-3")
@pytest.mark.parametrize(("order", "p", "q"), CORNERS)
def test_corners_have_the_distribution_of_whole_draws(order, p, q):
    """Mean and spread of every singular value are those of corners cut from SciPy's draws."""
    draws = 2000
    rho = spectra_of_draws(order, p, q, draws)
    whole = ortho_group.rvs(order, size=draws, random_state=1)[:, :p, :q]
    expected = np.linalg.svd(whole, compute_uv=False)
    error = np.sqrt((rho.var(axis=0) + expected.var(axis=0)) / draws)
    assert (np.abs(rho.mean(axis=0) - expected.mean(axis=0)) <= 4 * error + 1e-12).all()
    np.testing.assert_allclose(rho.std(axis=0), expected.std(axis=0), rtol=0.15, atol=1e-12)
    squares = (rho**2).sum(axis=1)
    assert abs(squares.mean() - p * q / order) <= 4 * squares.std() / np.sqrt(draws) + 1e-12


@pytest.mark.quick("6-6-3")
@pytest.mark.parametrize(("order", "p", "q"), [(12, 3, 2), (9, 5, 6), (6, 6, 3)])
def test_entries_of_corners_have_no_sign(order, p, q):
    """Every entry of a corner has mean 0 and mean square 1/order."""
    rng = np.random.default_rng(0)
    corners = np.array([haar_corner(rng, order, p, q) for _ in range(2000)])
    assert np.abs(corners.mean(axis=0)).max() <= 4.5 / np.sqrt(2000 * order)
    assert_close((corners**2).mean(axis=0), np.full((p, q), 1 / order), 0.2)


def test_which_side_is_longer_does_not_matter():
    """The same draw gives a corner and its transpose."""
    tall, wide = (haar_corner(np.random.default_rng(0), 20, *s) for s in ((7, 4), (4, 7)))
    assert tall.tolist() == wide.T.tolist()


def skewed(n: int, dim: int, rng):
    """Return features of ReLU units that share a few causes."""
    cause = rng.standard_normal((n, 6)) @ rng.standard_normal((6, dim))
    return np.maximum(cause + 0.5 * rng.standard_normal((n, dim)), 0) ** 1.5


def rotated(b, rng):
    """Return centred rows turned by a random rotation of the sample space, orthogonal to ones."""
    _, s, vt = np.linalg.svd(b - b.mean(axis=0), full_matrices=False)
    draw = rng.standard_normal(b.shape)
    return (np.linalg.qr(draw - draw.mean(axis=0))[0] * s) @ vt


def permuted(b, rng):
    """Return the rows in random order."""
    return rng.permutation(b)


def redrawn(b, rng):
    """Return fresh Gaussian rows with the covariance of those given."""
    return rng.standard_normal(b.shape) @ np.linalg.cholesky(np.cov(b.T)).T


def assert_nulls_are_those_of(change, a, b, *, alpha: float = 0.0) -> None:
    """Check mean and sd of nulls against scores of spaces b that were changed at random."""
    draws = 150
    rng = np.random.default_rng(7)
    moments = moments_of(a, b)
    known = SpectraOf.of(moments, "ab", alpha=alpha, variance=0.9)
    nulls = pair_nulls(moments, "a", "b", known)
    found = []
    for _ in range(draws):
        other = moments_of(a, change(b, rng))
        spectra = SpectraOf.of(other, "ab", alpha=alpha, kept=known.kept)
        found.append(pair_scores(other, "a", "b", spectra, quick=True).scores)
    # Of few rows some correlations are 1, and how PWCCA weighs those is not determined.
    tied = len(a) - 1 < a.shape[1] + b.shape[1]
    assert all(("pwcca" in each) != (tied and not alpha) for each in found)
    for name in ROTATED:
        if name not in found[0]:
            continue
        scores, null = np.array([each[name] for each in found]), nulls[name]
        error = np.sqrt(scores.var() / draws + null.sd**2 / 400)
        assert abs(scores.mean() - null.mean) <= 4 * error, name
        assert 0.8 < null.sd / scores.std(ddof=1) < 1.25, name


@pytest.mark.slow
@pytest.mark.parametrize(("n", "d", "q"), [(60, 8, 5), (60, 5, 12), (12, 8, 7)])
def test_nulls_are_those_of_rotated_rows(n, d, q):
    """Mean and sd are those of scores with one space explicitly rotated, above n rows or below."""
    rng = np.random.default_rng(n)
    assert_nulls_are_those_of(rotated, skewed(n, d, rng), skewed(n, q, rng))


@pytest.mark.slow
@pytest.mark.parametrize("change", [permuted, redrawn])
def test_nulls_are_those_of_unrelated_rows(change):
    """With 200 skewed rows they are also those of permuted rows and of fresh Gaussian ones."""
    rng = np.random.default_rng(1)
    assert_nulls_are_those_of(change, skewed(200, 8, rng), skewed(200, 5, rng))


@pytest.mark.slow
@pytest.mark.parametrize(("d", "q"), [(8, 5), (5, 12)])
def test_regularised_nulls_are_those_of_rotated_rows(d, q):
    """With λ every null shrinks as the score does."""
    rng = np.random.default_rng(2)
    assert_nulls_are_those_of(rotated, skewed(60, d, rng), skewed(60, q, rng), alpha=20.0)


@pytest.mark.slow
def test_all_permutations_have_the_mean_square_of_rotations():
    """Over all pairings of few rows Σρ² is rank · rank / (n − 1) on average, as over rotations."""
    rng = np.random.default_rng(3)
    a, b = skewed(6, 2, rng), rng.standard_exponential((6, 1))
    total = [
        (canonical_correlations(moments_of(a, b[list(order)]), "a", "b") ** 2).sum()
        for order in permutations(range(6))
    ]
    assert np.mean(total) == pytest.approx(2 * 1 / 5, abs=1e-10)


def test_more_dimensions_than_rows_leave_no_null():
    """Where a space has rank n − 1 unrelated spaces score 1 by CCA, with no spread."""
    rng = np.random.default_rng(4)
    moments = moments_of(rng.standard_normal((20, 40)), rng.standard_normal((20, 5)))
    a, b = (Spectrum.of(moments, name) for name in "ab")
    null = RotationNull.of(a, b, alpha=0.0, kept=(a.rank, b.rank))
    for each in (null.cca_mean, null.svcca, null.pwcca_a, null.pwcca_b):
        assert each.mean == pytest.approx(1, abs=1e-7)
        assert each.sd == pytest.approx(0, abs=1e-7)
    assert 0 < null.procrustes.mean < np.pi / 2


@pytest.mark.slow
def test_nulls_are_drawn_alike_every_time():
    """The same pair has the same null, another seed another of the same size."""
    rng = np.random.default_rng(5)
    moments = moments_of(skewed(50, 4, rng), skewed(50, 3, rng))
    spectra = [Spectrum.of(moments, name) for name in "ab"]
    first, again, other = (
        RotationNull.of(*spectra, alpha=0.0, kept=(2, 2), seed=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other
    assert first.cca_mean.mean == pytest.approx(other.cca_mean.mean, rel=0.1)
