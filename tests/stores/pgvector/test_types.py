"""Types of keys and of columns in PostgreSQL, on a real server with pgvector."""

from contextlib import ExitStack, closing

import numpy as np
import psycopg
import pytest
from tests.postgres import address, fill, server
from tests.stores.migration import migrate

from intertwine.errors import InputError
from intertwine.spaces import Space
from intertwine.stores import MigrationRecord, open_store, open_target

# The conformance suite shows with every quick run what any store does.
pytestmark = pytest.mark.slow

RNG = np.random.default_rng(3)
N, D, E = 60, 4, 6
VECTORS = RNG.standard_normal((N, D)).astype(np.float32)
WEIGHT = RNG.standard_normal((D, E))
MARK = MigrationRecord("ab" * 32, Space("a", D), Space("b", E))
SIZES = [1, 7, N, 500]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Return a server's URI and a connection to it."""
    with server(tmp_path_factory) as (uri, connection):
        connection.execute("CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad')")
        connection.execute("CREATE TYPE pair AS (a int, b text)")
        connection.execute("CREATE DOMAIN my_id AS bigint CHECK (VALUE >= -999)")
        connection.execute("CREATE DOMAIN my_text AS varchar(40)")
        connection.execute("CREATE DOMAIN my_own AS my_text CHECK (VALUE <> '')")
        connection.execute("CREATE DOMAIN my_mood AS mood")
        connection.execute(FOLDED)
        yield uri, connection


# A type of an extension's making, as citext is: text with functions and an order of its own.
FOLDED = """
CREATE SCHEMA apart;
CREATE TYPE apart.folded;
CREATE FUNCTION apart.fin(cstring) RETURNS apart.folded AS 'textin' LANGUAGE internal IMMUTABLE STRICT;
CREATE FUNCTION apart.fout(apart.folded) RETURNS cstring AS 'textout' LANGUAGE internal IMMUTABLE STRICT;
CREATE TYPE apart.folded (INPUT = apart.fin, OUTPUT = apart.fout, LIKE = text, COLLATABLE = true);
CREATE CAST (apart.folded AS text) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (text AS apart.folded) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE FUNCTION apart.fcmp(a apart.folded, b apart.folded) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS
    $$ SELECT bttextcmp(lower(a::text), lower(b::text)) $$;
"""
for _name, _sign in [("lt", "<"), ("le", "<="), ("eq", "="), ("ge", ">="), ("gt", ">")]:
    FOLDED += f"""
CREATE FUNCTION apart.f{_name}(a apart.folded, b apart.folded) RETURNS boolean LANGUAGE sql
    IMMUTABLE STRICT AS $$ SELECT apart.fcmp(a, b) {_sign} 0 $$;
CREATE OPERATOR apart.{_sign} (LEFTARG = apart.folded, RIGHTARG = apart.folded,
    FUNCTION = apart.f{_name});
"""
FOLDED += """
CREATE OPERATOR CLASS apart.folded_ops DEFAULT FOR TYPE apart.folded USING btree AS
    OPERATOR 1 apart.<, OPERATOR 2 apart.<=, OPERATOR 3 apart.=, OPERATOR 4 apart.>=,
    OPERATOR 5 apart.>, FUNCTION 1 apart.fcmp(apart.folded, apart.folded);
"""

SPELT = "SELECT items.id::text FROM items ORDER BY items.id"

# A type, and the key of row i as SQL.
KEYS = {
    "my_id": "i - 30",
    "my_text": "'it''s 100% ' || i",
    "my_own": "'own ' || i",
    "apart.folded": "CASE WHEN i % 2 = 0 THEN 'Id' ELSE 'iD' END || i",
    "char(36)": "'id ' || i",
    "char(1)": "chr(64 + i)",
    "bit(16)": "i::bit(16)",
    "bit varying(9)": "i::bit(9)",
    "interval": "make_interval(months => i, days => 3)",
    "time": "time '23:00' + make_interval(mins => i)",
    "timetz": "timetz '10:00+02' + make_interval(mins => i)",
    "date": "date '2020-01-01' + i",
    "timestamp": "timestamp '2020-01-01 00:00:00.123456' + make_interval(hours => i)",
    "timestamptz": "timestamptz '2020-01-01 00:00:00.123456+05' + make_interval(hours => i)",
    "real": "(0.1 * i)::real",
    "double precision": "0.1::float8 * i",
    "numeric(20, 10)": "i / 7.0",
    "money": "i::money",
    "cidr": "('10.0.' || i || '.0/24')::cidr",
    "inet": "('10.0.0.' || i || '/24')::inet",
    "macaddr": "('08:00:2b:01:02:' || lpad(to_hex(i), 2, '0'))::macaddr",
    "bytea": "('x' || i)::bytea",
    "oid": "(4000000000 + i)::oid",
    "name": "('n' || i)::name",
    "int4range": "int4range(i, i + 1)",
    "integer[]": "array[i, 1]",
    "text[]": "array['a,b', i::text]",
    "pair": "ROW(i, 'x,y')::pair",
    "jsonb": "jsonb_build_object('n', i)",
    "tsvector": "to_tsvector('simple', 'w' || i)",
    "pg_lsn": "('0/' || to_hex(i))::pg_lsn",
}


