"""What a migration does to a table of PostgreSQL with all that is bound to it, on a real server."""

import threading
import time
from contextlib import ExitStack, closing, suppress

import numpy as np
import psycopg
import pytest
from tests.postgres import address, fill, server

from intertwine.errors import InputError
from intertwine.spaces import Space
from intertwine.stores import MigrationRecord, open_store, open_target
from intertwine.stores.pgvector import locks

RNG = np.random.default_rng(0)
N, D, E = 60, 4, 6
VECTORS = RNG.standard_normal((N, D)).astype(np.float32)
WEIGHT = RNG.standard_normal((D, E)).astype(np.float32)
MARK = MigrationRecord("ab" * 32, Space("a", D), Space("b", E))
BACK = MigrationRecord("cd" * 32, Space("b", E), Space("c", D))


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Return a server's URI and a connection to it."""
    with server(tmp_path_factory) as opened:
        yield opened


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Wait for locks less long than for a person."""
    monkeypatch.setattr(locks, "TRIES", 3)
    monkeypatch.setattr(locks, "PAUSE", 0.05)
    monkeypatch.setattr(locks, "LOCK_TIMEOUT", "100ms")
    monkeypatch.setattr(locks, "SECONDS_TO_LOCK", 0.3)


class Table:
    """A table of items in the making of a test, and a connection to it."""

    def __init__(self, uri, connection, stack) -> None:
        self.uri, self.connection, self._stack = uri, connection, stack
        connection.execute("DROP TABLE IF EXISTS items CASCADE")
        fill(connection, "items", VECTORS, step=1)

    def run(self, text, *values):
        """Run a statement and return its rows."""
        cursor = self.connection.execute(text, values or None)
        return cursor.fetchall() if cursor.description else []

    def address(self, column, **options):
        """Return the address of a column."""
        return address(self.uri, "items", column, **options)

    def target(self, column="new", mark=MARK, source="emb"):
        """Open the column beside the source, closed at the end of the test."""
        store = self._stack.enter_context(closing(open_store(self.address(source))))
        return self._stack.enter_context(closing(open_target(store, self.address(column), mark)))

    def of(self, source, column, mark=MARK):
        """Open a column by its address beside another, closed at the end of the test."""
        store = self._stack.enter_context(closing(open_store(source)))
        return self._stack.enter_context(closing(open_target(store, column, mark)))

    def old(self, column="emb"):
        """Return a column's vectors by id, None where there is none."""
        rows = self.run(f"SELECT id, {column}::real[] FROM items")  # noqa: S608 - ours
        return {
            item: None if value is None else np.array(value, np.float32) for item, value in rows
        }


@pytest.fixture
def table(database):
    """Return a fresh table."""
    with ExitStack() as stack:
        yield Table(*database, stack)


def convert(batch):
    """Return what the map makes of a batch."""
    return batch.vectors @ WEIGHT


def migrate(target, **options):
    """Do what a run does, without its checks."""
    with target.lock():
        target.require_ready(**options)
        if not target.exists():
            target.create()
        while sum(target.write(batch, convert(batch)) for batch in target.pending(50)):
            pass
        return target.finish()


def switch(target):
    """Do what a run with --switch does, without its checks."""
    migrate(target)
    return target.switch(convert)


def text(vector):
    """Return a vector as SQL reads it."""
    return str(np.asarray(vector).tolist())


def assert_mapped(table, column="emb", kept="emb_before", but=()):
    """Assert that each new vector is what the map makes of the row's old one."""
    new, old = table.old(column), table.old(kept)
    for item in old.keys() - set(but):
        np.testing.assert_allclose(new[item], old[item] @ WEIGHT, rtol=1e-4, atol=1e-5)


# Rows that come, change and go


def test_rows_that_come_after_the_last_look_are_converted_by_the_switch(table):
    """Inserted, changed, emptied and deleted between the end of the work and the switch: all right."""
    target = table.target()
    migrate(target)
    table.run("INSERT INTO items SELECT id + 1000, body, facts, emb FROM items WHERE id < 20")
    table.run("UPDATE items SET emb = %s WHERE id BETWEEN 5 AND 9", text(VECTORS[50]))
    table.run("UPDATE items SET emb = NULL WHERE id = 3")
    table.run("DELETE FROM items WHERE id = 4")
    notes = target.switch(convert)
    assert "25 rows came or changed" in " ".join(notes)
    assert "1 row whose old vector was removed" in " ".join(notes)
    assert table.run("SELECT count(*) FROM items WHERE emb IS NULL") == [(1,)]
    assert len(table.old()) == N + 20 - 1
    assert_mapped(table, but=[3])
    assert table.old()[3] is None


