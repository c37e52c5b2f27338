import numpy as np
import pytest
from scipy.linalg import inv, qr, sqrtm
from tests.helpers import CASES, SCALES, assert_close, make, moments_of, scaled_case

from intertwine.errors import InputError
from intertwine.moments.moments import Moments
from intertwine.similarity.canonical import (
    CanonicalPair,
    canonical_correlations,
    cca_mean,
    pwcca,
    svcca,
)

PRECISIONS = [("float64", 1e-10), ("float32", 2e-4)]
FULL_RANK = ["tall", "to more", "to one", "from one"]
# Rank-deficient scatters are cut at the square root of rounding, and far ones have lost digits.
LOOSE = {"far": 1e-7}


def centred(x):
    """Return features less their mean."""
    return x - x.mean(axis=0)


def basis(x):
    """Return an orthonormal basis of the columns of x, by a pivoted thin QR."""
    q, r, _ = qr(x, mode="economic", pivoting=True)
    size = np.abs(r.diagonal())
    return q[:, : (size > 1e-7 * size[0]).sum()]


def qr_cca(a, b):
    """Return the bases, left vectors and canonical correlations of columns taken as they are."""
    left, right = basis(a), basis(b)
    u, rho, vt = np.linalg.svd(left.T @ right, full_matrices=False)
    return left @ u, right @ vt.T, np.minimum(rho, 1)


def naive_pwcca(variates, rho, features) -> float:
    """Return Σ α_i ρ_i / Σ α_i, α_i = Σ_j |⟨h_i, x_j⟩|, one variate and one feature at a time."""
    alphas = [sum(abs(float(np.dot(h, x))) for x in features.T) for h in variates.T]
    return sum(alpha * r for alpha, r in zip(alphas, rho, strict=True)) / sum(alphas)


def leading(x, variance: float):
    """Return the principal components that hold a share of squared singular values."""
    u, s, _ = np.linalg.svd(centred(x), full_matrices=False)
    total, kept = 0.0, 0
    while total < variance * (s**2).sum() * (1 - 1e-12):
        total += s[kept] ** 2
        kept += 1
    return u[:, :kept] * s[:kept]


