"""Leaving rows out of a set, whatever moment a kill chooses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from intertwine.errors import FileFormatError, InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.features.writing import compaction
from intertwine.features.writing.record import SpaceRecord, left_out
from intertwine.features.writing.writer import FeatureSetWriter
from intertwine.spaces import Head

N = 12
IDS = [f"{row:02d}.png" for row in range(N)]
A = np.random.default_rng(0).standard_normal((N, 3)).astype(np.float32)
B = np.random.default_rng(1).standard_normal((N, 5)).astype(np.float32)
BAD = [0, 4, 5, 11]
KEPT = [row for row in range(N) if row not in BAD]
FILES = ["a.npy", "b.npy", "ids.txt", "labels.npy"]


class Killed(BaseException):
    """Stands for a kill."""


def write_all_but(writer, name, array, bad):
    """Write a space's rows and mark the bad ones."""
    writer.add_space(
        SpaceRecord(name, array.shape[1], "float32", Head(np.ones((2, array.shape[1]))))
    )
    for row in range(len(array)):
        if row in bad:
            writer.mark_bad(row, f"reason {row}")
        else:
            writer.write(name, row, array[row : row + 1])


def make(folder):
    """Write a set of two spaces that lacks the bad rows."""
    with FeatureSetWriter(folder, N, ids=IDS, labels=np.arange(N)) as writer:
        write_all_but(writer, "a", A, BAD)
        write_all_but(writer, "b", B, BAD)
    return folder


def leave_out(folder):
    """Leave the bad rows out."""
    with FeatureSetWriter(folder, N, ids=IDS) as writer:
        writer.leave_out(BAD)


def contents(folder):
    """Return the bytes of every file."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_rows(tmp_path, monkeypatch):
    """Rows go from every file, the others keep ids and order, and the manifest says which and why."""
    monkeypatch.setattr(compaction, "_COPY_BYTES", 24)
    leave_out(make(tmp_path))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), A[KEPT])
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), B[KEPT])
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), KEPT)
    assert (tmp_path / "ids.txt").read_text().split() == [IDS[row] for row in KEPT]
    manifest = json.loads((tmp_path / "feature_set.json").read_text())
    assert manifest["left_out"] == [{"id": IDS[r], "reason": f"reason {r}"} for r in BAD]
    assert manifest["rows"] == len(KEPT)
    assert "bad" not in manifest
    assert compaction.PENDING not in manifest
    assert left_out(tmp_path) == [IDS[row] for row in BAD]
    assert FeatureSet.open(tmp_path).n == len(KEPT)
    assert not list(tmp_path.glob(".*"))


def test_goes_on(tmp_path):
    """A set that rows were left out of goes on as one of the rows that stayed."""
    leave_out(make(tmp_path))
    ids = [IDS[row] for row in KEPT]
    before = contents(tmp_path)
    with FeatureSetWriter(tmp_path, len(KEPT), ids=ids, labels=KEPT) as writer:
        writer.add_space(SpaceRecord("a", 3, "float32", Head(np.ones((2, 3)))))
        assert writer.missing("a") == []
    assert contents(tmp_path) == before


def test_again(tmp_path):
    """A further row goes from every space, those complete before too."""
    leave_out(make(tmp_path))
    ids, c = [IDS[row] for row in KEPT], A[KEPT] + 1
    with FeatureSetWriter(tmp_path, len(KEPT), ids=ids) as writer:
        write_all_but(writer, "c", c, [2])
        writer.leave_out([2])
    stay = [row for row in KEPT if row != KEPT[2]]
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), A[stay])
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), np.delete(c, 2, axis=0))
    assert left_out(tmp_path) == [*(IDS[row] for row in BAD), IDS[KEPT[2]]]
    assert FeatureSet.open(tmp_path).n == len(stay)


def test_unfinished_space(tmp_path):
    """What a space still lacks stays lacking, at its new place; other bad rows stay listed."""
    with FeatureSetWriter(tmp_path, N, ids=IDS) as writer:
        write_all_but(writer, "a", A, [1, 3])
        writer.leave_out([1])
    with FeatureSetWriter(tmp_path, N - 1, ids=[IDS[0], *IDS[2:]]) as writer:
        writer.add_space(SpaceRecord("a", 3, "float32", Head(np.ones((2, 3)))))
        assert writer.missing("a") == [(2, 3)]
    manifest = json.loads((tmp_path / "feature_set.json").read_text())
    assert [entry["id"] for entry in manifest["bad"]] == [IDS[3]]
    with pytest.raises(
        InputError, match=r"space a lacks 1 of 11 rows, 03\.png cannot be read; run"
    ):
        FeatureSet.open(tmp_path)


def test_nothing_left(tmp_path):
    """A set of bad rows only is refused and stays as it was."""
    with FeatureSetWriter(tmp_path, N, ids=IDS) as writer:
        write_all_but(writer, "a", A, range(N))
        writer.commit()
        before = contents(tmp_path)
        with pytest.raises(InputError, match="all 12 rows are bad, expected at least one"):
            writer.leave_out(range(N))
    assert contents(tmp_path) == before


@pytest.mark.slow
def test_killed_at_any_step(tmp_path, monkeypatch):
    """Killed before any one of its renames, a compaction is either undone or finished, never half."""
    leave_out(make(tmp_path / "undisturbed"))
    replace, finished, undone = Path.replace, 0, 0
    for step in range(30):
        folder = make(tmp_path / str(step))
        before, calls = contents(folder), 0

        def kill(self, target, *, at=step):
            nonlocal calls
            calls += 1
            if calls > at:
                raise Killed
            return replace(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", kill)
            try:
                leave_out(folder)
            except Killed:
                pass
            else:
                break
        described = json.loads((folder / "feature_set.json").read_text())
        if described["rows"] == N:
            undone += 1
            with FeatureSetWriter(folder, N, ids=IDS):
                assert contents(folder) == before
            leave_out(folder)
        else:
            finished += 1
            with pytest.raises(InputError, match="images are being left out of it; run the same"):
                FeatureSet.open(folder)
            FeatureSetWriter(folder, len(KEPT), ids=[IDS[row] for row in KEPT]).close()
        assert contents(folder) == contents(tmp_path / "undisturbed")
    assert (undone, finished) == (5, 5)


def test_no_room(tmp_path, monkeypatch):
    """A disk without room for the smaller set leaves the set as it was."""
    make(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    before = contents(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("os.posix_fallocate", full)
        with pytest.raises(InputError, match=r"cannot write .*a\.npy: No space left on device"):
            leave_out(tmp_path)
    assert contents(tmp_path) == before


def test_unwritable(tmp_path, monkeypatch):
    """A folder that fails while files get their names is named; the next opening finishes."""
    make(tmp_path)
    replace = Path.replace

    def fail(self, target):
        if self.name == ".compact-b.npy":
            raise PermissionError(13, "Permission denied")
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(InputError, match=r"cannot write .*: Permission denied"):
            leave_out(tmp_path)
    FeatureSetWriter(tmp_path, len(KEPT), ids=[IDS[row] for row in KEPT]).close()
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), B[KEPT])


def test_left_out_of_nothing(tmp_path):
    """A folder that is no set yet has nothing left out; a damaged manifest is an error."""
    assert left_out(tmp_path) == []
    (tmp_path / "feature_set.json").write_text("{")
    with pytest.raises(FileFormatError, match="cannot be read as JSON"):
        left_out(tmp_path)