@pytest.mark.slow
def test_an_old_vector_that_changes_after_its_conversion_is_converted_again(table):
    """Rows with a changed old vector are pending again, but for one that got a native vector."""
    target = table.target()
    migrate(target)
    table.run("UPDATE items SET new = %s WHERE id = 7", text(np.ones(E)))
    table.run("UPDATE items SET emb = emb + '[1,1,1,1]' WHERE id < 40")
    pending = [item for batch in target.pending(50) for item in batch.ids]
    assert sorted(pending) == [item for item in range(40) if item != 7]
    np.testing.assert_array_equal(target.written_here([6, 7, 8]), [True, False, True])
    migrate(target)
    assert not list(target.pending(50))
    assert_mapped(table, "new", "emb", but=[7])
    np.testing.assert_array_equal(table.old("new")[7], np.ones(E))


def test_an_old_vector_that_changes_between_reading_and_writing_is_known(table):
    """What is written says of which old vector it is, so that the next look finds the row."""
    target = table.target()
    target.create()
    (batch,) = target.pending(100)
    table.run("UPDATE items SET emb = %s WHERE id = 5", text(VECTORS[0]))
    assert target.write(batch, convert(batch)) == N
    assert [batch.ids for batch in target.pending(50)] == [[5]]
    migrate(target)
    assert_mapped(table, "new", "emb")


@pytest.mark.quick("text")
@pytest.mark.parametrize("kind", ["text", "uuid", "two columns"])
def test_changes_are_known_by_keys_of_any_kind(table, kind):
    """A changed old vector is converted again where rows are told apart by text or two columns."""
    if kind == "two columns":
        table.run("ALTER TABLE items DROP CONSTRAINT items_pkey")
        table.run("ALTER TABLE items ADD COLUMN tenant text NOT NULL DEFAULT 'a'")
        table.run("ALTER TABLE items ADD PRIMARY KEY (tenant, id)")
    else:
        change = {"text": "id::text", "uuid": "lpad(id::text, 32, '0')::uuid"}[kind]
        table.run(f"ALTER TABLE items ALTER id TYPE {kind} USING {change}")
    target = table.target()
    migrate(target)
    table.run("UPDATE items SET emb = emb + '[1,1,1,1]' WHERE body LIKE '%%7'")
    assert sum(len(batch.ids) for batch in target.pending(50)) == 6
    migrate(target)
    assert_mapped(table, "new", "emb")


@pytest.mark.quick("halfvec")
@pytest.mark.parametrize("kind", ["halfvec", "real[]"])
def test_changes_are_known_in_vectors_of_any_type(table, kind):
    """Stamps are of what the column holds, whatever its precision."""
    table.run(f"ALTER TABLE items ALTER emb TYPE {kind} USING emb::{kind}")
    target = table.target()
    migrate(target)
    assert not list(target.pending(50))
    table.run("UPDATE items SET emb = (SELECT emb FROM items WHERE id = 1) WHERE id = 5")
    assert [batch.ids for batch in target.pending(50)] == [[5]]


def test_a_migration_that_an_earlier_version_began_goes_on(table):
    """A marked column without stamps is filled; what it holds already counts as somebody else's."""
    target = table.target()
    target.create()
    table.run("ALTER TABLE items DROP COLUMN new_intertwine")
    table.run("UPDATE items SET new = %s WHERE id = 2", text(np.ones(E)))
    target = table.target()
    migrate(target)
    assert_mapped(table, "new", "emb", but=[2])
    np.testing.assert_array_equal(target.written_here([1, 2]), [True, False])


@pytest.mark.slow
def test_rows_without_a_vector_are_found_after_a_switch(table):
    """A row with an old vector only is pending on a switched column; one that was emptied is not."""
    switch(table.target())
    table.run("INSERT INTO items (id, emb_before) VALUES (900, %s)", text(VECTORS[0]))
    table.run("UPDATE items SET emb = NULL WHERE id = 8")
    target = table.target()
    assert [batch.ids for batch in target.pending(50)] == [[900]]
    migrate(target)
    assert_mapped(table, but=[8])
    assert target.missing() == 1


