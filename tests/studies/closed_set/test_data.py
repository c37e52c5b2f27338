from functools import partial
from pathlib import Path

import numpy as np
import pytest

from intertwine.errors import Doubt, InputError, SpaceMismatchError
from intertwine.features.feature_set import FeatureSet
from intertwine.moments.moments import Moments
from intertwine.passes.moments.parts import chunks_with_extra
from intertwine.spaces import Head
from intertwine.studies.closed_set import fresh
from intertwine.studies.closed_set.data import ClosedSetData

RNG = np.random.default_rng(0)
DIMS = {"a": 4, "b": 5, "c": 3}


def heads_of(names="abc", classes=None):
    """Return heads over six classes, or over the classes given."""
    classes = np.arange(6) if classes is None else np.array(classes)
    return {a: Head(np.ones((len(classes), DIMS[a])), np.zeros(0), classes) for a in names}


@pytest.fixture
def make(tmp_path, write_folder):
    """Return a function that writes and opens a set."""

    def open_set(part, names="abc", n=20, **facts):
        features = {a: RNG.standard_normal((n, DIMS[a])) for a in names}
        return FeatureSet.open(write_folder(tmp_path / part, features, **facts))

    return open_set


def labels_of(values, n=20):
    """Return n labels that cycle through some values."""
    return np.resize(np.array(values), n)


def test_the_spaces_of_both_sets_are_studied_and_others_noted(make):
    """Only spaces in both sets are studied; the others are named in a note."""
    fit = make("fit", "ab")
    evaluation = make("eval", "bac", heads=heads_of(), labels=labels_of([0, 5]))
    data = ClosedSetData.of(fit, evaluation)
    assert data.names == ["a", "b"]
    assert data.networks == ["a", "b"]
    assert "left out, being in only one of the two sets: c" in data.notes


def test_controls_come_last(make):
    """Networks keep their order and controls follow them."""
    evaluation = make("eval", heads=heads_of(), labels=labels_of([1]))
    data = ClosedSetData.of(make("fit"), evaluation, controls=["a"])
    assert (data.names, data.controls) == (["b", "c", "a"], ["a"])
    assert data.networks == ["b", "c"]


def test_heads_may_stand_in_either_set(make):
    """A head is found beside the evaluation rows or beside the fit rows."""
    fit = make("fit", heads=heads_of("ab"))
    evaluation = make("eval", heads=heads_of("bc"), labels=labels_of([0]))
    assert sorted(ClosedSetData.of(fit, evaluation).heads) == ["a", "b", "c"]


def test_labels_become_positions_among_the_heads_classes(make):
    """Labels are looked up among the classes that the heads stand for, in any order."""
    classes = [30, 10, 20]
    evaluation = make("eval", heads=heads_of(classes=classes), labels=labels_of([10, 20, 30], n=20))
    fit = make("fit", labels=labels_of([20, 30]))
    data = ClosedSetData.of(fit, evaluation)
    assert data.n_classes == 3
    np.testing.assert_array_equal(np.array(classes)[data.labels], evaluation.labels)
    np.testing.assert_array_equal(np.array(classes)[data.fit_labels], fit.labels)


def test_fit_labels_are_not_needed(make):
    """A fit set without labels is accepted all the same."""
    evaluation = make("eval", heads=heads_of(), labels=labels_of([0]))
    assert ClosedSetData.of(make("fit"), evaluation).fit_labels is None


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 6], "label 6 of row 1 is out of range"),
        ([-1], "label -1 of row 0"),
        (None, "no labels"),
    ],
)
def test_refuses_labels_out_of_range_or_absent(make, labels, message):
    """A label that no class has is refused with its row; no labels at all are refused."""
    labels = None if labels is None else labels_of(labels)
    evaluation = make("eval", heads=heads_of(), labels=labels)
    with pytest.raises(InputError, match=message):
        ClosedSetData.of(make("fit"), evaluation)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"c": None}, "space c has no head"),
        ({"c": Head(np.ones((7, 3)))}, "heads of a and c: got 6 and 7 classes"),
        (
            {"c": Head(np.ones((6, 3)), np.zeros(6), np.arange(6)[::-1].copy())},
            "heads of a and c: the classes differ, or their order does",
        ),
    ],
    ids=["absent", "count", "order"],
)
def test_refuses_heads_that_do_not_fit_together(make, change, message):
    """Heads that are absent, of other counts or of another order of classes are refused."""
    heads = {name: head for name, head in {**heads_of(), **change}.items() if head is not None}
    evaluation = make("eval", heads=heads, labels=labels_of([0]))
    with pytest.raises(InputError, match=message):
        ClosedSetData.of(make("fit"), evaluation)


