"""A migration of real vectors in every kind of store: killed, searched meanwhile, switched, rolled back; and its speed.

    python benchmarks/migration.py --set FOLDER --source A --target B --work DIR --json FILE [--only PART …]

FOLDER is a feature set with `sentences.txt` (see `sentences.py`). A map is fitted on --fit-rows of it. For every store all
rows are put in as vectors of A and `intertwine migrate` is killed --kills times at random moments, then comes to its end with
the switch; every row is compared, and held-out native vectors of B are searched with, beside the exact neighbours among native
vectors of all rows. `speed` compares with the store's own copy of the same rows, `memory` n rows with 4 n.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import migration_stores as stores
import numpy as np
from migration_speed import memory, speed

from intertwine.estimators import FitOptions
from intertwine.maps.linear_map import LinearMap
from intertwine.metrics.intervals import proportion_interval
from intertwine.passes.fit import fit_to_files
from intertwine.stores import open_store

KINDS = ("pgvector", "qdrant", "qdrant_server", "lancedb", "faiss", "parquet")
# Qdrant's local mode, which the library itself advises against beyond 20,000 points.
MOST_ROWS = {"qdrant": 20_000}
# Stores that keep only directions, so their maps are fitted on vectors of length 1.
DIRECTIONS = ("qdrant", "qdrant_server")
# What a store's result must not be taken for.
NOTES = {
    "qdrant_server": "a stand-in that speaks Qdrant's REST protocol over the client library's in-memory "
    "mode, not Qdrant: requests, order of steps and kills are shown, speed is not"
}
K, QUERIES = 10, 500


def command(source: str, target: str, map_file: Path, *more: str) -> list[str]:
    """Return the command line of a migration."""
    program = str(Path(sys.executable).with_name("intertwine"))
    return [program, "migrate", source, target, "--map", str(map_file), "--json", *more]


def with_kills(line: list[str], kills: int, seconds: float) -> tuple[int, dict[str, Any]]:
    """Run a command to its end after killing it at random moments; return the number of kills and the summary."""
    chance, killed = np.random.default_rng(0), 0
    for _ in range(kills):
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.8, seconds))
        if process.poll() is None:
            killed += 1
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    return killed, json.loads(done.stdout)


class Searches:
    """Searches with an old vector, again and again, until stopped."""

    def __init__(self, text: str, query: np.ndarray) -> None:
        self.count, self.failed = 0, ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(text, query), daemon=True)
        self._thread.start()

    def _run(self, text: str, query: np.ndarray) -> None:
        try:
            with closing(open_store(text)) as store:
                while not self._stop.is_set():
                    assert len(store.search(query, K)[0]) == K  # noqa: S101 - it is the check
                    self.count += 1
                    time.sleep(0.05)
        except Exception as error:  # noqa: BLE001 - reported in the result
            self.failed = str(error)

    def end(self) -> tuple[int, str]:
        """Stop; return how many searches there were and what failed."""
        self._stop.set()
        self._thread.join()
        return self.count, self.failed


def exact(queries: np.ndarray, items: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return the nearest items by cosine, their own left out, (q, K)."""
    items = items / np.linalg.norm(items, axis=1, keepdims=True)
    scores = queries @ items.T
    scores[np.arange(len(own)), own] = -np.inf
    return np.argpartition(-scores, K, axis=1)[:, :K]


