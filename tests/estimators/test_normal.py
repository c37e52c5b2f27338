import numpy as np
import pytest
from tests.helpers import CASES, SCALES, assert_close, augmented, make, moments_of, scaled_case

from intertwine.errors import InputError, SpaceMismatchError
from intertwine.estimators.normal import INTERCEPTS, Eigen, NormalEquations, largest_eigenvalue
from intertwine.maps.linear_map import LinearMap
from intertwine.moments.moments import Moments
from intertwine.spaces import Space

# What the centred features of each kind have, at most their dimension.
RANKS = {
    "tall": 12,
    "wide": 29,
    "two rows": 1,
    "to more": 6,
    "to one": 5,
    "from one": 1,
    "constant": 11,
    "dead": 10,
    "duplicated": 10,
    "rank one": 1,
    "far": 12,
}


@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize("case", CASES)
def test_normal_equations_are_products_of_augmented_rows(case, intercept):
    """G, R and the powers are those of the rows that each kind of intercept regresses."""
    a, b = make(case)
    equations = NormalEquations(moments_of(a, b), "a", intercept)
    z, y = augmented(a, b, intercept)
    tolerance = 1e-7 if case == "far" else 1e-12
    assert_close(equations.gram(), z.T @ z, tolerance)
    assert_close(equations.right("b"), z.T @ y, tolerance)
    assert_close(equations.power("b"), (y**2).sum(axis=0), tolerance)
    assert equations.n == len(a)
    assert equations.unpenalised == (intercept == "free")


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_the_rank_is_that_of_the_centred_features(case, precision):
    """Constant, duplicated and too few rows are counted alike by both factorisations."""
    equations = NormalEquations(moments_of(*make(case), precision=precision), "a")
    gram = equations.gram()
    assert equations.rank(gram) == RANKS[case]
    assert Eigen.of(equations).rank == RANKS[case]


@pytest.mark.parametrize("intercept", ["homogeneous", "none"])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_means_do_not_hide_the_spread(intercept, precision):
    """With means far above the spread no direction of the spread is taken for rounding."""
    a, b = make("tall")
    equations = NormalEquations(moments_of(a + 30, b, precision=precision), "a", intercept)
    assert Eigen.of(equations).rank == len(equations.gram())


def test_steep_spectra_keep_their_directions_in_float32():
    """Directions that float32 products still resolve are not cut as rounding."""
    rng = np.random.default_rng(0)
    n, d = 8192, 300
    a = np.maximum(
        rng.standard_normal((n, d)) / np.arange(1, d + 1) @ rng.standard_normal((d, d)), 0
    )
    moments = moments_of(a.astype(np.float32), a[:, :2].astype(np.float32), precision="float32")
    assert Eigen.of(NormalEquations(moments, "a")).rank == d


def test_no_spread_has_no_rank():
    """Features that are all constant have rank 0."""
    a, b = make("tall")
    equations = NormalEquations(moments_of(np.full_like(a, 0.1), b), "a")
    assert equations.rank(equations.gram()) == 0
    assert Eigen.of(equations).rank == 0


@pytest.mark.parametrize("case", ["tall", "wide", "duplicated", "rank one"])
def test_the_largest_eigenvalue_is_about_right(case):
    """Power iteration gives the largest eigenvalue within a tenth."""
    a, _ = make(case)
    assert largest_eigenvalue(a.T @ a) == pytest.approx(np.linalg.norm(a, 2) ** 2, rel=0.1)
    assert largest_eigenvalue(np.zeros((3, 3))) == 0


@pytest.mark.parametrize("case", ["tall", "wide", "dead", "rank one"])
def test_eigenvectors_solve_and_count(case):
    """One factorisation solves for every λ and gives every trace of the hat matrix."""
    a, b = make(case)
    equations = NormalEquations(moments_of(a, b), "a")
    eigen = Eigen.of(equations)
    z, y = augmented(a, b, "free")
    alphas = np.array([1e-2, 1.0, 30.0])
    for alpha, df in zip(alphas, eigen.df(alphas), strict=True):
        inverse = np.linalg.inv(z.T @ z + alpha * np.eye(z.shape[1]))
        solved = eigen.solve(eigen.rotate(equations.right("b")), alpha)
        assert_close(solved, inverse @ z.T @ y, 1e-8)
        assert df == pytest.approx(np.trace(z @ inverse @ z.T), rel=1e-9)
    each = np.linspace(1, 5, b.shape[1])
    solved = eigen.solve(eigen.rotate(equations.right("b")), each)
    for j, alpha in enumerate(each):
        one = eigen.solve(eigen.rotate(equations.right("b")), alpha)
        assert_close(solved[:, j], one[:, j], 1e-12)


