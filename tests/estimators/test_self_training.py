import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ortho_group

from intertwine.errors import InputError
from intertwine.estimators import FitOptions, Fitter, PartlyPaired, self_training
from intertwine.features.samples import FACES, find_sample, unpack_faces
from intertwine.maps.linear_map import LinearMap
from intertwine.maps.map_pair import MapPair
from intertwine.moments.moments import Moments
from intertwine.numerics.linalg import unit

# The package's function hides the module of that name.
MODULE = sys.modules["intertwine.estimators.self_training"]
SPACES = {"a": 40, "b": 30}


def people(n, *, seed=0, dims=SPACES, latent=24, noise=0.25):
    """Return two views of n items, each with a noise of its own, (n, d) by space."""
    views = {
        name: ortho_group.rvs(dim, random_state=np.random.default_rng([5, i]))[:latent]
        for i, (name, dim) in enumerate(dims.items())
    }
    rng = np.random.default_rng(seed)
    cause = rng.standard_normal((n, latent)) * np.geomspace(1, 0.4, latent)
    return {
        name: unit((cause + noise * rng.standard_normal((n, latent))) @ view)
        for name, view in views.items()
    }


def split(rows, n_pairs, *, overlap=1.0):
    """Return the first rows as pairs, the others as unpaired, and the others in both spaces.

    Of the others only a share is in both spaces; the rest of the two sides are different items.
    """
    n = len(rows["a"]) - n_pairs
    pairs = {name: x[:n_pairs] for name, x in rows.items()}
    others = {name: x[n_pairs:] for name, x in rows.items()}
    both = round(n * overlap)
    alone = (n - both) // 2
    mine = {
        "a": others["a"][: both + alone],
        "b": others["b"][[*range(both), *range(n - alone, n)]],
    }
    return PartlyPaired(pairs, mine), others


def fit(rows, refit="cca", **options):
    """Return the map a → b."""
    moments = Moments({name: x.shape[1] for name, x in rows.pairs.items()})
    moments.update(rows.pairs)
    chosen = FitOptions(method="self-training", refit=refit, **options)
    return Fitter(chosen, rows=rows).fit(moments, "a", ["b"])["b"]


def paired(rows, method="cca"):
    """Return the map a → b of pairs alone."""
    moments = Moments({name: x.shape[1] for name, x in rows.pairs.items()})
    moments.update(rows.pairs)
    return Fitter(FitOptions(method=method)).fit(moments, "a", ["b"])["b"]


def facts(fitted):
    """Return what self-training says of itself."""
    return (fitted.source if isinstance(fitted, MapPair) else fitted).info["self_training"]


def cosines(fitted, a, b):
    """Return the cosines of rows of both spaces under a map or a pair of maps."""
    if isinstance(fitted, MapPair):
        return unit(fitted.source.apply(a)) @ unit(fitted.target.apply(b)).T
    return unit(fitted.apply(a)) @ unit(b).T


def rank1(fitted, rows):
    """Return how many rows of a find their own row of b first."""
    return (
        cosines(fitted, rows["a"], rows["b"]).argmax(axis=1) == np.arange(len(rows["a"]))
    ).mean()


# -- the map ------------------------------------------------------------------------------------


def test_unpaired_rows_make_up_for_few_pairs():
    """With the same items on both sides a few pairs are enough for what all pairs reach."""
    rows, others = split(people(500), 12)
    before, fitted = rank1(paired(rows), others), fit(rows)
    whole = paired(PartlyPaired(people(500), {}))
    assert facts(fitted)["believed"] is True
    assert facts(fitted)["rank"] < facts(fitted)["rank_paired"]
    assert rank1(fitted, others) > max(2 * before, 0.95 * rank1(whole, others))


@pytest.mark.parametrize("overlap", [0.5, 0.25, 0.0])
@pytest.mark.parametrize("n_pairs", [12, 40])
def test_it_is_never_much_worse_than_pairs_alone(n_pairs, overlap):
    """Whatever share of items both sides have, new items are found as well as by pairs alone."""
    rows, _ = split(people(500, seed=2), n_pairs, overlap=overlap)
    fresh = people(500, seed=9)
    assert rank1(fit(rows), fresh) >= rank1(paired(rows), fresh) - 0.02


