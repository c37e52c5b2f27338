"""A migration of pgvector under live writes, killed again and again, against an independent ledger.

`INTERTWINE_LIVE_ROWS=20000` runs it at full size.
"""

import json
import os
import sys
import threading
import time

import numpy as np
import psycopg
import pytest
from tests.conftest import save_folder
from tests.kills import commands
from tests.passes.migrate.conftest import wrong
from tests.postgres import address, fill

from intertwine.estimators import FitOptions
from intertwine.maps.linear_map import LinearMap
from intertwine.passes.fit import fit_to_files
from intertwine.passes.migrate.run import MigrateOptions, migrate

ROWS = int(os.environ.get("INTERTWINE_LIVE_ROWS", "1500"))
D, E = 24, 32
KILLS, RATE = 10, 40
# Seconds of writes after the switch, and after the rollback.
SECONDS_AFTER = 1.0 if ROWS < 10_000 else 10.0


class Application(threading.Thread):
    """Inserts, updates and deletes at a steady rate, and writes down what it was told is done.

    It embeds with the old model while the column takes the old dimension, with the new one else.
    """

    def __init__(self, uri) -> None:
        super().__init__()
        self.uri, self.random, self.ended = uri, np.random.default_rng(7), threading.Event()
        self.old, self.new, self.last, self.gone = {}, {}, {}, set()
        self.dim, self.written, self.error, self.slowest = D, 0, None, 0.0

    def begin_with(self, ids, vectors) -> None:
        """Write down what is there before."""
        self.old = dict(zip(ids, vectors, strict=True))
        self.last = dict.fromkeys(ids, "old")

    def run(self) -> None:
        """Write until told to end."""
        try:
            with psycopg.connect(self.uri, autocommit=True) as connection:
                began = time.monotonic()
                while not self.ended.is_set():
                    self._write(connection)
                    time.sleep(max(0, self.written / RATE - (time.monotonic() - began)))
        except (psycopg.Error, ValueError) as error:
            self.error = error

    def end(self) -> None:
        """Stop, and raise what went wrong."""
        self.ended.set()
        self.join()
        if self.error is not None:
            raise self.error

    def _write(self, connection) -> None:
        """Do one insert, update or delete, with vectors of the model that the column takes."""
        kind = self.random.choice(["insert", "insert", "update", "update", "delete"])
        item = int(self.random.choice(list(self.last)))
        vector = self.random.standard_normal(self.dim).astype(np.float32)
        if kind == "insert":
            item = max(*self.last, *self.gone, 0) + 1
        began = time.monotonic()
        try:
            self._send(connection, kind, item, str(vector.tolist()))
        except psycopg.errors.DataException:
            self.dim = D + E - self.dim
            return
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.written += 1
        self._note(kind, item, vector)

    @staticmethod
    def _send(connection, kind, item, vector) -> None:
        if kind == "insert":
            connection.execute("INSERT INTO items (id, emb) VALUES (%s, %s)", [item, vector])
        elif kind == "update":
            connection.execute("UPDATE items SET emb = %s WHERE id = %s", [vector, item])
        else:
            connection.execute("DELETE FROM items WHERE id = %s", [item])

    def _note(self, kind, item, vector) -> None:
        if kind == "delete":
            self.gone.add(item)
            for known in (self.old, self.new, self.last):
                known.pop(item, None)
            return
        model = "old" if len(vector) == D else "new"
        (self.old if model == "old" else self.new)[item] = vector
        self.last[item] = model


@pytest.fixture(scope="module")
def map_file(tmp_path_factory):
    """Return a map of random vectors."""
    folder, random = tmp_path_factory.mktemp("fit"), np.random.default_rng(1)
    rows = random.standard_normal((400, D)).astype(np.float32)
    pairs = {"old": rows, "new": rows @ random.standard_normal((D, E)).astype(np.float32)}
    save_folder(folder / "pairs", pairs)
    fit_to_files([folder / "pairs"], folder, options=FitOptions(), source="old", target="new")
    return folder / "old--new.safetensors"


def column(connection, name):
    """Return a column's vectors by id, None where there is none."""
    rows = connection.execute(f"SELECT id, {name}::real[] FROM items").fetchall()  # noqa: S608 - ours
    return {item: None if value is None else np.array(value, np.float32) for item, value in rows}


@pytest.mark.slow
def test_every_write_beside_a_migration_is_accounted_for(database, map_file):
    """Killed ten times, switched, added to, rolled back, switched again: each row is as the ledger says."""
    uri, connection = database
    vectors = np.random.default_rng(0).standard_normal((ROWS, D)).astype(np.float32)
    ids = fill(connection, "items", vectors, index="hnsw (emb vector_cosine_ops)", step=1)
    old, new = address(uri, "items", "emb"), address(uri, "items", "new")
    linear_map = LinearMap.load(map_file)
    application = Application(uri)
    application.begin_with(ids, vectors)
    application.start()
    kills, came_before = migrate_with_kills(old, new, map_file, application)
    time.sleep(SECONDS_AFTER)
    application.end()
    mapped = {
        item: application.new[item]
        if model == "new"
        else linear_map.apply(application.old[item][None])[0]
        for item, model in application.last.items()
    }
    found = column(connection, "emb")
    assert found.keys() == mapped.keys()
    assert wrong(found, mapped) == []
    assert all(vector is not None for vector in found.values())
    lacking = application.last.keys() - application.old.keys()
    notes = migrate(old, new, map_file, options=MigrateOptions(rollback=True))["notes"]
    assert lacking
    assert notes[0].startswith(f"{len(lacking)} rows have no old vector")
    assert (
        wrong(column(connection, "emb"), {i: application.old.get(i) for i in application.last})
        == []
    )
    assert wrong(column(connection, "new"), application.new) == []
    facts = {
        "rows": ROWS,
        "kills": kills,
        "writes_until_the_switch": came_before,
        "writes": application.written,
        "added_with_new_vectors_only": len(lacking),
        "slowest_write_s": round(application.slowest, 2),
    }
    sys.stdout.write(json.dumps(facts) + "\n")
    summary = migrate(old, new, map_file, options=MigrateOptions(switch=True))
    assert summary["switched"]
    assert wrong(column(connection, "emb"), mapped) == []
    invalid = connection.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid").fetchone()
    assert invalid == (0,)


def migrate_with_kills(old, new, map_file, application):
    """Run the command until it has switched; return how often it was killed, and writes until then."""
    arguments = ("migrate", old, new, "--map", map_file, "--batch-size", 500, "--switch")
    chance = np.random.default_rng(3)
    with commands(
        "intertwine.passes.migrate.run", "intertwine.stores.pgvector.target", "psycopg"
    ) as ran:
        seconds = 0.8 if ROWS < 10_000 else 6.0
        kills = ran.run_with_kills(*arguments, seconds=seconds, chance=chance, most=KILLS)
    return kills, application.written
