"""A LanceDB table as a store, and a migration within its folder."""

from __future__ import annotations

from datetime import timedelta

import lancedb
import numpy as np
import pyarrow as pa
import pytest
from lancedb.index import BTree, HnswSq, IvfFlat
from tests.stores import migration

from intertwine.errors import InputError
from intertwine.spaces import Space
from intertwine.stores import MigrationRecord, open_store, open_target
from intertwine.stores.lancedb import folder as lancedb_folder
from intertwine.stores.lancedb import new_table
from intertwine.stores.lancedb import switch as lancedb_switch
from intertwine.stores.origins import ORIGIN

N, D, Q = 700, 16, 12
NO_VECTOR = (3, 400)
# LanceDB warns of none at all.
MOMENT = timedelta(milliseconds=1)
MARK = MigrationRecord("ab" * 32, Space("old", D), Space("new", Q))
MATRIX = np.random.default_rng(7).standard_normal((D, Q)).astype(np.float32)


def convert(batch):
    """Return what the map makes of a batch."""
    return batch.vectors.astype(np.float32) @ MATRIX


def column(vectors, number=None):
    """Return vectors as an Arrow column, rows of NaN as null."""
    flat = pa.array(vectors.ravel(), number)
    absent = pa.array(np.isnan(vectors[:, 0]))
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1], mask=absent)


def make(folder, name="items", *, ids=None, dtype=np.float32, **columns):
    """Make a table and return its vectors."""
    vectors = np.random.default_rng(0).standard_normal((N, D)).astype(dtype)
    vectors[list(NO_VECTOR)] = np.nan
    ids = pa.array([f"it's {3 * i % N}" for i in range(N)]) if ids is None else ids
    data = pa.table(
        {
            "id": ids,
            "text": pa.array([f"text {i}" if i % 5 else None for i in range(N)]),
            "vector": column(vectors),
            "tags": pa.array([[i, i + 1] for i in range(N)]),
            **columns,
        }
    ).replace_schema_metadata({"owner": "somebody", "embedding_functions": "[]"})
    database = lancedb.connect(folder)
    table = database.create_table(name, schema=data.schema)
    # In parts, so that the table has several files.
    for first in range(0, N, 300):
        table.add(data.slice(first, 300), on_bad_vectors="null")
    return vectors


@pytest.fixture
def folder(tmp_path):
    """Return a folder with one table of vectors."""
    make(tmp_path / "db")
    return tmp_path / "db"


@pytest.fixture
def vectors():
    """Return the table's vectors in its order."""
    found = np.random.default_rng(0).standard_normal((N, D)).astype(np.float32)
    found[list(NO_VECTOR)] = np.nan
    return found


def rows(folder, name):
    """Return a table's rows by id, without the vectors and what a migration notes of them."""
    table = lancedb.connect(folder).open_table(name).to_arrow()
    table = table.select([n for n in table.schema.names if n not in {"vector", ORIGIN}])
    return {row["id"]: row for row in table.to_pylist()}


def migrate(source, text, *, mark=MARK, size=150, rounds=None):
    """Bring all of a source to a target, or some batches, and return the target."""
    return migration.migrate(
        source,
        text,
        lambda vectors: vectors.astype(np.float32) @ MATRIX,
        mark=mark,
        size=size,
        rounds=rounds,
    )


def test_facts_and_batches_of_a_store(folder, vectors):
    """A store tells its count, dimension and metric, and gives all items that have a vector, from any of them on."""
    store = open_store(f"lancedb:{folder}?metric=ip#items")
    assert (store.count(), store.dim, store.metric) == (N - 2, D, "ip")
    assert store.mark() is None
    batches = list(store.batches(64))
    ids = [item for batch in batches for item in batch.ids]
    assert ids == [f"it's {3 * i % N}" for i in range(N) if i not in NO_VECTOR]
    got = np.concatenate([batch.vectors for batch in batches])
    assert np.array_equal(got, vectors[~np.isnan(vectors[:, 0])])
    rest = [item for batch in store.batches(50, after=ids[333]) for item in batch.ids]
    assert rest == ids[334:]
    with pytest.raises(InputError, match="no item 'none'"):
        next(store.batches(5, after="none"))
    store.close()


