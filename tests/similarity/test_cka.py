from itertools import permutations

import numpy as np
import pytest
from tests.helpers import CASES, make, moments_of

from intertwine.errors import InputError
from intertwine.moments.moments import Moments
from intertwine.similarity import linear_cka
from intertwine.similarity.cka import KernelSums, linear_cka_null

ENOUGH = [case for case in CASES if case != "two rows"]


def kernels(*arrays):
    """Return the n × n linear kernels of rows as they are."""
    return [x @ x.T for x in arrays]


def plain(a, b) -> float:
    """Return CKA by its n × n definition: HSIC of doubly centred kernels."""
    centre = np.eye(len(a)) - 1 / len(a)
    k, m = (centre @ x @ centre for x in kernels(a - a.mean(axis=0), b - b.mean(axis=0)))
    return (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())


def hsic_1(k, m) -> float:
    """Return HSIC₁ of Song et al. (2012), equation 5, from n × n kernels."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    trace = np.trace(k @ m)
    each = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    both = 2 / (n - 2) * (one @ k @ m @ one)
    return (trace + each - both) / (n * (n - 3))


def debiased(a, b) -> float:
    """Return debiased CKA by its n × n definition."""
    k, m = kernels(a - a.mean(axis=0), b - b.mean(axis=0))
    return hsic_1(k, m) / np.sqrt(hsic_1(k, k) * hsic_1(m, m))


@pytest.mark.parametrize("oracle", [plain, debiased])
@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("case", ENOUGH)
def test_cka_is_its_definition(case, oracle, precision, tolerance):
    """CKA from moments equals the n × n definition, plain and debiased."""
    a, b = make(case)
    got = linear_cka(moments_of(a, b, precision=precision), "a", "b", debiased=oracle is debiased)
    assert got == pytest.approx(oracle(a, b), abs=tolerance)


@pytest.mark.parametrize("debias", [False, True])
def test_merged_and_subtracted_moments_have_the_same_cka(debias):
    """Parts with origins of their own, added and left out again, lose none of it."""
    a, b = make("tall")
    parts = [moments_of(a[i : i + 50], b[i : i + 50]) for i in range(0, 200, 50)]
    total = parts[0] + parts[1] + parts[2] + parts[3]
    oracle = debiased if debias else plain
    assert linear_cka(total, "a", "b", debiased=debias) == pytest.approx(oracle(a, b), abs=1e-10)
    rest = linear_cka(total - parts[3], "a", "b", debiased=debias)
    assert rest == pytest.approx(oracle(a[:150], b[:150]), abs=1e-10)


@pytest.mark.parametrize("debias", [False, True])
def test_cka_does_not_feel_rotations_shifts_and_scales(debias):
    """A rotated, moved and scaled copy has CKA 1, and any other space the same CKA with it."""
    a, b = make("tall")
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))[0]
    moments = Moments({"a": 12, "b": 7, "copy": 12})
    moments.update({"a": a, "b": b, "copy": 3 * a @ turn - 100})
    assert linear_cka(moments, "a", "copy", debiased=debias) == pytest.approx(1, abs=1e-12)
    expected = linear_cka(moments, "a", "b", debiased=debias)
    assert linear_cka(moments, "copy", "b", debiased=debias) == pytest.approx(expected, abs=1e-12)
    assert linear_cka(moments, "b", "a", debiased=debias) == pytest.approx(expected, abs=1e-14)
    assert linear_cka(moments, "a", "a", debiased=debias) == pytest.approx(1, abs=1e-14)


def test_unrelated_spaces_are_near_zero_only_when_debiased():
    """With few rows plain CKA of noise is high; debiased it is about zero, and may be negative."""
    rng = np.random.default_rng(0)
    values = []
    for _ in range(30):
        moments = moments_of(rng.standard_normal((20, 90)), rng.standard_normal((20, 90)))
        assert linear_cka(moments, "a", "b") > 0.7
        values.append(linear_cka(moments, "a", "b", debiased=True))
    assert abs(np.mean(values)) < 0.02
    assert min(values) < 0


@pytest.mark.parametrize(("debias", "needed"), [(False, 2), (True, 4)])
def test_too_few_rows_are_refused(debias, needed):
    """CKA needs two rows, debiased four."""
    a, b = make("tall")
    linear_cka(moments_of(a[:needed], b[:needed]), "a", "b", debiased=debias)
    with pytest.raises(
        InputError, match=rf"got n = {needed - 1} rows?, expected at least {needed}"
    ):
        linear_cka(moments_of(a[: needed - 1], b[: needed - 1]), "a", "b", debiased=debias)


@pytest.mark.parametrize("debias", [False, True])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_undefined_cka_is_refused(debias, precision):
    """A space that never varies has no CKA, and neither have rows all equally far apart."""
    a, b = make("tall")
    with pytest.raises(InputError, match="a does not vary enough over 200 rows to have a CKA"):
        linear_cka(
            moments_of(np.full_like(a, 0.1), b, precision=precision), "a", "b", debiased=debias
        )
    corners = moments_of(b[:40], np.eye(40) / 3, precision=precision)
    if debias:
        with pytest.raises(InputError, match="b does not vary enough over 40 rows"):
            linear_cka(corners, "a", "b", debiased=True)
    else:
        assert 0 < linear_cka(corners, "a", "b") < 1


def test_unknown_spaces_are_refused():
    """A space that the moments lack is refused by name."""
    with pytest.raises(InputError, match="got space 'x', expected one of"):
        linear_cka(moments_of(*make("tall")), "a", "x")


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("case", CASES)
def test_kernel_sums_are_those_of_kernels(case, precision, tolerance):
    """Products, traces and squared diagonals are those of n × n centred kernels, in pair order."""
    a, b = make(case)
    sums = KernelSums.of(moments_of(a, b, precision=precision), "b", "a")
    both = kernels(b - b.mean(axis=0), a - a.mean(axis=0))
    assert (sums.names, sums.n) == (("b", "a"), len(a))
    for i, k in enumerate(both):
        assert sums.traces[i] == pytest.approx(np.trace(k), rel=tolerance)
        for j, m in enumerate(both):
            scale = np.linalg.norm(k) * np.linalg.norm(m)
            assert sums.products[i, j] == pytest.approx((k * m).sum(), abs=tolerance * scale)
            squares = np.diag(k) @ np.diag(m)
            assert sums.squares[i, j] == pytest.approx(squares, rel=10 * tolerance)


@pytest.mark.quick("dims1-False")
@pytest.mark.parametrize(
    ("dims", "debias"),
    [
        ((3, 2), True),
        ((1, 1), False),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (((3, 2), False), ((1, 1), True), ((8, 9), False), ((8, 9), True))
        ),
    ],
)
def test_the_null_is_that_of_all_pairings(dims, debias):
    """Mean and sd are those of CKA itself over all 720 pairings of six skewed rows."""
    rng = np.random.default_rng(dims)
    a, b = (rng.standard_exponential((6, dim)) for dim in dims)
    values = [
        linear_cka(moments_of(a, b[list(order)]), "a", "b", debiased=debias)
        for order in permutations(range(6))
    ]
    null = linear_cka_null(moments_of(a, b), "a", "b", debiased=debias)
    assert null.mean == pytest.approx(np.mean(values), abs=1e-10)
    assert null.sd == pytest.approx(np.std(values), abs=1e-10)


def test_undefined_nulls_are_refused():
    """No null is made up for too few rows, a constant space, or one that is not there."""
    a, b = make("tall")
    with pytest.raises(InputError, match="got n = 3 rows, expected at least 4 for debiased CKA"):
        linear_cka_null(moments_of(a[:3], b[:3]), "a", "b", debiased=True)
    with pytest.raises(InputError, match=r"got n = 1 rows?, .* expected at least 2"):
        linear_cka_null(moments_of(a[:1], b[:1]), "a", "b")
    with pytest.raises(InputError, match=r"tr L² = 0, expected .* two spaces that vary"):
        linear_cka_null(moments_of(a, np.full_like(b, 0.1)), "a", "b")
    with pytest.raises(InputError, match="got space 'x', expected one of"):
        linear_cka_null(moments_of(a, b), "x", "b")


@pytest.mark.parametrize("debiased", [False, True])
@pytest.mark.parametrize(
    ("factor_a", "factor_b", "dtype"),
    [
        (5e36, 1e36, np.float32),
        (1e-36, 1e36, np.float32),
        (1e-30, 1e-30, np.float32),
        (1e-69, 1e-69, np.float64),
        (1e68, 1e68, np.float64),
        (1e-68, 1e68, np.float64),
    ],
)
def test_cka_does_not_depend_on_units(factor_a, factor_b, dtype, debiased):
    """Features of any scale that is taken have the CKA of the same features at scale one."""
    a, b = make("tall")
    moments = moments_of((a * factor_a).astype(dtype), (b * factor_b).astype(dtype))
    expected = linear_cka(moments_of(a, b), "a", "b", debiased=debiased)
    found = linear_cka(moments, "a", "b", debiased=debiased)
    assert found == pytest.approx(expected, abs=1e-6 if dtype == np.float32 else 1e-12)
    nulls = [
        linear_cka_null(each, "a", "b", debiased=debiased) for each in (moments, moments_of(a, b))
    ]
    assert nulls[0].mean == pytest.approx(nulls[1].mean, abs=1e-6)
    assert nulls[0].sd == pytest.approx(nulls[1].sd, rel=1e-5)


@pytest.mark.parametrize("factor", [1e-80, 1e-100, 1e-140])
def test_features_whose_fourth_powers_vanish_have_no_cka(factor):
    """Where sums of fourth powers are gone, both estimates and their nulls are refused in words."""
    a, b = make("tall")
    moments = moments_of(a * factor, b)
    for debiased in (False, True):
        for function in (linear_cka, linear_cka_null):
            with pytest.raises(InputError, match="a: features are too small for CKA; rescale"):
                function(moments, "a", "b", debiased=debiased)
