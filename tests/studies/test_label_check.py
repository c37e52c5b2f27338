import numpy as np
import pytest

from intertwine.errors import Doubt
from intertwine.studies.label_check import label_doubts

K, N = 20, 600
LABELS = np.random.default_rng(0).integers(K, size=N)


def predictions(right, seed=1):
    """Return class numbers of which a share is right and the rest anything else."""
    rng = np.random.default_rng(seed)
    wrong = (LABELS + rng.integers(1, K, N)) % K
    return np.where(rng.random(N) < right, LABELS, wrong).astype(np.int32)


@pytest.mark.parametrize("right", [0.2, 0.67, 1.0])
def test_a_trained_network_is_not_doubted(right):
    """An accuracy that stands above chance, and above every shift, raises no doubt."""
    assert label_doubts("a", predictions(right), LABELS, K) == []


@pytest.mark.parametrize(
    ("shift", "words"),
    [
        (1, "labels shifted by one class (each less 1) reach"),
        (-1, "labels shifted by one class (each plus 1) reach"),
        (3, "labels shifted by 3 classes (each less 3) reach"),
    ],
)
def test_a_shift_of_the_labels_is_named(shift, words):
    """Labels off by some classes are told, with what they reach once they are put right."""
    (doubt,) = label_doubts("a", predictions(0.67), (LABELS + shift) % K, K)
    right = 100 * float((predictions(0.67) == LABELS).mean())
    assert f"{words} {right:.1f} %" in doubt
    assert "are labels.npy and its head in the same order of classes?" in doubt


def test_a_head_with_a_class_for_background():
    """Labels 0 … 999 of a head of 1,001 classes are off by one."""
    rng = np.random.default_rng(2)
    labels = rng.integers(1000, size=400)
    found = np.where(rng.random(400) < 0.7, labels + 1, rng.integers(1001, size=400))
    (doubt,) = label_doubts("a", found.astype(np.int32), labels, 1001)
    assert doubt.startswith("native accuracy of a is 0.")
    assert "shifted by one class (each plus 1)" in doubt


def test_another_order_of_classes_is_named():
    """Classes that are numbered otherwise are told by what a matching of half the rows reaches."""
    order = np.random.default_rng(3).permutation(K)
    (doubt,) = label_doubts("a", predictions(0.9), order[LABELS], K)
    assert "classes numbered in another order" in doubt
    share = float(doubt.split("another order ")[1].split(" %")[0])
    assert share == pytest.approx(90, abs=5)


def test_rows_in_another_order_leave_nothing_to_name():
    """Where no numbering of the classes helps, the order of the rows is asked about."""
    shuffled = np.random.default_rng(4).permutation(LABELS)
    (doubt,) = label_doubts("a", predictions(0.9), shuffled, K)
    assert "are the rows of a.npy in another order than labels?" in doubt


@pytest.mark.parametrize("n", [1, 3, 10])
def test_few_rows_of_many_classes(n):
    """So few rows prove no shift and no order, but an accuracy of 0 is doubted."""
    labels = np.arange(n)
    (doubt,) = label_doubts("a", (labels + 500).astype(np.int32), labels, 1000)
    assert "native accuracy of a is 0.0 %, below chance 0.1 %" in doubt


@pytest.mark.parametrize(("n", "n_classes"), [(1, 5), (5, 2)])
def test_rows_too_few_to_tell_from_chance(n, n_classes):
    """A network that is always right is not doubted where chance might be so too; a note says so."""
    labels = np.arange(n) % n_classes
    (note,) = label_doubts("a", labels.copy(), labels, n_classes)
    assert note.startswith(
        "native accuracy of a is 100.0 %, which so few rows cannot tell from chance"
    )
    assert not isinstance(note, Doubt)