def table_of(connection, columns, key, select, *, kind="vector", unique=None):
    """Make a table `items` with VECTORS and a key of some columns."""
    fill(connection, "plain", VECTORS, kind="vector", step=1)
    connection.execute("DROP TABLE IF EXISTS items")
    dim = f"({D})" if kind in {"vector", "halfvec"} else ""
    via = "real[]::float8[]" if kind == "double precision[]" else kind
    constraint = unique or f"PRIMARY KEY ({key})"
    connection.execute(f"CREATE TABLE items (row int, {columns}, emb {kind}{dim}, {constraint})")
    connection.execute(
        f"INSERT INTO items SELECT i, {select}, p.emb::{via} "  # noqa: S608 - ours
        "FROM plain p, LATERAL (SELECT id::int AS i) x"
    )


def mapped(vectors):
    """Return what the map of these tests makes of vectors."""
    return np.asarray(vectors, np.float64) @ WEIGHT


def assert_migrated(connection, column="new", tolerance=1e-6):
    """Compare each row's new vector with the product of its own old one, computed here."""
    rows = connection.execute(
        f"SELECT row, {column}::real[]::float8[] FROM items"  # noqa: S608 - ours
    ).fetchall()
    assert len(rows) == N
    for row, vector in rows:
        expected = mapped(VECTORS[row])
        assert np.linalg.norm(np.array(vector) - expected) <= tolerance * np.linalg.norm(expected)


@pytest.fixture
def opened():
    """Return what opens stores and targets that are closed at the end of the test."""
    with ExitStack() as stack:

        def opening(text, target=None):
            store = stack.enter_context(closing(open_store(text)))
            if target is None:
                return store
            return store, stack.enter_context(closing(open_target(store, target, MARK)))

        yield opening


def walk(store, size):
    """Return all ids of a store, after looking through it from the middle on too."""
    ids = [item for batch in store.batches(size) for item in batch.ids]
    half = len(ids) // 2
    later = [item for batch in store.batches(size, after=ids[half]) for item in batch.ids]
    assert later == ids[half + 1 :]
    assert len(set(ids)) == len(ids) == N
    return ids


@pytest.mark.parametrize("kind", KEYS)
def test_rows_are_told_apart_by_a_key_of_any_type(database, opened, kind):
    """Every row is read in order, sampled, found, mapped and written, whatever type its key has."""
    uri, connection = database
    table_of(connection, f"id {kind}", "id", KEYS[kind])
    places = address(uri, "items", "emb"), address(uri, "items", "new")
    store = opened(places[0])
    ids = walk(store, 7)
    order = [row for (row,) in connection.execute("SELECT row FROM items ORDER BY id")]
    np.testing.assert_array_equal(store.read(ids), VECTORS[order])
    assert set(store.sample(10).ids) <= set(ids)
    assert len(store.sample(N).ids) == N
    assert store.search(VECTORS[order[:3]], 1) == [[item] for item in ids[:3]]
    with closing(migrate(store, places[1], mapped, mark=MARK, size=7)) as target:
        assert_migrated(connection)
        texts = [text for (text,) in connection.execute(SPELT, prepare=False)]
        assert store.ids_from(texts) == ids
        np.testing.assert_allclose(target.read(ids[::-1]), mapped(VECTORS[order[::-1]]), rtol=1e-5)
        assert target.count() == N


