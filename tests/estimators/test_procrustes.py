import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes as shape_distance
from tests.helpers import CASES, SCALES, assert_close, augmented, make, moments_of, scaled_case

from intertwine.errors import InputError
from intertwine.estimators import procrustes

# Squares of means 10,000 times the spread leave either side, SciPy too, five digits of R.
SQUARE = [
    ("tall", "free", 1e-9),
    ("wide", "free", 1e-9),
    ("far", "free", 1e-9),
    ("tall", "none", 1e-9),
    ("wide", "none", 1e-9),
    ("far", "none", 1e-5),
]


def fit(a, b, *, precision: str = "float64", **options):
    """Return the Procrustes map a → b."""
    return procrustes(moments_of(a, b, precision=precision), "a", ["b"], **options)["b"]


def square(case: str):
    """Return features of two spaces of one dimension."""
    a, b = make(case)
    d = min(a.shape[1], b.shape[1])
    return a[:, :d], b[:, :d]


@pytest.mark.parametrize(("case", "intercept", "tolerance"), SQUARE)
def test_the_rotation_is_scipys(case, intercept, tolerance):
    """Between equal dimensions R is SciPy's, and the bias joins the means."""
    a, b = square(case)
    z, y = augmented(a, b, intercept)
    got = fit(a, b, intercept=intercept)
    assert_close(got.weight.T, orthogonal_procrustes(z, y)[0], tolerance)
    assert_close(got.weight @ got.weight.T, np.eye(len(got.weight)), 1e-13)
    assert_close(got.apply(a), z @ got.weight.T + (b - y), 1e-12)
    assert got.info["scale"] == 1


@pytest.mark.parametrize(("case", "intercept", "tolerance"), SQUARE)
def test_the_scale_is_scipys(case, intercept, tolerance):
    """With a scale the map is SciPy's rotation times the sum of singular values over ‖A‖²."""
    a, b = square(case)
    z, y = augmented(a, b, intercept)
    rotation, total = orthogonal_procrustes(z, y)
    got = fit(a, b, intercept=intercept, scale=True)
    assert got.info["scale"] == pytest.approx(total / (z**2).sum(), rel=1e-10)
    assert_close(got.weight.T, rotation * total / (z**2).sum(), tolerance)


def test_the_scaled_residual_is_scipys_shape_distance():
    """What a scaled map leaves over, standardised, is SciPy's Procrustes disparity."""
    a, b = square("tall")
    got = fit(a, b, scale=True)
    residual = ((got.apply(a) - b) ** 2).sum() / ((b - b.mean(axis=0)) ** 2).sum()
    assert residual == pytest.approx(shape_distance(b, a)[2], rel=1e-10)


@pytest.mark.parametrize("case", ["tall", "to more", "to one", "from one"])
def test_other_dimensions_are_zero_padded(case):
    """Between unequal dimensions R is the part of SciPy's on zero-padded features that counts."""
    a, b = make(case)
    z, y = augmented(a, b, "free")
    d, q = a.shape[1], b.shape[1]
    padded = [np.pad(x, ((0, 0), (0, max(d, q) - x.shape[1]))) for x in (z, y)]
    rotation = orthogonal_procrustes(*padded)[0][:d, :q]
    got = fit(a, b)
    assert_close(got.weight.T, rotation, 1e-9)
    gram = got.weight @ got.weight.T if q <= d else got.weight.T @ got.weight
    assert_close(gram, np.eye(min(d, q)), 1e-12)


@pytest.mark.parametrize("case", CASES)
def test_the_scale_is_the_best_for_the_rotation(case):
    """No other scale of the same R leaves less over."""
    a, b = make(case)
    z, y = augmented(a, b, "free")
    rotation = fit(a, b).weight.T
    best = np.linalg.lstsq((z @ rotation).reshape(-1, 1), y.reshape(-1))[0][0]
    assert fit(a, b, scale=True).info["scale"] == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_no_orthogonal_map_aligns_better(case, precision):
    """The alignment reached is the sum of singular values of the cross-scatter, its maximum."""
    a, b = make(case)
    z, y = augmented(a, b, "free")
    reached = ((z @ fit(a, b, precision=precision).weight.T) * y).sum()
    assert reached == pytest.approx(np.linalg.norm(z.T @ y, "nuc"), rel=1e-5)


def test_a_rotation_is_found_again():
    """Features rotated, scaled and moved are mapped back exactly."""
    a, _ = make("tall")
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))[0]
    b = 3 * a @ rotation + 5
    assert_close(fit(a, b, scale=True).apply(a), b, 1e-12)
    assert fit(a, b, scale=True).info["scale"] == pytest.approx(3)
    assert_close(fit(a, b).weight.T, rotation, 1e-12)


