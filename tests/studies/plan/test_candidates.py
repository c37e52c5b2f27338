import numpy as np
import pytest
from tests.studies.plan.plan_pairs_made import read_pairs, write_models

from intertwine.numerics.linalg import unit
from intertwine.studies.plan.candidates import Candidate, candidates, fits
from intertwine.studies.plan.folds import FoldSums, moments_of
from intertwine.studies.plan.scores import Direction, cross_tables, similarities


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, write_folder):
    """Return some pairs."""
    return read_pairs(write_models(tmp_path_factory.mktemp("plan") / "set", write_folder, 70))


@pytest.mark.parametrize("first", [None, 31])
def test_two_folds_are_left_out(pairs, first):
    """Moments without two folds are those of the rows of the others, counted one by one."""
    sums = FoldSums(pairs, 6, first=first)
    sums.sum_up()
    found = sums.without(1, 4)
    rows = np.flatnonzero(~np.isin(sums.fold[:first], [1, 4]))
    direct = moments_of(pairs, rows)
    assert found.n == len(rows)
    np.testing.assert_allclose(
        found.scatter("old", "new"), direct.scatter("old", "new"), atol=1e-10
    )
    np.testing.assert_allclose(found.mean("old"), direct.mean("old"), atol=1e-12)


def test_folds_are_balanced_in_every_beginning(pairs):
    """Among the first m pairs each fold has as many as another, or one more."""
    fold = FoldSums(pairs, 7).fold
    for m in range(1, 71):
        counts = np.bincount(fold[:m], minlength=7)
        assert counts.max() - counts.min() <= 1
    assert not np.array_equal(fold, FoldSums(pairs, 7, seed=(1, 0)).fold)


@pytest.mark.parametrize("n_folds", [3, 5, 6])
def test_every_block_is_served_once_by_a_map_that_saw_neither_fold(pairs, n_folds):
    """Each (query, item) block has one map, fitted without both folds and on as many as the others."""
    served = {}
    for f, g, blocks in FoldSums(pairs, n_folds).left_out():
        assert f != g
        for block in blocks:
            assert block not in served
            assert set(block) <= {f, g}
            served[block] = (f, g)
    assert len(served) == n_folds**2


@pytest.mark.parametrize("option", ["convert", "bridge"])
@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_scores_are_those_of_a_plain_loop(pairs, option, metric):
    """Each score equals that of scikit-learn's ridge, fitted on the pairs that are in neither fold."""
    from sklearn.linear_model import Ridge

    sums, direction = FoldSums(pairs, 5), Direction(pairs, option, metric)
    (table,), cosines = cross_tables(direction, sums, [Candidate("ridge", 2.0)])
    held = {block: (f, g) for f, g, blocks in sums.left_out() for block in blocks}
    x, y = (pairs.a, pairs.b) if option == "convert" else (pairs.b, pairs.a)
    assert np.isneginf(np.diagonal(table)).all()
    for query, item in ((0, 1), (3, 60), (12, 12), (40, 2), (69, 33)):
        out = np.isin(sums.fold, held[int(sums.fold[query]), int(sums.fold[item])])
        model = Ridge(alpha=2.0).fit(x[~out], y[~out])
        if query == item:
            expected = unit(model.predict(x[[query]])) @ unit(y[[query]]).T
            assert cosines[0, query] == pytest.approx(float(expected[0, 0]), abs=1e-10)
            continue
        if option == "convert":
            left, right = y[query], model.predict(x[[item]])[0]
        else:
            left, right = model.predict(x[[query]])[0], y[item]
        expected = {
            "cosine": left @ right / np.linalg.norm(left) / np.linalg.norm(right),
            "ip": left @ right,
            "l2": -((left - right) ** 2).sum(),
        }[metric]
        assert table[query, item] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_one_factorisation_gives_the_maps_of_single_fits(pairs):
    """Along the grid every ridge map equals that of its own λ fitted alone, Procrustes too."""
    moments = moments_of(pairs)
    chosen = candidates(moments, "old")
    assert [each.method for each in chosen] == ["ridge"] * 8 + ["procrustes"]
    for each, fitted in zip(chosen, fits(moments, "old", "new", chosen), strict=True):
        alone = each.fit(moments, "old", "new")
        np.testing.assert_allclose(fitted.weight, alone.weight, atol=1e-8)
        np.testing.assert_allclose(fitted.bias, alone.bias, atol=1e-8)


def test_the_grid_goes_with_the_scale_of_the_source(pairs):
    """λ of the grid are shares of the mean eigenvalue: vectors ten times as long have a hundred."""
    moments = moments_of(pairs)
    mean = np.trace(moments.scatter("old")) / 24
    alphas = [each.alpha for each in candidates(moments, "old")[:-1]]
    np.testing.assert_allclose(alphas, mean * np.logspace(-4, 1, 8), rtol=1e-2)


def test_mapped_vectors_are_scaled_as_the_native_ones_are(tmp_path, write_folder):
    """Where the new vectors have length 1 converted ones get it too, unless cosine does so anyway."""
    folder = write_models(tmp_path / "set", write_folder, 60)
    np.save(folder / "new.npy", unit(np.load(folder / "new.npy")))
    pairs = read_pairs(folder)
    fitted = Candidate("ridge", 1.0).fit(moments_of(pairs), "old", "new")
    lengths = {
        metric: np.linalg.norm(
            Direction(pairs, "convert", metric).mapped(fitted, np.arange(9)), axis=1
        )
        for metric in ("cosine", "ip", "l2")
    }
    np.testing.assert_allclose(lengths["ip"], 1)
    np.testing.assert_allclose(lengths["l2"], 1)
    assert np.abs(lengths["cosine"] - 1).max() > 0.01
    assert not Direction(pairs, "bridge", "ip").rescale


def test_distances_keep_their_digits():
    """Squared distances of vectors far from the origin are those of the same vectors near it."""
    rng = np.random.default_rng(0)
    queries, items = rng.standard_normal((5, 4)), rng.standard_normal((7, 4))
    far = similarities(queries + 1e4, items + 1e4, "l2")
    np.testing.assert_allclose(far, similarities(queries, items, "l2"), atol=1e-5)
