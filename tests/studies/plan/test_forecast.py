from types import SimpleNamespace

import numpy as np
import pytest
from tests.studies.plan.plan_pairs_made import read_pairs, write_models

from intertwine.studies.plan import notes as plan_notes
from intertwine.studies.plan.candidates import Candidate, candidates
from intertwine.studies.plan.folds import DRAWS, Folds
from intertwine.studies.plan.forecast import compare, from_pairs, plain_recall
from intertwine.studies.plan.measure import Measure
from intertwine.studies.plan.scores import Direction, native_table


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, write_folder):
    """Return some pairs."""
    return read_pairs(write_models(tmp_path_factory.mktemp("plan") / "set", write_folder, 60))


@pytest.mark.parametrize("n_folds", [6, 7, 10])
def test_a_loss_proportional_to_one_over_folds_is_taken_away(pairs, n_folds):
    """The coefficients sum to 1, and to 0 when each is divided by its number of folds."""
    folds = Folds.of(pairs, n_folds)
    counts = [sums.n_folds for sums in (*folds.fine, *folds.coarse)]
    tables = folds.extrapolated(folds.fine, folds.coarse)
    shares = np.array([share for share, _ in tables])
    assert len(folds.fine) == len(folds.coarse) == DRAWS
    assert shares.sum() == pytest.approx(1)
    assert (shares / counts).sum() == pytest.approx(0)


def test_recall_is_that_of_a_plain_loop(pairs):
    """Each query's recall is the share of its true ten among the first ten."""
    native = native_table(pairs, "cosine")
    scores = np.random.default_rng(0).standard_normal(native.shape).astype(np.float32)
    np.fill_diagonal(scores, -np.inf)
    expected = [
        len(set(np.argsort(-one)[:10]) & set(np.argsort(-other)[:10])) / 10
        for one, other in zip(native, scores, strict=True)
    ]
    np.testing.assert_allclose(plain_recall(native, scores), expected, atol=1e-12)


@pytest.mark.quick("convert")
@pytest.mark.parametrize("option", ["convert", "bridge"])
def test_the_candidate_of_best_recall_is_fitted_on_all(pairs, option):
    """The final map is that of the candidate with the best mean recall, on every pair."""
    direction, folds = Direction(pairs, option, "cosine"), Folds.of(pairs, 6)
    found = from_pairs(direction, folds, Measure(native_table(pairs, "cosine")))
    chosen = candidates(folds.fine[0].whole.moments, direction.source)
    recalls, _ = compare(direction, folds.coarse[0], chosen)
    best = chosen[int(recalls.mean(axis=1).argmax())]
    expected = best.fit(folds.fine[0].whole.moments, direction.source, direction.target)
    assert found.candidate == best
    np.testing.assert_array_equal(found.final.weight, expected.weight)
    assert found.final.info["n"] == 60


@pytest.mark.parametrize(
    ("alpha", "said"),
    [(1.0, "of the λ tried the smallest, 1, finds most"), (4.0, "the largest, 4,"), (2.0, None)],
)
def test_a_chosen_edge_is_said(alpha, said):
    """Where the smallest or largest λ tried finds most a note says so."""
    rows = [{"alpha": each} for each in (1.0, 2.0, 4.0, None)]
    direction = SimpleNamespace(option="convert")
    forecast = SimpleNamespace(
        rows=rows, candidate=Candidate("ridge", alpha), direction=direction, fit="pairs"
    )
    found = plan_notes._edge(forecast)
    assert found is None if said is None else said in found
