import pickle

import numpy as np
import pytest
from tests.helpers import assert_close

from intertwine.errors import InputError
from intertwine.maps.exports import (
    QueryBridge,
    faiss_transform,
    pgvector_sql,
    save_onnx,
    torch_linear,
)


def test_queries_are_mapped_as_apply_maps_them(linear_map, vectors, expected, unit):
    """One query or several, of any type, come out as `LinearMap.apply` has them, in float32."""
    bridge = QueryBridge(linear_map, unit=unit)
    assert_close(bridge(vectors), expected, 1e-6)
    assert_close([bridge(vector) for vector in vectors], expected, 1e-6)
    assert_close(bridge(vectors[0].astype(np.float64).tolist()), expected[0], 1e-6)
    assert bridge(vectors.astype(np.float64)).dtype == np.float32


def test_a_bridge_can_be_sent(linear_map, vectors):
    """A pickled bridge maps as before, bit for bit."""
    bridge = QueryBridge(linear_map)
    sent = pickle.loads(pickle.dumps(bridge))  # noqa: S301 - made here
    assert sent(vectors).tobytes() == bridge(vectors).tobytes()


@pytest.mark.parametrize("shape", [(6,), (2, 6), (), (1, 2, 7)])
def test_queries_of_another_shape_are_refused(linear_map, shape):
    """Another dimension is refused, with what was expected."""
    with pytest.raises(InputError, match=r"expected \(7,\) or \(n, 7\) for map a--b"):
        QueryBridge(linear_map)(np.ones(shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
@pytest.mark.parametrize("n", [None, 3])
def test_bad_numbers_are_refused(linear_map, bad, n):
    """NaN, infinity and what float32 cannot hold end in one line."""
    with (
        np.errstate(over="ignore"),
        pytest.raises(InputError, match="map a--b: NaN, infinite or too large"),
    ):
        QueryBridge(linear_map)(np.full((7,) if n is None else (n, 7), bad))


def test_a_query_without_direction_is_refused(linear_map):
    """What is mapped to zero cannot be scaled to length 1."""
    linear_map.bias[:] = 0
    assert not QueryBridge(linear_map)(np.zeros(7)).any()
    with pytest.raises(InputError, match="mapped to zero, which has no direction"):
        QueryBridge(linear_map, unit=True)(np.zeros(7))


@pytest.mark.parametrize(
    "export",
    [
        QueryBridge,
        faiss_transform,
        torch_linear,
        lambda m: save_onnx(m, "never"),
        lambda m: list(pgvector_sql(m, "f")),
    ],
    ids=["bridge", "faiss", "torch", "onnx", "sql"],
)
def test_weights_beyond_float32_are_refused(large_map, export):
    """No form is made of weights that it could not hold."""
    with pytest.raises(InputError, match="map a--b: weights are too large for float32"):
        export(large_map)
