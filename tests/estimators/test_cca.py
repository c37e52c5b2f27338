import numpy as np
import pytest
from scipy.linalg import subspace_angles
from tests.helpers import CASES, assert_close, augmented, make, moments_of

from intertwine.errors import InputError
from intertwine.estimators import cca
from intertwine.estimators.cca import Whitening
from intertwine.moments.moments import Moments


def fit(a, b, *, precision: str = "float64", **options):
    """Return the pair of maps of a and b into their shared space."""
    return cca(moments_of(a, b, precision=precision), "a", ["b"], **options)["b"]


def bases(a, b):
    """Return orthonormal bases of the centred columns of both sides."""
    sides = []
    for x in augmented(a, b, "free"):
        u, s, _ = np.linalg.svd(x, full_matrices=False)
        sides.append(u[:, s > 1e-9 * s[0]])
    return sides


def correlations(pair):
    """Return what correlations a pair states."""
    return np.array(pair.source.info["correlations"])


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_correlations_are_those_of_the_svd_of_bases(case, precision):
    """Without a penalty canonical correlations are cosines between the two column spaces."""
    a, b = make(case)
    left, right = bases(a, b)
    expected = np.cos(np.sort(subspace_angles(left, right)))
    rho = correlations(fit(a, b, alpha=0.0, precision=precision))
    assert len(rho) == min(left.shape[1], right.shape[1])
    np.testing.assert_allclose(rho, expected, atol=2e-6 if precision == "float64" else 1e-4)


def test_the_shared_coordinates_are_scikit_learns():
    """The shared coordinates are scikit-learn's canonical variates, up to sign and scale."""
    from sklearn.cross_decomposition import CCA

    a, b = make("tall")
    pair = fit(a, b, alpha=0.0, power=0.0, rank=3)
    expected = CCA(n_components=3, max_iter=20_000, tol=1e-14).fit(a, b).transform(a, b)
    for got, other in zip((pair.source.apply(a), pair.target.apply(b)), expected, strict=True):
        unit = other / np.linalg.norm(other, axis=0)
        assert_close(np.abs((got * unit).sum(axis=0)), np.linalg.norm(got, axis=0), 1e-6)


@pytest.mark.parametrize("case", ["tall", "to more", "dead", "duplicated", "far"])
def test_shared_coordinates_are_white_and_correlate_as_stated(case):
    """Both sides have unit variance and no cross-talk; a pair correlates by its ρ, no other at all."""
    a, b = make(case)
    pair = fit(a, b, alpha=0.0, power=0.0)
    left, right = pair.source.apply(a), pair.target.apply(b)
    n, k = left.shape
    tolerance = 1e-6 if case == "far" else 1e-9
    assert_close(left.T @ left / n, np.eye(k), tolerance)
    assert_close(right.T @ right / n, np.eye(k), tolerance)
    assert_close(left.T @ right / n, np.diag(correlations(pair)), 1e-5)
    assert_close(left.mean(axis=0) + 1, np.ones(k), tolerance)


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("case", ["tall", "wide", "rank one"])
def test_a_penalty_is_vinods(case, alpha):
    """With λ the correlations are singular values between explicit (S + λI)^(−1/2)."""
    a, b = make(case)
    z, y = augmented(a, b, "free")

    def whitening(x):
        values, vectors = np.linalg.eigh(x.T @ x + alpha * np.eye(x.shape[1]))
        return vectors / np.sqrt(values) @ vectors.T

    expected = np.linalg.svd(whitening(z) @ z.T @ y @ whitening(y), compute_uv=False)
    rho = correlations(fit(a, b, alpha=alpha))
    np.testing.assert_allclose(rho, expected[: len(rho)], atol=1e-6)
    assert not (expected[len(rho) :] > 1e-6).any()


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_the_power_weights_each_coordinate(alpha):
    """Each shared coordinate is scaled by its correlation to the power, on both sides."""
    a, b = make("tall")
    plain, weighted = (fit(a, b, alpha=alpha, power=power) for power in (0.0, 2.0))
    scale = correlations(plain) ** 2
    for side in ("source", "target"):
        got, expected = getattr(weighted, side).weight, getattr(plain, side).weight
        assert_close(got, scale[:, None] * expected, 1e-5)


def test_correlations_do_not_feel_invertible_maps():
    """Without a penalty, mixing and moving either side changes no correlation."""
    a, b = make("tall")
    rng = np.random.default_rng(0)
    mixed = fit(
        a @ rng.standard_normal((12, 12)) + 7, b @ rng.standard_normal((7, 7)) - 3, alpha=0.0
    )
    np.testing.assert_allclose(correlations(mixed), correlations(fit(a, b, alpha=0.0)), atol=2e-6)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_rotations_leave_the_shared_space_alone(alpha):
    """Rotating either side changes no shared coordinate but its sign, with any penalty."""
    a, b = make("tall")
    rng = np.random.default_rng(0)
    turned = (
        a @ np.linalg.qr(rng.standard_normal((12, 12)))[0],
        b @ np.linalg.qr(rng.standard_normal((7, 7)))[0],
    )
    got, expected = fit(*turned, alpha=alpha), fit(a, b, alpha=alpha)
    assert_close(np.abs(got.source.apply(turned[0])), np.abs(expected.source.apply(a)), 1e-8)
    assert_close(np.abs(got.target.apply(turned[1])), np.abs(expected.target.apply(b)), 1e-8)