@pytest.mark.slow
def test_rows_that_were_emptied_are_not_converted_where_nothing_says_that_they_were(table):
    """Without the column of stamps the rows are named, nothing is written, and the way out works."""
    switch(table.target())
    table.run("ALTER TABLE items DROP COLUMN new_intertwine")
    assert migrate(table.target()) == []
    table.run("UPDATE items SET emb = NULL WHERE id IN (8, 9)")
    with pytest.raises(
        InputError,
        match=r"2 rows have .* no new one \(id 8, 9\), and column new_intertwine.* is gone",
    ):
        migrate(table.target())
    assert table.old()[8] is None
    table.run("UPDATE items SET emb_before = NULL WHERE id = 8")
    table.target().rollback()
    switch(table.target())
    assert table.old()[8] is None
    assert_mapped(table, but=[8])


@pytest.mark.slow
def test_a_rollback_says_what_it_cannot_know_without_the_column_of_stamps(table):
    """It goes back all the same, and a row without a new vector is named for what it is."""
    before = table.old()
    switch(table.target())
    table.run("UPDATE items SET emb = NULL WHERE id = 8")
    table.run("UPDATE items SET emb = %s WHERE id = 9", text(np.ones(E)))
    table.run("ALTER TABLE items DROP COLUMN new_intertwine")
    unknown, lacks = table.target().rollback()
    assert "new_intertwine, which said what was converted, is gone" in unknown
    assert "1 rows without a new vector have their old one again (id 8)" in lacks
    for item, vector in table.old().items():
        np.testing.assert_array_equal(vector, before[item])
    # As the note says.
    table.run("UPDATE items SET emb = %s, new = NULL WHERE id = 3", text(VECTORS[50]))
    switch(table.target())
    assert_mapped(table, but=[9])
    np.testing.assert_array_equal(table.old()[9], np.ones(E))


# Rollback


@pytest.mark.slow
def test_rows_added_after_the_switch_survive_a_rollback(table):
    """Their new vectors stay in the new column, the first note says so, the next switch brings them."""
    switch(table.target())
    natives = RNG.standard_normal((5, E)).astype(np.float32)
    for item, vector in enumerate(natives, start=500):
        table.run("INSERT INTO items (id, emb) VALUES (%s, %s)", item, text(vector))
    table.run("UPDATE items SET emb = %s WHERE id = 9", text(np.ones(E)))
    table.run("UPDATE items SET emb = NULL WHERE id = 10")
    table.run("DELETE FROM items WHERE id = 11")
    notes = table.target().rollback()
    assert notes[0].startswith(
        "5 rows have no old vector, as they came after the switch (id 500, 501"
    )
    assert "1 row got another new vector since it was converted (id 9)" in notes[1]
    assert "1 row whose new vector was removed has its old one again (id 10)" in notes[2]
    assert len(table.old()) == N - 1 + 5
    np.testing.assert_array_equal(table.old()[9], VECTORS[9])
    target = table.target()
    migrate(target)
    target.switch(convert)
    for item, vector in enumerate(natives, start=500):
        np.testing.assert_array_equal(table.old()[item], vector)
    np.testing.assert_array_equal(table.old()[9], np.ones(E))
    assert_mapped(table, but=[9, *range(500, 505)])


@pytest.mark.slow
def test_what_changes_after_a_rollback_is_newer_than_a_native_vector(table):
    """An old vector that changes or goes after the rollback counts, also where a native one stands."""
    switch(table.target())
    for item in (1, 2, 3):
        table.run("UPDATE items SET emb = %s WHERE id = %s", text(np.ones(E)), item)
    table.target().rollback()
    table.run("UPDATE items SET emb = %s WHERE id = 2", text(VECTORS[50]))
    table.run("UPDATE items SET emb = NULL WHERE id = 3")
    switch(table.target())
    np.testing.assert_array_equal(table.old()[1], np.ones(E))
    np.testing.assert_allclose(table.old()[2], VECTORS[50] @ WEIGHT, rtol=1e-4, atol=1e-5)
    assert table.old()[3] is None


def test_a_rollback_without_changes_says_nothing(table):
    """Where each row has its old vector there is nothing to say, and all is as before."""
    before = table.old()
    switch(table.target())
    assert table.target().rollback() == []
    for item, vector in table.old().items():
        np.testing.assert_array_equal(vector, before[item])


@pytest.mark.slow
@pytest.mark.parametrize("renamed", [False, True])
def test_a_second_migration_finds_a_free_name_and_both_are_undone(table, renamed):
    """The second switch takes another name than the first; the first goes back whatever it renamed."""
    before = table.old()
    switch(table.target())
    table.connection.execute("UPDATE items SET emb = emb")
    if renamed:
        table.run("ALTER TABLE items RENAME emb_before TO of_2024")
    second = table.target("newer", BACK)
    with second.lock():
        second.create()
        for batch in second.pending(50):
            second.write(batch, batch.vectors @ WEIGHT.T)
        second.switch(lambda batch: batch.vectors @ WEIGHT.T)
    names = {name for (name,) in table.run("SELECT attname FROM pg_attribute WHERE attnum > 0")}
    assert ("emb_before_2" in names) is not renamed
    assert table.target("newer", BACK).rollback() == []
    assert table.target().rollback() == []
    for item, vector in table.old().items():
        np.testing.assert_array_equal(vector, before[item])


