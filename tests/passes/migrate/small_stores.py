"""A small store of each kind that needs no server."""

from contextlib import closing

import numpy as np
import pyarrow as pa
from pyarrow import parquet

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


def held(place):
    """Return the vectors of a store by id, in the order of ids."""
    with closing(open_store(place)) as store:
        batches = list(store.batches(77))
    ids = [int(item) for batch in batches for item in batch.ids]
    assert sorted(ids) == list(range(N))
    return np.concatenate([batch.vectors for batch in batches])[np.argsort(ids)]