def test_unrelated_sides_leave_the_map_of_pairs():
    """Where pairs mean nothing the result is, to the last bit, the map that pairs alone give."""
    rows, _ = split(people(300), 30)
    shuffled = np.random.default_rng(1).permutation(30)
    rows = replace(rows, pairs={"a": rows.pairs["a"], "b": rows.pairs["b"][shuffled]})
    fitted, alone = fit(rows), paired(rows)
    assert facts(fitted)["believed"] is False
    assert (facts(fitted)["kind"], facts(fitted)["steps"]) == ("paired", 0)
    for side in ("source", "target"):
        assert np.array_equal(getattr(fitted, side).weight, getattr(alone, side).weight)
        assert np.array_equal(getattr(fitted, side).bias, getattr(alone, side).bias)


def test_turned_spaces_give_the_same_cosines():
    """A rotation and a shift of either space, and a scale of it, change nothing."""
    plain, others = split(people(260), 25)
    rng = np.random.default_rng(8)
    turn = {name: ortho_group.rvs(dim, random_state=rng) for name, dim in SPACES.items()}

    def turned(rows):
        return {name: 3 * x @ turn[name] + 7 for name, x in rows.items()}

    moved = fit(PartlyPaired(turned(plain.pairs), turned(plain.unpaired)), alpha=0.0)
    fitted, far = fit(plain, alpha=0.0), turned(others)
    assert facts(fitted)["kind"] == facts(moved)["kind"]
    assert facts(fitted)["steps"] == facts(moved)["steps"]
    np.testing.assert_allclose(
        cosines(moved, far["a"], far["b"]), cosines(fitted, others["a"], others["b"]), atol=1e-3
    )


def test_the_order_of_unpaired_rows_does_not_matter():
    """Unpaired rows in another order give the same map."""
    plain, others = split(people(260), 25)
    rng = np.random.default_rng(4)
    mixed = {name: x[rng.permutation(len(x))] for name, x in plain.unpaired.items()}
    fitted, moved = fit(plain), fit(replace(plain, unpaired=mixed))
    assert facts(fitted)["steps"] == facts(moved)["steps"]
    np.testing.assert_allclose(cosines(moved, **others), cosines(fitted, **others), atol=1e-3)


def test_some_of_many_rows_take_part(monkeypatch):
    """Of more rows of the source than may take part, evenly spaced ones do, and lead as far."""
    monkeypatch.setattr(MODULE, "TRIAL_ROWS", 200)
    monkeypatch.setattr(MODULE, "FINAL_ROWS", 250)
    rows, others = split(people(500), 12)
    assert rank1(fit(rows), others) > 2 * rank1(paired(rows), others)


@pytest.mark.parametrize("refit", ["ridge", "procrustes", "cca"])
def test_the_map_is_of_the_kind_asked_for(refit):
    """A method that maps into the target's own space does so here, and pairs of maps stay pairs."""
    rows, others = split(people(500), 12)
    fitted = fit(rows, refit)
    assert isinstance(fitted, MapPair if refit == "cca" else LinearMap)
    assert rank1(fitted, others) > rank1(paired(rows, refit), others)


def test_steps_from_nearly_all_pairs_are_judged_too(monkeypatch):
    """Where a trial of a quarter fails, steps from nearly all pairs count if those left out say so."""
    monkeypatch.setattr(MODULE, "MAX_STEPS", 1)
    monkeypatch.setattr(MODULE._Trial, "_walk", lambda self: (self.alone + 1, 1, [{}] * 4))
    monkeypatch.setattr(MODULE, "FOUND", 0)
    rows, others = split(people(500), 12)
    fitted = fit(rows)
    assert facts(fitted)["kind"] == "refitted"
    assert facts(fitted)["steps"] > 1
    assert facts(fitted)["held_out"] == 4
    assert facts(fitted)["rank"] < facts(fitted)["rank_paired"]
    assert rank1(fitted, others) > 0.9


