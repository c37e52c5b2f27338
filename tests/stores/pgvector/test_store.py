"""Vectors in PostgreSQL, on a real server with pgvector."""

from contextlib import ExitStack, closing

import numpy as np
import pytest
from tests.postgres import address, fill, server

from intertwine.errors import InputError
from intertwine.spaces import Space
from intertwine.stores import MigrationRecord, open_store, open_target

RNG = np.random.default_rng(0)
N, D, E = 120, 4, 6
VECTORS = RNG.standard_normal((N, D)).astype(np.float32)
MAPPED = VECTORS @ RNG.standard_normal((D, E)).astype(np.float32)
MARK = MigrationRecord("ab" * 32, Space("a", D), Space("b", E))
HNSW = "hnsw (emb vector_cosine_ops) WITH (m=8)"


def convert(batch):
    """Return what the map makes of a batch."""
    return MAPPED[np.asarray(batch.ids) // 3]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Return a server's URI and a connection to it."""
    with server(tmp_path_factory) as opened:
        yield opened


@pytest.fixture
def items(database):
    """Return the addresses of a fresh column and of one beside it, the connection and the ids."""
    uri, connection = database
    ids = fill(connection, "items", VECTORS, index=HNSW)
    return address(uri, "items", "emb"), address(uri, "items", "new"), connection, ids


class Opened:
    """What a test opens, closed at its end."""

    def __init__(self, stack) -> None:
        self._stack = stack

    def store(self, text):
        """Open a store."""
        return self._stack.enter_context(closing(open_store(text)))

    def target(self, source, text, mark):
        """Name a target beside a store."""
        return self._stack.enter_context(closing(open_target(source, text, mark)))


@pytest.fixture
def opened():
    """Return what opens stores that are closed at the end of the test."""
    with ExitStack() as stack:
        yield Opened(stack)


def migrate(target, size=50):
    """Write every pending item's vector; return how many were written."""
    if not target.exists():
        target.create()
    wrote = 0
    for batch in target.pending(size):
        rows = [i // 3 for i in batch.ids]
        wrote += target.write(batch, MAPPED[rows])
    return wrote


def test_a_column_says_what_it_is(items, opened):
    """Count, dimension and metric are the column's; the name shows no password."""
    store = opened.store(items[0].replace("postgres:@", "postgres:s3cret@"))
    assert (store.count(), store.dim, store.metric) == (N, D, "cosine")
    assert "s3cret" not in store.name
    assert store.name.endswith("?table=items&column=emb")


def test_read_gives_nan_where_there_is_nothing(items, opened):
    """Vectors come in the order asked for; an unknown item and a NULL are rows of NaN."""
    items[2].execute("UPDATE items SET emb = NULL WHERE id = 6")
    store = opened.store(items[0])
    found = store.read([9, 1, 0, 6])
    np.testing.assert_array_equal(found[[0, 2]], VECTORS[[3, 0]])
    assert np.isnan(found[[1, 3]]).all()


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_search_is_the_databases_own(database, metric, opened):
    """Without an index the nearest items are the exact ones of the metric."""
    uri, connection = database
    ids = fill(connection, "plain", VECTORS)
    store = opened.store(address(uri, "plain", "emb", metric=metric))
    queries = RNG.standard_normal((5, D)).astype(np.float32)
    length = np.linalg.norm(VECTORS, axis=1)
    score = {
        "cosine": queries @ (VECTORS / length[:, None]).T,
        "ip": queries @ VECTORS.T,
        "l2": 2 * queries @ VECTORS.T - length**2,
    }[metric]
    best = np.argsort(-score, axis=1)[:, :7]
    assert store.search(queries, 7) == [[ids[j] for j in row] for row in best]


@pytest.mark.parametrize("kind", ["vector", "halfvec"])
def test_a_new_column_holds_what_was_written(database, kind, opened):
    """Every row gets its vector, of the old column's type; payload and old vectors stay."""
    uri, connection = database
    fill(connection, "items", VECTORS, kind=kind)
    before = connection.execute(
        "SELECT id, body, facts, emb::text FROM items ORDER BY id"
    ).fetchall()
    source = opened.store(address(uri, "items", "emb"))
    target = opened.target(source, address(uri, "items", "new"), MARK)
    assert not target.exists()
    assert migrate(target) == N
    np.testing.assert_allclose(target.read([0, 3]), MAPPED[:2], rtol=1e-3, atol=1e-3)
    after = connection.execute(
        "SELECT id, body, facts, emb::text FROM items ORDER BY id"
    ).fetchall()
    assert after == before
    assert migrate(target) == 0


def test_what_is_there_is_kept(items, opened):
    """An item that got a vector from somebody else is neither given nor written."""
    source = opened.store(items[0])
    target = opened.target(source, items[1], MARK)
    target.create()
    batch = next(iter(target.pending(3)))
    items[2].execute("UPDATE items SET new = '[1,1,1,1,1,1]' WHERE id = 3")
    assert target.write(batch, MAPPED[:3]) == 2
    np.testing.assert_array_equal(target.read([3]), np.ones((1, E)))
    assert migrate(target) == N - 3


def test_null_vectors_stay_null(items, opened):
    """Rows without an old vector get no new one, and are not counted."""
    items[2].execute("UPDATE items SET emb = NULL WHERE id IN (0, 30)")
    source = opened.store(items[0])
    target = opened.target(source, items[1], MARK)
    assert source.count() == migrate(target) == N - 2


def test_indexes_are_built_as_the_old_columns(items, opened):
    """The new column gets an index of the same method, operators and options, once."""
    source = opened.store(items[0])
    target = opened.target(source, items[1], MARK)
    migrate(target)
    assert target.finish() == ["built an index as the source's: hnsw, vector_cosine_ops"]
    assert target.finish() == []
    found = items[2].execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'items'").fetchall()
    assert sum("(new vector_cosine_ops) WITH (m='8')" in text for (text,) in found) == 1


def test_capitals_quotes_and_schemas_are_names_like_others(database, opened):
    """Names that SQL would fold or break on are quoted."""
    uri, connection = database
    connection.execute('DROP SCHEMA IF EXISTS "My Schema" CASCADE')
    connection.execute('CREATE SCHEMA "My Schema"')
    connection.execute(
        'CREATE TABLE "My Schema"."It""s" ("The Id" uuid PRIMARY KEY, "100%%" vector(4))'
    )
    connection.execute('INSERT INTO "My Schema"."It""s" VALUES (gen_random_uuid(), \'[1,2,3,4]\')')
    name = '"My Schema"."It""s"'.replace(" ", "%20").replace('"', "%22")
    source = opened.store(address(uri, name, "100%25%25"))
    target = opened.target(source, address(uri, name, "new"), MARK)
    target.create()
    (batch,) = target.pending(10)
    assert target.write(batch, np.ones((1, E), np.float32)) == 1
    np.testing.assert_array_equal(target.read(batch.ids), np.ones((1, E)))


@pytest.mark.parametrize(
    ("statement", "options", "message"),
    [
        ("", {"table": "nowhere"}, "there is no table 'nowhere'"),
        ("", {"column": "nothing"}, "there is no such column, only id, body, facts, emb"),
        ("", {"column": "body"}, "holds text, expected vector, halfvec, real"),
        ("", {"metric": "l1"}, "got metric 'l1', expected one of cosine, ip, l2"),
        (
            "ALTER TABLE bad DROP CONSTRAINT bad_pkey",
            {},
            "the table has no primary key; name a unique column",
        ),
        (
            "ALTER TABLE bad DROP CONSTRAINT bad_pkey; UPDATE bad SET id = 3 WHERE id = 6",
            {"id": "id"},
            "id 3 stands in 2 rows",
        ),
        (
            "ALTER TABLE bad ALTER emb TYPE vector; UPDATE bad SET emb = '[1,2]' WHERE id = 0",
            {},
            "several dimensions, or none .119 of dimension 4, 1 of dimension 2",
        ),
    ],
)
def test_columns_that_cannot_be_used(database, statement, options, message, opened):
    """What is wrong with a table is one line that says what to do."""
    uri, connection = database
    fill(connection, "bad", VECTORS)
    if statement:
        connection.execute(statement)
    with pytest.raises(InputError, match=message) as caught:
        opened.store(address(uri, **{"table": "bad", "column": "emb", **options}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("faiss:file", "got a target of kind faiss, expected pgvector"),
        ("{uri}?table=items&column=emb", "is the source itself"),
        ("{uri}?table=other&column=new", "another column of the source's own table"),
        ("{uri}?table=items&column=new&metric=l2", "got metric l2 for the target and cosine"),
        ("{uri}?table=items", "has no column; add column="),
    ],
)
def test_targets_that_cannot_be(items, database, opened, target, message):
    """A target elsewhere, of another metric, or the source itself is refused."""
    source = opened.store(items[0])
    base = address(database[0], "T", "C").partition("&table=")[0]
    text = target.format(uri=base).replace("?table=", "&table=" if "?" in base else "?table=")
    with pytest.raises(InputError, match=message):
        opened.target(source, text, MARK)


def test_a_password_is_never_shown():
    """A server that cannot be reached is one line without the password, typed or meant."""
    for secret in ("hunter2", "p%40ss"):
        with pytest.raises(InputError, match="PostgreSQL: ") as caught:
            open_store(f"pgvector://me:{secret}@127.0.0.1:1/db?table=t&column=c")
        shown = str(caught.value)
        assert secret not in shown
        assert "p@ss" not in shown
        assert "\n" not in shown


def test_a_server_that_goes_away_is_one_line(items, opened):
    """A connection that is cut between two batches ends in one line; the first batch stays."""
    source = opened.store(items[0])
    target = opened.target(source, items[1], MARK)
    target.create()
    first, second = list(target.pending(50))[:2]
    target.write(first, MAPPED[:50])
    items[2].execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    )
    with pytest.raises(InputError, match="what was committed stays"):
        target.write(second, MAPPED[50:100])
    assert items[2].execute("SELECT count(new) FROM items").fetchone() == (50,)


@pytest.mark.quick("bigint")
@pytest.mark.parametrize("kind", ["smallint", "integer", "bigint", "text", "uuid"])
def test_every_kind_of_id_comes_and_goes(database, opened, kind):
    """Ids of fixed and of varying length, in batches of any size, get the vectors that are theirs."""
    uri, connection = database
    fill(connection, "items", VECTORS, first=-60)
    change = {"text": "id::text", "uuid": "lpad((id + 60)::text, 32, '0')::uuid"}.get(kind, "id")
    connection.execute(f"ALTER TABLE items ALTER id TYPE {kind} USING {change}")
    source = opened.store(address(uri, "items", "emb"))
    target = opened.target(source, address(uri, "items", "new"), MARK)
    target.create()
    for batch in target.pending(7):
        assert target.write(batch, np.pad(2 * batch.vectors, [(0, 0), (0, E - D)])) == len(
            batch.ids
        )
    rows = connection.execute("SELECT emb::real[], new::real[] FROM items").fetchall()
    old, new = (np.array([row[side] for row in rows], np.float32) for side in (0, 1))
    np.testing.assert_array_equal(new, np.pad(2 * old, [(0, 0), (0, E - D)]))
    assert len(rows) == N


@pytest.mark.parametrize("blocks", [1, 2, 16_384])
def test_blocks_give_every_pending_row_once(database, opened, monkeypatch, blocks):
    """Rows come once each from all blocks, also where they lie in another order than their ids."""
    uri, connection = database
    ids = fill(connection, "items", VECTORS)
    connection.execute("UPDATE items SET body = repeat(body, 99) WHERE id % 2 = 0")
    connection.execute("UPDATE items SET emb = NULL WHERE id % 5 = 0")
    source = opened.store(address(uri, "items", "emb"))
    target = opened.target(source, address(uri, "items", "new"), MARK)
    target.create()
    connection.execute("UPDATE items SET new = %s WHERE mod(id, 7) = 0", [str([1.0] * E)])
    monkeypatch.setattr("intertwine.stores.pgvector.store.STATEMENT_BLOCKS", blocks)
    batches = list(target.pending(11))
    assert connection.execute("SELECT pg_relation_size('items') / 8192").fetchone()[0] > 3
    found = [item for batch in batches for item in batch.ids]
    assert sorted(found) == [item for item in ids if item % 5 and item % 7]
    assert found != sorted(found)
    got = np.concatenate([batch.vectors for batch in batches])
    np.testing.assert_array_equal(got, VECTORS[[item // 3 for item in found]])


@pytest.mark.parametrize("kind", ["partitioned", "inherited"])
def test_tables_with_parts_are_migrated_whole(database, opened, kind):
    """Rows of the parts of a table are converted like others."""
    uri, connection = database
    connection.execute("DROP TABLE IF EXISTS whole CASCADE")
    fill(connection, "items", VECTORS)
    columns = f"id bigint PRIMARY KEY, emb vector({D})"
    if kind == "partitioned":
        connection.execute(f"CREATE TABLE whole ({columns}) PARTITION BY RANGE (id)")
        connection.execute("CREATE TABLE low PARTITION OF whole FOR VALUES FROM (0) TO (150)")
        connection.execute("CREATE TABLE high PARTITION OF whole FOR VALUES FROM (150) TO (999)")
        connection.execute("INSERT INTO whole SELECT id, emb FROM items")
    else:
        connection.execute(f"CREATE TABLE whole ({columns})")
        connection.execute("CREATE TABLE low () INHERITS (whole)")
        connection.execute("INSERT INTO whole SELECT id, emb FROM items WHERE id < 150")
        connection.execute("INSERT INTO low SELECT id, emb FROM items WHERE id >= 150")
    source = opened.store(address(uri, "whole", "emb"))
    target = opened.target(source, address(uri, "whole", "new"), MARK)
    assert migrate(target) == N
    rows = connection.execute("SELECT new::real[] FROM whole ORDER BY id").fetchall()
    np.testing.assert_allclose([row[0] for row in rows], MAPPED, rtol=1e-6, atol=1e-6)


def test_numbers_beyond_half_precision_are_refused(database, opened):
    """A vector that a halfvec cannot hold is an error, not infinity."""
    uri, connection = database
    fill(connection, "items", VECTORS, kind="halfvec")
    source = opened.store(address(uri, "items", "emb"))
    target = opened.target(source, address(uri, "items", "new"), MARK)
    target.create()
    batch = next(iter(target.pending(2)))
    with pytest.raises(InputError, match="do not fit a column of type halfvec"):
        target.write(batch, np.full((2, E), 1e6, np.float32))
