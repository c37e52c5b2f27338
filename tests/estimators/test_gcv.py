import numpy as np
import pytest
from tests.helpers import CASES, augmented, make, moments_of

from intertwine.errors import InputError
from intertwine.estimators.gcv import ALPHAS, GCV, MIN_FREE_SHARE, MIN_RESIDUAL_SHARE
from intertwine.estimators.normal import INTERCEPTS, Eigen, NormalEquations


def gcv_of(a, b, intercept: str = "free", alphas=ALPHAS, precision: str = "float64") -> GCV:
    """Return the scores that moments give."""
    equations = NormalEquations(moments_of(a, b, precision=precision), "a", intercept)
    eigen = Eigen.of(equations)
    return GCV.of(
        eigen,
        eigen.rotate(equations.right("b")),
        equations.power("b"),
        n=len(a),
        unpenalised=equations.unpenalised,
        alphas=alphas,
    )


def textbook(a, b, intercept: str, alphas=ALPHAS):
    """Return RSS, df and powers from the explicit n × n hat matrix of every λ."""
    z, y = augmented(a, b, intercept)
    residual, df = [], []
    for alpha in alphas:
        # √λ below Z makes ridge least squares: its QR factors never square the condition.
        root = np.sqrt(alpha) * np.eye(z.shape[1])
        q = np.linalg.qr(np.vstack([z, root]))[0][: len(z)]
        hat = q @ q.T
        residual.append((((np.eye(len(z)) - hat) @ y) ** 2).sum(axis=0))
        df.append(np.trace(hat) + (intercept == "free"))
    return np.array(residual), np.array(df), (y**2).sum(axis=0)


def textbook_scores(residual, df, power, n: int):
    """Return n·RSS / (n − df)² with the design's candidates, infinite elsewhere."""
    scores = np.full(residual.shape, np.inf)
    for i in range(len(df)):
        for j in range(residual.shape[1]):
            enough = n - df[i] >= MIN_FREE_SHARE * n
            if enough and power[j] > 0 and residual[i, j] >= MIN_RESIDUAL_SHARE * power[j]:
                scores[i, j] = n * residual[i, j] / (n - df[i]) ** 2
    return scores


@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize("case", [case for case in CASES if case != "far"])
def test_scores_are_the_textbooks(case, intercept):
    """Every candidate λ has the score of explicit hat matrices to 1e-8, per target and joint."""
    a, b = make(case)
    gcv = gcv_of(a, b, intercept)
    residual, df, power = textbook(a, b, intercept)
    power[power < 1e-20] = 0  # a constant target that NumPy centres to rounding
    for per_target in (True, False):
        parts = residual, power
        if not per_target:
            parts = residual.sum(axis=1, keepdims=True), power.sum(keepdims=True)
        expected = textbook_scores(parts[0], df, parts[1], len(a))
        scores = gcv.scores(per_target=per_target).reshape(expected.shape)
        assert np.array_equal(np.isfinite(scores), np.isfinite(expected))
        candidates = np.isfinite(expected)
        np.testing.assert_allclose(scores[candidates], expected[candidates], rtol=1e-8)
        if (case, intercept) == ("two rows", "free"):
            continue  # one direction, one degree of freedom: every λ scores the same
        finite = candidates.any(axis=0)
        assert np.array_equal(scores.argmin(axis=0)[finite], expected.argmin(axis=0)[finite])
    if case == "tall":
        assert np.isfinite(scores).all()


def test_scores_of_features_far_from_zero():
    """Means 10,000 times the spread cost a free intercept no digits."""
    a, b = make("far")
    residual, df, power = textbook(a, b, "free")
    expected = textbook_scores(residual, df, power, len(a))
    np.testing.assert_allclose(gcv_of(a, b).scores(per_target=True), expected, rtol=1e-8)