@pytest.mark.parametrize(("precision", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("case", CASES)
def test_canonical_correlations_are_those_of_a_qr(case, precision, tolerance):
    """Correlations from moments equal those of orthonormal bases of the centred features."""
    a, b = make(case)
    _, _, expected = qr_cca(centred(a), centred(b))
    moments = moments_of(a, b, precision=precision)
    tolerance = max(tolerance, LOOSE.get(case, 0))
    assert_close(canonical_correlations(moments, "a", "b"), expected, tolerance)
    assert_close(canonical_correlations(moments, "b", "a"), expected, tolerance)
    assert cca_mean(moments, "a", "b") == pytest.approx(expected.mean(), abs=tolerance)
    assert ((expected >= 0) & (expected <= 1)).all()


def test_canonical_correlations_are_scikit_learns():
    """Correlations are those of the scores that scikit-learn's CCA finds."""
    from sklearn.cross_decomposition import CCA

    rng = np.random.default_rng(0)
    a = rng.standard_normal((200, 4)) @ rng.standard_normal((4, 4))
    b = a[:, :3] * [1, 2, 3] + rng.standard_normal((200, 3)) * [0.3, 2, 9]
    scores = CCA(n_components=3, tol=1e-15, max_iter=10_000).fit(a, b).transform(a, b)
    expected = [np.corrcoef(x, y)[0, 1] for x, y in zip(*(s.T for s in scores), strict=True)]
    assert_close(canonical_correlations(moments_of(a, b), "a", "b"), expected, 1e-6)


@pytest.mark.parametrize("variance", [0.5, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("case", CASES)
def test_svcca_is_cca_of_leading_singular_vectors(case, variance):
    """SVCCA is CCA of components cut by squared singular values, done step by step on rows."""
    a, b = make(case)
    _, _, rho = qr_cca(leading(a, variance), leading(b, variance))
    got = svcca(moments_of(a, b), "a", "b", variance=variance)
    assert got == pytest.approx(rho.mean(), abs=LOOSE.get(case, 1e-10))


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-9), ("float32", 2e-4)])
@pytest.mark.parametrize("case", CASES)
def test_pwcca_weighs_variates_over_rows(case, precision, tolerance):
    """PWCCA of either direction is the paper's formula with variates and features as rows."""
    a, b = make(case)
    left, right, rho = qr_cca(centred(a), centred(b))
    moments = moments_of(a, b, precision=precision)
    tolerance = max(tolerance, LOOSE.get(case, 0))
    forth, back = naive_pwcca(left, rho, centred(a)), naive_pwcca(right, rho, centred(b))
    assert pwcca(moments, "a", "b") == pytest.approx(forth, abs=tolerance)
    assert pwcca(moments, "b", "a") == pytest.approx(back, abs=tolerance)
    pair = CanonicalPair.of(moments, "a", "b")
    assert pair.pwcca(swapped=True) == pytest.approx(back, abs=tolerance)


@pytest.mark.parametrize("alpha", [0.1, 10.0, 1e4])
@pytest.mark.parametrize("case", CASES)
def test_regularised_correlations_are_those_of_augmented_rows(case, alpha):
    """λ is √λ times an identity added as rows to each space, zeros facing it in the other."""
    a, b = make(case)
    d, q = a.shape[1], b.shape[1]
    left = np.vstack([centred(a), np.sqrt(alpha) * np.eye(d), np.zeros((q, d))])
    right = np.vstack([centred(b), np.zeros((d, q)), np.sqrt(alpha) * np.eye(q)])
    bases = [np.linalg.qr(x)[0] for x in (left, right)]
    expected = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    got = canonical_correlations(moments_of(a, b), "a", "b", alpha=alpha)
    tolerance = LOOSE.get(case, 1e-10)
    assert_close(got, expected[: len(got)], tolerance)
    assert expected[len(got) :] == pytest.approx(0, abs=tolerance)


@pytest.mark.parametrize("case", FULL_RANK)
def test_regularised_pwcca_is_that_of_explicit_matrices(case):
    """With λ the variates are X (S + λI)^(−1/2) u, by explicit matrix square roots."""
    a, b = (centred(x) for x in make(case))
    roots = [inv(np.real(sqrtm(x.T @ x + 3 * np.eye(x.shape[1])))) for x in (a, b)]
    u, rho, vt = np.linalg.svd(roots[0] @ a.T @ b @ roots[1], full_matrices=False)
    moments = moments_of(a, b)
    expected = naive_pwcca(a @ roots[0] @ u, rho, a)
    assert pwcca(moments, "a", "b", alpha=3) == pytest.approx(expected, abs=1e-9)
    expected = naive_pwcca(b @ roots[1] @ vt.T, rho, b)
    assert pwcca(moments, "b", "a", alpha=3) == pytest.approx(expected, abs=1e-9)


def test_what_each_measure_does_not_feel():
    """CCA ignores invertible affine maps, SVCCA rotations, PWCCA what happens to its target."""
    a, b = make("tall")
    rng = np.random.default_rng(0)
    mix, turn = rng.standard_normal((12, 12)), np.linalg.qr(rng.standard_normal((12, 12)))[0]
    dims = {"a": 12, "b": 7, "mixed": 12, "turned": 12}
    moments = Moments(dims, precision="float64")
    moments.update({"a": a, "b": b, "mixed": a @ mix - 5, "turned": 3 * a @ turn + 1})
    for measure in (cca_mean, pwcca):
        for copy in ("mixed", "turned", "a"):
            assert measure(moments, "a", copy) == pytest.approx(1, abs=1e-10)
            assert measure(moments, copy, "a") == pytest.approx(1, abs=1e-10)
    for variance in (0.5, 0.99):
        assert svcca(moments, "a", "turned", variance=variance) == pytest.approx(1, abs=1e-10)
        expected = svcca(moments, "a", "b", variance=variance)
        got = svcca(moments, "turned", "b", variance=variance)
        assert got == pytest.approx(expected, abs=1e-10)
    assert cca_mean(moments, "mixed", "b") == pytest.approx(cca_mean(moments, "a", "b"), abs=1e-9)
    assert pwcca(moments, "b", "mixed") == pytest.approx(pwcca(moments, "b", "a"), abs=1e-9)
    assert abs(pwcca(moments, "turned", "b") - pwcca(moments, "a", "b")) > 1e-3
    assert abs(pwcca(moments, "b", "a") - pwcca(moments, "a", "b")) > 1e-3


def test_more_dimensions_than_rows_always_correlate():
    """Where a space has rank n − 1 every correlation is 1, whatever the other space is."""
    rng = np.random.default_rng(0)
    moments = moments_of(rng.standard_normal((20, 40)), rng.standard_normal((20, 5)))
    assert canonical_correlations(moments, "a", "b") == pytest.approx(np.ones(5), abs=1e-12)


def test_merged_and_subtracted_moments_have_the_same_correlations():
    """Parts with origins of their own, added and left out again, lose none of it."""
    a, b = make("tall")
    parts = [moments_of(a[i : i + 50], b[i : i + 50]) for i in range(0, 200, 50)]
    total = parts[0] + parts[1] + parts[2] + parts[3]
    for moments, rows in ((total, slice(200)), (total - parts[3], slice(150))):
        left, _, rho = qr_cca(centred(a[rows]), centred(b[rows]))
        assert_close(canonical_correlations(moments, "a", "b"), rho, 1e-10)
        expected = naive_pwcca(left, rho, centred(a[rows]))
        assert pwcca(moments, "a", "b") == pytest.approx(expected, abs=1e-10)


def test_quick_correlations_are_near_the_exact_ones():
    """The quick factorisation changes a score by less than 1e-6."""
    for case in CASES:
        moments = moments_of(*make(case))
        exact, quick = (CanonicalPair.of(moments, "a", "b", quick=quick) for quick in (False, True))
        assert_close(quick.rho, exact.rho, 1e-6)
        assert quick.pwcca() == pytest.approx(exact.pwcca(), abs=1e-6)
        assert quick.pwcca(swapped=True) == pytest.approx(exact.pwcca(swapped=True), abs=1e-6)
        both = exact.a.rank, exact.b.rank
        assert exact.svcca(*both, quick=True) == pytest.approx(exact.rho.mean(), abs=1e-6)


def test_spectra_are_shared_between_pairs():
    """Factorisations handed in are used and added to, and change no number."""
    a, b = make("tall")
    moments = Moments({"a": 12, "b": 7, "c": 3}, precision="float64")
    moments.update({"a": a, "b": b, "c": np.tanh(a[:, :3])})
    spectra: dict = {}
    for measure in (cca_mean, svcca, pwcca):
        for pair in ("ab", "bc", "ca"):
            assert measure(moments, *pair, spectra=spectra) == measure(moments, *pair)
    assert sorted(spectra) == ["a", "b", "c"]


@pytest.mark.parametrize("alpha", [-1.0, np.nan, np.inf])
def test_bad_regularisation_is_refused(alpha):
    """λ is a number of at least 0."""
    moments = moments_of(*make("tall"))
    for measure in (canonical_correlations, cca_mean, pwcca):
        with pytest.raises(InputError, match=f"got alpha {alpha}, expected a number of at least 0"):
            measure(moments, "a", "b", alpha=alpha)


@pytest.mark.parametrize("variance", [0, -0.5, 1.5, np.nan])
def test_bad_shares_of_variance_are_refused(variance):
    """SVCCA keeps a share above 0 and at most 1."""
    with pytest.raises(InputError, match=f"got variance {variance}, expected a share above 0"):
        svcca(moments_of(*make("tall")), "a", "b", variance=variance)


@pytest.mark.parametrize("measure", [canonical_correlations, cca_mean, svcca, pwcca])
def test_undefined_correlations_are_refused(measure):
    """A space that does not vary correlates with nothing, and one that is not there neither."""
    a, b = make("tall")
    moments = moments_of(a, np.full((200, 3), 0.1))
    for pair in ("ab", "ba"):
        with pytest.raises(InputError, match="b does not vary over 200 rows"):
            measure(moments, *pair)
    with pytest.raises(InputError, match="got space 'x', expected one of"):
        measure(moments_of(a, b), "a", "x")


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-7), ("float32", 2e-4)])
@pytest.mark.parametrize("name", SCALES)
def test_the_scale_of_features_does_not_matter(name, precision, tolerance):
    """CCA ignores the scale of every feature of either space: correlations are those of the rows."""
    a, b, scale = scaled_case(name)
    _, _, expected = qr_cca(centred(a), centred(b))
    moments = moments_of(a * scale, b * scale[:10], precision=precision)
    assert_close(canonical_correlations(moments, "a", "b"), expected, tolerance)
    assert_close(canonical_correlations(moments, "b", "a"), expected, tolerance)
    # The target's scale does not matter to PWCCA either.
    plain = pwcca(moments_of(a, b, precision=precision), "a", "b")
    own = pwcca(moments_of(a, b * scale[:10], precision=precision), "a", "b")
    assert own == pytest.approx(plain, abs=tolerance)