def test_an_enum_and_a_domain_over_it_are_keys(database, opened):
    """Ids come in the type's own order, not in that of their letters."""
    uri, connection = database
    for kind in ("mood", "my_mood"):
        connection.execute("DROP TABLE IF EXISTS few")
        connection.execute(f"CREATE TABLE few (id {kind} PRIMARY KEY, emb vector(4))")
        connection.execute(
            "INSERT INTO few VALUES ('glad', '[1,2,3,4]'), ('sad', '[4,3,2,1]'), ('ok', '[1,1,1,2]')"
        )
        store = opened(address(uri, "few", "emb"))
        assert [item for batch in store.batches(2) for item in batch.ids] == ["sad", "ok", "glad"]
        with closing(migrate(store, address(uri, "few", "new"), mapped, mark=MARK, size=2)) as new:
            assert new.count() == 3


def test_a_key_is_never_cut_to_its_columns_length(database, opened):
    """An id that is longer than the column is no row's, not that of the row it begins as."""
    uri, connection = database
    for kind, known in [("varchar(4)", "id 3"), ("char(4)", "id 3"), ("bit(4)", "0011")]:
        connection.execute("DROP TABLE IF EXISTS few")
        connection.execute(f"CREATE TABLE few (id {kind} PRIMARY KEY, emb vector(4))")
        insert = "INSERT INTO few VALUES (%s, '[1,2,3,4]')"
        connection.execute(insert, [known], prepare=False)
        found = opened(address(uri, "few", "emb")).read([known, known + "1"])
        assert np.isnan(found).all(axis=1).tolist() == [False, True]


@pytest.mark.parametrize("style", ["ISO", "SQL, DMY", "German", "Postgres, MDY"])
@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz", "interval"])
def test_dates_of_all_times_are_keys_whatever_the_session_writes(database, opened, kind, style):
    """Infinity, years before Christ and far ahead, and days that two styles read as different ones."""
    uri, connection = database
    connection.execute("DROP TABLE IF EXISTS few")
    connection.execute(f"CREATE TABLE few (id {kind} PRIMARY KEY, emb vector(4))")
    times = ["2020-02-01", "2020-01-02", "0044-03-15 BC", "20001-01-01", "infinity", "-infinity"]
    spans = ["1 year 2 mons", "-3 days", "40 days 01:02:03.5", "1 mon -1 days"]
    for number, time in enumerate(spans if kind == "interval" else times):
        values = [time, f"[1,2,3,{number}]"]
        connection.execute("INSERT INTO few VALUES (%s, %s)", values, prepare=False)
    quoted = "-c%20DateStyle%3D" + style.replace(", ", ",") + "%20-c%20TimeZone%3DAsia/Kolkata"
    place = address(uri, "few", "emb", options=quoted)
    store = opened(place)
    ids = [item for batch in store.batches(2) for item in batch.ids]
    order = connection.execute(
        "SELECT (emb::real[])[4] FROM few ORDER BY id", prepare=False
    ).fetchall()
    assert store.read(ids)[:, 3].tolist() == [number for (number,) in order]
    with closing(migrate(store, place.replace("emb", "new"), mapped, mark=MARK, size=2)) as target:
        np.testing.assert_allclose(target.read(ids), mapped(store.read(ids)), rtol=1e-5)


COMPOSITE = 'tenant text, "the % id" int, day date'
SELECT = "'te''nant, ' || i % 3, i / 3, date '2020-01-01' + i"


@pytest.mark.parametrize("size", SIZES)
def test_rows_are_told_apart_by_several_columns(database, opened, size):
    """Ids are tuples, in the order of the key, from any on, and written whatever the batch's size."""
    uri, connection = database
    table_of(connection, COMPOSITE, 'tenant, "the % id"', SELECT)
    store = opened(address(uri, "items", "emb"))
    ids = walk(store, size)
    expected = connection.execute(
        'SELECT tenant, "the % id", row FROM items ORDER BY 1, 2'
    ).fetchall()
    assert ids == [row[:2] for row in expected]
    order = [row[2] for row in expected]
    np.testing.assert_array_equal(store.read(ids), VECTORS[order])
    assert np.isnan(store.read([("nobody", 1)])).all()
    assert sorted(store.sample(N).ids) == sorted(ids)
    assert store.search(VECTORS[order[:2]], 1) == [[ids[0]], [ids[1]]]
    assert store.ids_from(['"te\'nant, 1",0', "nobody,-5"]) == [("te'nant, 1", 0), ("nobody", -5)]
    for text, message in [("a,b,c", "got id 'a,b,c', expected 2 values"), ("a,b", "invalid input")]:
        with pytest.raises(InputError, match=message):
            store.ids_from([text])
    with closing(migrate(store, address(uri, "items", "new"), mapped, mark=MARK, size=size)):
        assert_migrated(connection)


