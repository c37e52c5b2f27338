"""A process that writes some batches to a target, and is killed while it writes another."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import closing
from importlib import import_module
from pathlib import Path

from intertwine.maps.linear_map import LinearMap
from intertwine.storage.files import sha256_file
from intertwine.stores import MigrationRecord, open_store, open_target

# Items of a batch, batches written before a run is cut short, and seconds into the next one.
BATCH, CUT_AFTER, KILLED_AT = 10, 3, 0.001


def record_of(linear_map: LinearMap, path: Path) -> MigrationRecord:
    """Return what a migration by a map in a file notes."""
    return MigrationRecord.of(linear_map, sha256_file(path))


def main(source: str, target: str, map_file: str, *modules: str) -> None:
    """Import modules, open a source and a target by their addresses, write, and die."""
    for name in modules:
        import_module(name)
    linear_map = LinearMap.load(map_file)
    record = record_of(linear_map, Path(map_file))
    timer = threading.Timer(KILLED_AT, os.kill, (os.getpid(), signal.SIGKILL))
    with (
        closing(open_store(source)) as store,
        closing(open_target(store, target, record)) as place,
        place.lock(),
    ):
        place.create()
        for number, batch in enumerate(place.pending(BATCH)):
            if number == CUT_AFTER:
                timer.start()
            place.write(batch, linear_map.apply(batch.vectors))
        timer.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
