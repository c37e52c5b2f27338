"""Migration of a store, on a real PostgreSQL with pgvector."""

import json
import threading

import numpy as np
import pytest
from tests.conftest import save_folder
from tests.kills import commands
from tests.passes.migrate.conftest import clustered, fit_old_to_new
from tests.postgres import address, fill

from intertwine.errors import InputError, SpaceMismatchError
from intertwine.maps.linear_map import LinearMap
from intertwine.passes.migrate import run as module
from intertwine.passes.migrate.run import MigrateOptions, migrate
from intertwine.spaces import Space
from intertwine.stores import MigrationRecord, open_store, open_target

RNG = np.random.default_rng(0)
N, D, E, LATENT = 1500, 64, 72, 12


@pytest.fixture(scope="module")
def spaces():
    """Return the same items in two spaces, (N, D) and (N, E)."""
    return clustered(RNG, N, (D, E), latent=LATENT, clusters=30)


@pytest.fixture(scope="module")
def fitted(spaces, tmp_path_factory):
    """Return a map from the old space to the new, fitted on a few items, and its file."""
    return fit_old_to_new(tmp_path_factory.mktemp("fit"), spaces, 400)


@pytest.fixture
def items(database, spaces):
    """Return the addresses of old and new vectors, and a connection."""
    uri, connection = database
    fill(connection, "items", spaces[0])
    old = address(uri, "items", "emb", metric="cosine")
    return old, address(uri, "items", "new", metric="cosine"), connection


def new_vectors(connection):
    """Return the ids that have a new vector, and those vectors."""
    rows = connection.execute(
        "SELECT id, new::real[] FROM items WHERE new IS NOT NULL ORDER BY id"
    ).fetchall()
    return [row[0] for row in rows], np.array([row[1] for row in rows])


def payload(connection):
    """Return everything but the new vectors."""
    return connection.execute("SELECT id, body, facts, emb::text FROM items ORDER BY id").fetchall()


def options(**values):
    """Return options with small batches."""
    return MigrateOptions(**{"batch_size": 200, **values})


def test_every_item_gets_what_the_map_makes_of_it(items, fitted, spaces):
    """Each row holds the mapped vector beside the old one; the payload and the old name stay."""
    before = payload(items[2])
    summary = migrate(*items[:2], fitted[1], options=options())
    ids, found = new_vectors(items[2])
    assert ids == [3 * i for i in range(N)]
    np.testing.assert_allclose(found, fitted[0].apply(spaces[0]), rtol=1e-4, atol=1e-4)
    assert payload(items[2]) == before
    assert (summary["rows"], summary["written"], summary["switched"]) == (N, N, False)
    checks = summary["checks"]
    assert (checks["read_back"], checks["differ"]) == (200, 0)
    assert checks["chance"] == 10 / N
    assert checks["neighbours_kept_low"] > 0.5
    assert migrate(*items[:2], fitted[1], options=options())["written"] == 0
    json.dumps(summary, allow_nan=False)