@pytest.mark.slow
def test_a_switch_of_an_earlier_version_is_undone(table):
    """A mark that keeps only the new column's name is read as ever."""
    switch(table.target())
    mark = MARK.switched("new").to_text()
    table.connection.execute(psycopg.sql.SQL("COMMENT ON COLUMN items.emb IS {}").format(mark))
    assert table.target().rollback() == []
    assert table.old()[0].shape == (D,)


@pytest.mark.slow
def test_a_switched_column_outlives_the_old_one(table):
    """Once the old vectors are dropped the same command finds nothing to do; the way back is gone."""
    switch(table.target())
    table.run("ALTER TABLE items DROP COLUMN emb_before, DROP COLUMN new_intertwine")
    target = table.target()
    assert target.switched()
    assert not list(target.pending(50))
    assert migrate(target) == []
    with pytest.raises(InputError, match="column emb_before, which kept the old ones, is gone"):
        target.rollback()


@pytest.mark.slow
def test_a_rollback_says_which_name_is_in_its_way(table):
    """A column that took the new one's name meanwhile is named, and nothing is changed."""
    switch(table.target())
    table.run("ALTER TABLE items ADD COLUMN new integer")
    with pytest.raises(InputError, match="has a column new again"):
        table.target().rollback()
    assert table.old()[0].shape == (E,)


# What is bound to the column

BOUND = {
    "view": ("CREATE VIEW v AS SELECT id, emb FROM items", "v "),
    "materialised view": ("CREATE MATERIALIZED VIEW v AS SELECT id, emb FROM items", "v "),
    "generated column": (
        "ALTER TABLE items ADD half halfvec GENERATED ALWAYS AS (emb::halfvec(4)) STORED",
        "half of table items",
    ),
    "policy": ("CREATE POLICY p ON items USING (emb IS NOT NULL)", "policy p on table items"),
    "check": ("ALTER TABLE items ADD CONSTRAINT k CHECK (vector_dims(emb) = 4)", "constraint k on"),
    "default": (
        "ALTER TABLE items ALTER emb SET DEFAULT '[1,2,3,4]'",
        "default value for column emb",
    ),
    "unique": ("ALTER TABLE items ADD CONSTRAINT k UNIQUE (emb)", "constraint k on table items"),
    "statistics": ("CREATE STATISTICS s ON id, emb FROM items", "statistics object s"),
    "function": (
        "CREATE FUNCTION f() RETURNS vector BEGIN ATOMIC SELECT emb FROM items LIMIT 1; END",
        "function f()",
    ),
    "publication": ("CREATE PUBLICATION p FOR TABLE items (id, emb)", "publication p"),
    "trigger of the column": (
        "CREATE TRIGGER g BEFORE UPDATE OF emb ON items FOR EACH ROW EXECUTE FUNCTION nothing()",
        "trigger g on table items",
    ),
    "trigger": (
        "CREATE TRIGGER g BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION nothing()",
        "trigger g on items",
    ),
    "statement trigger": (
        "CREATE TRIGGER g AFTER INSERT OR UPDATE ON items EXECUTE FUNCTION nothing()",
        "trigger g on items",
    ),
    "domain": (
        "CREATE DOMAIN short AS vector(4); ALTER TABLE items ALTER emb TYPE short",
        "the column is of domain short",
    ),
    "rule": ("CREATE RULE r AS ON UPDATE TO items DO ALSO NOTIFY x", "rule r on items"),
}


@pytest.fixture
def function(table):
    """Make a function that a trigger can run; return the table."""
    for kind in ("VIEW v", "MATERIALIZED VIEW v", "PUBLICATION p", "FUNCTION f", "DOMAIN short"):
        with suppress(psycopg.Error):
            table.run(f"DROP {kind}")
    table.run(
        "CREATE OR REPLACE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RETURN NEW; END'"
    )
    return table


@pytest.mark.quick("unique", "rule", "materialised view")
@pytest.mark.parametrize("kind", BOUND)
def test_what_would_stay_with_the_old_vectors_is_named_before_anything_is_written(function, kind):
    """Whatever depends on the column, or fires for each row, is refused by name; forced, it is said."""
    statement, named = BOUND[kind]
    function.run(statement)
    target = function.target()
    with pytest.raises(InputError, match="--force") as caught:
        target.require_ready()
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not target.exists()
    assert any(named in warning for warning in target.require_ready(force=True))