def test_what_it_says_of_itself_is_numbers_alone():
    """The facts of a map are a few JSON numbers, none of which is as long as the rows."""
    rows, _ = split(people(260), 25)
    said = json.loads(json.dumps(facts(fit(rows)), allow_nan=False))
    assert said.keys() == {
        *("believed", "kind", "steps", "share", "share_by_chance"),
        *("held_out", "rank", "rank_paired"),
    }
    assert all(isinstance(value, bool | int | float | str) for value in said.values())


@pytest.mark.parametrize("overlap", [1, 0])
def test_real_faces(tmp_path, overlap):
    """On real faces 60 known people with all others unlabelled find far more, and with none no fewer."""
    folder, _, _ = unpack_faces(find_sample(FACES), tmp_path)
    person = np.load(folder / "labels.npy")
    names, counts = np.unique(person, return_counts=True)
    several = names[counts > 1][:760]
    images = np.array([np.flatnonzero(person == each)[:2] for each in several])
    features = {
        space: unit(np.load(folder / f"{name}.npy").astype(np.float64))
        for space, name in (("a", "mobilefacenet_128"), ("b", "sface"))
    }
    # Different images of a person on the two sides; the last hundred people are searched for.
    rows = {"a": features["a"][images[:, 0]], "b": features["b"][images[:, 1]]}
    searched = {name: x[-100:] for name, x in rows.items()}
    theirs = (
        rows["b"][60:660]
        if overlap
        else unit(features["b"][np.isin(person, names[counts == 1])][:600])
    )
    known = PartlyPaired(
        {name: x[:60] for name, x in rows.items()}, {"a": rows["a"][60:660], "b": theirs}
    )
    before, after = rank1(paired(known), searched), rank1(fit(known), searched)
    assert after > 0.9 if overlap else after >= before - 0.02


# -- bad input ----------------------------------------------------------------------------------


def changed(side, space, value):
    """Return partly paired rows of which some rows of a space are replaced."""
    rows, _ = split(people(60), 10)
    return replace(rows, **{side: {**getattr(rows, side), space: value}})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            changed("unpaired", "b", np.ones((5, 31))),
            "unpaired rows of b: got dimension 31, expected 30",
        ),
        (changed("unpaired", "a", np.full((5, 40), np.nan)), "unpaired rows of a: NaN or infinite"),
        (
            changed("unpaired", "a", np.empty((0, 40))),
            "got no unpaired rows of a, expected at least one",
        ),
        (changed("pairs", "b", np.full((10, 30), np.inf)), "pairs of b: NaN or infinite"),
        (changed("pairs", "b", np.ones((9, 30))), "got 10 and 9 paired rows, expected as many"),
        (PartlyPaired(people(9), {"a": people(9)["a"]}), "got no unpaired rows of space b"),
        (PartlyPaired(people(4), people(9)), "got 4 pairs, expected at least 5 for self-training"),
        (
            PartlyPaired(
                {**people(9), "b": np.ones((9, 30))}, {**people(9), "b": np.ones((20, 30))}
            ),
            "all rows of b are the same",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_refused(rows, message):
    """Rows of another dimension, NaN, too few pairs and constant sides are refused by name."""
    spaces = [Moments(SPACES).space(name) for name in "ab"]
    with pytest.raises(InputError, match=message):
        self_training(rows, *spaces, lambda _: pytest.fail("nothing is fitted"))


def test_the_method_needs_unpaired_rows_and_a_fitted_method():
    """Without unpaired rows, or with a method that is not fitted on rows, the method is refused."""
    moments = Moments(SPACES)
    moments.update(people(20))
    with pytest.raises(InputError, match="needs unpaired rows: give them with --unpaired"):
        Fitter(FitOptions(method="self-training")).fit(moments, "a", ["b"])
    with pytest.raises(InputError, match="got refit 'mean', expected one of cca, procrustes"):
        FitOptions(method="self-training", refit="mean")
    with pytest.raises(InputError, match="method cca takes intercept free"):
        FitOptions(method="self-training", intercept="none")
