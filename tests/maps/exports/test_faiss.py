import faiss
import numpy as np
from tests.helpers import assert_close

from intertwine.maps.exports import faiss_transform


def test_transforms_map_as_apply_does(linear_map, vectors, expected, unit):
    """Transforms one after the other give what `LinearMap.apply` gives."""
    mapped = vectors
    for transform in faiss_transform(linear_map, unit=unit):
        mapped = transform.apply(mapped)
    assert_close(mapped, expected, 1e-6)


def test_an_index_takes_queries_of_the_source(tmp_path, linear_map, vectors, expected, unit):
    """An index of the target's vectors, behind the transforms, finds them by queries of the source, also read back."""
    flat = faiss.IndexFlatIP(5)
    flat.add(expected.astype(np.float32))
    index = faiss.IndexPreTransform(flat)
    for transform in reversed(faiss_transform(linear_map, unit=unit)):
        index.prepend_transform(transform)
    faiss.write_index(index, str(tmp_path / "index"))
    scores, found = faiss.read_index(str(tmp_path / "index")).search(vectors, 3)
    products = expected @ expected.T
    assert np.array_equal(found, np.argsort(-products, axis=1)[:, :3])
    assert_close(scores, -np.sort(-products, axis=1)[:, :3], 1e-5)
