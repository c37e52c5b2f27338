import time

import numpy as np
import pytest

from intertwine.errors import InputError
from intertwine.storage.npy import RowFile, make_array
from intertwine.vectors import partial_output
from intertwine.vectors.partial_output import PartialOutput

IDENTITY = {"shape": [4, 2], "dtype": "float32"}


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Bring rows to disk whenever some are added, slowly."""
    sync = RowFile.sync

    def slowly(file):
        time.sleep(0.1)
        sync(file)

    monkeypatch.setattr(RowFile, "sync", slowly)
    monkeypatch.setattr(partial_output, "SYNC_SECONDS", 0)


def test_nothing_is_left_of_what_was_discarded(tmp_path):
    """Discarded while a thread brings rows to disk, an output leaves no record behind."""
    with PartialOutput(tmp_path / "out.npy", IDENTITY) as made:
        made.add(0, 2)
        made.discard()
    assert list(tmp_path.iterdir()) == []


def test_arrays_of_runs_killed_while_they_allocated_one_are_removed(tmp_path):
    """The next run of the same output removes them, and leaves those of other outputs alone."""
    stale, others = make_array(tmp_path / "out.parquet", (4, 2), "float32"), tmp_path / "out.npy"
    kept = make_array(others, (4, 2), "float32")
    with PartialOutput(tmp_path / "out.parquet", IDENTITY) as output:
        assert not stale.exists()
        output.discard()
    assert list(tmp_path.iterdir()) == [kept]


def test_rows_added_while_others_go_to_disk_are_recorded_too(tmp_path):
    """What is added while the thread is busy is in the record in the end."""
    with PartialOutput(tmp_path / "out.npy", IDENTITY) as made:
        made.file.write(0, np.ones((3, 2), np.float32))
        made.add(0, 2)
        made.add(2, 3)
    with PartialOutput(tmp_path / "out.npy", IDENTITY) as again:
        assert again.chunks(4) == [(3, 4)]


def test_a_disk_that_fails_meanwhile_is_told(tmp_path, monkeypatch):
    """What fails on the thread is raised where rows are added or the output ends."""

    def fail(_):
        raise InputError("no room")

    monkeypatch.setattr(RowFile, "sync", fail)
    with (
        pytest.raises(InputError, match="no room"),
        PartialOutput(tmp_path / "out.npy", IDENTITY) as made,
    ):
        made.add(0, 2)