def test_refuses_heads_that_differ_between_the_sets(make):
    """A space whose heads differ between the two sets is refused."""
    fit = make("fit", heads={"b": Head(2 * np.ones((6, 5)))})
    evaluation = make("eval", heads=heads_of(), labels=labels_of([0]))
    with pytest.raises(InputError, match=r"space b: its heads in .* differ"):
        ClosedSetData.of(fit, evaluation)


def test_refuses_a_space_of_another_dimension(tmp_path, make, write_folder):
    """A space must have one dimension in both sets."""
    write_folder(tmp_path / "fit", {"a": np.ones((9, 4)), "b": np.ones((9, 6))})
    evaluation = make("eval", heads=heads_of(), labels=labels_of([0]))
    with pytest.raises(SpaceMismatchError, match="got space b of dimension 5, expected b of dim"):
        ClosedSetData.of(FeatureSet.open(tmp_path / "fit"), evaluation)


def test_refuses_too_little(make):
    """One shared space, one fit row and an unknown control are refused."""
    evaluation = make("eval", heads=heads_of(), labels=labels_of([0]))
    with pytest.raises(InputError, match="got 1 space in both sets"):
        ClosedSetData.of(make("one", "a"), evaluation)
    with pytest.raises(InputError, match="got n = 1 row, expected at least 2"):
        ClosedSetData.of(make("row", n=1), evaluation)
    with pytest.raises(InputError, match="got control 'z', expected one of the spaces"):
        ClosedSetData.of(make("fit"), evaluation, controls=["z"])


def rows_both(make, kind):
    """Return a fit set and an evaluation set of 20 rows, 10 of them in both, told by ids or values."""
    facts = {"heads": heads_of(), "labels": labels_of([0])}
    rng = np.random.default_rng(3)
    rows = {name: rng.standard_normal((30, dim)).astype("f4") for name, dim in DIMS.items()}
    sides = []
    for name, part in (("fit", slice(0, 20)), ("eval", slice(10, 30))):
        folder = Path(str(make(name, **facts).paths[0]))
        order = np.random.default_rng(4).permutation(20) if name == "eval" else np.arange(20)
        for space, array in rows.items():
            wide = array.astype("f8") if kind == "values" and name == "eval" else array
            np.save(folder / f"{space}.npy", wide[part][order])
        if kind == "ids" or (kind == "one side's ids" and name == "fit"):
            ids = [f"x{k}" for k in range(30)[part]]
            (folder / "ids.txt").write_text("".join(f"{ids[k]}\n" for k in order))
        sides.append(FeatureSet.open(folder))
    return sides


@pytest.mark.parametrize("kind", ["ids", "values", "one side's ids"])
def test_rows_of_both_sets_are_refused(make, kind):
    """Rows that were fitted on and are scored are refused by number, in any order; allowed, doubted."""
    fit, evaluation = rows_both(make, kind)
    with pytest.raises(InputError, match=r"10 of 20 evaluation rows are in the fit set .*--allow"):
        ClosedSetData.of(fit, evaluation)
    data = ClosedSetData.of(fit, evaluation, allow_overlap=True)
    assert data.overlap == 10
    (doubt,) = [note for note in data.notes if isinstance(note, Doubt)]
    assert doubt == "10 of 20 evaluation rows were also fitted on: scores are too good"


def test_rows_that_agree_in_one_space_are_others(make):
    """Without ids a row is in both sets only where it is so in every space."""
    fit, evaluation = rows_both(make, "values")
    (folder,) = evaluation.paths
    np.save(folder / "a.npy", np.load(folder / "a.npy") + 1)
    assert ClosedSetData.of(fit, FeatureSet.open(folder)).overlap == 0


def test_rows_under_other_ids_are_doubted(make):
    """Where ids are others but rows are equal, a doubt counts them."""
    fit, evaluation = rows_both(make, "ids")
    (folder,) = evaluation.paths
    (folder / "ids.txt").write_text("".join(f"y{k}\n" for k in range(20)))
    data = ClosedSetData.of(fit, FeatureSet.open(folder))
    assert any("10 evaluation rows equal a row of the fit set" in note for note in data.notes)
    assert data.overlap == 0


def test_chunks_carry_fresh_features_by_id(make):
    """Beside the spaces' own rows stand random features that depend on the row's id alone."""
    evaluation = make("eval", heads=heads_of(), labels=labels_of([0]))
    data = ClosedSetData.of(make("fit"), evaluation)
    rows = np.array([3, 4, 17])
    moments = Moments({**dict.fromkeys("abc", 1), fresh.NAME: data.n_classes})
    extra = partial(fresh.extra_features, dim=data.n_classes)
    ((chosen, chunk),) = chunks_with_extra(data.fit, moments, rows, extra)
    np.testing.assert_array_equal(chosen, rows)
    expected = fresh.fresh_features(data.fit.id_hashes, 6)[rows]
    np.testing.assert_array_equal(chunk[fresh.NAME], expected)
    for name in "abc":
        np.testing.assert_array_equal(chunk[name], data.fit.read([name], rows)[name])
