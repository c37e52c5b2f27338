"""Whole migrations of a column of pgvector to which other things are bound."""

import numpy as np
import pytest
from tests.conftest import save_folder
from tests.postgres import address, fill

from intertwine.errors import InputError
from intertwine.estimators import FitOptions
from intertwine.maps.linear_map import LinearMap
from intertwine.passes.fit import fit_to_files
from intertwine.passes.migrate.run import MigrateOptions, migrate
from intertwine.stores import open_store

# The conformance suite shows with every quick run what any store does.
pytestmark = pytest.mark.slow

N, D, E = 300, 16, 20
RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((N, D)).astype(np.float32)


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """Return maps to 20 dimensions and to 2,100, by the dimension."""
    folder = tmp_path_factory.mktemp("fit")
    found = {}
    for dims in (E, 2100):
        new = (VECTORS @ RNG.standard_normal((D, dims))).astype(np.float32)
        save_folder(folder / str(dims), {"old": VECTORS, "new": new})
        fit_to_files(
            [folder / str(dims)],
            folder / f"maps{dims}",
            options=FitOptions(),
            source="old",
            target="new",
        )
        found[dims] = folder / f"maps{dims}" / "old--new.safetensors"
    return found


@pytest.fixture
def items(database):
    """Return the addresses of a fresh column and of one beside it, and a connection."""
    uri, connection = database
    connection.execute("DROP TABLE IF EXISTS items CASCADE")
    fill(connection, "items", VECTORS, index="hnsw (emb vector_cosine_ops)", step=1)
    return address(uri, "items", "emb"), address(uri, "items", "new"), connection


def columns(connection):
    """Return the names of the table's columns."""
    rows = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'items'::regclass AND attnum > 0"
    )
    return [name for (name,) in rows]


@pytest.mark.parametrize(
    ("statement", "dims", "message"),
    [
        ("CREATE VIEW v AS SELECT emb FROM items", E, "view v would stay with the old vectors"),
        (
            """CREATE OR REPLACE FUNCTION today() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN RETURN NEW; END'; CREATE TRIGGER updated_at BEFORE UPDATE ON items
            FOR EACH ROW EXECUTE FUNCTION today()""",
            E,
            "trigger updated_at on items would be run for every row",
        ),
        ("SELECT 1", 2100, r"index items_emb_idx takes at most 2,000 dimensions"),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_harm_is_named_before_anything_is_written(items, maps, statement, dims, message, dry_run):
    """A dry run and a real one refuse alike, and the table has no column more than before."""
    items[2].execute(statement)
    before = columns(items[2])
    with pytest.raises(InputError, match=message):
        migrate(*items[:2], maps[dims], options=MigrateOptions(dry_run=dry_run, switch=not dry_run))
    assert columns(items[2]) == before


def test_force_goes_on_and_says_first_what_it_means(items, maps):
    """The first note names what stays with the old vectors; the view still shows them afterwards."""
    items[2].execute("CREATE VIEW v AS SELECT id, emb FROM items")
    summary = migrate(*items[:2], maps[E], options=MigrateOptions(switch=True, force=True))
    assert summary["switched"]
    assert summary["notes"][0].startswith("by --force: view v would stay with the old vectors")
    assert items[2].execute("SELECT vector_dims(emb) FROM v LIMIT 1").fetchone() == (D,)


def test_a_run_on_a_switched_column_finds_what_has_no_vector(items, maps):
    """Rows with an old vector only are converted by the same command, which says so first."""
    migrate(*items[:2], maps[E], options=MigrateOptions(switch=True))
    again = migrate(*items[:2], maps[E], options=MigrateOptions(switch=True))
    assert (again["written"], again["switched"]) == (0, True)
    items[2].execute("INSERT INTO items (id, emb_before) SELECT id + 900, emb_before FROM items")
    summary = migrate(*items[:2], maps[E], options=MigrateOptions(switch=True))
    assert summary["written"] == N
    assert summary["notes"][0].startswith(f"{N} items came without a new vector")
    expected = LinearMap.load(maps[E]).apply(VECTORS[5:6])
    store = open_store(items[0])
    np.testing.assert_allclose(store.read([905]), expected, rtol=1e-4, atol=1e-4)
    store.close()


def test_vectors_that_were_turned_round_are_refused_each_time(items, maps):
    """New vectors that somebody negated after they were written stop every run before the switch."""
    migrate(*items[:2], maps[E])
    items[2].execute("UPDATE items SET new = new * array_fill(-1, ARRAY[%s])::vector", [E])
    for _ in range(2):
        with pytest.raises(InputError, match="are not what the map makes"):
            migrate(*items[:2], maps[E], options=MigrateOptions(switch=True))
    assert columns(items[2])[3] == "emb"
