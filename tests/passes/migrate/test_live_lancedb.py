"""A migration of LanceDB under live writes, killed again and again, against an independent ledger.

`INTERTWINE_LIVE_ROWS=20000` runs it at full size.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta

import lancedb
import numpy as np
import pyarrow as pa
import pytest
from tests.kills import commands
from tests.passes.migrate.conftest import wrong

from intertwine.maps.linear_map import LinearMap
from intertwine.spaces import Space

ROWS = int(os.environ.get("INTERTWINE_LIVE_ROWS", "600"))
LONG = ROWS >= 10_000
D, E = 24, 32
KILLS, RATE = 10, 40
# Seconds of writes after the switch, and after the way back.
SECONDS_AFTER = 10.0 if LONG else 1.0
# Writes after which the application joins the small files that they leave.
TIDY_EVERY = 150


def rows_of(ids, bodies, vectors):
    """Return rows of the table."""
    vectors = np.asarray(vectors, np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    return pa.table({"id": pa.array(ids, pa.int64()), "body": bodies, "vector": column})


class Application(threading.Thread):
    """Inserts, updates and deletes at a steady rate, and writes down what it was told is done.

    It embeds with the old model while the table takes the old dimension, with the new one else.
    """

    def __init__(self, folder, vectors) -> None:
        super().__init__()
        database = lancedb.connect(folder, read_consistency_interval=timedelta(0))
        self.table = database.open_table("items")
        self.random, self.ended = np.random.default_rng(7), threading.Event()
        self.old, self.new = dict(enumerate(vectors)), {}
        self.last = dict.fromkeys(self.old, "old")
        self.bodies = {item: f"body {item}" for item in self.old}
        self.gone, self.next = set(), len(self.old)
        self.dim, self.written, self.refused, self.error = D, 0, 0, None
        # Rows that were there and that the table said it does not have.
        self.missed = []

    def run(self) -> None:
        """Write until told to end."""
        began = time.monotonic()
        try:
            while not self.ended.is_set():
                self._write()
                time.sleep(max(0, self.written / RATE - (time.monotonic() - began)))
        except BaseException as error:
            self.error = error
            raise

    def end(self) -> None:
        """Stop, and raise what went wrong."""
        self.ended.set()
        self.join()
        if self.error is not None:
            raise self.error

    def _write(self) -> None:
        """Do one insert, update, edit or delete; what the table refuses is not done."""
        kind = self.random.choice(["insert", "insert", "update", "edit", "delete"])
        item = self.next if kind == "insert" else int(self.random.choice(list(self.last)))
        vector = self.random.standard_normal(self.dim).astype(np.float32)
        body = f"{kind} {self.written}"
        try:
            if not self._send(kind, item, vector, body):
                self.missed.append(item)
                return
        except (RuntimeError, ValueError, OSError):
            # Of another dimension by now, or another program committed at the same moment.
            self.refused += 1
            assert self.refused < 200 + self.written
            self.dim = self.table.schema.field("vector").type.list_size
            return
        self.written += 1
        self._note(kind, item, vector, body)
        if self.written % TIDY_EVERY == 0:
            # It changes no row, and gives way to another program's commit.
            with suppress(RuntimeError):
                self.table.optimize()

    def _send(self, kind, item, vector, body) -> int:
        """Do it; return how many rows the table says that were written or deleted."""
        where = f"id = {item}"
        if kind == "insert":
            self.table.add(rows_of([item], [body], [vector]))
            return 1
        if kind == "delete":
            return self.table.delete(where).num_deleted_rows
        values = {"body": body} | ({"vector": vector.tolist()} if kind == "update" else {})
        return self.table.update(where=where, values=values).rows_updated

    def _note(self, kind, item, vector, body) -> None:
        if kind == "delete":
            self.gone.add(item)
            for known in (self.old, self.new, self.last, self.bodies):
                known.pop(item, None)
            return
        self.bodies[item] = body
        if kind == "edit":
            return
        self.next = max(self.next, item + 1)
        self.last[item] = "old" if len(vector) == D else "new"
        (self.old if self.last[item] == "old" else self.new)[item] = vector


def held(folder, name="items"):
    """Return the bodies and the vectors of a table by id; no id stands twice."""
    found = lancedb.connect(folder).open_table(name).to_arrow()
    ids = found["id"].to_pylist()
    assert len(set(ids)) == len(ids)
    return (
        dict(zip(ids, found["body"].to_pylist(), strict=True)),
        dict(zip(ids, found["vector"].to_pylist(), strict=True)),
    )


@pytest.mark.slow
def test_every_write_beside_a_migration_is_accounted_for(tmp_path):
    """Killed ten times, switched, added to, rolled back, switched again: each row is as the ledger says."""
    random = np.random.default_rng(0)
    vectors = random.standard_normal((ROWS, D)).astype(np.float32)
    weight = np.linalg.qr(random.standard_normal((E, D)))[0]
    linear_map = LinearMap(weight, random.standard_normal(E), Space("a", D), Space("b", E), "x")
    linear_map.save(tmp_path / "map.safetensors")
    folder = tmp_path / "db"
    first = rows_of(list(range(ROWS)), [f"body {i}" for i in range(ROWS)], vectors)
    lancedb.connect(folder).create_table("items", first)
    application = Application(folder, vectors)
    places = (f"lancedb:{folder}?metric=l2#{name}" for name in ("items", "new"))
    arguments = ("migrate", *places, "--map", tmp_path / "map.safetensors", "--batch-size", 100)
    chance, facts = np.random.default_rng(3), {"rows": ROWS}
    application.start()
    seconds = 8.0 if LONG else 1.5
    with commands("intertwine.passes.migrate.run", "intertwine.stores.lancedb.target") as ran:
        facts["kills"] = ran.run_with_kills(
            *arguments, "--switch", seconds=seconds, chance=chance, most=KILLS
        )
        facts["writes_until_the_switch"] = application.written
        time.sleep(SECONDS_AFTER)
        facts["writes_until_the_way_back"] = application.written
        facts["added_with_new_vectors_only"] = len(application.last.keys() - application.old.keys())
        facts["seconds_back"] = ran.run(*arguments, "--rollback")
        facts["writes_until_back"] = application.written
        time.sleep(SECONDS_AFTER)
        application.end()
        bodies, found = held(folder)
        assert bodies == application.bodies
        assert wrong(found, {i: application.old.get(i) for i in application.last}) == []
        facts |= {"writes": application.written, "deleted": len(application.gone)}
        facts |= {"refused": application.refused, "missed": len(application.missed)}
        sys.stdout.write(json.dumps(facts) + "\n")
        assert facts["added_with_new_vectors_only"]
        # More than a tenth may be the application's own new vectors by now.
        ran.run(*arguments, "--switch", "--force")
    mapped = {
        item: application.new[item]
        if model == "new"
        else linear_map.apply(application.old[item][None])[0]
        for item, model in application.last.items()
    }
    bodies, found = held(folder)
    assert bodies == application.bodies
    assert wrong(found, mapped) == []
    assert all(vector is not None for vector in found.values())