@pytest.mark.parametrize("intercept", INTERCEPTS)
def test_built_maps_predict_what_coefficients_predict(intercept):
    """A map made from coefficients predicts their product with the augmented rows."""
    a, b = make("tall")
    equations = NormalEquations(moments_of(a, b), "a", intercept)
    z, _ = augmented(a, b, intercept)
    coefficients = np.random.default_rng(0).standard_normal((z.shape[1], 7))
    built = equations.build(coefficients, "b", "by hand", k=3)
    shift = b.mean(axis=0) if intercept == "free" else 0
    assert_close(built.apply(a), z @ coefficients + shift, 1e-12)
    assert built.info == {"k": 3, "n": 200, "intercept": intercept, "precision": "float64"}
    assert_close(built.source_mean, a.mean(axis=0), 1e-12)
    assert_close(built.source_spread, a.std(axis=0), 1e-12)
    if intercept != "free":
        assert_close(equations.coefficients_of(built, "b"), coefficients, 1e-14)


def test_bad_equations_are_refused():
    """An unknown intercept, source or target, and too few rows, are refused."""
    moments = moments_of(*make("tall"))
    with pytest.raises(InputError, match="got intercept 'yes', expected one of free, homogeneous"):
        NormalEquations(moments, "a", "yes")
    with pytest.raises(InputError, match=r"got source 'x', expected one of a, b"):
        NormalEquations(moments, "x")
    with pytest.raises(InputError, match=r"got space 'x', expected one of a, b"):
        NormalEquations(moments, "a").right("x")
    for n in (0, 1):
        few = Moments({"a": 2})
        few.update({"a": np.ones((n, 2))})
        with pytest.raises(InputError, match=f"got n = {n} rows?, expected at least 2 to fit"):
            NormalEquations(few, "a").require_rows()


def test_priors_that_do_not_fit_are_refused():
    """A prior between other spaces, or with a bias that has no place, is refused."""
    equations = NormalEquations(moments_of(*make("tall")), "a", "none")
    a, b = Space("a", 12), Space("b", 7)
    weight, bias = np.ones((7, 12)), np.ones(7)
    with pytest.raises(InputError, match="map a--b has a bias, but intercept none has no place"):
        equations.coefficients_of(LinearMap(weight, bias, a, b, "prior"), "b")
    with pytest.raises(SpaceMismatchError, match="got space x of dimension 12, expected a"):
        equations.coefficients_of(LinearMap(weight, 0 * bias, Space("x", 12), b, "prior"), "b")
    with pytest.raises(SpaceMismatchError, match="got space x of dimension 7, expected b"):
        equations.coefficients_of(LinearMap(weight, 0 * bias, a, Space("x", 7), "prior"), "b")


@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("name", SCALES)
def test_no_feature_is_lost_beside_larger_ones(name, precision, intercept):
    """However unequal the scales, G comes back from its eigenvectors to rounding feature by feature."""
    a, b, scale = scaled_case(name)
    moments = moments_of(a * scale, b, precision=precision)
    equations = NormalEquations(moments, "a", intercept)
    gram = equations.gram()
    eigen = Eigen.of(equations)
    assert eigen.rank == equations.rank(gram) == len(gram)
    own = np.sqrt(gram.diagonal())
    back = (eigen.vectors * eigen.values) @ eigen.vectors.T
    assert np.abs(back / own / own[:, None] - gram / own / own[:, None]).max() < 1e-7
    assert np.abs(eigen.vectors.T @ eigen.vectors - np.eye(len(gram))).max() < 1e-7
    assert (np.diff(eigen.values) >= 0).all()


@pytest.mark.parametrize("few_rows", [False, True])
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("name", SCALES)
def test_null_directions_are_found_beside_larger_features(name, precision, few_rows):
    """Copies, a constant and a dead feature are null at any scale of the others, and stay so."""
    a, b, scale = scaled_case(name)
    a[:, 5], a[:, 20] = a[:, 4], a[:, 3] - a[:, 2]
    a[:, 11], a[:, 12] = 0.7, 0
    equations = NormalEquations(moments_of(a * scale, b, precision=precision), "a")
    eigen = Eigen.of(equations, few_rows=few_rows)
    assert eigen.rank == equations.rank(equations.gram()) == 20
    assert np.abs(eigen.vectors[[11, 12]]).max() < 1e-15
    assert np.abs(eigen.vectors.T @ eigen.vectors - np.eye(20)).max() < 1e-7


@pytest.mark.parametrize("name", SCALES)
def test_fewer_rows_than_features_have_one_rank_at_any_scale(name):
    """Of 15 rows there are 14 directions, whatever the scales."""
    a, b, scale = scaled_case(name, n=15)
    equations = NormalEquations(moments_of(a * scale, b), "a")
    assert Eigen.of(equations).rank == Eigen.of(equations, few_rows=True).rank == 14
    assert equations.rank(equations.gram()) == 14