def test_an_id_is_read_as_its_table_spells_it(database, opened):
    """Case of a text of an extension's, blanks and zeros of no account are the row's own."""
    uri, connection = database
    for kind, own, other in [
        ("apart.folded", "Id7", "iD7"),
        ("char(5)", "ab", "ab   "),
        ("interval", "1 year", "12 mons"),
    ]:
        connection.execute("DROP TABLE IF EXISTS few")
        connection.execute(f"CREATE TABLE few (id {kind} PRIMARY KEY, emb vector(4))")
        insert = "INSERT INTO few VALUES (%s, '[1,2,3,4]')"
        connection.execute(insert, [own], prepare=False)
        assert opened(address(uri, "few", "emb")).ids_from([other]) == [own]


def test_columns_whose_operators_are_in_several_schemas_are_a_key(database, opened):
    """Text of an extension's own order, off the search path, beside a domain over an enum."""
    uri, connection = database
    table_of(
        connection,
        "a apart.folded, m my_mood, k0 int",
        "a, m, k0",
        "CASE WHEN i % 2 = 0 THEN 'Id' ELSE 'iE' END, (CASE i % 3 WHEN 0 THEN 'sad' WHEN 1 THEN 'ok' "
        "ELSE 'glad' END)::mood, i",
    )
    store = opened(address(uri, "items", "emb"))
    ids = walk(store, 7)
    found = connection.execute(
        "SELECT a::text, m::text, k0 FROM items ORDER BY items.a, items.m, k0"
    ).fetchall()
    assert ids == found
    with closing(migrate(store, address(uri, "items", "new"), mapped, mark=MARK, size=7)):
        assert_migrated(connection)


def test_several_columns_are_named_in_the_address(database, opened):
    """In any order, of any type, by a unique index or none; a name with a comma goes in quotes."""
    uri, connection = database
    table_of(connection, COMPOSITE + ', "a,b" mood', "row", SELECT + ", 'ok'")
    for named in ("day,tenant", 'tenant,"the %25 id"', 'tenant, day,"a,b"', "row", "row,tenant"):
        place = address(uri, "items", "emb", id=named.replace('"', "%22").replace(" ", "%20"))
        store = opened(place)
        assert len(store.column.key.columns) == named.count(",") + 1 - ('"a' in named)
        walk(store, 7)
    with pytest.raises(InputError, match=r"id te'nant, .,ok stands in 20 rows") as caught:
        opened(address(uri, "items", "emb", id="tenant,%22a,b%22"))
    assert "\n" not in str(caught.value)
    for named, message in [
        ("tenant,day,tenant", "names a column twice"),
        ("row,nope", "no column 'nope'"),
    ]:
        with pytest.raises(InputError, match=message):
            opened(address(uri, "items", "emb", id=named))


@pytest.mark.parametrize(
    ("unique", "options"),
    [
        ("UNIQUE (id)", {"id": "id"}),
        ("UNIQUE (row, id)", {"id": "row,id"}),
        ("UNIQUE NULLS NOT DISTINCT (row, id)", {"id": "id,row"}),
        ("CHECK (true)", {"id": "id"}),
    ],
)
def test_ids_that_are_null_are_refused_by_name(database, opened, unique, options):
    """Where a unique index allows NULL, rows with it cannot be told apart: nothing is written."""
    uri, connection = database
    table_of(connection, "id int", "id", "i", unique=unique)
    opened(address(uri, "items", "emb", **options))
    connection.execute("UPDATE items SET id = NULL WHERE row IN (3, 5)")
    with pytest.raises(InputError, match="id column 'id' is NULL in 2 rows"):
        opened(address(uri, "items", "emb", **options))