@pytest.mark.parametrize(
    ("condition", "share"), [(1, 2e-6), (10, 2e-6), (10, 1e-4), (100, 1e-3), (1000, 1e-2)]
)
def test_small_residuals_keep_their_digits(condition, share):
    """Scores hold to 1e-8 down to the least residual allowed, and for ill-conditioned features."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    scales = np.geomspace(1, 1 / condition, 8)[:, None]
    a = 30 * rng.standard_normal((120, 8)) @ (scales * turn)
    signal = a @ turn.T @ (rng.standard_normal((8, 4)) / scales)
    b = signal + np.sqrt(share) * signal.std() * rng.standard_normal((120, 4))
    gcv = gcv_of(a, b, alphas=ALPHAS[:9])
    residual, df, power = textbook(a, b, "free", ALPHAS[:9])
    expected = textbook_scores(residual, df, power, 120)
    scores = gcv.scores(per_target=True)
    both = np.isfinite(scores) & np.isfinite(expected)
    assert both.any()
    np.testing.assert_allclose(scores[both], expected[both], rtol=1e-8)
    assert np.array_equal(np.isfinite(scores), np.isfinite(expected))


def test_float32_moments_choose_the_same_alpha():
    """Scores from float32 products agree to what float32 holds."""
    a, b = make("tall")
    rough, exact = gcv_of(a, b, precision="float32"), gcv_of(a, b)
    for per_target in (True, False):
        np.testing.assert_allclose(
            rough.scores(per_target=per_target), exact.scores(per_target=per_target), rtol=1e-4
        )
        assert np.array_equal(
            rough.choose(per_target=per_target)[0], exact.choose(per_target=per_target)[0]
        )


def test_the_joint_choice_minimises_the_sum():
    """`gcv` picks the λ whose scores summed over targets are least, for all targets."""
    a, b = make("tall")
    gcv = gcv_of(a, b)
    chosen, notes = gcv.choose(per_target=False)
    scores = gcv.scores(per_target=True).sum(axis=1)
    np.testing.assert_allclose(gcv.scores(per_target=False), scores, rtol=1e-12)
    assert chosen.tolist() == [ALPHAS[scores.argmin()]] * 7
    assert notes == []


def test_each_target_has_its_own_choice():
    """`gcv-per-target` picks each target's own minimum: more noise, more shrinkage."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((80, 20))
    b = a @ rng.standard_normal((20, 3)) + rng.standard_normal((80, 3)) * [0.1, 10, 40]
    gcv = gcv_of(a, b)
    chosen, _ = gcv.choose(per_target=True)
    assert chosen.tolist() == ALPHAS[gcv.scores(per_target=True).argmin(axis=0)].tolist()
    assert chosen[0] < chosen[1] < chosen[2]


def test_the_first_minimum_wins():
    """Between equal scores the smaller λ is chosen."""
    gcv = GCV(
        alphas=np.array([1.0, 2.0, 3.0]),
        residual=np.array([[9.0], [4.0], [4.0]]),
        df=np.array([2.0, 2.0, 2.0]),
        power=np.array([10.0]),
        n=10,
    )
    assert gcv.choose(per_target=True)[0].tolist() == [2.0]


@pytest.mark.parametrize(
    ("target", "end", "edge"), [("signal", "lower", 1e2), ("noise", "upper", 1e4)]
)
def test_a_chosen_edge_is_reported(target, end, edge):
    """Where the minimum is at an end of the grid, a note says so and what to do."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((60, 10)), rng.standard_normal((60, 2))
    b = a[:, :2] + b / 100 if target == "signal" else b - a @ np.linalg.lstsq(a, b)[0]
    gcv = gcv_of(a, b, alphas=np.array([1e2, 1e3, 1e4]))
    chosen, notes = gcv.choose(per_target=True)
    assert chosen.tolist() == [edge, edge]
    assert notes == [
        f"GCV chose the {end} edge of the grid, {edge:g}, for 2 of 2; widen it with --alphas"
    ]


def test_without_a_candidate_the_smallest_safe_alpha_is_taken():
    """Where the fit is exact there is nothing to choose by, and a note says so."""
    a, _ = make("tall")
    chosen, notes = gcv_of(a, a[:, :2] * 2, alphas=ALPHAS[:5]).choose(per_target=True)
    assert chosen.tolist() == [ALPHAS[0]] * 2
    assert notes == ["no λ of the grid is a GCV candidate for 2 of 2"]


def test_a_constant_target_has_no_candidate():
    """A target that never varies is told apart from those that do."""
    a, b = make("constant")
    chosen, notes = gcv_of(a, b).choose(per_target=True)
    assert "no λ of the grid is a GCV candidate for 1 of 7" in notes
    assert chosen[2] == ALPHAS[0]


def test_without_degrees_of_freedom_the_largest_alpha_is_taken():
    """Where every λ leaves too few degrees of freedom, the largest is taken."""
    a, b = make("wide")
    chosen, notes = gcv_of(a, b, alphas=np.array([1e-9, 1e-8])).choose(per_target=False)
    assert chosen.tolist() == [1e-8] * 9
    assert notes == ["no λ of the grid is a GCV candidate for 1 of 1"]


@pytest.mark.parametrize(
    "alphas", [[], [0.0, 1.0], [-1.0], [1.0, 1.0], [2.0, 1.0], [np.nan], [1.0, np.inf]]
)
def test_grids_that_are_none_are_refused(alphas):
    """A grid must be positive, finite and ascending."""
    with pytest.raises(InputError, match=r"got alphas .*, expected positive ascending numbers"):
        gcv_of(*make("tall"), alphas=np.array(alphas))
