from functools import partial

import numpy as np
import pytest

from intertwine.errors import InputError, SpaceMismatchError
from intertwine.features import fresh
from intertwine.features.feature_set import FeatureSet
from intertwine.moments import Moments
from intertwine.passes.moment_parts import chunks_beside
from intertwine.spaces import Head
from intertwine.studies.problem import Problem

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
    problem = Problem.of(fit, evaluation)
    assert problem.names == ["a", "b"]
    assert problem.networks == ["a", "b"]
    assert "left out, being in only one of the two sets: c" in problem.notes


def test_controls_come_last(make):
    """Networks keep their order and controls follow them."""
    evaluation = make("eval", heads=heads_of(), labels=labels_of([1]))
    problem = Problem.of(make("fit"), evaluation, controls=["a"])
    assert (problem.names, problem.controls) == (["b", "c", "a"], ["a"])
    assert problem.networks == ["b", "c"]


def test_heads_may_stand_in_either_set(make):
    """A head is found beside the evaluation rows or beside the fit rows."""
    fit = make("fit", heads=heads_of("ab"))
    evaluation = make("eval", heads=heads_of("bc"), labels=labels_of([0]))
    assert sorted(Problem.of(fit, evaluation).heads) == ["a", "b", "c"]


def test_labels_become_positions_among_the_heads_classes(make):
    """Labels are looked up among the classes that the heads stand for, in any order."""
    classes = [30, 10, 20]
    evaluation = make("eval", heads=heads_of(classes=classes), labels=labels_of([10, 20, 30], n=20))
    fit = make("fit", labels=labels_of([20, 30]))
    problem = Problem.of(fit, evaluation)
    assert problem.n_classes == 3
    np.testing.assert_array_equal(np.array(classes)[problem.labels], evaluation.labels)
    np.testing.assert_array_equal(np.array(classes)[problem.fit_labels], fit.labels)


def test_fit_labels_are_not_needed(make):
    """A fit set without labels is a problem all the same."""
    evaluation = make("eval", heads=heads_of(), labels=labels_of([0]))
    assert Problem.of(make("fit"), evaluation).fit_labels is None


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
        Problem.of(make("fit"), evaluation)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"c": None}, "space c has no head"),
        ({"c": Head(np.ones((7, 3)))}, "heads of a and c: got 6 and 7 classes"),
        (
            {"c": Head(np.ones((6, 3)), np.zeros(6), np.arange(6)[::-1].copy())},
            "heads of a and c: the classes differ or stand in another order",
        ),
    ],
    ids=["absent", "count", "order"],
)
def test_refuses_heads_that_do_not_fit_together(make, change, message):
    """Heads that are absent, of other counts or of another order of classes are refused."""
    heads = {name: head for name, head in {**heads_of(), **change}.items() if head is not None}
    evaluation = make("eval", heads=heads, labels=labels_of([0]))
    with pytest.raises(InputError, match=message):
        Problem.of(make("fit"), evaluation)


def test_refuses_heads_that_differ_between_the_sets(make):
    """A space whose heads differ between the two sets is refused."""
    fit = make("fit", heads={"b": Head(2 * np.ones((6, 5)))})
    evaluation = make("eval", heads=heads_of(), labels=labels_of([0]))
    with pytest.raises(InputError, match=r"space b: its heads in .* differ"):
        Problem.of(fit, evaluation)


def test_refuses_a_space_of_another_dimension(tmp_path, make, write_folder):
    """A space must have one dimension in both sets."""
    write_folder(tmp_path / "fit", {"a": np.ones((9, 4)), "b": np.ones((9, 6))})
    evaluation = make("eval", heads=heads_of(), labels=labels_of([0]))
    with pytest.raises(SpaceMismatchError, match="got space b of dimension 5, expected b of dim"):
        Problem.of(FeatureSet.open(tmp_path / "fit"), evaluation)


def test_refuses_too_little(make):
    """One shared space, one fit row and an unknown control are refused."""
    evaluation = make("eval", heads=heads_of(), labels=labels_of([0]))
    with pytest.raises(InputError, match="got 1 space in both sets"):
        Problem.of(make("one", "a"), evaluation)
    with pytest.raises(InputError, match="got n = 1 rows, expected at least 2"):
        Problem.of(make("row", n=1), evaluation)
    with pytest.raises(InputError, match="got control 'z', expected one of the spaces"):
        Problem.of(make("fit"), evaluation, controls=["z"])


def test_rows_of_both_sets_are_noted(make):
    """Rows that were fitted on and are scored are counted by id; one folder for both is noted."""
    facts = {"heads": heads_of(), "labels": labels_of([0])}
    fit = make("fit", ids=[f"x{i}" for i in range(20)], **facts)
    half = make("half", ids=[f"x{i}" for i in range(10, 30)], **facts)
    plain = make("plain", **facts)
    assert "10 evaluation rows were also fitted on" in " ".join(Problem.of(fit, half).notes)
    assert "read the same folder" in " ".join(Problem.of(plain, plain).notes)
    assert Problem.of(plain, fit).notes == []


def test_chunks_carry_fresh_features_by_id(make):
    """Beside the spaces' own rows stand random features that depend on the row's id alone."""
    evaluation = make("eval", heads=heads_of(), labels=labels_of([0]))
    problem = Problem.of(make("fit"), evaluation)
    rows = np.array([3, 4, 17])
    moments = Moments({**dict.fromkeys("abc", 1), fresh.NAME: problem.n_classes})
    beside = partial(fresh.beside, dim=problem.n_classes)
    ((chosen, chunk),) = chunks_beside(problem.fit, moments, rows, beside)
    np.testing.assert_array_equal(chosen, rows)
    expected = fresh.fresh_features(problem.fit.id_hashes, 6)[rows]
    np.testing.assert_array_equal(chunk[fresh.NAME], expected)
    for name in "abc":
        np.testing.assert_array_equal(chunk[name], problem.fit.read([name], rows)[name])
