import numpy as np
import pytest
from tests.helpers import assert_close

from intertwine.errors import InputError
from intertwine.estimators import HeadFactor, analytic
from intertwine.spaces import Head, Space

RNG = np.random.default_rng(0)
N = 500


def head(n_classes: int, dim: int, rank: int | None = None) -> Head:
    """Return a head with random weights, of limited rank where asked."""
    weight = RNG.standard_normal((n_classes, dim))
    if rank is not None:
        weight = RNG.standard_normal((n_classes, rank)) @ RNG.standard_normal((rank, dim))
    return Head(weight, RNG.standard_normal(n_classes))


def fit(source: Head, target: Head):
    """Return the affine analytic map between spaces a and b with these heads."""
    spaces = Space("a", source.dim), Space("b", target.dim)
    return analytic(*spaces, source, HeadFactor.of(target))


def homogeneous(source: Head, target: Head, features):
    """Return the paper's scores by its formula: [W_B b_B] pinv([W_B b_B]) [W_A b_A] [x 1]."""
    left, right = (np.column_stack([h.weight, h.bias]) for h in (target, source))
    return (
        np.column_stack([features, np.ones(len(features))])
        @ (left @ np.linalg.pinv(left) @ right).T
    )


@pytest.mark.parametrize(("d_source", "d_target"), [(12, 30), (30, 12), (10, 10), (5, 100)])
def test_full_row_rank_keeps_every_prediction(d_source, d_target):
    """Where the target's head has rank K its logits of mapped features are the source's own."""
    source, target = head(10, d_source), head(10, d_target)
    features = RNG.standard_normal((N, d_source))
    there = fit(source, target)
    own, mapped = source.logits(features), target.logits(there.apply(features))
    assert_close(mapped, own, 1e-10)
    assert (mapped.argmax(axis=1) != own.argmax(axis=1)).sum() == 0
    assert there.info == {"n": 0, "rank": 10, "classes": 10}


def test_the_affine_map_is_the_pseudo_inverse_of_the_design():
    """M = pinv(W_B) W_A and b = pinv(W_B)(b_A − b_B)."""
    for source, target in ((head(10, 6), head(10, 14)), (head(10, 6), head(10, 4))):
        there, back = fit(source, target), np.linalg.pinv(target.weight)
        assert_close(there.weight, back @ source.weight, 1e-10)
        assert_close(there.bias, back @ (source.bias - target.bias), 1e-10)
        assert (there.source.name, there.target.name, there.method) == ("a", "b", "analytic")


@pytest.mark.parametrize("rank", [None, 4])
@pytest.mark.parametrize("d_target", [6, 9, 10, 11, 40])
@pytest.mark.parametrize("d_source", [5, 30])
def test_scores_are_those_of_the_mapped_features(d_source, d_target, rank):
    """The projection of logits is what the map and the target's head give, whatever the rank."""
    source, target = head(10, d_source), head(10, d_target, rank)
    features = RNG.standard_normal((N, d_source))
    factor = HeadFactor.of(target)
    scores = factor.scores(source.logits(features))
    mapped = target.logits(fit(source, target).apply(features))
    assert_close(scores, mapped, 1e-9)
    assert np.array_equal(scores.argmax(axis=1), mapped.argmax(axis=1))
    assert factor.rank == min(10, d_target, rank or 10)


@pytest.mark.parametrize("rank", [None, 4])
@pytest.mark.parametrize("d_target", [6, 9, 10, 11, 40])
@pytest.mark.parametrize("d_source", [5, 30])
def test_homogeneous_scores_are_the_papers(d_source, d_target, rank):
    """The homogeneous form scores as pinv([W_B b_B])[W_A b_A] does, its last coordinate kept."""
    source, target = head(10, d_source), head(10, d_target, rank)
    features = RNG.standard_normal((N, d_source))
    factor = HeadFactor.of(target, "homogeneous")
    scores = factor.scores(source.logits(features))
    expected = homogeneous(source, target, features)
    assert_close(scores, expected, 1e-9)
    assert np.array_equal(scores.argmax(axis=1), expected.argmax(axis=1))
    if factor.rank == 10:
        assert_close(scores, source.logits(features), 1e-9)


def test_one_more_coordinate_is_one_more_rank():
    """With K − 1 dimensions the homogeneous form is exact and the affine one is not."""
    source, target = head(10, 20), head(10, 9)
    own = source.logits(RNG.standard_normal((N, 20)))
    exact, projected = (HeadFactor.of(target, form) for form in ("homogeneous", "affine"))
    assert (exact.rank, projected.rank) == (10, 9)
    assert_close(exact.scores(own), own, 1e-9)
    assert (projected.scores(own).argmax(axis=1) != own.argmax(axis=1)).any()


def test_one_factor_serves_every_source():
    """A factored head solves for any number of right-hand sides, of least norm."""
    target = head(10, 25)
    wanted = RNG.standard_normal((10, 3))
    assert_close(
        HeadFactor.of(target).solve(wanted), np.linalg.lstsq(target.weight, wanted)[0], 1e-10
    )
    assert_close(
        HeadFactor.of(target).solve(wanted[:, 0]),
        np.linalg.lstsq(target.weight, wanted[:, 0])[0],
        1e-10,
    )


def test_a_head_of_zeros_has_no_rank():
    """A head without weights maps everything to zero."""
    target = Head(np.zeros((10, 4)))
    assert HeadFactor.of(target).rank == 0
    assert not fit(head(10, 6), target).weight.any()


def test_float32_heads_are_taken_in_float64():
    """Weights in float32 give the map of the same numbers in float64."""
    source, target = head(10, 6), head(10, 14)
    rough = [Head(h.weight.astype(np.float32), h.bias.astype(np.float32)) for h in (source, target)]
    exact = [Head(h.weight.astype(np.float64), h.bias.astype(np.float64)) for h in rough]
    assert np.array_equal(fit(*rough).weight, fit(*exact).weight)


def test_heads_over_other_classes_are_refused():
    """Other class counts, other classes and another order of them are refused."""
    with pytest.raises(
        InputError, match="heads of a and b: got 10 and 9 classes, expected the same"
    ):
        fit(head(10, 6), head(9, 6))
    target = head(10, 6)
    turned = Head(target.weight, target.bias, np.arange(10)[::-1].copy())
    with pytest.raises(InputError, match="the classes differ, or their order does"):
        fit(head(10, 6), turned)


def test_forms_that_are_none_are_refused():
    """An unknown form is refused, and the homogeneous one as an affine map."""
    target = head(10, 6)
    with pytest.raises(InputError, match="got form 'linear', expected one of affine, homogeneous"):
        HeadFactor.of(target, "linear")
    with pytest.raises(InputError, match="the homogeneous form is no affine map; factor the head"):
        analytic(Space("a", 6), Space("b", 6), target, HeadFactor.of(target, "homogeneous"))