def test_a_unique_index_of_a_parent_says_nothing_of_its_heirs(database, opened):
    """A primary key that stands in the parent and an heir is found and named."""
    uri, connection = database
    connection.execute("DROP TABLE IF EXISTS parent CASCADE")
    connection.execute("CREATE TABLE parent (id int PRIMARY KEY, emb vector(4))")
    connection.execute("CREATE TABLE heir () INHERITS (parent)")
    connection.execute("INSERT INTO parent VALUES (1, '[1,2,3,4]'), (2, '[1,2,3,5]')")
    connection.execute("INSERT INTO heir VALUES (3, '[1,2,3,4]')")
    assert opened(address(uri, "parent", "emb")).count() == 3
    connection.execute("INSERT INTO heir VALUES (2, '[1,2,3,4]')")
    with pytest.raises(InputError, match="id 2 stands in 2 rows"):
        opened(address(uri, "parent", "emb"))


HALF = 2e-3
TYPES = ["vector", "halfvec", "real[]", "double precision[]"]


@pytest.mark.parametrize("asked", [None, *TYPES])
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("key", ["id int", "id text"])
def test_vectors_go_from_any_type_to_any(database, opened, kind, asked, key):
    """The new column is of the type asked for, else of the old one's, and holds the products."""
    uri, connection = database
    table_of(connection, key, "id", "i" if key == "id int" else "'x' || i", kind=kind)
    store = opened(address(uri, "items", "emb"))
    options = {} if asked is None else {"type": asked.replace(" ", "%20")}
    target = migrate(store, address(uri, "items", "new", **options), mapped, mark=MARK, size=7)
    with closing(target):
        half = "halfvec" in {kind, asked or kind}
        assert_migrated(connection, tolerance=HALF if half else 1e-6)
        found = connection.execute(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = 'items'::regclass AND attname = 'new'"
        ).fetchone()[0]
        own = asked or kind
        assert found == (own if "[" in own else f"{own}({E})")
        assert target.tolerance == pytest.approx(4e-3 if own == "halfvec" else 1e-5)
        ids = [item for batch in store.batches(9) for item in batch.ids]
        queries = target.read(ids[:5])
        assert [found[0] for found in target.search(queries, 3)] == ids[:5]
        assert store.search(store.read(ids[:2]), 1) == [[ids[0]], [ids[1]]]
    again = opened(address(uri, "items", "emb"), address(uri, "items", "new"))[1]
    assert again.column.kind == own
    assert list(again.pending(5)) == []


def test_a_wide_float_array_keeps_its_precision(database, opened):
    """Numbers of double precision are read as such."""
    uri, connection = database
    table_of(connection, "id int", "id", "i", kind="double precision[]")
    exact = [1 / 3, 2 / 3, 1e-30, 12345.678901234]
    connection.execute("UPDATE items SET emb = %s WHERE id = 0", [exact])
    (batch,) = opened(address(uri, "items", "emb")).batches(N)
    assert batch.vectors.dtype == np.float64
    assert batch.vectors[0].tolist() == exact


@pytest.mark.parametrize("key", ["int", "text"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("'{1,NULL,3,4}'", "item 3: got a vector of other than 4 numbers, none of them NULL"),
        ("'{1,NaN,3,4}'", "item 3: its vector holds NaN or infinity"),
        ("'{NaN,2,3,4}'", "item 3: its vector holds NaN or infinity"),
        ("'{1,2,3,-Infinity}'", "item 3: its vector holds NaN or infinity"),
        ("'[0:3]={1,2,3,4}'", "item 3: .* does not begin at 1"),
    ],
)
def test_arrays_with_what_is_no_number_are_refused_by_id(database, opened, key, value, message):
    """None of them is taken for an item without a vector."""
    uri, connection = database
    table_of(connection, f"id {key}", "id", "i", kind="real[]")
    connection.execute(f"UPDATE items SET emb = {value} WHERE row = 3")  # noqa: S608 - ours
    store = opened(address(uri, "items", "emb"))
    for read in (
        lambda: list(store.batches(10)),
        lambda: store.sample(N),
        lambda: store.read(["3"] if key == "text" else [3]),
    ):
        with pytest.raises(InputError, match=message):
            read()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("'{}'", "59 of dimension 4, 1 of dimension 0"),
        ("'{1,2,3}'", "59 of dimension 4, 1 of dimension 3"),
        ("'{{1,2},{3,4}}'", "59 of dimension 4, 1 of 2 axes"),
    ],
)
def test_arrays_of_several_dimensions_are_refused(database, opened, value, message):
    """They are counted by dimension."""
    uri, connection = database
    table_of(connection, "id int", "id", "i", kind="real[]")
    connection.execute(f"UPDATE items SET emb = {value} WHERE row = 3")  # noqa: S608 - ours
    with pytest.raises(InputError, match=message):
        opened(address(uri, "items", "emb"))