@pytest.mark.slow
def test_unit_vectors_stay_unit_vectors(database, fitted, spaces):
    """Where all old vectors have length 1 the new ones do too, in the map's direction."""
    uri, connection = database
    unit = spaces[0] / np.linalg.norm(spaces[0], axis=1, keepdims=True)
    fill(connection, "items", unit)
    summary = migrate(
        address(uri, "items", "emb"),
        address(uri, "items", "new"),
        fitted[1],
        options=options(force=True),
    )
    assert any("length 1" in note for note in summary["notes"])
    expected = fitted[0].apply(unit)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(new_vectors(connection)[1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_plan_says_whether_new_vectors_are_unit_vectors(items, fitted, tmp_path):
    """A plan knows the native vectors of the new space, which the old ones do not tell."""
    fitted[0].with_info(plan={"unit": True}).save(tmp_path / "planned.safetensors")
    migrate(*items[:2], tmp_path / "planned.safetensors", options=options())
    np.testing.assert_allclose(np.linalg.norm(new_vectors(items[2])[1], axis=1), 1, rtol=1e-5)


@pytest.mark.slow
def test_native_vectors_are_kept(items, fitted, spaces):
    """An item that the new model embedded before its turn came keeps that vector."""
    source = open_store(items[0])
    target = open_target(
        source, items[1], MigrationRecord.of(fitted[0], module.sha256_file(fitted[1]))
    )
    target.create()
    target.close()
    source.close()
    items[2].execute(
        "UPDATE items SET new = %s::vector WHERE id = 30", [str(spaces[1][10].tolist())]
    )
    summary = migrate(*items[:2], fitted[1], options=options())
    assert summary["written"] == N - 1
    assert any("1 item had a vector" in note for note in summary["notes"])
    np.testing.assert_allclose(new_vectors(items[2])[1][10], spaces[1][10], rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_items_that_come_meanwhile_are_converted(items, fitted, spaces, monkeypatch):
    """An item inserted behind the cursor during the run, with an old vector, gets a new one too."""
    create = module.BatchMapper.map

    def insert_first(self, batch):
        items[2].execute(
            "INSERT INTO items (id, emb) VALUES (-1, %s::vector) ON CONFLICT DO NOTHING",
            [str(spaces[0][0].tolist())],
        )
        return create(self, batch)

    monkeypatch.setattr(module.BatchMapper, "map", insert_first)
    assert migrate(*items[:2], fitted[1], options=options())["written"] == N + 1


def test_a_dry_run_writes_nothing(items, fitted):
    """Everything is checked and said; the table is as before."""
    summary = migrate(*items[:2], fitted[1], options=options(dry_run=True))
    assert any(f"{N} of {N} items would be written" in note for note in summary["notes"])
    assert summary["dry_run"]
    assert (
        not items[2]
        .execute(
            "SELECT 1 FROM pg_attribute WHERE attname = 'new' AND attrelid = 'items'::regclass"
        )
        .fetchall()
    )


def test_switch_and_rollback(items, fitted):
    """The switch comes after the check and is undone by a rollback; both can be said twice."""
    assert migrate(*items[:2], fitted[1], options=options(switch=True))["switched"]
    width = "SELECT vector_dims(emb) FROM items LIMIT 1"
    assert items[2].execute(width).fetchone() == (E,)
    again = migrate(*items[:2], fitted[1], options=options(switch=True))
    assert again["switched"]
    assert again["written"] == 0
    assert not migrate(*items[:2], fitted[1], options=options(rollback=True))["switched"]
    assert items[2].execute(width).fetchone() == (D,)
    assert migrate(*items[:2], fitted[1], options=options(switch=True))["written"] == 0
    assert items[2].execute(width).fetchone() == (E,)


@pytest.mark.slow
def test_searches_with_native_vectors_find_their_items(items, fitted, spaces, tmp_path):
    """With vectors of the new model the summary says how many find their own item."""
    rows = np.arange(500, 800)
    save_folder(tmp_path / "natives", {"new": spaces[1][rows]}, ids=3 * rows)
    found = migrate(*items[:2], fitted[1], options=options(check=tmp_path / "natives"))["checks"]
    assert found["found"] > 0.9


@pytest.mark.slow
def test_a_map_the_wrong_way_round_fails_the_search(items, fitted, spaces, tmp_path):
    """Of the right shapes and counts, vectors that natives do not find are never switched to."""
    right = fitted[0]
    turned = np.linalg.qr(RNG.standard_normal((E, E)))[0]
    wrong = LinearMap(
        turned @ right.weight, turned @ right.bias, right.source, right.target, "wrong"
    )
    wrong.save(tmp_path / "wrong.safetensors")
    rows = np.arange(500, 800)
    save_folder(tmp_path / "natives", {"new": spaces[1][rows]}, ids=3 * rows)
    chosen = options(check=tmp_path / "natives", switch=True)
    with pytest.raises(InputError, match="nothing was switched over"):
        migrate(*items[:2], tmp_path / "wrong.safetensors", options=chosen)
    assert items[2].execute("SELECT vector_dims(emb) FROM items LIMIT 1").fetchone() == (D,)


@pytest.mark.slow
def test_a_map_that_loses_neighbours_fails_the_search(items, fitted, tmp_path):
    """A map that sends every item to one place keeps no neighbours."""
    flat = LinearMap(np.zeros((E, D)), np.ones(E), fitted[0].source, fitted[0].target, "mean")
    flat.save(tmp_path / "flat.safetensors")
    with pytest.raises(InputError, match="old neighbours are among its ten new ones"):
        migrate(*items[:2], tmp_path / "flat.safetensors", options=options())


@pytest.mark.slow
def test_writes_that_are_not_what_the_map_makes_are_found(items, fitted, monkeypatch):
    """Vectors read back are compared with the map by other arithmetic than wrote them."""
    apply = module.BatchMapper.map
    monkeypatch.setattr(module.BatchMapper, "map", lambda self, batch: apply(self, batch)[::-1])
    with pytest.raises(InputError, match="are not what the map makes of their old vectors"):
        migrate(*items[:2], fitted[1], options=options())


def test_other_spaces_are_refused(items, fitted, tmp_path):
    """A map of another dimension, and vectors that do not look like its source, are one line."""
    weight, bias = RNG.standard_normal((E, D + 1)), np.zeros(E)
    LinearMap(weight, bias, Space("x", D + 1), Space("new", E), "t").save(
        tmp_path / "x.safetensors"
    )
    with pytest.raises(SpaceMismatchError, match="got dimension 64, expected 65 for x"):
        migrate(*items[:2], tmp_path / "x.safetensors")
    shuffled = RNG.permutation(D)
    there = fitted[0]
    moved = LinearMap(
        there.weight[:, shuffled],
        there.bias,
        there.source,
        there.target,
        "moved",
        there.info,
        there.source_mean[shuffled],
        there.source_spread[shuffled],
        np.ascontiguousarray(there.source_directions[:, shuffled]),
    )
    moved.save(tmp_path / "moved.safetensors")
    with pytest.raises(SpaceMismatchError, match="does not look like features of old"):
        migrate(*items[:2], tmp_path / "moved.safetensors")


@pytest.mark.slow
def test_a_migrated_column_is_another_space(items, fitted, tmp_path):
    """After the switch a map from the old space is refused by the column's own mark."""
    migrate(*items[:2], fitted[1], options=options(switch=True))
    weight = np.eye(E)
    LinearMap(weight, np.zeros(E), Space("other", E), Space("x", E), "t").save(
        tmp_path / "o.safetensors"
    )
    third = items[1].replace("column=new", "column=third")
    with pytest.raises(SpaceMismatchError, match="got space new of dimension 72, expected other"):
        migrate(items[0], third, tmp_path / "o.safetensors")


@pytest.mark.slow
def test_a_zero_vector_under_cosine_is_one_line(items, fitted):
    """It is named, what was written stays, and without it the same call goes on."""
    zeros = str([0] * D)
    items[2].execute("UPDATE items SET emb = %s::vector WHERE id = 3000", [zeros])
    with pytest.raises(InputError, match="item 3000 is a zero vector"):
        migrate(*items[:2], fitted[1], options=options())
    written = len(new_vectors(items[2])[0])
    assert 0 < written < N
    items[2].execute("UPDATE items SET emb = NULL WHERE id = 3000")
    assert migrate(*items[:2], fitted[1], options=options())["written"] == N - 1 - written


@pytest.mark.slow
def test_a_rate_is_kept_to(items, fitted):
    """Items a second are no more than allowed."""
    began = module.time.monotonic()
    migrate(*items[:2], fitted[1], options=options(rate=N / 0.8))
    assert module.time.monotonic() - began >= 0.8


@pytest.mark.parametrize(
    "values",
    [
        {"batch_size": 0},
        {"rate": 0.0},
        {"rate": float("nan")},
        {"rollback": True, "switch": True},
        {"rollback": True, "dry_run": True},
    ],
)
def test_options_that_make_no_sense(values):
    """They are refused before anything is opened."""
    with pytest.raises(InputError, match="got "):
        MigrateOptions(**values)


@pytest.mark.slow
def test_natives_must_be_of_the_store(items, fitted, spaces, tmp_path):
    """A check set without ids, of other ids, or of ids of another type is one line."""
    folder = tmp_path / "natives"
    save_folder(folder, {"new": spaces[1][:9]})
    with pytest.raises(InputError, match=r"has no ids\.txt"):
        migrate(*items[:2], fitted[1], options=options(check=folder))
    save_folder(folder, {"new": spaces[1][:9]}, ids=[f"x{i}" for i in range(9)])
    with pytest.raises(InputError, match="are not of the store's type, int"):
        migrate(*items[:2], fitted[1], options=options(check=folder))
    save_folder(folder, {"new": spaces[1][:9]}, ids=[*range(8), "8.0"])
    with pytest.raises(InputError, match=r"ids such as '8\.0' are not of the store's type, int"):
        migrate(*items[:2], fitted[1], options=options(check=folder))
    save_folder(folder, {"new": spaces[1][:9]}, ids=range(1, 28, 3))
    with pytest.raises(InputError, match="none of the items of --check is there"):
        migrate(*items[:2], fitted[1], options=options(check=folder))


@pytest.mark.slow
def test_ten_kills_lose_nothing_and_searches_go_on(items, fitted, spaces):
    """Killed at random moments, the same command ends with every row once; searches never fail."""
    arguments = ("migrate", *items[:2], "--map", fitted[1], "--batch-size", 50, "--switch")
    chance, failures, stop = np.random.default_rng(1), [], threading.Event()

    def search():
        with module.closing(open_store(items[0])) as store:
            while not stop.is_set():
                try:
                    assert len(store.search(spaces[0][:1], 5)[0]) == 5
                except InputError as error:
                    if "expected" not in str(error) and "dimensions" not in str(error):
                        failures.append(error)
                    return

    thread = threading.Thread(target=search)
    thread.start()
    try:
        with commands(
            "intertwine.passes.migrate.run", "intertwine.stores.pgvector.target", "psycopg"
        ) as ran:
            kills = ran.run_with_kills(*arguments, seconds=0.5, chance=chance, most=10)
    finally:
        stop.set()
        thread.join()
    assert not failures
    assert kills > 0
    rows = items[2].execute("SELECT id, emb::real[] FROM items ORDER BY id").fetchall()
    assert [row[0] for row in rows] == [3 * i for i in range(N)]
    found = np.array([row[1] for row in rows])
    np.testing.assert_allclose(found, fitted[0].apply(spaces[0]), rtol=1e-4, atol=1e-4)
