from dataclasses import replace

import numpy as np
import pytest
from tests.studies.plan.plan_pairs_made import read_pairs, write_models

from intertwine.studies.plan import scores as plan_fold_maps
from intertwine.studies.plan.candidates import Candidate, candidates
from intertwine.studies.plan.folds import Folds, FoldSums
from intertwine.studies.plan.scores import OPTIONS, Direction, FoldMaps, cross_tables

# (pairs, d_old, d_new): without two of five folds the cross-scatter of 60 pairs has rank 35 at most.
SHAPES = [(60, 20, 90), (60, 90, 20), (60, 35, 70), (60, 90, 70), (60, 40, 90)]


@pytest.fixture(scope="module")
def pairs_of(tmp_path_factory, write_folder):
    """Return a maker of pairs of given number and dimensions."""

    def made(n, d_old, d_new):
        folder = tmp_path_factory.mktemp("plan") / "set"
        return read_pairs(write_models(folder, write_folder, n, d_old=d_old, d_new=d_new))

    return made


def in_full(pairs):
    """Return the same pairs, whose coordinates stay as they are."""
    copy = replace(pairs)
    vars(copy)["compact"] = copy
    return copy


def tables_of(pairs, option, metric, chosen, **more):
    """Return what `cross_tables` does, of five folds."""
    return cross_tables(Direction(pairs, option, metric), FoldSums(pairs, 5, **more), chosen)


def assert_same(found, expected):
    """Compare tables, which are float32, and cosines."""
    for one, other in zip(found[0], expected[0], strict=True):
        others = ~np.eye(len(one), dtype=bool)
        scale = np.abs(other[others]).max()
        np.testing.assert_allclose(one[others], other[others], atol=1e-6 * scale)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-9)


@pytest.mark.quick("ip-bridge-shape4")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_compact_coordinates_give_the_tables_of_full_ones(
    pairs_of, shape, option, metric, monkeypatch
):
    """Ridge and Procrustes find the same in both, ridge in closed form what moments give."""
    pairs = pairs_of(*shape)
    sums = FoldSums(pairs, 5)
    chosen = candidates(sums.whole.moments, Direction(pairs, option, metric).source)
    found = tables_of(pairs, option, metric, chosen)
    assert pairs.compact is not pairs
    monkeypatch.setattr(plan_fold_maps, "MOST_LEFT_OUT", 0.0)
    assert_same(found, tables_of(in_full(pairs), option, metric, chosen))
    assert_same(tables_of(pairs, option, metric, chosen), found)


def test_a_dead_feature_changes_nothing(pairs_of):
    """Procrustes finds the same in both coordinates where a feature of one space never varies."""
    pairs = pairs_of(60, 90, 20)
    pairs.b[:, 3] = 0.25
    chosen = [Candidate("procrustes")]
    found = tables_of(pairs, "bridge", "ip", chosen)
    assert_same(found, tables_of(in_full(pairs), "bridge", "ip", chosen))


@pytest.mark.parametrize("shape", [(60, 20, 90), (60, 90, 20), (90, 40, 30)])
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("first", [None, 31])
@pytest.mark.parametrize("most", [0.0, 9.0])
def test_mapped_rows_are_those_of_a_plain_fit(pairs_of, shape, option, first, most, monkeypatch):
    """Lengths and products with native rows are those of scikit-learn's ridge in full coordinates."""
    from sklearn.linear_model import Ridge

    monkeypatch.setattr(plan_fold_maps, "MOST_LEFT_OUT", most)
    pairs, shares = pairs_of(*shape), (0.3, 40.0)
    direction = Direction(pairs, option, "ip")
    sums = FoldSums(pairs, 5, first=first)
    maps = FoldMaps(direction, sums, [Candidate("ridge", share) for share in shares])
    assert (maps.smoother is not None) is (most > 0)
    rows = np.flatnonzero(np.isin(sums.fold, (1, 3)))
    kept = np.flatnonzero(~np.isin(sums.fold[:first], (1, 3)))
    native = maps.compact.native
    for share, mapped in zip(shares, maps.mapped(1, 3, rows), strict=True):
        model = Ridge(alpha=share).fit(direction.vectors[kept], direction.native[kept])
        expected = model.predict(direction.vectors[rows])
        np.testing.assert_allclose(mapped @ mapped.T, expected @ expected.T, atol=1e-9)
        np.testing.assert_allclose(mapped @ native.T, expected @ direction.native.T, atol=1e-9)


@pytest.mark.parametrize(
    ("n", "n_folds", "alpha", "closed"),
    [(90, 10, 1.0, True), (90, 5, 1.0, False), (90, 10, 1e-8, False), (60, 5, 1.0, True)],
)
def test_the_closed_form_is_for_few_rows_left_out_and_no_tiny_lambda(
    pairs_of, n, n_folds, alpha, closed
):
    """Of more rows left out than dimensions, and of a λ that costs digits, moments give the maps."""
    pairs = pairs_of(n, 24, 30)
    direction = Direction(pairs, "convert", "cosine")
    chosen = [Candidate("ridge", alpha)]
    assert (FoldMaps(direction, FoldSums(pairs, n_folds), chosen).smoother is not None) is closed


def test_every_draw_shares_one_factorisation(pairs_of):
    """The draws of folds, fine and coarse, take ridge from the same one a direction."""
    folds = Folds.of(pairs_of(60, 90, 70), 10)
    smoothers = {
        id(sums.whole.smoother(name))
        for sums in (*folds.fine, *folds.coarse)
        for name in ("old", "new")
    }
    assert len(smoothers) == 2


def test_lambda_is_a_share_of_the_original_mean_eigenvalue(pairs_of):
    """The grid of pairs with more dimensions than pairs is that of all their dimensions."""
    pairs = pairs_of(60, 90, 70)
    sums = FoldSums(pairs, 5)
    for name, rows in (("old", pairs.a), ("new", pairs.b)):
        mean = 60 * rows.var(axis=0).sum() / rows.shape[1]
        alphas = [each.alpha for each in candidates(sums.whole.moments, name)[:-1]]
        np.testing.assert_allclose(alphas, mean * np.logspace(-4, 1, 8), rtol=1e-2)
