"""Whole migrations in PostgreSQL: keys, types, names, schemas, sessions, and what can go wrong."""

import json
import socket
from contextlib import closing
from urllib.parse import quote

import numpy as np
import psycopg
import pytest
from tests.conftest import save_folder
from tests.kills import commands
from tests.passes.migrate.conftest import clustered, fit_old_to_new
from tests.postgres import address

from intertwine.errors import InputError
from intertwine.maps.linear_map import LinearMap
from intertwine.passes.migrate.run import MigrateOptions, migrate
from intertwine.stores import open_store

# The conformance suite shows with every quick run what any store does.
pytestmark = pytest.mark.slow

RNG = np.random.default_rng(5)
N, D, E, LATENT = 600, 24, 20, 8


@pytest.fixture(scope="module")
def spaces():
    """Return the same items in two spaces, (N, D) and (N, E)."""
    return clustered(RNG, N, (D, E), latent=LATENT, clusters=20)


@pytest.fixture(scope="module")
def fitted(spaces, tmp_path_factory):
    """Return a map from the old space to the new, fitted on a few items, and its file."""
    return fit_old_to_new(tmp_path_factory.mktemp("fit"), spaces, 300)


def make(
    connection, spaces, columns="id bigint PRIMARY KEY", values="i", *, table="items", column="emb"
):
    """Make a table of all items with a key of some columns; `i` is the row."""
    connection.execute(f"DROP TABLE IF EXISTS {table} CASCADE; DROP TABLE IF EXISTS given")
    connection.execute("CREATE TEMP TABLE given (i int, v real[])")
    with connection.cursor().copy("COPY given FROM STDIN") as copy:
        for row, vector in enumerate(spaces[0]):
            copy.write_row((row, vector.tolist()))
    kind = connection.execute(
        "SELECT n.nspname || '.vector' FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace "
        "WHERE extname = 'vector'"
    ).fetchone()[0]
    connection.execute(f"CREATE TABLE {table} (row int, {columns}, {column} {kind}({D}))")
    connection.execute(f"INSERT INTO {table} SELECT i, {values}, v::{kind} FROM given")  # noqa: S608


def assert_new(connection, expected, *, table="items", column="emb", tolerance=1e-5):
    """Compare a column with products computed apart, row by row."""
    rows = connection.execute(f"SELECT row, {column}::real[] FROM {table}").fetchall()  # noqa: S608
    assert sorted(row for row, _ in rows) == list(range(N))
    for row, vector in rows:
        error = np.linalg.norm(np.array(vector) - expected[row])
        assert error <= tolerance * np.linalg.norm(expected[row])


def read_all(place):
    """Look through all of a store."""
    with closing(open_store(place)) as store:
        return list(store.batches(5))


def options(**values):
    """Return options with small batches."""
    return MigrateOptions(**{"batch_size": 100, **values})


COMPOSITE = 'tenant text, "the id" int, PRIMARY KEY (tenant, "the id")'
KEYED = "'tenant, ' || i % 7, i / 7"