@pytest.mark.parametrize("name", SCALES)
def test_copies_and_dead_features_change_nothing_at_any_scale(name):
    """A copy, a constant and a dead feature among unequal ones leave the correlations as they are."""
    a, b, scale = scaled_case(name)
    a[:, 5], a[:, 11], a[:, 12] = a[:, 4], 0.7, 0
    _, _, expected = qr_cca(centred(a), centred(b))
    assert_close(canonical_correlations(moments_of(a * scale, b), "a", "b"), expected, 1e-7)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize(("n", "d"), [(100, 60), (60, 40), (42, 21)])
def test_pwcca_is_undetermined_where_few_rows_force_correlations_of_one(n, d, precision):
    """Where n − 1 is below the ranks' sum, the excess of correlations are 1 and tie: no number."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((n, d)), rng.standard_normal((n, d))
    moments = moments_of(a, b, precision=precision)
    forced = 2 * d - (n - 1)
    assert (canonical_correlations(moments, "a", "b") > 1 - 1e-5).sum() == forced
    if forced == 1:  # alone, it ties with nothing
        assert pwcca(moments, "a", "b") < 1
        return
    found = f"{forced} of {d} canonical correlations are 1 .n − 1 = {n - 1} is below the ranks' sum"
    for pair in (("a", "b"), ("b", "a")):
        with pytest.raises(InputError, match=found):
            pwcca(moments, *pair)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_pwcca_is_one_where_all_correlations_are(precision):
    """A space against an affine copy, and two of fewer rows than dimensions, have PWCCA 1."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((200, 12))
    copy = a @ rng.standard_normal((12, 12)) + 1
    assert pwcca(moments_of(a, copy, precision=precision), "a", "b") == pytest.approx(1, abs=1e-4)
    wide = rng.standard_normal((20, 30))
    moments = moments_of(wide, rng.standard_normal((20, 30)), precision=precision)
    assert pwcca(moments, "a", "b") == pytest.approx(1)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_shared_features_leave_pwcca_undetermined(precision):
    """Features that both spaces hold make correlations of 1, whose weights hang on their basis."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((300, 9))
    b = np.column_stack([a[:, :4], rng.standard_normal((300, 6))])
    with pytest.raises(InputError, match="4 of 9 canonical correlations are 1: how a weighs them"):
        pwcca(moments_of(a, b, precision=precision), "a", "b")


def test_correlations_that_tie_below_one_leave_pwcca_undetermined():
    """Two pairs of variates of one correlation, made exact by orthogonal columns, tie as well."""
    base = np.linalg.qr(np.random.default_rng(0).standard_normal((64, 7)) - 0.0)[0]
    base = np.linalg.qr(base - base.mean(axis=0))[0]
    a = base[:, :3] * [1.0, 2.0, 3.0] @ np.array([[1, 1, 0], [-1, 1, 0], [0, 0, 1.0]])
    b = base[:, :3] * [0.6, 0.6, 0.3] + base[:, 3:6] * [0.8, 0.8, np.sqrt(0.91)]
    moments = moments_of(a, b)
    assert_close(canonical_correlations(moments, "a", "b"), [0.6, 0.6, 0.3], 1e-12)
    with pytest.raises(InputError, match=r"2 of 3 canonical correlations are 0.6: how a weighs"):
        pwcca(moments, "a", "b")
