import numpy as np
import pytest

from intertwine.errors import InputError


@pytest.fixture
def step(linear_map):
    """Return the step of the map."""
    from intertwine.maps.exports.sklearn import MapTransformer

    return MapTransformer(linear_map)


def test_a_step_maps_as_apply_does(step, linear_map, vectors):
    """The step gives the very bytes of `LinearMap.apply`, fitted or not."""
    expected = linear_map.apply(vectors).tobytes()
    assert step.transform(vectors).tobytes() == expected
    assert step.fit_transform(vectors).tobytes() == expected
    assert list(step.get_feature_names_out()) == [f"maptransformer{k}" for k in range(5)]


def test_a_pipeline_of_the_target_takes_vectors_of_the_source(step, linear_map, vectors):
    """Before a pipeline fitted on the target's vectors, the step lets it score the source's."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels = np.arange(20) % 3
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(
        linear_map.apply(vectors), labels
    )
    both = make_pipeline(step, fitted)
    assert np.array_equal(
        both.predict_proba(vectors), fitted.predict_proba(linear_map.apply(vectors))
    )


def test_another_dimension_is_refused(step):
    """Vectors of another dimension end in one line."""
    with pytest.raises(InputError, match="a--b"):
        step.transform(np.ones((2, 6)))