def test_triggers_that_do_not_fire_are_no_hindrance(function):
    """One of other columns, of inserts, a disabled one, and all under the role of a replica."""
    function.run(
        "CREATE TRIGGER a BEFORE UPDATE OF body ON items FOR EACH ROW EXECUTE FUNCTION nothing()"
    )
    function.run("CREATE TRIGGER b BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION nothing()")
    function.run("CREATE TRIGGER c BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION nothing()")
    function.run("ALTER TABLE items DISABLE TRIGGER c")
    assert function.target().require_ready() == []
    function.run("ALTER TABLE items ENABLE TRIGGER c")
    options = {"options": "-csession_replication_role%3Dreplica"}
    target = function.of(function.address("emb", **options), function.address("new", **options))
    assert target.require_ready() == []
    function.run("ALTER TABLE items ENABLE ALWAYS TRIGGER c")
    with pytest.raises(InputError, match="trigger c on items"):
        target.require_ready()


@pytest.mark.slow
def test_a_trigger_that_changes_vectors_is_noticed_where_it_is_forced(table):
    """A vector that is another in the table than was sent is an error of that very batch, each time."""
    table.run(
        "CREATE OR REPLACE FUNCTION negate() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN NEW.new := NEW.new * array_fill(-1, ARRAY[6])::vector; RETURN NEW; END'"
    )
    table.run("CREATE TRIGGER g BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION negate()")
    for _ in range(2):
        with pytest.raises(InputError, match="a trigger or a rule changes them"):
            migrate(table.target(), force=True)
    assert table.run("SELECT count(new) FROM items") == [(0,)]


def test_rows_that_a_trigger_keeps_as_they_are_stop_the_switch(table):
    """A trigger that returns NULL for some rows: the switch says how many, and does not happen."""
    table.run(
        "CREATE OR REPLACE FUNCTION frozen() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN IF OLD.id % 2 = 0 THEN RETURN NULL; END IF; RETURN NEW; END'"
    )
    table.run("CREATE TRIGGER g BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION frozen()")
    target = table.target()
    migrate(target, force=True)
    with pytest.raises(InputError, match=f"{N // 2} rows, 0 among them, take no vector"):
        target.switch(convert)
    assert not target.switched()


def test_a_view_that_comes_during_the_run_stops_the_switch(table):
    """What is bound to the column is looked at again in the switch's own transaction."""
    target = table.target()
    migrate(target)
    table.run("CREATE VIEW v AS SELECT emb FROM items")
    with pytest.raises(InputError, match="v would stay with the old vectors"):
        target.switch(convert)
    assert not target.switched()


def test_rows_that_security_hides_are_refused(table):
    """A role that sees a part of the rows only migrates nothing, in a dry run neither."""
    table.run("DROP ROLE IF EXISTS tenant")
    table.run("CREATE ROLE tenant LOGIN")
    table.run("GRANT ALL ON SCHEMA public TO tenant")
    table.run("ALTER TABLE items OWNER TO tenant")
    table.run("CREATE POLICY p ON items USING (id < 30)")
    table.run("ALTER TABLE items ENABLE ROW LEVEL SECURITY")
    as_tenant = Table.__new__(Table)
    as_tenant.uri, as_tenant._stack = table.uri.replace("postgres:@", "tenant:@"), table._stack
    assert as_tenant.target().require_ready() == []
    table.run("ALTER TABLE items FORCE ROW LEVEL SECURITY")
    target = as_tenant.target()
    for force in (False, True):
        with pytest.raises(
            InputError, match=r"row-level security hides rows .* from role 'tenant'"
        ):
            target.require_ready(force=force)
    assert table.target().require_ready() == []


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE VIEW whole AS SELECT * FROM items", "is a view"),
        ("CREATE MATERIALIZED VIEW whole AS SELECT * FROM items", "is a materialised view"),
        (
            """CREATE TABLE top (LIKE items) PARTITION BY RANGE (id);
            CREATE TABLE whole PARTITION OF top (PRIMARY KEY (id)) FOR VALUES FROM (0) TO (900);
            INSERT INTO top SELECT * FROM items""",
            "is a part of another table",
        ),
    ],
)
def test_what_is_no_table_of_its_own_is_refused(table, statement, named):
    """Views and parts of a table are named for what they are before anything is written."""
    table.run("DROP TABLE IF EXISTS top CASCADE")
    for kind in ("VIEW", "MATERIALIZED VIEW", "TABLE"):
        with suppress(psycopg.Error):
            table.run(f"DROP {kind} IF EXISTS whole")
    table.run(statement)
    source = address(table.uri, "whole", "emb", id="id", metric="cosine")
    target = table.of(source, source.replace("column=emb", "column=new"))
    with pytest.raises(InputError, match=named):
        target.require_ready()