def test_sample_and_read(folder, vectors):
    """A sample is the same each time, spread, and of items that have a vector; absent items are read as NaN."""
    store = open_store(f"lancedb:{folder}#items")
    sample, again = store.sample(100), store.sample(100)
    assert sample.ids == again.ids
    assert len(set(sample.ids)) == 100
    places = sorted(int(item.split()[1]) for item in sample.ids)
    assert places[0] < 50
    assert places[-1] > N - 50
    assert np.array_equal(store.read(sample.ids), sample.vectors)
    assert len(store.sample(2 * N).ids) == N - 2
    got = store.read(["it's 3", "none", "it's 0", "it's 3", "it's 9"])
    assert np.array_equal(got[[0, 2, 3]], vectors[[1, 0, 1]])
    assert np.isnan(got[[1, 4]]).all()


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_search_is_brute_force(folder, vectors, metric):
    """Without an index, a search finds what comparing with every vector finds."""
    store = open_store(f"lancedb:{folder}?metric={metric}#items")
    queries = np.random.default_rng(2).standard_normal((4, D)).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1)
    scores = queries @ vectors.T
    if metric == "cosine":
        scores = scores / lengths
    elif metric == "l2":
        scores = 2 * scores - lengths**2
    best = np.argsort(-np.nan_to_num(scores, nan=-1e9), axis=1)[:, :6]
    assert store.search(queries, 6) == [[f"it's {3 * i % N}" for i in row] for row in best]


@pytest.mark.quick("float16")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_migration_brings_every_row(tmp_path, dtype):
    """Every row arrives once, in the vectors' own precision, mapped, with all its columns, null vectors too."""
    vectors = make(tmp_path, dtype=dtype, ids=pa.array(range(N)))
    source = open_store(f"lancedb:{tmp_path}?metric=cosine#items")
    target = migrate(source, f"lancedb:{tmp_path}#new")
    assert target.finish()[-1].startswith("left out which model LanceDB embeds texts with")
    expected = vectors.astype(np.float32) @ MATRIX
    got = target.read(range(N))
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, rtol=1e-2 if dtype == np.float16 else 1e-5, atol=1e-2)
    assert (target.count(), target.dim, target.metric) == (N - 2, Q, "cosine")
    assert rows(tmp_path, "new") == rows(tmp_path, "items")
    assert target.mark() == MARK
    schema = lancedb.connect(tmp_path).open_table("new").schema
    assert schema.metadata == {b"owner": b"somebody"}
    assert schema.names == ["id", "text", "vector", "tags", ORIGIN]
    query = np.nan_to_num(expected[5:6])
    assert target.search(query, 1) == [[5]]


@pytest.mark.slow
def test_native_rows_stay(folder):
    """Rows that somebody else put into the target are not written over, whenever they come."""
    source = open_store(f"lancedb:{folder}#items")
    target = open_target(source, f"lancedb:{folder}#new", MARK)
    target.create()
    other = lancedb.connect(folder, read_consistency_interval=timedelta(0)).open_table("new")

    def put(item):
        vectors = column(np.full((1, Q), 9, np.float32))
        native = pa.table({"id": [item], "text": ["mine"], "vector": vectors, "tags": [[0]]})
        other.add(native)

    put("it's 3")
    pending = target.pending(100)
    first = next(pending)
    assert len(first.ids) == 100
    assert "it's 3" not in first.ids
    put(first.ids[50])
    assert target.write(first, first.vectors @ MATRIX) == 99
    for batch in pending:
        target.write(batch, batch.vectors @ MATRIX)
    natives = ["it's 3", first.ids[50]]
    assert np.array_equal(target.read(natives), np.full((2, Q), 9))
    assert other.count_rows() == N
    assert rows(folder, "new")["it's 3"]["text"] == "mine"


