"""Migrations into FAISS indexes whose codes round vectors."""

import faiss
import numpy as np
import pytest

from intertwine.errors import FileFormatError, InputError
from intertwine.maps.linear_map import LinearMap
from intertwine.passes.migrate import run as module
from intertwine.passes.migrate.run import MigrateOptions, migrate
from intertwine.spaces import Space
from intertwine.stores import open_store

N, D, E = 1200, 16, 24
RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((N, D)).astype(np.float32)
KINDS = ["SQ8", "SQ4", "SQfp16", "HNSW8,SQ8", "IVF4,SQ8", "IDMap2,SQ8"]
FACTORIES = [
    "IVF4,PQ12x4",
    "PQ12x4",
    "HNSW8_PQ12x4",
    "OPQ12,IVF4,PQ12x4",
    "PCAR12,Flat",
    "IVF4,SQ4",
]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Return a map and its file."""
    weight = np.linalg.qr(np.random.default_rng(1).standard_normal((E, D)))[0]
    drawn = LinearMap(weight, np.full(E, 0.1), Space("a", D), Space("b", E), "drawn")
    path = tmp_path_factory.mktemp("map") / "m.safetensors"
    drawn.save(path)
    return drawn, path


def save(path, factory, rows=ROWS):
    """Write an index; return its address."""
    index = faiss.index_factory(rows.shape[1], factory)
    index.train(rows)
    if "IDMap" in factory:
        index.add_with_ids(rows, np.arange(len(rows)) * 3)
    else:
        index.add(rows)
    faiss.write_index(index, str(path))
    return f"faiss:{path}"


def cases():
    """Return sources and targets, of one kind each and by a factory."""
    # Training product codes takes seconds, which OPQ's index has of all parts.
    slow = {"IVF4,PQ12x4", "HNSW8_PQ12x4", "PQ12x4", "IVF4,SQ4"}
    return [(kind, "") for kind in KINDS] + [
        pytest.param("Flat", f"?factory={each}", marks=pytest.mark.slow if each in slow else ())
        for each in FACTORIES
    ]


@pytest.mark.quick("SQ4-", "IVF4,SQ8-", "SQ8-")
@pytest.mark.parametrize(("kind", "asked"), cases())
def test_codes_are_compared_with_the_indexs_own(tmp_path, fitted, kind, asked):
    """Every item is read back as the index codes what the map makes of it, and is switched to."""
    source = save(tmp_path / "a.index", kind)
    target = f"faiss:{tmp_path / 'b.index'}{asked}"
    summary = migrate(source, target, fitted[1], options=MigrateOptions(switch=True))
    assert summary["switched"]
    assert (summary["checks"]["read_back"], summary["checks"]["differ"]) == (N, 0)


@pytest.mark.quick("Flat-?factory=PCAR12,Flat", "SQfp16-")
@pytest.mark.parametrize(("kind", "asked"), cases())
def test_a_wrong_vector_is_found_among_coarse_codes(tmp_path, fitted, kind, asked, monkeypatch):
    """One item in a thousand that got its neighbour's vector is refused, every time it is run."""
    source = save(tmp_path / "a.index", kind)
    target = f"faiss:{tmp_path / 'b.index'}{asked}"
    apply = module.BatchMapper.map

    def mistaken(self, batch):
        mapped = apply(self, batch)
        if 500 in batch.payload:
            at = 500 - batch.payload.start
            mapped[at] = mapped[at - 1] if kind == "Flat" else 1.2 * mapped[at]
        return mapped

    monkeypatch.setattr(module.BatchMapper, "map", mistaken)
    for _ in range(2):
        with pytest.raises(InputError, match=r"1 of 1200 items read back, item (500|1500)"):
            migrate(source, target, fitted[1], options=MigrateOptions(switch=True))
    assert open_store(source).dim == D


@pytest.mark.parametrize("kind", ["BFlat", "BIVF4", "BHNSW8", "BIDMap2,BFlat"])
def test_a_binary_index_is_refused_by_that_name(tmp_path, kind):
    """It is an index, but one of bits."""
    index = faiss.index_binary_factory(32, kind.replace("BIDMap2,", ""))
    if kind.startswith("BIDMap2"):
        index = faiss.IndexBinaryIDMap2(index)
    index.train(RNG.integers(0, 256, (200, 4), np.uint8))
    faiss.write_index_binary(index, str(tmp_path / "a.index"))
    with pytest.raises(FileFormatError, match=r"is a binary index of FAISS \(IB"):
        open_store(f"faiss:{tmp_path / 'a.index'}")
