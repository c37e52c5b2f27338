import dataclasses

import numpy as np
import pytest
from tests.helpers import make

from intertwine.errors import InputError
from intertwine.similarity.measures import row_estimates
from intertwine.similarity.pairwise import RowView

NAMES = ["rbf_cka", "mutual_knn", "cknna", "rsa"]
LOWEST = {"rbf_cka": -1, "mutual_knn": 0, "cknna": -1, "rsa": -1}
DRAW = {
    "normal": np.random.Generator.standard_normal,
    "uniform": np.random.Generator.random,
    "exponential": np.random.Generator.standard_exponential,
}


def estimates(a, b, **options):
    """Return all row measures of two spaces' features."""
    return row_estimates(RowView.of(a, name="a", **options), RowView.of(b, name="b", **options))


def test_a_rotated_scaled_and_moved_copy_scores_one():
    """Every measure ignores shift, rotation and one scale, alone and against a third space."""
    a, b = make("tall")
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))[0]
    copy = 3 * a @ turn - 100
    for name, estimate in estimates(a, copy).items():
        assert estimate.score == pytest.approx(1, abs=1e-9), name
        assert estimate.high == 1
    straight, turned = estimates(a, b), estimates(copy, b)
    for name in NAMES:
        assert turned[name].score == pytest.approx(straight[name].score, abs=1e-9)


@pytest.mark.parametrize("case", ["tall", "wide", "to one", "duplicated", "rank one"])
def test_measures_are_symmetric_to_the_bit(case):
    """Exchanging the spaces changes no bit; nor does asking again."""
    a, b = (RowView.of(x, name=n) for x, n in zip(make(case), "ab", strict=True))
    assert list(row_estimates(a, b)) == NAMES
    assert row_estimates(a, b) == row_estimates(b, a) == estimates(*make(case))


def test_permuting_rows_together_changes_no_score():
    """Scores do not depend on the order of the samples; permuting one space destroys them."""
    a, b = make("tall")
    order = np.random.default_rng(0).permutation(len(a))
    straight, together, apart = (
        estimates(a, b),
        estimates(a[order], b[order]),
        estimates(a[order], b),
    )
    for name in NAMES:
        assert together[name].score == pytest.approx(straight[name].score, abs=1e-10)
        assert apart[name].low <= apart[name].null <= apart[name].high
        assert straight[name].low > straight[name].null


@pytest.mark.parametrize("keep", [True, False])
def test_torch_tensors_give_numpys_numbers(keep):
    """The array library, and keeping the kernel, change no number beyond rounding."""
    import torch

    a, b = make("tall")
    expected = estimates(a, b)
    tensors = [torch.from_numpy(x) for x in (a, b)]
    got = estimates(*tensors, keep=keep)
    for name in NAMES:
        for key, value in dataclasses.asdict(expected[name]).items():
            if key != "reasons":
                assert getattr(got[name], key) == pytest.approx(value, abs=1e-10), (name, key)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64])
def test_stored_precisions_are_widened(dtype):
    """Half, single and whole numbers give what the same numbers give in double."""
    a, b = ((10 * x).astype(dtype) for x in make("tall"))
    assert estimates(a, b) == estimates(a.astype(np.float64), b.astype(np.float64))


@pytest.mark.quick("4")
@pytest.mark.parametrize("m", [1, 2, 3, 4, 5, 8, 30])
def test_degenerate_spaces_give_numbers_in_range_or_a_reason(m):
    """Few, equal, repeated and collinear rows never give NaN, or a number out of range."""
    rng = np.random.default_rng(m)
    x = rng.standard_normal((m, 6))
    spaces = [
        x,
        x[:, :1],
        np.full((m, 3), 1.7),
        np.outer(x[:, 0], np.arange(1, 5)) + 3,
        x[rng.integers(0, max(m // 3, 1), m)],
        x[[0] * (m - 1) + [m - 1]],
        np.eye(m),
        np.sign(x),
        x * 1e-290,
        np.where(np.arange(m)[:, None] == 0, 1e9, x),
        rng.standard_normal((m, 200)),
    ]
    views = [RowView.of(space, name=f"s{i}") for i, space in enumerate(spaces)]
    for a in views:
        for b in views:
            for name, estimate in row_estimates(a, b).items():
                if estimate.score is None:
                    assert estimate.reasons
                    assert estimate.low is estimate.high is estimate.null is None
                    continue
                assert LOWEST[name] <= estimate.low <= estimate.score <= estimate.high <= 1
                assert LOWEST[name] <= estimate.null < 1
                if a is b:
                    assert estimate.score == pytest.approx(1, abs=1e-12)


@pytest.mark.quick("32-5-300-normal")
@pytest.mark.parametrize("spread", sorted(DRAW))
@pytest.mark.parametrize(("m", "d", "q"), [(32, 1, 1), (32, 5, 300), (100, 30, 8)])
def test_unrelated_spaces_have_the_null_in_the_interval(m, d, q, spread):
    """For random features of any width and distribution the interval nearly always holds it."""
    hits = dict.fromkeys(NAMES, 0)
    repeats = 60
    for seed in range(repeats):
        rng = np.random.default_rng([seed, m, d])
        for name, estimate in estimates(
            DRAW[spread](rng, (m, d)), DRAW[spread](rng, (m, q))
        ).items():
            hits[name] += estimate.low <= estimate.null <= estimate.high
    # Of 60 at 95 %, 52 or fewer has probability 0.7 %.
    assert min(hits.values()) >= 53, hits


@pytest.mark.slow
def test_intervals_of_related_spaces_are_as_wide_as_the_scores_spread():
    """Over fresh samples of rows the interval's half width is about 1.96 sd of the score."""
    mix = np.random.default_rng(9).standard_normal((10, 12)) / 3
    scores, halves = {name: [] for name in NAMES}, {name: [] for name in NAMES}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        a = rng.standard_normal((150, 10))
        b = np.tanh(a @ mix) + 0.4 * rng.standard_normal((150, 12))
        for name, estimate in estimates(a, b).items():
            scores[name].append(estimate.score)
            halves[name].append((estimate.high - estimate.low) / 2)
    for name in NAMES:
        ratio = np.mean(halves[name]) / (1.96 * np.std(scores[name], ddof=1))
        assert 0.75 < ratio < 1.35, (name, ratio)


def test_another_seed_moves_intervals_and_no_score():
    """The seed is the bootstrap's alone while all rows are used."""
    a, b = (RowView.of(x, name=n) for x, n in zip(make("tall"), "ab", strict=True))
    first, second = row_estimates(a, b), row_estimates(a, b, seed=1)
    for name in NAMES:
        assert first[name].score == second[name].score
        assert first[name].low != second[name].low


def test_spaces_of_other_rows_are_refused():
    """Every measure needs the same rows of both spaces."""
    with pytest.raises(InputError, match="got 3 rows of a and 4 of b"):
        estimates(np.eye(3), np.eye(4))