@pytest.mark.slow
def test_an_interrupted_migration_goes_on(folder, monkeypatch):
    """What is left of a migration is done by the next one, in batches that are full, and nothing twice."""
    monkeypatch.setattr(new_table, "INDEX_EVERY", 1)
    monkeypatch.setattr(new_table, "TIDY_EVERY", 2)
    text = f"lancedb:{folder}#new"
    target = migrate(open_store(f"lancedb:{folder}#items"), text, rounds=3)
    assert target.table.count_rows() == 450
    again = open_target(open_store(f"lancedb:{folder}#items"), text, MARK)
    assert [len(batch.ids) for batch in again.pending(150)] == [150, 100]
    migrate(open_store(f"lancedb:{folder}#items"), text)
    assert again.table.count_rows() == N
    assert rows(folder, "new") == rows(folder, "items")
    assert list(again.pending(10)) == []


def test_a_kill_before_the_index_of_ids(folder):
    """A target whose index of ids was never made gets it when the migration goes on."""
    source = open_store(f"lancedb:{folder}#items")
    target = open_target(source, f"lancedb:{folder}#new", MARK)
    target.database.create_table("new", schema=target.columns.schema)
    next(target.pending(10))
    assert [index.columns for index in target.table.list_indices()] == [["id"]]


@pytest.mark.quick("IvfFlat")
@pytest.mark.parametrize("kind", [IvfFlat, HnswSq])
def test_indexes_are_the_sources(folder, kind):
    """The metric is that of the source's index, and the target's indexes are of the same kinds."""
    table = lancedb.connect(folder).open_table("items")
    table.create_index("vector", config=kind(distance_type="dot", num_partitions=2))
    table.create_index("text", config=BTree())
    source = open_store(f"lancedb:{folder}#items")
    assert source.metric == "ip"
    with pytest.raises(InputError, match="its index goes by ip"):
        open_store(f"lancedb:{folder}?metric=l2#items")
    target = migrate(source, f"lancedb:{folder}#new")
    notes = target.finish()
    assert len(notes) == 3
    assert target.finish() == notes[2:]
    index = {tuple(i.columns): i.index_type for i in target.table.list_indices()}
    own = {tuple(i.columns): i.index_type for i in table.list_indices()}
    assert index == {**own, ("id",): "BTree"}
    assert open_store(f"lancedb:{folder}#new").metric == "ip"
    with pytest.raises(InputError, match="got metric l2 for the target and ip"):
        open_target(source, f"lancedb:{folder}?metric=l2#other", MARK)


@pytest.mark.slow
def test_a_switch_and_back(folder, vectors):
    """After a switch the source's name gives the new vectors; handles opened before go on with the old ones."""
    table = lancedb.connect(folder).open_table("items")
    table.create_index("vector", config=IvfFlat(distance_type="cosine", num_partitions=2))
    before, version = rows(folder, "items"), table.version
    text = f"lancedb:{folder}#new"
    target = migrate(open_store(f"lancedb:{folder}#items"), text)
    target.finish()
    with pytest.raises(InputError, match="not switched over"):
        target.rollback()
    assert not target.switched()
    target.switch(convert)
    target.switch(convert)
    assert target.switched()
    assert len(table.search(vectors[0]).limit(3).to_arrow()) == 3

    source = open_store(f"lancedb:{folder}#items")
    assert (source.dim, source.count(), source.metric) == (Q, N - 2, "cosine")
    assert source.mark() == MARK.switched(str(version))
    np.testing.assert_allclose(source.read(["it's 3"])[0], vectors[1] @ MATRIX, rtol=1e-5)
    assert rows(folder, "items") == before
    again = open_target(source, text, MARK)
    assert again.mark() == source.mark()
    assert again.switched()
    assert list(again.pending(10)) == []
    assert again.finish() == []
    with pytest.raises(InputError, match="roll back first"):
        again.drop()
    with pytest.raises(RuntimeError, match=f"intertwine-{version}"):
        lancedb.connect(folder).open_table("items").optimize(cleanup_older_than=MOMENT)
    again.rollback()
    assert not again.switched()
    source = open_store(f"lancedb:{folder}#items")
    assert (source.dim, source.metric) == (D, "cosine")
    assert np.array_equal(source.read(["it's 3"])[0], vectors[1])
    assert rows(folder, "items") == before
    lancedb.connect(folder).open_table("items").optimize(cleanup_older_than=MOMENT)
    again.drop()
    assert not again.exists()
    again.drop()


