import numpy as np
import pytest
from tests.studies.plan.plan_pairs_made import models, read_pairs

from intertwine.features.feature_set import FeatureSet
from intertwine.studies.plan.misaligned import left_out_one, misaligned, share_nearer
from intertwine.studies.plan.study import plan

N = 300


@pytest.fixture
def pairs_of(tmp_path, write_folder):
    """Return what makes pairs of two arrays, with ids."""

    def make(a, b, name="pairs"):
        ids = [f"item{row}" for row in range(len(a))]
        return read_pairs(write_folder(tmp_path / name, {"old": a, "new": b}, ids=ids))

    return make


def exchanged(b, rows):
    """Return vectors of which some have gone round."""
    changed = b.copy()
    changed[rows] = b[np.roll(rows, 1)]
    return changed


@pytest.mark.parametrize("share", [0.02, 0.2, 0.4])
def test_rows_that_are_no_pairs_are_counted_and_named(pairs_of, share):
    """From 2 % on, rows with another item's vector are told, their number about right, names right."""
    a, b, _ = models(N, seed=3)
    wrong = np.random.default_rng(0).choice(N, round(share * N), replace=False)
    pairs = pairs_of(a, exchanged(b, wrong))
    found = misaligned(pairs, "cosine")
    assert found.count == pytest.approx(len(wrong), abs=max(3, 0.35 * len(wrong)))
    assert set(pairs.rows[found.rows]) <= set(wrong)


def test_true_pairs_are_not_suspected(pairs_of):
    """Of sets of true pairs, with more and less noise, none is told to be misaligned."""
    for seed in range(6):
        a, b, _ = models(N, seed=seed, noise=0.1 + 0.2 * (seed % 3))
        assert misaligned(pairs_of(a, b, f"p{seed}"), "cosine") is None


@pytest.mark.parametrize("first", [120, 210])
def test_rows_shifted_from_some_row_on_are_told_with_the_shift(pairs_of, first):
    """A row left out on one side shifts all after it: the sentence can say by how much."""
    a, b, _ = models(N + 1, seed=4, noise=0.05)
    kept = np.delete(np.arange(N + 1), first)
    found = misaligned(pairs_of(a[:N], b[kept]), "cosine")
    assert found.count == pytest.approx(N - first, rel=0.25)
    assert found.shift == -1


def test_a_shuffled_block_is_told(pairs_of):
    """Rows of one block in another order are found."""
    a, b, _ = models(N, seed=5)
    block = np.arange(100, 130)
    found = misaligned(pairs_of(a, exchanged(b, block)), "cosine")
    assert found.count == pytest.approx(30, abs=10)


def test_all_rows_in_another_order_are_unrelated_spaces(pairs_of):
    """Where no row is a pair there is nothing to tell them from: the plan calls spaces unrelated."""
    a, b, _ = models(N, seed=6)
    assert misaligned(pairs_of(a, np.roll(b, 57, axis=0)), "cosine") is None


def test_exchanged_duplicates_are_harmless(pairs_of):
    """Two items that are one, or nearly, may stand for each other."""
    a, b, _ = models(N, seed=7)
    a[150:], b[150:] = a[:150] + 1e-4, b[:150] + 1e-4
    swapped = np.concatenate([b[150:], b[:150]])
    assert misaligned(pairs_of(a, swapped), "cosine") is None


def test_the_plan_says_it_first(tmp_path, write_folder):
    """Number and names come first, in the warnings and the notes, by row where there are no ids."""
    a, b, _ = models(120, seed=8)
    wrong = np.arange(10, 34)
    for ids, named in (([f"item{row}" for row in range(120)], "items 'item"), (None, "rows ")):
        folder = tmp_path / ("ids" if ids else "plain")
        opened = FeatureSet.open(
            write_folder(folder, {"old": a, "new": exchanged(b, wrong)}, ids=ids)
        )
        found = plan(opened, "old", "new").to_json()
        assert found["warnings"][0] == found["notes"][0]
        assert "of 120 pairs look misaligned" in found["warnings"][0]
        assert named in found["warnings"][0]


@pytest.mark.slow
def test_leaving_one_out_is_what_refits_give():
    """Closed-form ridge without each row is scikit-learn's, fitted again without it."""
    from sklearn.linear_model import Ridge

    from intertwine.studies.plan.candidates import RIDGE_SHARES

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 6)), rng.standard_normal((40, 3))
    found = left_out_one(x, y)
    scatter = ((x - x.mean(axis=0)) ** 2).sum() / 6
    best, least = None, np.inf
    for share in RIDGE_SHARES:
        without = [np.delete(np.arange(40), row) for row in range(40)]
        refits = np.vstack(
            [
                Ridge(alpha=share * scatter).fit(x[rest], y[rest]).predict(x[[row]])
                for row, rest in enumerate(without)
            ]
        )
        error = ((y - refits) ** 2).sum()
        if error < least:
            best, least = refits, error
    np.testing.assert_allclose(found, best, atol=1e-9)


def test_nearer_shares_leave_out_the_own_group():
    """The share is that of other items, of both sides, not of near copies."""
    scores = np.array([[0.5, 0.9, 0.1], [0.9, 0.5, 0.2], [0.0, 0.0, 0.5]])
    np.testing.assert_allclose(share_nearer(scores), [0.5, 0.5, 0.0])
    np.testing.assert_allclose(share_nearer(scores, np.array([0, 0, 1])), [0.0, 0.0, 0.0])
