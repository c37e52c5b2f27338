from math import pi

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from tests.helpers import CASES, make, moments_of

from intertwine.errors import InputError
from intertwine.moments.moments import Moments
from intertwine.similarity.shape import angular_distance, procrustes_distance

# Two rows are a line: the angle is 0, which is known to the square root of rounding.
LOOSE = {"two rows": 1e-7}


def padded(a, b):
    """Return centred features, the narrower padded with zeros as netrep pads them."""
    width = max(a.shape[1], b.shape[1])
    return [np.pad(x - x.mean(axis=0), ((0, 0), (0, width - x.shape[1]))) for x in (a, b)]


def angle(a, b) -> float:
    """Return the angular distance from rows, aligned by SciPy."""
    a, b = (x / np.linalg.norm(x) for x in padded(a, b))
    turn, _ = orthogonal_procrustes(a, b)
    return float(np.arccos(np.clip(((a @ turn) * b).sum(), -1, 1)))


def squared(a, b) -> float:
    """Return the squared Procrustes distance from rows, aligned by SciPy."""
    a, b = padded(a, b)
    turn, _ = orthogonal_procrustes(a, b)
    return float(((a @ turn - b) ** 2).sum())


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("case", CASES)
def test_distances_are_those_of_aligned_rows(case, precision, tolerance):
    """Both distances from moments equal those of features rotated onto each other."""
    a, b = make(case)
    moments = moments_of(a, b, precision=precision)
    tolerance = max(tolerance, LOOSE.get(case, 0))
    for got in (angular_distance(moments, "a", "b"), angular_distance(moments, "b", "a")):
        assert got == pytest.approx(angle(a, b), abs=tolerance)
    assert angular_distance(moments, "a", "b", quick=True) == pytest.approx(
        angle(a, b), abs=max(tolerance, 1e-6)
    )
    got = procrustes_distance(moments, "a", "b")
    assert got == pytest.approx(squared(a, b), rel=tolerance)
    assert procrustes_distance(moments, "b", "a") == pytest.approx(got, rel=1e-12)


def test_rotated_copies_are_no_distance_apart():
    """A rotated, moved and scaled copy is at angle 0; unscaled, at Procrustes distance 0."""
    a, _ = make("tall")
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))[0]
    moments = Moments({"a": 12, "copy": 12, "scaled": 12}, precision="float64")
    moments.update({"a": a, "copy": a @ turn - 7, "scaled": 3 * a @ turn + 1})
    spread = moments.scatter_diagonal("a").sum()
    assert angular_distance(moments, "a", "scaled") == pytest.approx(0, abs=1e-7)
    assert angular_distance(moments, "a", "copy") == pytest.approx(0, abs=1e-7)
    assert procrustes_distance(moments, "a", "copy") == pytest.approx(0, abs=1e-12 * spread)
    assert procrustes_distance(moments, "a", "scaled") == pytest.approx(4 * spread)
    assert angular_distance(moments, "a", "a") == procrustes_distance(moments, "a", "a") == 0


def test_spaces_without_common_cause_are_a_right_angle_apart():
    """Spaces whose rows have no cross-scatter at all are π/2 apart."""
    rows = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    assert angular_distance(moments_of(rows[:, :1], rows[:, 1:]), "a", "b") == pytest.approx(pi / 2)


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 20),
    dims=st.tuples(*[st.integers(1, 6)] * 3),
    noise=st.floats(0, 3),
)
def test_the_angle_is_a_metric(seed, n, dims, noise):
    """No way round through a third space is shorter, whatever their dimensions."""
    rng = np.random.default_rng(seed)
    cause = rng.standard_normal((n, 3))
    names = ("a", "b", "c")
    rows = {
        name: cause @ rng.standard_normal((3, dim)) + noise * rng.standard_normal((n, dim))
        for name, dim in zip(names, dims, strict=True)
    }
    moments = Moments(dict(zip(names, dims, strict=True)), precision="float64")
    moments.update(rows)
    ab, bc, ac = (angular_distance(moments, *pair) for pair in ("ab", "bc", "ac"))
    for direct, first, second in ((ac, ab, bc), (ab, ac, bc), (bc, ab, ac)):
        assert 0 <= direct <= min(first + second + 1e-7, pi / 2)


@pytest.mark.parametrize("distance", [angular_distance, procrustes_distance])
def test_undefined_distances_are_refused(distance):
    """A space that does not vary has no shape, and one that is not there none either."""
    a, b = make("tall")
    moments = moments_of(a, np.full((200, 3), 0.1))
    for pair in ("ab", "ba", "bb"):
        with pytest.raises(InputError, match="b does not vary over 200 rows"):
            distance(moments, *pair)
    with pytest.raises(InputError, match="got space 'x', expected one of"):
        distance(moments_of(a, b), "a", "x")