def during_the_switch(target, does):
    """Have something done at every page that a switch writes."""
    pages = target.pages

    def spied(names, *values):
        for page in pages(names, *values):
            if names == target.names:
                does()
            yield page

    target.pages = spied


@pytest.mark.slow
def test_searches_during_a_switch(folder, vectors, monkeypatch):
    """While a switch writes, handles opened before it and during it search the old vectors."""
    target = migrate(open_store(f"lancedb:{folder}#items"), f"lancedb:{folder}#new")
    table, found = lancedb.connect(folder).open_table("items"), []
    monkeypatch.setattr(lancedb_switch, "PAGE", 100)

    def search():
        fresh = lancedb.connect(folder).open_table("items")
        found.extend(len(t.search(vectors[0]).limit(2).to_arrow()) for t in (table, fresh))

    during_the_switch(target, search)
    target.switch(convert)
    assert found == [2] * 14


@pytest.mark.slow
def test_writes_during_a_switch_are_carried_over(folder, vectors):
    """What is added, edited and deleted while a switch writes is so under the new vectors, converted."""
    target = migrate(open_store(f"lancedb:{folder}#items"), f"lancedb:{folder}#new")
    before = rows(folder, "items")

    def write():
        table = lancedb.connect(folder).open_table("items")
        late = table.to_arrow().slice(0, 1).set_column(0, "id", pa.array(["late"]))
        table.add(late.cast(table.schema))
        table.delete("id IN ('it''s 6', 'it''s 9')")
        table.add(late.set_column(0, "id", pa.array(["it's 9"])).cast(table.schema))
        table.update(where="id = 'it''s 12'", values={"text": "edited"})
        table.update(where="id = 'it''s 15'", values={"vector": vectors[0].tolist()})

    during_the_switch(target, write)
    notes = target.switch(convert)
    assert "4 rows that had come or changed were converted at the switch itself, 1 that" in notes[0]
    after, first = rows(folder, "items"), {**before["it's 0"]}
    expected = {**before, "late": {**first, "id": "late"}, "it's 9": {**first, "id": "it's 9"}}
    del expected["it's 6"]
    expected["it's 12"]["text"] = "edited"
    assert after == expected
    assert rows(folder, "new") == expected
    got = open_store(f"lancedb:{folder}#items").read(["late", "it's 9", "it's 15", "it's 0"])
    np.testing.assert_allclose(got, [vectors[0] @ MATRIX] * 4, rtol=1e-5)
    tags = lancedb.connect(folder).open_table("items").tags.list()
    assert [name for name in tags if "underway" in name] == []


def test_another_column_and_id(tmp_path):
    """Where there are several columns of vectors, the other ones travel as they are."""
    other = np.random.default_rng(3).standard_normal((N, 5)).astype(np.float32)
    extra = {"other": column(other), "Key No": pa.array(range(N))}
    make(tmp_path, ids=pa.array([1] * N), **extra)
    with pytest.raises(InputError, match=r"2 columns of vectors \(vector, other\), expected one"):
        open_store(f"lancedb:{tmp_path}#items")
    source = open_store(f"lancedb:{tmp_path}?vector=other&id=Key+No#items")
    mark = MigrationRecord("cd" * 32, Space("old", 5), Space("new", 3))
    target = open_target(source, f"lancedb:{tmp_path}#new", mark)
    target.create()
    for batch in target.pending(400):
        target.write(batch, batch.vectors[:, :3])
    assert np.array_equal(target.read(range(N)), other[:, :3])
    table = lancedb.connect(tmp_path)
    left, right = (table.open_table(n).to_arrow().drop(["other"]) for n in ("items", "new"))
    right = right.drop([ORIGIN])
    # An insertion keeps no order within a batch.
    assert left.to_pylist() == right.sort_by("Key No").to_pylist()


