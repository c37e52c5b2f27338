from itertools import permutations

import numpy as np
import pytest

from intertwine.errors import InputError
from intertwine.similarity.permutation import (
    PairSums,
    cka_null,
    debiased_cka_null_sd,
    mantel_mean,
    mantel_variance,
)

SMALL = [2, 3, 4, 5, 6]


def enumerate_sums(a, b):
    """Return Σ A_ij B_π(i)π(j), the diagonals included, for every permutation π."""
    n = len(a)
    return np.array([(a * b[np.ix_(p, p)]).sum() for p in map(list, permutations(range(n)))])


def off_diagonal(n: int, rng, *, symmetric: bool):
    """Return a random matrix with a zero diagonal, and its sums."""
    matrix = rng.standard_normal((n, n)) + 0.7
    if symmetric:
        matrix = matrix + matrix.T
    np.fill_diagonal(matrix, 0)
    if symmetric:
        sums = PairSums.symmetric(matrix.sum(), (matrix**2).sum(), (matrix.sum(axis=1) ** 2).sum())
    else:
        places = np.argwhere(~np.eye(n, dtype=bool))
        places = places[rng.permutation(len(places))]
        sums = PairSums.sparse(n, places[:, 0], places[:, 1], matrix[tuple(places.T)])
    return matrix, sums


def centred_kernel(n: int, rng, dim: int = 2):
    """Return a doubly centred kernel of skewed features."""
    x = rng.standard_exponential((n, dim))
    x -= x.mean(axis=0)
    return x @ x.T


def traces(kernel):
    """Return tr K, tr K² and Σ K_ii²."""
    return np.trace(kernel), (kernel**2).sum(), (np.diag(kernel) ** 2).sum()


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("n", SMALL)
def test_mantel_moments_are_those_of_all_permutations(n, symmetric):
    """Mean and variance equal brute force over all n! pairings, symmetric or not."""
    rng = np.random.default_rng(n)
    (a, sums_a), (b, sums_b) = (off_diagonal(n, rng, symmetric=symmetric) for _ in range(2))
    values = enumerate_sums(a, b)
    assert mantel_mean(n, sums_a, sums_b) == pytest.approx(values.mean(), abs=1e-12)
    assert mantel_variance(n, sums_a, sums_b) == pytest.approx(values.var(), rel=1e-10, abs=1e-12)


def test_sparse_sums_take_absent_entries_as_zero():
    """A matrix with few entries has the sums of its dense self."""
    rng = np.random.default_rng(0)
    n = 6
    rows, columns = np.array([0, 0, 3, 1, 5]), np.array([1, 4, 0, 0, 3])
    values = rng.standard_normal(5)
    dense = np.zeros((n, n))
    dense[rows, columns] = values
    other, sums = off_diagonal(n, rng, symmetric=False)
    values = enumerate_sums(dense, other)
    sparse = PairSums.sparse(n, rows, columns, dense[rows, columns])
    assert mantel_variance(n, sparse, sums) == pytest.approx(values.var(), rel=1e-10)
    empty = PairSums.sparse(n, rows[:0], columns[:0], np.zeros(0))
    assert mantel_variance(n, empty, sums) == 0


@pytest.mark.parametrize("n", SMALL)
def test_a_constant_matrix_has_no_variance(n):
    """Where every pair has one value no pairing changes the sum."""
    constant = PairSums.symmetric(7.0 * n * (n - 1), 49.0 * n * (n - 1), n * (7.0 * (n - 1)) ** 2)
    _, sums = off_diagonal(n, np.random.default_rng(0), symmetric=True)
    assert mantel_variance(n, constant, sums) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_debiased_cka_has_one_null_for_all_spaces(n):
    """The correlation of U-centred kernels has mean 0 and the stated sd over all pairings."""
    rng = np.random.default_rng(n)
    centred = []
    for _ in range(2):
        kernel = centred_kernel(n, rng, 3)
        np.fill_diagonal(kernel, 0)
        rows = kernel.sum(axis=1) / (n - 2)
        kernel += kernel.sum() / ((n - 1) * (n - 2)) - rows - rows[:, None]
        np.fill_diagonal(kernel, 0)
        assert kernel.sum(axis=0) == pytest.approx(0, abs=1e-12)
        centred.append(kernel / np.linalg.norm(kernel))
    values = enumerate_sums(*centred)
    assert values.mean() == pytest.approx(0, abs=1e-12)
    assert values.std() == pytest.approx(debiased_cka_null_sd(n), rel=1e-10)
    sums = [PairSums.symmetric(0.0, 1.0, 0.0)] * 2
    assert mantel_variance(n, *sums) == pytest.approx(values.var(), rel=1e-10)


@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize("n", SMALL)
def test_plain_cka_null_is_that_of_all_permutations(n, dim):
    """Mean and sd of plain CKA equal brute force over all n! pairings."""
    rng = np.random.default_rng(n)
    k, m = centred_kernel(n, rng, dim), 1e6 * centred_kernel(n, rng, 2)
    values = enumerate_sums(k, m) / np.sqrt((k**2).sum() * (m**2).sum())
    mean, sd = cka_null(n, *traces(k), *traces(m))
    assert mean == pytest.approx(values.mean(), rel=1e-10)
    assert sd == pytest.approx(values.std(), rel=1e-8, abs=1e-7)


def test_too_few_rows_and_constant_spaces_are_refused():
    """No null is made up where there is none."""
    with pytest.raises(InputError, match="got n = 3 rows, expected at least 4"):
        debiased_cka_null_sd(3)
    with pytest.raises(InputError, match="got n = 1 row"):
        cka_null(1, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    with pytest.raises(InputError, match=r"tr L² = 0, expected .* two spaces that vary"):
        cka_null(5, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0)