def test_the_two_sides_may_change_places():
    """The pair b, a is the pair a, b with its sides exchanged, up to signs."""
    a, b = make("tall")
    there = fit(a, b)
    back = cca(moments_of(a, b), "b", ["a"])["a"]
    assert_close(correlations(back), correlations(there), 1e-9)
    assert_close(np.abs(back.source.weight), np.abs(there.target.weight), 1e-8)


def test_a_relation_without_noise_is_followed():
    """Where the target is an invertible image of the source, the map through finds it."""
    a, _ = make("tall")
    b = a @ np.random.default_rng(0).standard_normal((12, 12)) + 2
    pair = fit(a, b, alpha=0.0)
    assert correlations(pair).tolist() == [1.0] * 12
    assert_close(pair.to_map().apply(a), b, 1e-9)


@pytest.mark.parametrize(("rank", "expected"), [(None, 7), (3, 3), (100, 7)])
def test_the_rank_is_the_number_of_shared_coordinates(rank, expected):
    """The leading coordinates are kept: as many as asked for, at most as many as there are."""
    pair = fit(*make("tall"), rank=rank)
    assert pair.source.target.dim == pair.target.target.dim == expected
    assert pair.source.target.name == "cca.a.b"
    assert_close(pair.source.weight, fit(*make("tall")).source.weight[:expected], 1e-12)


def test_the_maps_know_what_they_were_fitted_on():
    """Each side states λ, power, n and its rank, and keeps its statistics."""
    a, b = make("dead")
    pair = fit(a, b, alpha=2, power=0.5)
    for side, x, rank in ((pair.source, a, 10), (pair.target, b, 6)):
        facts = {key: side.info[key] for key in ("alpha", "power", "n", "rank")}
        assert facts == {"alpha": 2.0, "power": 0.5, "n": 200, "rank": rank}
        assert_close(side.source_mean, x.mean(axis=0), 1e-12)
        assert_close(side.source_spread, x.std(axis=0), 1e-12)


# -- factorisations that are kept -------------------------------------------------------------------


def test_each_space_is_factored_once(monkeypatch):
    """Pairs from several sources factor each space once when they share their whitenings."""
    factored = []
    plain = Whitening.of.__func__
    monkeypatch.setattr(
        Whitening,
        "of",
        classmethod(
            lambda cls, m, name, alpha: factored.append(name) or plain(cls, m, name, alpha)
        ),
    )
    a, b = make("tall")
    moments, kept = moments_of(a, b), {}
    first = cca(moments, "a", ["b", "a"], whitenings=kept)
    second = cca(moments, "b", ["a"], whitenings=kept)
    assert factored == ["a", "b"]
    assert_close(first["b"].source.weight, fit(a, b).source.weight, 1e-12)
    assert sorted(kept) == ["a", "b"]
    assert list(second) == ["a"]


def test_kept_whitenings_are_used_for_what_they_are_of():
    """Another λ, other moments, or moments that have grown are factored anew."""
    a, b = make("tall")
    moments, kept = moments_of(a, b), {}
    cca(moments, "a", ["b"], alpha=1.0, whitenings=kept)
    other = cca(moments, "a", ["b"], alpha=100.0, whitenings=kept)["b"]
    assert_close(correlations(other), correlations(fit(a, b, alpha=100.0)), 1e-12)
    half = moments_of(a[:100], b[:100])
    got = cca(half, "a", ["b"], alpha=100.0, whitenings=kept)["b"]
    assert_close(correlations(got), correlations(fit(a[:100], b[:100], alpha=100.0)), 1e-12)
    half.update({"a": a[100:], "b": b[100:]})
    got = cca(half, "a", ["b"], alpha=100.0, whitenings=kept)["b"]
    assert_close(correlations(got), correlations(fit(a, b, alpha=100.0)), 1e-6)


# -- bad options ------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [-1, np.nan, np.inf, "gcv"])
def test_alphas_that_are_none_are_refused(alpha):
    """λ is a number; CCA has no GCV."""
    with pytest.raises(InputError, match=r"got alpha .*, expected a number of at least 0: CCA has"):
        fit(*make("tall"), alpha=alpha)


def test_what_it_cannot_do_is_refused():
    """A rank below 1, too few rows, unknown spaces and a side without spread are refused."""
    a, b = make("tall")
    with pytest.raises(InputError, match="got rank 0, expected at least 1"):
        fit(a, b, rank=0)
    with pytest.raises(InputError, match="got n = 1 row, expected at least 2"):
        fit(a[:1], b[:1])
    with pytest.raises(InputError, match="got n = 0 rows"):
        cca(Moments({"a": 1, "b": 1}), "a", ["b"])
    with pytest.raises(InputError, match="got source 'x'"):
        cca(moments_of(a, b), "a", ["x"])
    with pytest.raises(
        InputError, match="a or b is constant over all rows; it has no correlations"
    ):
        fit(np.full_like(a, 0.1), b)