def test_lists_of_one_length_are_vectors(tmp_path):
    """A column of lists without a stated length is read where they are of one length, else refused."""
    database = lancedb.connect(tmp_path)
    kind = pa.schema([("id", pa.int64()), ("emb", pa.list_(pa.float32()))])
    lists = [[1.0, 2.0], None, [3.0, 4.0]]
    database.create_table("good", pa.table({"id": [1, 2, 3], "emb": lists}, schema=kind))
    store = open_store(f"lancedb:{tmp_path}#good")
    assert store.dim == 2
    assert np.array_equal(store.read([3]), [[3, 4]])
    mark = MigrationRecord("cd" * 32, Space("old", 2), Space("new", 3))
    target = open_target(store, f"lancedb:{tmp_path}#new", mark)
    target.create()
    for batch in target.pending(2):
        target.write(batch, np.repeat(batch.vectors[:, :1], 3, axis=1))
    assert np.array_equal(target.read([3, 2]), [[3] * 3, [np.nan] * 3], equal_nan=True)
    lists[0] = [1.0]
    database.create_table("mixed", pa.table({"id": [1, 2, 3], "emb": lists}, schema=kind))
    with pytest.raises(InputError, match="1 of dimension 1, 1 of dimension 2"):
        open_store(f"lancedb:{tmp_path}#mixed")


@pytest.mark.parametrize("at_once", [100, 4_000_000])
def test_twin_ids_are_refused(tmp_path, monkeypatch, at_once):
    """An id that stands twice, or is null, is an error before anything is written."""
    monkeypatch.setattr(lancedb_folder, "IDS_AT_ONCE", at_once)
    ids = list(range(-2, N - 2))
    make(tmp_path, "good", ids=pa.array(ids))
    open_target(open_store(f"lancedb:{tmp_path}#good"), f"lancedb:{tmp_path}#new", MARK)
    make(tmp_path, "twins", ids=pa.array([*ids[:-1], 5]))
    store = open_store(f"lancedb:{tmp_path}#twins")
    with pytest.raises(InputError, match="id 5 stands in 2 rows"):
        open_target(store, f"lancedb:{tmp_path}#new", MARK)
    make(tmp_path, "nulls", ids=pa.array([*ids[:-1], None]))
    store = open_store(f"lancedb:{tmp_path}#nulls")
    with pytest.raises(InputError, match="null in some rows"):
        open_target(store, f"lancedb:{tmp_path}#new", MARK)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lancedb:{}-none#items", "there is no folder"),
        ("lancedb:{}#nothing", "there is no table 'nothing', only items"),
        ("lancedb:{}", "there is no table '', only items"),
        ("lancedb:{}?colour=red#items", "got option 'colour'"),
        ("lancedb:{}?id=key#items", "there is no column 'key' to be the id, only id, text"),
        ("lancedb:{}?id=tags#items", "expected integers or text"),
        ("lancedb:{}?vector=text#items", "there is no column of vectors 'text', only vector"),
        ("lancedb:{}?metric=dot#items", "got metric 'dot'"),
        ("lancedb:db://hosted#items", "got a hosted database"),
    ],
)
def test_wrong_addresses(folder, text, message):
    """What an address gets wrong is said in one line."""
    with pytest.raises(InputError, match=message) as caught:
        open_store(text.format(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("faiss:{}/index", "got a target of kind faiss"),
        ("lancedb:{}/other#new", "another table in the source's own folder"),
        ("lancedb:{}", "another table in the source's own folder"),
        ("lancedb:{}#items", "is the source itself"),
        ("lancedb:{}?vector=other#new", "got vector=other, expected vector"),
    ],
)
def test_wrong_targets(folder, text, message):
    """A target is another table of the same folder with the same columns."""
    with pytest.raises(InputError, match=message):
        open_target(open_store(f"lancedb:{folder}#items"), text.format(folder), MARK)


@pytest.mark.slow
def test_errors_are_one_line(folder):
    """LanceDB's own errors, and numbers that do not fit, are one line."""
    source = open_store(f"lancedb:{folder}#items")
    with pytest.raises(InputError, match=r"^LanceDB: .*dim") as caught:
        source.search(np.zeros((1, 3), np.float32), 1)
    assert "\n" not in str(caught.value)
    batch = next(open_target(source, f"lancedb:{folder}#other", MARK).source.batches(5))
    with pytest.raises(InputError, match="do not fit a column of type float"):
        migrate(source, f"lancedb:{folder}#new").write(batch, np.full((5, Q), np.inf))