def test_a_column_of_a_domain_over_vectors_is_read(database, opened):
    """Its dimension is the domain's; the new column is of pgvector's own type."""
    uri, connection = database
    connection.execute(
        f"DROP TABLE IF EXISTS items; DROP DOMAIN IF EXISTS emb4; CREATE DOMAIN emb4 AS vector({D})"
    )
    table_of(connection, "id int", "id", "i")
    connection.execute("ALTER TABLE items ALTER emb TYPE emb4")
    store = opened(address(uri, "items", "emb"))
    assert (store.dim, store.column.kind) == (D, "vector")
    with closing(migrate(store, address(uri, "items", "new"), mapped, mark=MARK, size=9)):
        assert_migrated(connection)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("bit(64)", r"holds bit\(64\), expected vector.*binary codes"),
        ("bit varying", "holds bit varying, .*binary codes"),
        ("sparsevec(9)", r"holds \S*sparsevec\(9\), .*sparse"),
        ("jsonb", "holds jsonb, .*add a column of type vector"),
        ("text", "holds text, .*add a column of type vector"),
        ("numeric[]", r"holds numeric\[\], .*real\[\] or vector"),
        ("bytea", "holds bytea, expected vector"),
        ("mood", "holds public.mood, expected vector"),
    ],
)
def test_columns_of_other_types_are_refused_by_name(database, opened, kind, message):
    """What holds no dense vectors is one line, which says what to do."""
    uri, connection = database
    connection.execute("DROP TABLE IF EXISTS few")
    connection.execute(f"CREATE TABLE few (id int PRIMARY KEY, emb {kind})")
    with pytest.raises(InputError, match=message):
        opened(address(uri, "few", "emb"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"type": "sparsevec"}, "got type 'sparsevec', expected vector, halfvec"),
        ({"type": "float4"}, "got type 'float4', expected vector, halfvec"),
    ],
)
def test_a_type_that_is_none_is_refused(database, opened, options, message):
    """In the target's address, and in the source's where it is not its own."""
    uri, connection = database
    table_of(connection, "id int", "id", "i")
    with pytest.raises(InputError, match=message):
        opened(address(uri, "items", "emb"), address(uri, "items", "new", **options))
    with pytest.raises(InputError, match="got type halfvec, but it holds vector"):
        opened(address(uri, "items", "emb", type="halfvec"))


def test_a_target_of_another_type_is_not_gone_on_with(database, opened):
    """A column that an earlier run made as a vector is no halfvec."""
    uri, connection = database
    table_of(connection, "id int", "id", "i")
    places = address(uri, "items", "emb"), address(uri, "items", "new")
    opened(*places)[1].create()
    with pytest.raises(InputError, match="'new' is there already and of type vector, not halfvec"):
        opened(places[0], places[1] + "&type=halfvec")


@pytest.mark.parametrize("asked", ["real[]", "vector", "halfvec"])
@pytest.mark.parametrize("operators", ["vector_l2_ops", "vector_cosine_ops"])
def test_an_array_is_indexed_as_what_an_expression_makes_of_it(database, opened, asked, operators):
    """Such an index is built on the new column, with the new dimension, and says what searches go by."""
    uri, connection = database
    table_of(connection, "id int", "id", "i", kind="real[]")
    connection.execute(f"CREATE INDEX ON items USING hnsw ((emb::vector({D})) {operators})")
    store, target = opened(address(uri, "items", "emb"), address(uri, "items", "new", type=asked))
    target.require_ready()
    target.create()
    target.finish()
    found = connection.execute(
        "SELECT indexdef FROM pg_indexes WHERE tablename = 'items'"
    ).fetchall()
    over = "(new" if asked == "vector" else f"((new)::vector({E})"
    assert sum(over in text for (text,) in found) == 1
    assert [own is None for _, own in target.index_builder().pairs()] == [False]
    assert store.metric == target.metric == ("l2" if "l2" in operators else "cosine")