def test_a_table_with_a_key_of_two_columns_is_migrated_whole(database, spaces, fitted, tmp_path):
    """Converted, checked by ids written as texts, switched, rolled back and switched again."""
    uri, connection = database
    make(connection, spaces, COMPOSITE, KEYED)
    places = address(uri, "items", "emb", metric="cosine"), address(uri, "items", "new")
    rows = np.arange(300, 600)
    ids = [f'"tenant, {row % 7}",{row // 7}' for row in rows]
    save_folder(tmp_path / "natives", {"new": spaces[1][rows]}, ids=ids)
    expected = fitted[0].apply(spaces[0].astype(np.float64))
    dry = migrate(*places, fitted[1], options=options(dry_run=True, check=tmp_path / "natives"))
    assert dry["written"] == 0
    done = migrate(*places, fitted[1], options=options(check=tmp_path / "natives", switch=True))
    assert (done["rows"], done["written"], done["switched"]) == (N, N, True)
    assert done["checks"]["found"] > 0.9
    assert_new(connection, expected)
    migrate(*places, fitted[1], options=options(rollback=True))
    assert_new(connection, spaces[0])
    assert migrate(*places, fitted[1], options=options(switch=True))["written"] == 0
    assert_new(connection, expected)
    json.dumps(done, allow_nan=False)


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        (COMPOSITE, KEYED),
        ("id char(12) PRIMARY KEY", "'id ' || i"),
        ("id interval PRIMARY KEY", "make_interval(mins => i)"),
    ],
)
def test_kills_lose_nothing_whatever_the_key(database, spaces, fitted, columns, values):
    """Killed at random moments, the same command ends with every row switched to what is its own."""
    uri, connection = database
    make(connection, spaces, columns, values)
    places = address(uri, "items", "emb", metric="cosine"), address(uri, "items", "new")
    arguments = ("migrate", *places, "--map", fitted[1], "--batch-size", 20, "--switch")
    with commands(
        "intertwine.passes.migrate.run", "intertwine.stores.pgvector.target", "psycopg"
    ) as ran:
        ran.run_with_kills(*arguments, seconds=0.4, chance=np.random.default_rng(2), most=5)
        ran.run(*arguments)
    assert_new(connection, fitted[0].apply(spaces[0].astype(np.float64)))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id uuid", "lpad(i::text, 32, '0')::uuid"),
        ("id timestamptz", "now() + make_interval(mins => i)"),
    ],
)
def test_ids_of_a_check_are_read_as_the_keys_type_reads_them(
    database, spaces, fitted, tmp_path, key, value
):
    """Whatever the type; a text that is none is one line that names the folder."""
    uri, connection = database
    make(connection, spaces, f"{key} PRIMARY KEY", value)
    places = address(uri, "items", "emb", metric="cosine"), address(uri, "items", "new")
    texts = [row[0] for row in connection.execute("SELECT id::text FROM items ORDER BY row")]
    save_folder(tmp_path / "right", {"new": spaces[1]}, ids=texts)
    found = migrate(*places, fitted[1], options=options(check=tmp_path / "right"))
    assert found["checks"]["found"] > 0.9
    save_folder(tmp_path / "wrong", {"new": spaces[1]}, ids=[f"x{row}" for row in range(N)])
    with pytest.raises(
        InputError, match="wrong: ids such as 'x0' are not of the store's type"
    ) as caught:
        migrate(*places, fitted[1], options=options(check=tmp_path / "wrong"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["c%d", "%s", "a{b}c", "q\"u'o", "two\nlines", "select", "e\x1b[31mm", "%%(x)s"]
)
def test_a_column_of_any_name_is_migrated_switched_and_rolled_back(database, spaces, fitted, name):
    """As source, as target and as key; what is said of it is one clean line."""
    uri, connection = database
    quoted = '"' + name.replace('"', '""') + '"'
    key = f'{quoted[:-1]} id"'
    make(connection, spaces, f"{key} int PRIMARY KEY", "i", table=quoted, column=quoted)
    connection.execute(f"CREATE INDEX ON {quoted} USING hnsw ({quoted} vector_cosine_ops)")
    table = quote(quoted, safe="")
    places = (
        address(uri, table, quote(name, safe="")),
        address(uri, table, quote(f"{name} new", safe="")),
    )
    expected = fitted[0].apply(spaces[0].astype(np.float64))
    for chosen, right in [
        (options(dry_run=True), spaces[0]),
        (options(), spaces[0]),
        (options(switch=True), expected),
        (options(switch=True), expected),
        (options(rollback=True), spaces[0]),
        (options(switch=True), expected),
    ]:
        summary = migrate(*places, fitted[1], options=chosen)
        assert_new(connection, right, table=quoted, column=quoted)
        for text in (*summary["notes"], summary["source"], summary["target"]):
            assert text.isprintable(), text


def test_pgvector_in_a_schema_that_is_not_on_the_path(database, spaces, fitted):
    """Types and operators are found where the extension is; nothing is told to be missing."""
    uri, connection = database
    connection.execute('CREATE SCHEMA IF NOT EXISTS "Ext\'s"')
    make(connection, spaces)
    connection.execute("CREATE INDEX ON items USING hnsw (emb vector_cosine_ops) WITH (m = 9)")
    connection.execute('ALTER EXTENSION vector SET SCHEMA "Ext\'s"')
    try:
        with pytest.raises(psycopg.Error, match='type "vector" does not exist'):
            connection.execute("SELECT '[1]'::vector")
        for kind in ("vector", "halfvec"):
            places = address(uri, "items", "emb"), address(uri, "items", f"new_{kind}", type=kind)
            done = migrate(*places, fitted[1], options=options(switch=True))
            assert (done["switched"], done["written"]) == (True, N)
            assert done["checks"]["neighbours_kept_low"] > 0.3
            indexes = connection.execute(
                "SELECT indexdef FROM pg_indexes WHERE tablename = 'items'"
            ).fetchall()
            assert sum(f"{kind}_cosine_ops) WITH (m='9')" in text for (text,) in indexes) >= 1
            migrate(*places, fitted[1], options=options(rollback=True))
    finally:
        connection.execute("ALTER EXTENSION vector SET SCHEMA public")
    assert_new(connection, spaces[0])


def test_a_database_without_pgvector_is_told_so(database):
    """Only there is CREATE EXTENSION the answer."""
    uri, connection = database
    connection.execute("DROP DATABASE IF EXISTS bare")
    connection.execute("CREATE DATABASE bare")
    with pytest.raises(InputError, match="has no pgvector; run CREATE EXTENSION vector"):
        read_all(address(uri.replace("/postgres?", "/bare?"), "items", "emb"))


def test_above_two_thousand_dimensions_half_precision_is_indexed(database, fitted, tmp_path):
    """The refusal of a vector names the way out, and that way ends with an index and a switch."""
    uri, connection = database
    wide, n = 2100, 120
    rng = np.random.default_rng(8)
    old = rng.standard_normal((n, D)).astype(np.float32)
    make(connection, (np.vstack([old] * 5),))
    connection.execute("DELETE FROM items WHERE row >= %s", [n])
    connection.execute("CREATE INDEX ON items USING hnsw (emb vector_cosine_ops)")
    right = fitted[0]
    space = type(right.target)("wide", wide)
    linear_map = LinearMap(
        rng.standard_normal((wide, D)), np.zeros(wide), right.source, space, "drawn"
    )
    linear_map.save(tmp_path / "wide.safetensors")
    places = address(uri, "items", "emb"), address(uri, "items", "new")
    with pytest.raises(InputError, match=r"at most 2,000 dimensions.*type=halfvec"):
        migrate(*places, tmp_path / "wide.safetensors", options=options(dry_run=True))
    done = migrate(
        places[0],
        places[1] + "&type=halfvec",
        tmp_path / "wide.safetensors",
        options=options(force=True, switch=True),
    )
    assert done["switched"]
    kind, method = connection.execute(
        "SELECT format_type(atttypid, atttypmod), indexdef FROM pg_attribute, pg_indexes "
        "WHERE attrelid = 'items'::regclass AND attname = 'emb' AND tablename = 'items' "
        "AND indexdef LIKE '%(emb halfvec_cosine_ops)%'"
    ).fetchone()
    assert kind == f"halfvec({wide})"
    assert "USING hnsw" in method
    found = connection.execute("SELECT row, emb::vector::real[] FROM items").fetchall()
    expected = old.astype(np.float64) @ linear_map.weight.T
    for row, vector in found:
        assert np.linalg.norm(vector - expected[row]) <= 2e-3 * np.linalg.norm(expected[row])


def test_nothing_is_left_in_sessions_that_a_pooler_would_pass_on(
    database, spaces, fitted, monkeypatch
):
    """No setting, no table, no prepared statement and no lock stands when a connection is closed."""
    uri, connection = database
    make(connection, spaces)
    connection.execute("CREATE INDEX ON items USING hnsw (emb vector_cosine_ops)")
    left = []

    def closed(self, close=psycopg.Connection.close):
        if not self.closed and self is not connection:
            left.append(
                self.execute(
                    "SELECT array(SELECT name FROM pg_settings WHERE source = 'session'), "
                    "array(SELECT relname::text FROM pg_class WHERE relnamespace = pg_my_temp_schema()), "
                    "(SELECT count(*) FROM pg_prepared_statements), "
                    "(SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND "
                    "locktype = 'advisory')",
                    prepare=False,
                ).fetchone()
            )
        close(self)

    monkeypatch.setattr(psycopg.Connection, "close", closed)
    places = address(uri, "items", "emb"), address(uri, "items", "new")
    migrate(*places, fitted[1], options=options(switch=True))
    migrate(*places, fitted[1], options=options(rollback=True))
    assert len(left) >= 4
    assert all(found == ([], [], 0, 0) for found in left)


def test_limits_of_a_role_are_kept_to(database, spaces, fitted):
    """A statement_timeout is the owner's word: one line, and the same command without it goes on."""
    uri, connection = database
    make(connection, spaces)
    places = [address(uri, "items", "emb"), address(uri, "items", "new")]
    short = [place + "&options=-c%20statement_timeout%3D1" for place in places]
    with pytest.raises(InputError, match="canceling statement due to statement timeout") as caught:
        migrate(*short, fitted[1], options=options(batch_size=600))
    assert "\n" not in str(caught.value)
    idle = [
        place + "&options=-c idle_in_transaction_session_timeout=50".replace(" ", "%20")
        for place in places
    ]
    assert migrate(*idle, fitted[1], options=options(switch=True))["switched"]


@pytest.fixture
def closed_port():
    """Return a port of this machine at which nothing listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_what_cannot_be_reached_is_one_line_with_its_address(database, closed_port):
    """Host down, no such database or user, and a read that is not allowed; never a password."""
    uri, connection = database
    connection.execute(
        "DROP TABLE IF EXISTS items; CREATE TABLE items (id int PRIMARY KEY, emb vector(3), b int)"
    )
    connection.execute("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN")
    for place, message in [
        (
            f"pgvector://me:hunt%40er@127.0.0.1:{closed_port}/d?table=t&column=c",
            f"pgvector://me:\\*\\*\\*@127.0.0.1:{closed_port}/d: .*refused",
        ),
        (
            address(uri.replace("/postgres?", "/nowhere?"), "t", "c"),
            'database "nowhere" does not exist',
        ),
        (
            address(uri.replace("postgres:@", "nobody:hunt%40er@"), "t", "c"),
            'role "nobody" does not exist',
        ),
        (
            address(uri.replace("postgres:@", "reader:hunt%40er@"), "items", "emb"),
            "permission denied for table items",
        ),
        (address(uri, "nope.items", "emb"), "there is no table 'nope.items'"),
        (address(uri, "items;drop", "emb"), "there is no table 'items;drop'"),
    ]:
        with pytest.raises(InputError, match=message) as caught:
            read_all(place)
        said = str(caught.value)
        assert "hunt" not in said
        assert said.isprintable()
        assert said.startswith(("PostgreSQL: pgvector://", "pgvector://", "PostgreSQL: "))


def test_a_column_that_may_not_be_read_or_written_is_one_line(database, spaces, fitted):
    """Rights on single columns, and none to change the table, are told before anything is written."""
    uri, connection = database
    make(connection, spaces)
    connection.execute(
        "DROP ROLE IF EXISTS part; CREATE ROLE part LOGIN; GRANT SELECT (id, row) ON items TO part"
    )
    place = address(uri.replace("postgres:@", "part:@"), "items", "emb")
    target = address(uri.replace("postgres:@", "part:@"), "items", "new")
    with pytest.raises(InputError, match="permission denied for table items"):
        migrate(place, target, fitted[1], options=options())
    connection.execute("GRANT SELECT ON items TO part")
    read_all(place)
    with pytest.raises(
        InputError, match=r"must be owner of table items|permission denied for table items"
    ):
        migrate(place, target, fitted[1], options=options())
    names = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'items'::regclass AND attnum > 0"
    )
    assert [name for (name,) in names] == ["row", "id", "emb"]
    connection.execute("REVOKE ALL ON items FROM part; DROP ROLE part")


def test_a_server_that_only_reads_is_one_line(database, spaces, fitted):
    """A standby, or a database that is set so, is read in a dry run and refuses the rest."""
    uri, connection = database
    make(connection, spaces)
    only = "&options=-c%20default_transaction_read_only%3Don"
    places = address(uri, "items", "emb") + only, address(uri, "items", "new") + only
    with pytest.raises(InputError, match="read-only") as caught:
        migrate(*places, fitted[1], options=options())
    assert str(caught.value).isprintable()


def test_a_server_that_goes_away_amid_a_read_is_one_line(database, spaces):
    """The connection is cut between two batches of a look through the table."""
    uri, connection = database
    make(connection, spaces)
    store = open_store(address(uri, "items", "emb"))
    batches = store.batches(1)
    next(batches)
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
        "AND datname = current_database() AND backend_type = 'client backend'"
    )
    with pytest.raises(InputError, match=r"PostgreSQL: .*what was committed stays") as caught:
        list(batches)
    assert str(caught.value).isprintable()
    store.close()


def test_a_space_in_an_option_reaches_the_server_as_a_space(database):
    """Not as the plus sign that forms of web pages write."""
    uri, connection = database
    connection.execute("DROP SCHEMA IF EXISTS aside CASCADE; CREATE SCHEMA aside")
    connection.execute("CREATE TABLE aside.items (id int PRIMARY KEY, emb public.vector(3))")
    place = address(uri, "items", "emb") + "&options=-c%20search_path%3Daside"
    with closing(open_store(place)) as store:
        assert store.column.table == ("aside", "items")


def test_a_transaction_pooler_in_between_does_no_harm(database, spaces, fitted, monkeypatch):
    """A session that forgets everything between transactions migrates, switches and goes back."""
    uri, connection = database
    make(connection, spaces)
    connection.execute("CREATE INDEX ON items USING hnsw (emb vector_cosine_ops)")
    forgotten = []

    def forget(cursor):
        if cursor.connection is connection:
            return
        # Threads may share the connection, and each waits for what the other sent.
        with cursor.connection.lock:
            idle = psycopg.pq.TransactionStatus.IDLE
            if cursor.connection.info.transaction_status == idle:
                cursor.connection.pgconn.exec_(b"DISCARD ALL")
                forgotten.append(1)

    execute, copy = psycopg.Cursor.execute, psycopg.Cursor.copy

    def forgetful(own):
        def act(self, *values, **names):
            forget(self)
            return own(self, *values, **names)

        return act

    monkeypatch.setattr(psycopg.Cursor, "execute", forgetful(execute))
    monkeypatch.setattr(psycopg.Cursor, "copy", forgetful(copy))
    places = address(uri, "items", "emb"), address(uri, "items", "new")
    assert migrate(*places, fitted[1], options=options(switch=True))["written"] == N
    assert_new(connection, fitted[0].apply(spaces[0].astype(np.float64)))
    migrate(*places, fitted[1], options=options(rollback=True))
    assert_new(connection, spaces[0])
    assert len(forgotten) > 20
