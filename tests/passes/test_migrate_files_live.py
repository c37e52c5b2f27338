"""Migrations of files that are killed, or written to, at any moment."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from tests.kills import commands
from tests.passes.test_migrate_stores import OLD, held, in_faiss, in_parquet
from tests.vectors_data import load_vectors, save_vectors

from intertwine.errors import IntertwineError
from intertwine.linear_map import LinearMap
from intertwine.passes.migrate import MigrateOptions, migrate
from intertwine.spaces import Space
from intertwine.stores import file_switch

D, E = OLD.shape[1], 20


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Return a map that keeps neighbours, and its file."""
    columns = np.linalg.qr(np.random.default_rng(0).standard_normal((E, D)))[0]
    linear_map = LinearMap(columns, np.zeros(E), Space("a", D), Space("b", E), "drawn")
    path = tmp_path_factory.mktemp("map") / "a--b.safetensors"
    linear_map.save(path)
    return linear_map, path


@pytest.mark.parametrize("make", [in_parquet, in_faiss])
def test_kills_of_switches_and_rollbacks(tmp_path, fitted, make):
    """After kills at random moments the next command ends what was begun, byte for byte."""
    source, target = make(tmp_path)
    old = held(source)
    there = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    call = ("migrate", source, target, "--map", fitted[1], "--batch-size", 40)
    chance = np.random.default_rng(3)
    with commands("intertwine.passes.migrate", "pyarrow.parquet", "faiss") as ran:
        for _ in range(2):
            ran.run_with_kills(*call, "--switch", seconds=0.5, chance=chance, most=4)
            np.testing.assert_allclose(held(source), fitted[0].apply(OLD), atol=1e-5)
            for _ in range(4):
                process = ran._start((*call, "--rollback"))
                time.sleep(chance.uniform(0, 0.4))
                os.kill(process, signal.SIGKILL)
                ran._wait()
            process = ran._start((*call, "--rollback"))
            # Where a kill came after its last step there is nothing left to roll back.
            assert ran._wait() in {0, 1}
            np.testing.assert_array_equal(held(source), old)
            assert {path: path.read_bytes() for path in there} == there
            assert not list(tmp_path.rglob("*-switch"))


def writer(folder, stop, written):
    """Rewrite, add and remove files of the old model as a program does, until some are switched."""
    chance, number = np.random.default_rng(5), 0
    while not stop.is_set():
        number += 1
        rows = chance.standard_normal((20 + number % 7, D)).astype(np.float32)
        path = folder / f"part-{number % 5}.parquet"
        save_vectors(folder / f".write-{number}.parquet", rows)
        if file_switch.before_switch(path).exists():
            (folder / f".write-{number}.parquet").unlink()
            return
        (folder / f".write-{number}.parquet").replace(path)
        written.append(number)
        stop.wait(0.02)


def test_a_switch_under_live_writes_loses_no_row(tmp_path, fitted):
    """Every switched file is what the map makes of the file that stood there to the last moment."""
    folder, target = tmp_path / "data", tmp_path / "new"
    folder.mkdir()
    save_vectors(folder / "part-0.parquet", OLD[:50])
    stop, written, refused = threading.Event(), [], []
    thread = threading.Thread(target=writer, args=(folder, stop, written))
    thread.start()
    call = f"parquet:{folder}#vector", f"parquet:{target}#vector", fitted[1]
    try:
        for attempt in range(60):
            if attempt == 4:
                # A program that rewrites everything all the time leaves no moment to switch in.
                stop.set()
                thread.join()
            try:
                migrate(*call, options=MigrateOptions(switch=True, force=True, batch_size=50))
                break
            except IntertwineError as error:
                refused.append(str(error))
    finally:
        stop.set()
        thread.join()
    assert written
    assert all("\n" not in line for line in refused)
    names = sorted(folder.glob("part-*.parquet"))
    assert names
    for path in names:
        before = file_switch.before_switch(path)
        copy = tmp_path / "before.parquet"
        copy.write_bytes(before.read_bytes())
        expected = fitted[0].apply(load_vectors(copy))
        np.testing.assert_allclose(load_vectors(path), expected, atol=1e-5)


def test_a_file_that_takes_the_name_at_the_last_moment_keeps_it(tmp_path, fitted, monkeypatch):
    """What a program puts there between the last look and the switch is neither lost nor called new."""
    save_vectors(tmp_path / "a.parquet", OLD)
    mine = save_vectors(tmp_path / "mine.parquet", -OLD).read_bytes()
    call = f"parquet:{tmp_path / 'a.parquet'}", f"parquet:{tmp_path / 'b.parquet'}", fitted[1]
    exchange, times = file_switch.exchange_names, iter([True])

    def late(temporary, path):
        if next(times, False):
            (tmp_path / "mine.parquet").replace(tmp_path / "a.parquet")
        return exchange(temporary, path)

    monkeypatch.setattr(file_switch, "exchange_names", late)
    with pytest.raises(IntertwineError, match="was written to at this very moment"):
        migrate(*call, options=MigrateOptions(switch=True, force=True))
    assert (tmp_path / "a.parquet").read_bytes() == mine
    assert migrate(*call, options=MigrateOptions(switch=True, force=True))["switched"]
    np.testing.assert_allclose(
        load_vectors(tmp_path / "a.parquet"), fitted[0].apply(-OLD), atol=1e-5
    )
