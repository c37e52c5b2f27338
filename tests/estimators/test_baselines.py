import numpy as np
import pytest
from tests.helpers import CASES, assert_close, make, moments_of

from intertwine.errors import InputError
from intertwine.estimators import identity, mean_vector
from intertwine.spaces import Space


@pytest.mark.parametrize(("d", "q"), [(3, 3), (3, 5), (5, 3), (1, 4)])
def test_identity_pads_or_cuts(d, q):
    """The identity keeps features as they are, zero-padded or cut to the target's dimension."""
    features = np.random.default_rng(0).standard_normal((6, d))
    expected = np.zeros((6, q))
    expected[:, : min(d, q)] = features[:, : min(d, q)]
    got = identity(Space("a", d), Space("b", q))
    assert np.array_equal(got.apply(features), expected)
    assert (got.method, got.info) == ("identity", {"n": 0})


@pytest.mark.parametrize("case", CASES)
def test_mean_vector_answers_the_mean(case):
    """Whatever it is given it answers the target's mean, as scikit-learn's dummy does."""
    from sklearn.dummy import DummyRegressor

    a, b = make(case)
    got = mean_vector(moments_of(a, b), "a", "b")
    expected = DummyRegressor().fit(a, b).predict(a).reshape(b.shape)
    assert_close(got.apply(a), expected, 1e-12)
    assert not got.weight.any()
    assert (got.method, got.info["n"]) == ("mean", len(a))


def test_unknown_spaces_are_refused():
    """A space that the moments lack is refused by name."""
    moments = moments_of(*make("tall"))
    with pytest.raises(InputError, match="got source 'x'"):
        mean_vector(moments, "x", "b")
    with pytest.raises(InputError, match="got space 'x'"):
        mean_vector(moments, "a", "x")
