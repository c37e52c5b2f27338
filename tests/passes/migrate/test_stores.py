"""One migration, the same in every kind of store that needs no server."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.kills import commands

from intertwine.errors import InputError
from intertwine.maps.linear_map import LinearMap
from intertwine.passes.migrate.run import MigrateOptions, closing, migrate
from intertwine.spaces import Space
from intertwine.stores import open_store

RNG = np.random.default_rng(0)
N, D, E = 400, 12, 20
OLD = RNG.standard_normal((N, D)).astype(np.float32)
OLD /= np.linalg.norm(OLD, axis=1, keepdims=True)
TEXTS = [f"text {i}" for i in range(N)]


def table():
    """Return ids, texts and vectors as an Arrow table."""
    lists = pa.FixedSizeListArray.from_arrays(OLD.reshape(-1), D)
    return pa.table({"id": np.arange(N), "text": TEXTS, "emb": lists})


def in_qdrant(folder):
    """Make an alias of a collection; return it and a collection beside."""
    from qdrant_client import QdrantClient, models

    client = QdrantClient(path=str(folder / "q"))
    size = models.VectorParams(size=D, distance=models.Distance.COSINE)
    client.create_collection("items_1", vectors_config=size)
    payloads = [{"text": text} for text in TEXTS]
    client.upsert(
        "items_1", models.Batch(ids=list(range(N)), vectors=OLD.tolist(), payloads=payloads)
    )
    alias = models.CreateAlias(collection_name="items_1", alias_name="items")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    client.close()
    return f"qdrant:{folder / 'q'}#items", f"qdrant:{folder / 'q'}#items_2"


def in_lancedb(folder):
    """Make a table; return it and one beside."""
    import lancedb

    lancedb.connect(folder / "l").create_table("items", table())
    return tuple(f"lancedb:{folder / 'l'}?metric=cosine#{name}" for name in ("items", "items_2"))


def in_faiss(folder):
    """Make an index file; return it and one beside."""
    import faiss

    index = faiss.IndexFlatIP(D)
    index.add(OLD)
    faiss.write_index(index, str(folder / "items.index"))
    return tuple(f"faiss:{folder / name}" for name in ("items.index", "items_2.index"))


def in_parquet(folder):
    """Make two files; return them and a folder beside."""
    (folder / "p").mkdir()
    parquet.write_table(table().slice(0, 150), folder / "p" / "a.parquet")
    parquet.write_table(table().slice(150), folder / "p" / "b.parquet")
    return f"parquet:{folder / 'p'}/*.parquet#emb", f"parquet:{folder / 'p2'}#emb"


MAKERS = [in_qdrant, in_lancedb, in_faiss, in_parquet]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Return a map that keeps neighbours, and its file."""
    columns = np.linalg.qr(RNG.standard_normal((E, D)))[0]
    linear_map = LinearMap(columns, np.zeros(E), Space("a", D), Space("b", E), "drawn")
    path = tmp_path_factory.mktemp("map") / "a--b.safetensors"
    linear_map.save(path)
    return linear_map, path


def held(place):
    """Return the vectors of a store by id, in the order of ids."""
    with closing(open_store(place)) as store:
        batches = list(store.batches(77))
    ids = [int(item) for batch in batches for item in batch.ids]
    assert sorted(ids) == list(range(N))
    return np.concatenate([batch.vectors for batch in batches])[np.argsort(ids)]


def texts(source):
    """Return what texts a store holds in the order of ids; None where it holds none."""
    kind, _, rest = source.partition(":")
    folder, _, name = rest.partition("#")
    if kind == "lancedb":
        import lancedb

        found = lancedb.connect(folder.partition("?")[0]).open_table(name).to_arrow()
        return found.sort_by("id")["text"].to_pylist()
    if kind == "qdrant":
        from qdrant_client import QdrantClient

        client = QdrantClient(path=folder)
        points = client.scroll(name, limit=N)[0]
        client.close()
        return [point.payload["text"] for point in sorted(points, key=lambda point: point.id)]
    if kind == "parquet":
        return parquet.read_table(folder.partition("/*")[0])["text"].to_pylist()
    return None


@pytest.mark.parametrize("make", MAKERS)
def test_converted_switched_and_rolled_back(tmp_path, fitted, make):
    """Every item is converted, payload and ids stay, the switch and the way back are whole."""
    source, target = make(tmp_path)
    before = held(source)
    options = {"batch_size": 90}
    summary = migrate(source, target, fitted[1], options=MigrateOptions(**options))
    assert summary["written"] == N
    assert summary["checks"]["neighbours_kept"] > 0.9
    np.testing.assert_allclose(held(target), fitted[0].apply(OLD), atol=1e-5)
    np.testing.assert_array_equal(held(source), before)
    for switch in (True, True):
        again = migrate(source, target, fitted[1], options=MigrateOptions(switch=switch, **options))
        assert (again["written"], again["switched"]) == (0, True)
    np.testing.assert_allclose(held(source), fitted[0].apply(OLD), atol=1e-5)
    assert texts(source) in (None, TEXTS)
    migrate(source, target, fitted[1], options=MigrateOptions(rollback=True))
    np.testing.assert_array_equal(held(source), before)
    assert texts(source) in (None, TEXTS)


@pytest.mark.parametrize("make", MAKERS)
def test_ten_kills_lose_nothing(tmp_path, fitted, make):
    """Killed at random moments, the same command ends with every item once, and right."""
    source, target = make(tmp_path)
    arguments = ("migrate", source, target, "--map", fitted[1], "--batch-size", 20)
    chance = np.random.default_rng(2)
    modules = [
        "intertwine.passes.migrate.run",
        "pyarrow.parquet",
        "qdrant_client",
        "lancedb",
        "faiss",
    ]
    with commands(*modules) as ran:
        ran.run_with_kills(*arguments, seconds=0.4, chance=chance, most=10)
    np.testing.assert_allclose(held(target), fitted[0].apply(OLD), atol=1e-5)


def test_a_search_in_a_folder_of_qdrant_changes_nothing(tmp_path, fitted):
    """What a check searches is not taken for changed vectors by the switch, nor by the next one."""
    source, target = in_qdrant(tmp_path)
    for options in ({}, {"switch": True}, {"rollback": True}, {"switch": True}):
        summary = migrate(source, target, fitted[1], options=MigrateOptions(**options))
        assert not any("at the switch itself" in note for note in summary["notes"])
        assert summary["written"] == (0 if options else N)


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_switch_that_cannot_be_is_refused_before_anything_is_written(tmp_path, fitted, dry_run):
    """A collection that is addressed by its own name cannot stand for another one."""
    source, target = in_qdrant(tmp_path)
    plain = source.replace("#items", "#items_1")
    with pytest.raises(InputError, match="whose name cannot stand for another; create an alias"):
        migrate(plain, target, fitted[1], options=MigrateOptions(switch=True, dry_run=dry_run))
    with closing(open_store(source)) as store:
        assert "items_2" not in str(store.client.get_collections())
    assert migrate(plain, target, fitted[1])["written"] == N
