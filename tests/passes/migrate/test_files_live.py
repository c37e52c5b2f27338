"""Migrations of files that are killed, or written to, at any moment."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from tests.kills import commands
from tests.passes.migrate.small_stores import OLD, held, in_faiss, in_parquet
from tests.vectors_data import load_vectors, save_vectors

from intertwine.errors import IntertwineError
from intertwine.maps.linear_map import LinearMap
from intertwine.passes.migrate.run import MigrateOptions, migrate
from intertwine.spaces import Space
from intertwine.stores import open_store
from intertwine.stores.files.target import FileTarget
from intertwine.stores.rows import switch as file_switch
from intertwine.stores.rows.switched_files import SwitchedFiles

D, E = OLD.shape[1], 20


@pytest.mark.slow
@pytest.mark.parametrize("make", [in_parquet, in_faiss])
def test_kills_of_switches_and_rollbacks(tmp_path, fitted, make):
    """After kills at random moments the next command ends what was begun, byte for byte."""
    source, target = make(tmp_path)
    old = held(source)
    there = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    call = ("migrate", source, target, "--map", fitted[1], "--batch-size", 40)
    chance = np.random.default_rng(3)
    with commands("intertwine.passes.migrate.run", "pyarrow.parquet", "faiss") as ran:
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


def writer(folder, stop, written, looking):
    """Rewrite and add files of the old model as a program does, until it sees that some are switched."""
    chance, number = np.random.default_rng(5), 0
    while not stop.is_set():
        number += 1
        rows = chance.standard_normal((20 + number % 7, D)).astype(np.float32)
        path = folder / f"part-{number % 5}.parquet"
        new = save_vectors(folder / f".write-{number}.parquet", rows)
        # A switch's last look comes wholly before this, and sees nothing of it, or behind it, and does.
        with looking:
            if any(folder.glob(f".*{file_switch.BEFORE}")):
                new.unlink()
                return
            new.replace(path)
        written.append(number)
        stop.wait(0.02)


@pytest.mark.slow
def test_a_switch_under_live_writes_loses_no_row(tmp_path, fitted, monkeypatch):
    """Every switched file is what the map makes of the file that stood there to the last moment."""
    folder, target = tmp_path / "data", tmp_path / "new"
    folder.mkdir()
    save_vectors(folder / "part-0.parquet", OLD[:50])
    stop, looking, written, refused = threading.Event(), threading.Lock(), [], []
    look_again = SwitchedFiles.look_again

    def look(self):
        with looking:
            look_again(self)

    monkeypatch.setattr(SwitchedFiles, "look_again", look)
    thread = threading.Thread(target=writer, args=(folder, stop, written, looking))
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
    assert_switched(folder, fitted, tmp_path)


def assert_switched(folder, fitted, tmp_path):
    """Assert that each file of a folder is what the map makes of its old content; return how many."""
    names = sorted(folder.glob("*.parquet"))
    assert names
    for path in names:
        copy = tmp_path / "before.parquet"
        copy.write_bytes(file_switch.before_switch(path).read_bytes())
        expected = fitted[0].apply(load_vectors(copy))
        np.testing.assert_allclose(load_vectors(path), expected, atol=1e-5)
    return len(names)


@pytest.fixture(params=[E, D])
def drawn(request, tmp_path):
    """Return a map into as many dimensions or fewer, its file, a folder of two files, and a call."""
    columns = np.linalg.qr(np.random.default_rng(0).standard_normal((request.param, D)))[0]
    spaces = Space("a", D), Space("b", request.param)
    linear_map = LinearMap(columns, np.zeros(request.param), *spaces, "drawn")
    linear_map.save(tmp_path / "m.safetensors")
    folder = tmp_path / "data"
    folder.mkdir()
    save_vectors(folder / "a.parquet", OLD[:150])
    save_vectors(folder / "b.parquet", OLD[150:])
    call = f"parquet:{folder}", f"parquet:{tmp_path / 'new'}", tmp_path / "m.safetensors"
    return (linear_map, call[2]), folder, call


SWITCH = MigrateOptions(switch=True, force=True)


def at_exchange(monkeypatch, number, act):
    """Do something once, right behind an exchange of names."""
    exchange, calls = file_switch.exchange_names, iter(range(1, 100))

    def exchanged(temporary, path):
        done = exchange(temporary, path)
        if next(calls) == number:
            act()
        return done

    monkeypatch.setattr(file_switch, "exchange_names", exchanged)


@pytest.mark.quick("12-2")
@pytest.mark.parametrize("number", [1, 2])
def test_a_file_that_comes_during_the_switch_is_converted_by_the_next_run(
    drawn, tmp_path, monkeypatch, number
):
    """The command does not succeed: it names the file, and the same command ends what it began."""
    fitted, folder, call = drawn
    at_exchange(monkeypatch, number, lambda: save_vectors(folder / "c.parquet", OLD[:9]))
    with pytest.raises(
        IntertwineError,
        match=r"^\S+c\.parquet came during the switch and holds old vectors; run again to convert it$",
    ):
        migrate(*call, options=SWITCH)
    assert migrate(*call, options=SWITCH)["switched"]
    assert assert_switched(folder, fitted, tmp_path) == 3
    assert migrate(*call, options=SWITCH)["notes"][0].endswith("for the new vectors already")
    migrate(*call, options=MigrateOptions(rollback=True))
    np.testing.assert_array_equal(load_vectors(folder / "c.parquet"), OLD[:9])


def test_a_file_that_came_during_the_switch_stays_where_a_rollback_undoes_that(drawn, monkeypatch):
    """It is of the old content, so that nothing is put aside."""
    _, folder, call = drawn
    at_exchange(monkeypatch, 2, lambda: save_vectors(folder / "c.parquet", OLD[:9]))
    with pytest.raises(IntertwineError, match="came during the switch"):
        migrate(*call, options=SWITCH)
    assert migrate(*call, options=MigrateOptions(rollback=True))["notes"] == []
    assert sorted(path.name for path in folder.iterdir()) == ["a.parquet", "b.parquet", "c.parquet"]
    old = open_store(call[0]).read(range(len(OLD) + 9))
    np.testing.assert_array_equal(old, np.concatenate([OLD, OLD[:9]]))


@pytest.mark.quick("12")
def test_a_file_that_comes_between_the_conversion_and_the_switch_stops_it(drawn, monkeypatch):
    """Nothing is switched, and the next run converts it too."""
    fitted, folder, call = drawn
    finish = FileTarget.finish

    def late(self):
        notes = finish(self)
        save_vectors(folder / "c.parquet", OLD[:9])
        return notes

    with monkeypatch.context() as patch:
        patch.setattr(FileTarget, "finish", late)
        with pytest.raises(
            IntertwineError, match=r"c\.parquet came since this run began; run again"
        ):
            migrate(*call, options=SWITCH)
    assert not list(folder.glob(".*before-switch"))
    migrate(*call, options=SWITCH)
    assert assert_switched(folder, fitted, folder.parent) == 3


@pytest.mark.quick("12-True")
@pytest.mark.parametrize("in_place", [True, False])
def test_a_file_written_behind_its_exchange_is_converted_by_the_next_run(
    drawn, tmp_path, monkeypatch, in_place
):
    """Its switch is undone; what somebody wrote into the new content itself is kept beside."""
    fitted, folder, call = drawn

    def rewrite():
        fresh = save_vectors(tmp_path / "fresh.parquet", -OLD[:40])
        if in_place:
            (folder / "a.parquet").write_bytes(fresh.read_bytes())
        else:
            fresh.replace(folder / "a.parquet")

    at_exchange(monkeypatch, 2, rewrite)
    with pytest.raises(
        IntertwineError, match=r"a\.parquet was written to .* undone for it.* run again"
    ):
        migrate(*call, options=SWITCH)
    migrate(*call, options=SWITCH)
    assert assert_switched(folder, fitted, tmp_path) == 2
    kept = [path.name for path in folder.glob(".*since-switch")]
    assert kept == ([".a.parquet.since-switch"] if in_place else [])
    migrate(*call, options=MigrateOptions(rollback=True))
    old = OLD[:150] if in_place else -OLD[:40]
    np.testing.assert_array_equal(load_vectors(folder / "a.parquet"), old)


@pytest.mark.quick("12-False")
@pytest.mark.parametrize("late", [True, False])
def test_a_switch_that_is_killed_before_its_last_look(drawn, tmp_path, monkeypatch, late):
    """The same command looks: what came is converted, and what comes from then on is new."""
    fitted, folder, call = drawn

    def killed(_):
        if late:
            save_vectors(folder / "c.parquet", OLD[:9])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SwitchedFiles, "look_again", killed)
        with pytest.raises(KeyboardInterrupt):
            migrate(*call, options=SWITCH)
    assert migrate(*call, options=SWITCH)["switched"]
    assert assert_switched(folder, fitted, tmp_path) == 2 + late
    save_vectors(folder / "d.parquet", fitted[0].apply(OLD[:5]))
    assert migrate(*call, options=SWITCH)["notes"][0].endswith("for the new vectors already")
    with pytest.raises(IntertwineError, match=r"d\.parquet was added since the switch"):
        migrate(*call, options=MigrateOptions(rollback=True))


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