@pytest.mark.slow
def test_not_null_moves_with_the_name_and_back(table):
    """Inserts by name go on after the switch, and NULL is refused under the same name."""
    table.run("ALTER TABLE items ALTER emb SET NOT NULL")
    switch(table.target())
    table.run("INSERT INTO items (id, emb) VALUES (700, %s)", text(np.ones(E)))
    with pytest.raises(psycopg.errors.NotNullViolation):
        table.run("INSERT INTO items (id) VALUES (701)")
    notes = table.target().rollback()
    assert "emb is not NOT NULL any more" in notes[1]
    table.run("DELETE FROM items WHERE id = 700")
    table.run("ALTER TABLE items ALTER emb SET NOT NULL")
    switch(table.target())
    assert table.target().rollback() == []
    with pytest.raises(psycopg.errors.NotNullViolation):
        table.run("INSERT INTO items (id) VALUES (701)")
    table.run("INSERT INTO items (id, emb) VALUES (700, %s)", text(np.ones(D)))


@pytest.mark.slow
def test_grants_storage_and_words_go_with_the_name(table):
    """Who may read the column, how it is stored, and what a person said of it, is as before."""
    table.run("DROP ROLE IF EXISTS reader")
    table.run("CREATE ROLE reader")
    table.run("GRANT SELECT (id, emb), UPDATE (emb) ON items TO reader")
    table.run("ALTER TABLE items ALTER emb SET STORAGE MAIN, ALTER emb SET STATISTICS 7")
    table.run("COMMENT ON COLUMN items.emb IS 'of 100%% wool, {cut}'")
    switch(table.target())
    facts = "SELECT attstorage::text, attstattarget::int FROM pg_attribute WHERE attname = 'emb'"
    assert table.run(facts + " AND attrelid = 'items'::regclass") == [("m", 7)]
    with table.connection.transaction(force_rollback=True):
        table.run("SET LOCAL ROLE reader")
        table.run("SELECT id, emb FROM items")
    comment = (
        "SELECT col_description('items'::regclass, attnum) FROM pg_attribute WHERE attname = %s"
    )
    found = table.run(comment + " AND attrelid = 'items'::regclass", "emb")[0][0]
    assert found.startswith("of 100%% wool, {cut}\nintertwine ")
    table.target().rollback()
    found = table.run(comment + " AND attrelid = 'items'::regclass", "emb")[0][0]
    assert found == "of 100%% wool, {cut}"


def test_subscribers_are_thought_of(table):
    """A table that is published gives a warning, and goes on."""
    table.run("DROP PUBLICATION IF EXISTS whole")
    table.run("CREATE PUBLICATION whole FOR TABLE items")
    (warning,) = table.target().require_ready()
    assert "publication whole sends the table to subscribers" in warning
    assert "columns new and new_intertwine too" in warning
    table.run("DROP PUBLICATION whole")


@pytest.mark.quick("50")
@pytest.mark.parametrize("length", [50, 63])
def test_long_names_are_cut_to_fit(table, length):
    """Columns and indexes with names as long as PostgreSQL takes are switched and rolled back."""
    old, new, index = ("n" * (length - 1) + end for end in "ois")
    table.run(f"ALTER TABLE items RENAME emb TO {old}")
    table.run(f"CREATE INDEX {index} ON items USING hnsw ({old} vector_cosine_ops)")
    target = table.target(new, source=old)
    assert len(migrate(target)) == 1
    assert target.switch(convert) == []
    assert table.old(old)[0].shape == (E,)
    assert table.target(new, source=old).rollback() == []
    assert table.old(old)[0].shape == (D,)
    assert len(definitions(table, index)) == 1


# Indexes

INDEXES = {
    "plain": "CREATE INDEX x ON items USING hnsw (emb vector_cosine_ops) WITH (m='8')",
    "ivfflat": "CREATE INDEX x ON items USING ivfflat (emb) WITH (lists='2')",
    "partial": "CREATE INDEX x ON items USING hnsw (emb vector_l2_ops) WHERE body = 'a (emb) % {b}'",
    "half": "CREATE INDEX x ON items USING hnsw ((emb::halfvec(4)) halfvec_cosine_ops)",
    "bits": "CREATE INDEX x ON items USING hnsw ((binary_quantize(emb)::bit(4)) bit_hamming_ops)",
    "condition": "CREATE INDEX x ON items (id DESC) WHERE emb IS NOT NULL",
    "two": "CREATE UNIQUE INDEX x ON items (id, vector_norm(emb)) INCLUDE (body)",
}


