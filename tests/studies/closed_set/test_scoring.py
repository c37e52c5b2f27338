import numpy as np
import pytest

from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.maps.linear_map import LinearMap
from intertwine.spaces import Head, Space
from intertwine.studies.closed_set import scoring as score
from intertwine.studies.closed_set.scoring import (
    CHUNK_ROWS,
    Classifier,
    count,
    predict,
    residuals,
    total_spread,
)

RNG = np.random.default_rng(0)
N, K = 2 * CHUNK_ROWS + 77, 8


@pytest.fixture(scope="module")
def stored(tmp_path_factory, write_folder):
    """Return a feature set of two spaces, its arrays, heads and labels."""
    arrays = {"a": RNG.standard_normal((N, 6)), "b": RNG.standard_normal((N, 4)) + 2}
    heads = {
        a: Head(RNG.standard_normal((K, x.shape[1])), RNG.standard_normal(K))
        for a, x in arrays.items()
    }
    folder = write_folder(tmp_path_factory.mktemp("set"), arrays)
    return FeatureSet.open(folder), arrays, heads, RNG.integers(K, size=N)


def a_map():
    """Return some map from a to b."""
    return LinearMap(
        RNG.standard_normal((4, 6)), RNG.standard_normal(4), Space("a", 6), Space("b", 4), "test"
    )


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_predictions_are_those_of_the_head(stored, precision):
    """Each row's prediction is the class of its largest logit."""
    opened, arrays, heads, _ = stored
    logits = arrays["a"] @ heads["a"].weight.T + heads["a"].bias
    found = predict(opened, "a", heads["a"], precision=precision)
    assert (found != logits.argmax(axis=1)).sum() <= (precision == "float32")


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_counts_are_those_of_a_loop_over_rows(stored, precision):
    """Every count of a mapped classifier is what a plain loop over rows counts."""
    opened, arrays, heads, labels = stored
    linear_map = a_map()
    predictions = {a: predict(opened, a, head) for a, head in heads.items()}
    found = count(
        opened,
        "a",
        {"b": Classifier.folded(linear_map, heads["b"])},
        labels=labels,
        predictions=predictions,
        precision=precision,
    )["b"]
    expected = dict.fromkeys(
        ("correct", "correct_top5", "both", "gained", "lost", "differing", "agreeing"), 0
    )
    for x, y, label in zip(arrays["a"], arrays["b"], labels, strict=True):
        logits = heads["b"].weight @ (linear_map.weight @ x + linear_map.bias) + heads["b"].bias
        guess = int(np.argmax(logits))
        own = int(np.argmax(heads["a"].weight @ x + heads["a"].bias))
        other = int(np.argmax(heads["b"].weight @ y + heads["b"].bias))
        expected["correct"] += guess == label
        expected["correct_top5"] += label in np.argsort(logits)[-5:]
        expected["both"] += guess == label == own
        expected["gained"] += guess == label != own
        expected["lost"] += own == label != guess
        expected["differing"] += guess != own
        expected["agreeing"] += guess == other
    assert found.n == N
    for key, value in expected.items():
        assert abs(getattr(found, key) - value) <= (precision == "float32"), key


def test_a_classifier_may_be_compared_with_another_space(stored):
    """`targets` says whose predictions a classifier's are compared with."""
    opened, _, heads, labels = stored
    predictions = {a: predict(opened, a, head) for a, head in heads.items()}
    own = {"x": Classifier.of_head(heads["a"]), "y": Classifier.of_head(heads["a"])}
    found = count(
        opened,
        "a",
        own,
        labels=labels,
        predictions=predictions,
        targets={"x": "a", "y": "b"},
    )
    assert found["x"].agreeing == N
    assert found["x"].differing == found["x"].gained == found["x"].lost == 0
    assert found["y"].agreeing == (predictions["a"] == predictions["b"]).sum()


@pytest.mark.parametrize(("precision", "rtol"), [("float64", 1e-12), ("float32", 1e-5)])
def test_residuals_are_squared_distances_to_the_target(stored, precision, rtol):
    """The residual is the sum of squared differences between mapped and true rows."""
    opened, arrays, _, _ = stored
    linear_map = a_map()
    mapped = np.array([linear_map.weight @ x + linear_map.bias for x in arrays["a"]])
    expected = ((mapped - arrays["b"]) ** 2).sum()
    found = residuals(opened, "a", {"b": linear_map}, precision=precision)
    assert found["b"] == pytest.approx(expected, rel=rtol)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_spread_is_that_about_the_mean(tmp_path, write_folder, offset):
    """The total spread is NumPy's variance times the count, far from the origin too."""
    array = RNG.standard_normal((5000, 3)) + offset
    opened = FeatureSet.open(write_folder(tmp_path, {"a": array}))
    expected = array.var(axis=0).sum() * 5000
    assert total_spread(opened, ["a"])["a"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e3])
def test_a_constant_space_has_no_spread_at_all(tmp_path, write_folder, dtype, value):
    """Constant features spread by exactly 0, so that R² is seen to be undefined."""
    opened = FeatureSet.open(write_folder(tmp_path, {"a": np.full((5000, 3), value, dtype)}))
    assert total_spread(opened, ["a"]) == {"a": 0.0}


def test_rows_that_are_not_finite_are_named(tmp_path, write_folder):
    """NaN in rows to score is refused by folder, space and row number."""
    array = np.ones((N, 3), np.float32)
    array[CHUNK_ROWS + 5, 2] = np.nan
    opened = FeatureSet.open(write_folder(tmp_path / "eval", {"a": array}))
    with pytest.raises(InputError, match=f"eval: a: NaN or infinite .* rows {CHUNK_ROWS + 5};"):
        predict(opened, "a", Head(np.ones((2, 3))))


@pytest.mark.slow
def test_chunks_and_devices_change_no_count(stored, monkeypatch):
    """Scores of tensors, as a GPU takes them, and of small blocks of logits are the same counts."""
    import torch

    feature_set, _, heads, labels = stored
    own = predict(feature_set, "a", heads["a"])
    classifiers = {
        "own": Classifier.of_head(heads["a"]),
        "mapped": Classifier.folded(a_map(), heads["b"]),
    }
    given = {"labels": labels, "predictions": {"a": own}, "targets": {"mapped": "a"}}
    expected = count(feature_set, "a", classifiers, **given)
    assert expected["own"].n == N
    assert expected["own"].differing == 0
    monkeypatch.setattr(score, "MOST_LOGITS", 7 * 2 * K)
    assert count(feature_set, "a", classifiers, **given) == expected
    asked = []

    def to_device(array, device):
        asked.append(device)
        return torch.from_numpy(array)

    monkeypatch.setattr(score, "to_device", to_device)
    assert count(feature_set, "a", classifiers, device="cuda:1", **given) == expected
    np.testing.assert_array_equal(predict(feature_set, "a", heads["a"], device="cuda:1"), own)
    assert set(asked) == {"cuda:1"}


@pytest.mark.parametrize("size", [1e39, 1e60, 1e150])
def test_features_that_scores_cannot_hold_are_refused(tmp_path, size):
    """Float64 features beyond float32 are refused by float32 scores, without a word of NumPy's."""
    rows = np.random.default_rng(0).standard_normal((20, 3)) * size
    np.save(tmp_path / "a.npy", rows)
    head = Head(np.eye(3), np.zeros(3), np.arange(3))
    with pytest.raises(InputError, match="a: features are too large for float32 scores; rescale"):
        predict(FeatureSet.open(tmp_path), "a", head, precision="float32")