def test_an_array_takes_no_index_of_a_vectors(database, opened):
    """It is said before anything is written, by the index's name."""
    uri, connection = database
    table_of(connection, "id int", "id", "i")
    connection.execute("CREATE INDEX quick ON items USING hnsw (emb vector_ip_ops)")
    target = opened(address(uri, "items", "emb"), address(uri, "items", "new", type="real[]"))[1]
    with pytest.raises(InputError, match=r"index quick cannot be over a column of type real\[\]"):
        target.require_ready()


def test_indexes_of_a_half_precision_target_get_its_operators(database, opened):
    """Above 2,000 dimensions nothing else can be indexed."""
    uri, connection = database
    table_of(connection, "id int", "id", "i")
    connection.execute("CREATE INDEX ON items USING hnsw (emb vector_ip_ops) WITH (m = 9)")
    store, target = opened(
        address(uri, "items", "emb"), address(uri, "items", "new", type="halfvec")
    )
    target.create()
    target.finish()
    (made,) = connection.execute(
        "SELECT indexdef FROM pg_indexes WHERE tablename = 'items' AND indexdef LIKE '%(new %'"
    ).fetchone()
    assert "USING hnsw (new halfvec_ip_ops) WITH (m='9')" in made
    assert store.metric == target.metric == "ip"


def test_ids_and_columns_with_ends_of_lines_stay_one_line(database, opened):
    """What is said of an item, a column or a type commands no terminal."""
    uri, connection = database
    table_of(connection, 'id text, "b\nc" int', "id", "'a\n\x1b[2J' || i, i", kind="real[]")
    connection.execute("UPDATE items SET emb = '{1,NULL,3,4}' WHERE row = 3")
    for act in (
        lambda: list(opened(address(uri, "items", "emb")).batches(9)),
        lambda: opened(address(uri, "items", "nope")),
        lambda: opened(address(uri, "items", "b%0Ac")),
        lambda: opened(address(uri, "it%0Aems", "b%0Ac")),
    ):
        with pytest.raises(InputError) as caught:
            act()
        assert str(caught.value).isprintable()
    connection.execute(
        "ALTER TABLE items DROP CONSTRAINT items_pkey; UPDATE items SET id = E'x\ny'"
    )
    with pytest.raises(InputError, match=r"id x\\ny stands in 60 rows"):
        opened(address(uri, "items", "emb", id="id"))


def test_more_dimensions_than_pgvector_has_are_refused_at_once(database, opened):
    """Of a target before anything is written, and of arrays, which are searched as vectors."""
    uri, connection = database
    table_of(connection, "id int", "id", "i", kind="real[]")
    store = opened(address(uri, "items", "emb"))
    wide = MigrationRecord("cd" * 32, Space("a", D), Space("b", 16_001))
    with pytest.raises(InputError, match="got 16,001 dimensions, expected at most 16,000"):
        open_target(store, address(uri, "items", "new"), wide)
    connection.execute("UPDATE items SET emb = array_fill(1::real, ARRAY[16001])")
    with pytest.raises(InputError, match="got 16,001 dimensions, expected at most 16,000"):
        opened(address(uri, "items", "emb"))


@pytest.mark.parametrize(
    ("encoding", "text"), [("SQL_ASCII", "é%ü"), ("LATIN1", "é%ü"), ("UTF8", "é𝔘")]
)
def test_a_database_of_any_encoding_is_read(database, encoding, text):
    """Names of columns and ids come as text, whatever the database keeps them in."""
    uri, connection = database
    connection.execute(f"DROP DATABASE IF EXISTS other_{encoding}")
    connection.execute(
        f"CREATE DATABASE other_{encoding} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
    )
    place = uri.replace("/postgres?", f"/other_{encoding.lower()}?")
    with psycopg.connect(place, autocommit=True, client_encoding="utf8") as other:
        other.execute("CREATE EXTENSION vector")
        other.execute(f'CREATE TABLE items ("clé" text PRIMARY KEY, emb vector({D}))')
        for number in range(3):
            other.execute("INSERT INTO items VALUES (%s, %s)", [f"{text}{number}", "[1,2,3,4]"])
    with closing(open_store(address(place, "items", "emb"))) as store:
        assert sorted(store.sample(9).ids) == [f"{text}{number}" for number in range(3)]
        with closing(
            migrate(store, address(place, "items", "new"), mapped, mark=MARK, size=2)
        ) as target:
            assert target.count() == 3
    connection.execute(f"DROP DATABASE other_{encoding}")