def definitions(table, named="x"):
    """Return definitions of indexes of the items."""
    return [
        row[0] for row in table.run("SELECT indexdef FROM pg_indexes WHERE indexname = %s", named)
    ]


@pytest.mark.quick("bits")
@pytest.mark.parametrize("kind", INDEXES)
def test_indexes_of_every_form_go_with_the_name(table, kind):
    """An index under the old one's name is over the new column, with its condition; and back."""
    table.connection.execute(INDEXES[kind])
    (before,) = definitions(table)
    target = table.target()
    (note,) = migrate(target)
    assert note.startswith("built an index as the source's: ")
    assert target.finish() == []
    assert target.switch(convert) == []
    (after,) = definitions(table)
    assert after == before.replace("(4)", "(6)")
    assert definitions(table, "x_before") == [
        before.replace(" x ", " x_before ")
        .replace("emb", "emb_before")
        .replace("(emb_before)", "(emb)")
        if kind == "partial"
        else before.replace(" x ", " x_before ").replace("emb", "emb_before")
    ]
    assert table.target().rollback() == []
    assert definitions(table) == [before]
    assert migrate(table.target()) == []


def test_more_dimensions_than_an_index_takes_are_said_before_anything_is_written(table):
    """HNSW over 2,000 dimensions is named in a dry run, with what to do; forced, it is left out."""
    table.run("CREATE INDEX x ON items USING hnsw (emb vector_cosine_ops)")
    large = MigrationRecord("ef" * 32, Space("a", D), Space("b", 2100))
    target = table.target(mark=large)
    with pytest.raises(InputError, match=r"index x takes at most 2,000 dimensions, .* 2,100"):
        target.require_ready()
    assert not target.exists()
    assert "index x" in target.require_ready(force=True)[0]
    target.create()
    assert target.finish() == []
    table.run("DROP INDEX x")
    table.run("CREATE INDEX x ON items USING hnsw ((emb::halfvec(4)) halfvec_cosine_ops)")
    target = table.target(mark=large)
    assert target.require_ready() == []
    (note,) = target.finish()
    assert "halfvec(2100)" in note


@pytest.mark.slow
def test_an_index_of_a_partitioned_table_is_built_part_by_part(table):
    """Each part's index is built beside writers and attached; the whole is valid, before and after."""
    table.run("DROP TABLE IF EXISTS whole CASCADE")
    table.run(
        f"CREATE TABLE whole (id bigint PRIMARY KEY, emb vector({D})) PARTITION BY RANGE (id)"
    )
    table.run("CREATE TABLE low PARTITION OF whole FOR VALUES FROM (0) TO (20)")
    table.run(
        "CREATE TABLE mid PARTITION OF whole FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (id)"
    )
    table.run("CREATE TABLE mid_1 PARTITION OF mid FOR VALUES FROM (20) TO (40)")
    table.run("CREATE TABLE high PARTITION OF whole FOR VALUES FROM (40) TO (999)")
    table.run("INSERT INTO whole SELECT id, emb FROM items")
    table.run("CREATE INDEX w ON whole USING hnsw (emb vector_l2_ops)")
    table.run("CREATE INDEX part_only ON high USING hnsw (emb vector_ip_ops)")
    old = address(table.uri, "whole", "emb", metric="l2")
    target = table.of(old, old.replace("column=emb", "column=new"))
    assert len(migrate(target)) == 2
    assert migrate(target) == []
    assert target.switch(convert) == []
    rows = table.run(
        "SELECT i.relname, x.indisvalid FROM pg_index x JOIN pg_class i ON i.oid = indexrelid "
        "WHERE pg_get_indexdef(i.oid) LIKE '%%(emb vector%%'"
    )
    assert {"w", "part_only"} <= {name for name, _ in rows}
    assert len(rows) == 1 + 4 + 1
    assert all(valid for _, valid in rows)
    before = sorted(table.run("SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%%(emb %%'"))
    assert table.of(old, old.replace("column=emb", "column=new")).rollback() == []
    after = sorted(table.run("SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%%(emb %%'"))
    assert after == before
    table.run("DROP TABLE whole")