def one_store(kind: str, data: dict[str, Any], given: argparse.Namespace) -> dict[str, Any]:
    """Migrate one kind of store and return the measurements."""
    n = min(MOST_ROWS.get(kind, given.rows), given.rows, len(data["old"]))
    old, new, texts = data["old"][:n], data["new"][:n], data["texts"][:n]
    with (
        tempfile.TemporaryDirectory(dir=given.work) as folder,
        getattr(stores, kind)(old, texts, Path(folder)) as (source, target),
    ):
        began = time.monotonic()
        searches = None if kind == "qdrant" else Searches(source, old[:1])
        # Slowed down, so that a kill finds work in progress.
        slow = ("--batch-size", "1000", "--rate", str(n / given.work_seconds))
        line = command(source, target, data["map"], *slow)
        killed, _ = with_kills(line, given.kills, given.kill_seconds)
        searched, failed = searches.end() if searches else (0, "the local mode is one process's")
        seconds = time.monotonic() - began
        line = command(source, target, data["map"], "--switch")
        switched = json.loads(subprocess.run(line, check=True, capture_output=True).stdout)
        result = {"rows": n, "kills": killed, "seconds": seconds, "searches": searched}
        result |= {"search_failure": failed, "checks": switched["checks"]}
        result |= compare(source, data["fitted"], old, new, given.fit_rows)
        kept = stores.payload(kind, source)
        result["payload_intact"] = None if kept is None else kept == texts
        line = command(source, target, data["map"], "--rollback")
        subprocess.run(line, check=True, capture_output=True)
        with closing(open_store(source)) as store:
            back = store.read(list(range(0, n, 97)))
        result |= {"note": NOTES[kind]} if kind in NOTES else {}
        result["rolled_back"] = bool(np.allclose(_unit(back), _unit(old[::97]), atol=1e-5))
    return result


def compare(
    source: str, fitted: LinearMap, old: np.ndarray, new: np.ndarray, fit_rows: int
) -> dict[str, Any]:
    """Return whether every row is right, and the recall of native queries against native neighbours."""
    with closing(open_store(source)) as store:
        batches = list(store.batches(5000))
        ids = [item for batch in batches for item in batch.ids]
        vectors = np.concatenate([batch.vectors for batch in batches])
        rows = np.argsort(ids)
        expected = _unit(fitted.apply(old))
        error = float(np.abs(_unit(vectors[rows]) - expected).max())
        queries = np.arange(len(old) - QUERIES, len(old))
        found = store.search(new[queries], K + 1)
    hits = sum(
        len({int(j) for j in answer if j != i} & set(best.tolist()))
        for i, answer, best in zip(queries, found, exact(new[queries], new, queries), strict=True)
    )
    low, high = proportion_interval(hits, QUERIES * K)
    own = sum(i in answer[:K] for i, answer in zip(queries, found, strict=True)) / QUERIES
    return {
        "once_each": sorted(ids) == list(range(len(old))),
        "largest_error": error,
        "recall_at_10": hits / (QUERIES * K),
        "recall_low": low,
        "recall_high": high,
        "own_item_in_10": own,
        "fit_rows": fit_rows,
        "chance": K / len(old),
    }


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def load(given: argparse.Namespace, kind: str) -> dict[str, Any]:
    """Return vectors, texts and a map fitted on some rows, for a kind of store."""
    old = np.load(given.set / f"{given.source}.npy")
    new = np.load(given.set / f"{given.target}.npy")
    texts = (given.set / "sentences.txt").read_text(encoding="utf-8").splitlines()
    if kind in DIRECTIONS:
        old, new = _unit(old), _unit(new)
    pairs = given.work / kind / "pairs"
    pairs.mkdir(parents=True, exist_ok=True)
    for name, vectors in ((given.source, old), (given.target, new)):
        np.save(pairs / f"{name}.npy", vectors[: given.fit_rows])
    names = {"source": given.source, "target": given.target}
    fit_to_files([pairs], given.work / kind / "maps", options=FitOptions(alpha="gcv"), **names)
    file = given.work / kind / "maps" / f"{given.source}--{given.target}.safetensors"
    return {"old": old, "new": new, "texts": texts, "map": file, "fitted": LinearMap.load(file)}


def main() -> None:
    """Run what the results lack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", type=Path)
    parser.add_argument("--source", default="wordllama")
    parser.add_argument("--target", default="minilm")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--fit-rows", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--kill-seconds", type=float, default=3.0)
    parser.add_argument("--work-seconds", type=float, default=10.0)
    parser.add_argument("--only", nargs="+", default=[*KINDS, "speed", "memory"])
    given = parser.parse_args()
    results = json.loads(given.json.read_text()) if given.json.exists() else {}
    given.work.mkdir(parents=True, exist_ok=True)
    for part in given.only:
        if part in results:
            continue
        if part in KINDS:
            results[part] = one_store(part, load(given, part), given)
        else:
            results[part] = {"speed": speed, "memory": memory}[part](given.work, given.rows)
        print(part, json.dumps(results[part], indent=1), flush=True)
        given.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