@pytest.mark.parametrize(
    ("case", "rank", "full"), [("tall", 7, 7), ("rank one", 1, 7), ("two rows", 1, 3)]
)
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_map_says_when_it_is_one_of_many(case, rank, full, precision):
    """Where the cross-scatter is rank-deficient R is not unique, and a note says so."""
    info = fit(*make(case), precision=precision).info
    assert info["rank"] == rank
    note = f"the cross-scatter has rank {rank} of {full}: one of many R"
    assert info["notes"] == ([note] if rank < full else [])


@pytest.mark.parametrize("case", CASES)
def test_a_partial_map_is_the_polar_factor_of_the_smallest_norm(case):
    """It aligns as well as any R, turns as many directions as the rank, and sends the others to zero."""
    a, b = make(case)
    z, y = augmented(a, b, "free")
    got = fit(a, b, partial=True)
    rank, weight = got.info["rank"], got.weight
    u, s, vt = np.linalg.svd(z.T @ y)
    assert_close(weight.T, u[:, :rank] @ vt[:rank], 1e-6)
    assert ((z @ weight.T) * y).sum() == pytest.approx(s.sum(), rel=1e-6)
    assert_close(np.sort(np.linalg.svd(weight)[1])[::-1][:rank], np.ones(rank), 1e-12)
    assert (weight**2).sum() == pytest.approx(rank)
    full = fit(a, b)
    if rank == min(z.shape[1], y.shape[1]):
        assert_close(weight, full.weight, 1e-12)
    else:
        assert got.info["notes"] == [
            f"the cross-scatter has rank {rank} of {min(weight.shape)}: R maps the rest to zero"
        ]


def test_a_partial_map_goes_with_its_coordinates():
    """Of fewer rows than dimensions it is the same map in a basis of what they span."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((15, 40)), rng.standard_normal((15, 30))
    basis = np.linalg.qr(a.T)[0]
    whole, small = (fit(rows, b, partial=True, scale=True) for rows in (a, a @ basis))
    assert_close(whole.weight, small.weight @ basis.T, 1e-10)


def test_a_source_without_spread():
    """Where the source never varies the scale is zero and the map answers the mean."""
    a, b = make("tall")
    got = fit(np.full_like(a, 0.1), b, scale=True)
    assert (got.info["scale"], got.info["rank"]) == (0, 0)
    assert not got.weight.any()


def test_what_it_cannot_do_is_refused():
    """The homogeneous form, too few rows and unknown spaces are refused."""
    a, b = make("tall")
    with pytest.raises(InputError, match="method procrustes has no homogeneous form; use"):
        fit(a, b, intercept="homogeneous")
    with pytest.raises(InputError, match="got n = 1 row, expected at least 2"):
        fit(a[:1], b[:1])
    with pytest.raises(InputError, match="got space 'x'"):
        procrustes(moments_of(a, b), "a", ["x"])


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("name", SCALES)
def test_a_small_feature_is_no_null_direction(name, precision):
    """The cross-scatter has full rank, and R is the only one, whatever the scales of features."""
    a, b, scale = scaled_case(name)
    fitted = fit(a * scale, b, precision=precision)
    assert fitted.info["rank"] == 10
    assert fitted.info["notes"] == []


def test_what_partial_leaves_out_is_the_same_in_any_coordinates():
    """Of fewer rows than dimensions the map is one, however the coordinates are turned."""
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((20, 40)), rng.standard_normal((20, 30))
    turn_a, turn_b = (np.linalg.qr(rng.standard_normal((d, d)))[0] for d in (40, 30))
    # Coordinates in which all but the rows' own directions are rounding.
    compact_a, compact_b = (x @ np.linalg.svd(x - x.mean(0))[2].T for x in (a, b))
    plain = procrustes(moments_of(a, b), "a", ["b"], partial=True)["b"]
    assert np.linalg.matrix_rank(plain.weight) == 19
    for x, y in ((a @ turn_a, b @ turn_b), (compact_a, compact_b)):
        other = procrustes(moments_of(x, y), "a", ["b"], partial=True)["b"]
        assert np.linalg.matrix_rank(other.weight) == 19
        scores = [
            fitted.apply(source) @ target.T
            for fitted, source, target in ((plain, a, b), (other, x, y))
        ]
        assert_close(scores[1], scores[0], 1e-9)