@pytest.mark.slow
def test_an_index_that_a_killed_run_left_is_built_again(table):
    """What is invalid is removed, whether the column is switched or not."""
    table.run("CREATE INDEX x ON items USING hnsw (emb vector_cosine_ops)")
    target = table.target()
    migrate(target)
    table.run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'x_new'::regclass")
    assert len(migrate(target)) == 1
    target.switch(convert)
    table.run("CREATE INDEX left_over ON items USING hnsw (emb vector_cosine_ops)")
    table.run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'left_over'::regclass")
    table.target().finish()
    assert definitions(table, "left_over") == []
    assert len(definitions(table)) == 1


# Locks


@pytest.mark.slow
def test_one_run_a_column(table):
    """A second run says who holds it; a target of another column is free; an end releases it."""
    first, second = table.target(), table.target()
    with first.lock():
        message = r"another run migrates it \(intertwine, process \d+"
        with pytest.raises(InputError, match=message), second.lock():
            pass
        with pytest.raises(InputError, match="another run"), table.target("other").lock():
            pass
    with second.lock():
        pass


def test_a_lock_goes_with_its_connection(table):
    """A run whose connection is cut holds nothing any more, and its own end is no second error."""
    first, second = table.target(), table.target()
    with first.lock():
        table.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
            "'intertwine, process%%'"
        )
        with second.lock():
            pass


@pytest.mark.quick("create")
@pytest.mark.parametrize("step", ["create", "switch", "rollback"])
def test_an_idle_reader_stalls_nobody_and_is_named(table, step):
    """A reader's open transaction makes the step give up; other readers wait a moment only."""
    target = table.target()
    steps = {"create": target.create, "switch": lambda: switch(target)}
    if step != "create":
        migrate(target)
    if step == "rollback":
        target.switch(convert)
    steps |= {"switch": lambda: target.switch(convert), "rollback": target.rollback}
    waits = []
    ended = threading.Event()

    def read():
        with psycopg.connect(table.uri, autocommit=True) as connection:
            while not ended.is_set():
                began = time.monotonic()
                connection.execute("SELECT count(emb) FROM items")
                waits.append(time.monotonic() - began)

    with psycopg.connect(table.uri, application_name="a reader") as idle:
        idle.execute("SELECT count(*) FROM items")
        reader = threading.Thread(target=read)
        reader.start()
        with pytest.raises(
            InputError, match=rf"in use by process {idle.info.backend_pid} .*a reader"
        ):
            steps[step]()
        ended.set()
        reader.join()
        assert max(waits) < 1
        idle.rollback()
        steps[step]()


@pytest.mark.slow
def test_a_vacuum_of_the_servers_own_gives_way(table, monkeypatch):
    """A step waits for it as long as it takes to give way, though for others a moment only."""
    target = table.target()
    migrate(target)
    monkeypatch.setattr(locks, "TRIES", 1)
    table.run("ALTER SYSTEM SET deadlock_timeout = '200ms'")
    table.run("SELECT pg_reload_conf()")
    with psycopg.connect(table.uri) as vacuum:
        vacuum.execute("LOCK TABLE items IN SHARE UPDATE EXCLUSIVE MODE")
        end = threading.Timer(0.3, vacuum.rollback)
        end.start()
        assert target.switch(convert) == []
        end.join()
    table.run("ALTER SYSTEM RESET deadlock_timeout")
    table.run("SELECT pg_reload_conf()")


@pytest.mark.slow
def test_names_with_any_sign_are_switched_and_back(table):
    """Percent signs, braces, quotes and capitals in all names: table, columns, id, index."""
    name = '"It %s {0} ""x"""'
    table.connection.execute(f"DROP TABLE IF EXISTS {name}")
    table.connection.execute(f"ALTER TABLE items RENAME TO {name}")
    table.connection.execute(f'ALTER TABLE {name} RENAME emb TO "c%d {{}}""\'"')
    table.connection.execute(f'ALTER TABLE {name} RENAME id TO "i%s {{id}}"')
    table.connection.execute(
        f'CREATE INDEX "x%" ON {name} USING hnsw ("c%d {{}}""\'" vector_cosine_ops)'
    )
    quoted = name.replace("%", "%25").replace(" ", "%20").replace('"', "%22")
    column = "c%25d%20{}%22'"
    source, new = address(table.uri, quoted, column), address(table.uri, quoted, "n%25s{new}")
    target = table.of(source, new)
    assert len(migrate(target)) == 1
    assert target.switch(convert) == []
    target = table.of(source, new)
    assert target.source.dim == E
    assert target.rollback() == []
    assert table.of(source, new).source.dim == D
    table.connection.execute(f"DROP TABLE {name}")
