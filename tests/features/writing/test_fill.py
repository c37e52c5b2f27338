"""Several writers that fill one set: journals, locks, and one set at the end."""

from __future__ import annotations

import errno
import json
import subprocess
import sys

import numpy as np
import pytest

from intertwine.errors import FileFormatError, InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.features.writing import ledger as fill_ledger
from intertwine.features.writing import opening
from intertwine.features.writing import record as set_up
from intertwine.features.writing.record import SpaceRecord
from intertwine.features.writing.writer import FeatureSetWriter
from intertwine.spaces import Head
from intertwine.storage.locks import lock_rows

N, D = 20, 3
X = np.random.default_rng(0).standard_normal((N, D)).astype(np.float32)
IDS = [f"{row:02d}.png" for row in range(N)]
HEAD = Head(np.ones((2, D), np.float32))
RECORD = SpaceRecord("a", D, "float32", HEAD, {"fingerprint": "f0"})


def opened(folder, fill=None, **changes):
    """Return a writer of some rows of the set, or of all."""
    return FeatureSetWriter(
        folder, **{"n": N, "ids": IDS, "labels": np.arange(N), "fill": fill, **changes}
    )


def write(folder, start, stop, *, name="a", fill=None):
    """Fill rows start … stop−1."""
    with opened(folder, fill or (start, stop)) as writer:
        writer.add_space(SpaceRecord(name, D, "float32", HEAD, {"fingerprint": "f0"}))
        for first, last in writer.missing(name):
            writer.write(name, first, X[first:last])


def contents(folder):
    """Return the bytes of every file."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def whole(folder):
    """Write the set as one writer does."""
    with opened(folder) as writer:
        writer.add_space(RECORD)
        writer.write("a", 0, X)
    return contents(folder)


class TestFill:
    def test_is_one_set(self, tmp_path):
        """Parts filled in any order read as one set, and become the very files of a single run."""
        for start, stop in ((12, 20), (0, 5), (5, 12)):
            write(tmp_path / "set", start, stop)
        feature_set = FeatureSet.open(tmp_path / "set")
        np.testing.assert_array_equal(feature_set.read(["a"], range(N))["a"], X)
        assert feature_set.spaces["a"].fingerprint == "f0"
        with opened(tmp_path / "set") as writer:
            writer.add_space(RECORD)
            assert writer.missing("a") == []
        assert contents(tmp_path / "set") == whole(tmp_path / "whole")

    def test_unfinished(self, tmp_path):
        """Rows that nobody filled are lacking, and the writer of all rows is given just them."""
        write(tmp_path, 0, 5)
        write(tmp_path, 12, 20)
        with pytest.raises(InputError, match="space a lacks 7 of 20 rows"):
            FeatureSet.open(tmp_path)
        with opened(tmp_path) as writer:
            writer.add_space(RECORD)
            assert writer.missing("a") == [(5, 12)]

    def test_goes_on(self, tmp_path):
        """A filler that was stopped goes on by its journal, and leaves what another has done."""
        with opened(tmp_path, (0, 10)) as writer:
            writer.add_space(RECORD)
            writer.write("a", 2, X[2:6])
        with opened(tmp_path, (0, 10)) as writer:
            writer.add_space(RECORD)
            assert writer.missing("a") == [(0, 2), (6, 10)]
        with opened(tmp_path, (5, 15)) as writer:
            writer.add_space(RECORD)
            assert writer.missing("a") == [(6, 15)]

    def test_side_by_side(self, tmp_path):
        """Two fillers of one space work at the same time, and so does one of another space."""
        with opened(tmp_path, (0, 9)) as first, opened(tmp_path, (9, N)) as second:
            first.add_space(RECORD)
            second.add_space(RECORD)
            second.write("a", 9, X[9:])
            first.write("a", 0, X[:9])
            with opened(tmp_path, (0, N)) as third:
                third.add_space(SpaceRecord("b", D, "float32"))
                third.write("b", 0, X)
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), X)
        assert sorted(FeatureSet.open(tmp_path).spaces) == ["a", "b"]

    def test_added_space(self, tmp_path):
        """Filling a space added to a finished set changes nothing of the others."""
        whole(tmp_path)
        before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        write(tmp_path, 0, 11, name="b")
        write(tmp_path, 11, N, name="b")
        assert {path: path.stat().st_mtime_ns for path in before} == before
        np.testing.assert_array_equal(FeatureSet.open(tmp_path).read(["b"], range(N))["b"], X)

    def test_bad_rows(self, tmp_path):
        """Bad rows of a part are listed with the whole's, and may be left out of it."""
        write(tmp_path, 10, N)
        with opened(tmp_path, (0, 10)) as writer:
            writer.add_space(RECORD)
            writer.write("a", 0, X[:9])
            writer.mark_bad(9, "broken")
        with pytest.raises(InputError, match=r"lacks 1 of 20 rows, 09\.png cannot be read"):
            FeatureSet.open(tmp_path)
        with opened(tmp_path) as writer:
            writer.add_space(RECORD)
            assert json.loads((tmp_path / "feature_set.json").read_text())["bad"] == [
                {"id": "09.png", "reason": "broken"}
            ]
            writer.leave_out([9])
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.delete(X, 9, axis=0))

    def test_bad_row_mended(self, tmp_path):
        """A row that was listed as bad is listed no more once another process has filled it."""
        with opened(tmp_path) as writer:
            writer.add_space(RECORD)
            writer.mark_bad(9, "broken")
        write(tmp_path, 0, N)
        with opened(tmp_path) as writer:
            writer.add_space(RECORD)
        assert contents(tmp_path) == whole(tmp_path / "whole")

    def test_lost_races(self, tmp_path, monkeypatch):
        """Whoever comes second to make the manifest or an array takes the first one's."""
        create, place = opening.create_once, fill_ledger.place_once

        def late_create(path, data):
            create(path, data)
            assert not create(path, b"other")

        def late_place(temporary, path):
            copy = temporary.with_suffix(".copy")
            copy.write_bytes(temporary.read_bytes())
            assert place(temporary, path)
            assert not place(copy, path)

        monkeypatch.setattr(opening, "create_once", late_create)
        monkeypatch.setattr(fill_ledger, "place_once", late_place)
        write(tmp_path, 0, N)
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), X)
        assert not list(tmp_path.glob(".tmp-*"))

    def test_space_begun_meanwhile(self, tmp_path):
        """A space that another filler began after this one opened is gone on with."""
        with opened(tmp_path, (0, 5)) as first:
            write(tmp_path, 5, N)
            first.add_space(RECORD)
            first.write("a", 0, X[:5])
        np.testing.assert_array_equal(FeatureSet.open(tmp_path).read(["a"], range(N))["a"], X)

    def test_folder_set_up_meanwhile(self, tmp_path, monkeypatch):
        """A folder that another filler sets up between two looks is no foreign one."""
        glob = type(tmp_path).glob

        def late(self, pattern):
            if pattern == "ids.txt":
                monkeypatch.undo()
                write(tmp_path, 5, N)
            return glob(self, pattern)

        monkeypatch.setattr(type(tmp_path), "glob", late)
        write(tmp_path, 0, 5)
        assert FeatureSet.open(tmp_path).n == N


class TestRefused:
    @pytest.mark.parametrize("fill", [(3, 3), (5, 21), (-1, 4)], ids=str)
    def test_rows(self, tmp_path, fill):
        """Rows that there are not cannot be filled."""
        with pytest.raises(InputError, match=r"rows .* to fill, expected some of 0:20"):
            opened(tmp_path / "set", fill)
        assert not (tmp_path / "set").exists()

    @pytest.mark.quick("whole")
    @pytest.mark.parametrize(
        ("mine", "message"),
        [
            ((4, 12), "another process is filling some of rows 4:12; wait for it or give other"),
            (None, "another process is writing there"),
        ],
        ids=["overlap", "whole"],
    )
    def test_live_filler(self, tmp_path, mine, message):
        """Rows that a live filler holds are refused to others, and free when it ends."""
        code = (
            "from intertwine.features.writing.writer import FeatureSetWriter\n"
            f"with FeatureSetWriter({str(tmp_path)!r}, {N}, ids={IDS!r}, fill=(8, 15)):\n"
            "    print('open', flush=True); input()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout.readline() == "open\n"
            with pytest.raises(InputError, match=message):
                opened(tmp_path, mine)
            write(tmp_path, 0, 8)
            other.kill()
        opened(tmp_path, mine).close()

    def test_live_writer(self, tmp_path):
        """While one writer holds the whole set nobody fills it."""
        with opened(tmp_path), pytest.raises(InputError, match="another process is writing there"):
            opened(tmp_path, (0, 5))

    def test_foreign(self, tmp_path):
        """A folder of somebody's own arrays is not filled."""
        np.save(tmp_path / "a.npy", X)
        with pytest.raises(InputError, match=r"holds a\.npy, which intertwine extract did not"):
            opened(tmp_path, (0, 5))

    def test_other_rows(self, tmp_path):
        """A set of other rows is not filled."""
        write(tmp_path, 0, 5)
        with pytest.raises(InputError, match="rows of other ids, or in another order"):
            opened(tmp_path, (5, 10), ids=IDS[::-1])

    def test_other_encoder(self, tmp_path):
        """A space that another filler began with another encoder is refused."""
        write(tmp_path, 0, 5)
        with (
            opened(tmp_path, (5, 10)) as writer,
            pytest.raises(InputError, match="space a has fingerprint f0, got f1"),
        ):
            writer.add_space(SpaceRecord("a", D, "float32", HEAD, {"fingerprint": "f1"}))

    def test_array_gone(self, tmp_path):
        """An array that was removed is not made anew under rows that others completed."""
        write(tmp_path, 0, 5)
        (tmp_path / "a.npy").unlink()
        with (
            opened(tmp_path, (5, 10)) as writer,
            pytest.raises(InputError, match=r"a\.npy: has disappeared, but rows of it are listed"),
        ):
            writer.add_space(RECORD)
        with opened(tmp_path) as writer:
            writer.add_space(RECORD)
            assert writer.missing("a") == [(0, N)]

    def test_half_left_out(self, tmp_path):
        """A set that rows are being left out of is to be finished first."""
        whole(tmp_path)
        manifest = json.loads((tmp_path / "feature_set.json").read_text())
        (tmp_path / "feature_set.json").write_text(json.dumps({**manifest, "renames": ["a.npy"]}))
        with pytest.raises(
            InputError, match="half-way through leaving images out; run the command"
        ):
            opened(tmp_path, (0, 5))

    @pytest.mark.parametrize("text", ["[]", "{}", "{"])
    def test_damaged_journal(self, tmp_path, text):
        """A journal that is none is named."""
        write(tmp_path, 0, 5)
        (tmp_path / ".fill-0-5.json").write_text(text)
        with pytest.raises(FileFormatError, match=r"\.fill-0-5\.json: "):
            opened(tmp_path)


class TestDisk:
    def test_other_hidden_files(self, tmp_path):
        """A hidden file of a like name is no journal."""
        write(tmp_path, 0, N)
        (tmp_path / ".fill-me.json").write_text("{")
        assert FeatureSet.open(tmp_path).n == N

    def test_no_record_locks(self, tmp_path, monkeypatch):
        """A file system without record locks is filled without them."""

        def refuse(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr("fcntl.lockf", refuse)
        write(tmp_path, 0, N)
        assert FeatureSet.open(tmp_path).n == N

    def test_unwritable(self, tmp_path):
        """A folder in which nothing can be locked, linked or created is named."""
        gone = tmp_path / "gone"
        for action in (
            lambda: lock_rows(gone, 0, 5),
            lambda: set_up.create_once(gone / "a", b""),
            lambda: set_up.place_once(gone / "a", gone / "b"),
        ):
            with pytest.raises(InputError, match=r"cannot write .*gone.*: No such file"):
                action()

    def test_removed_lock_file(self, tmp_path):
        """What kills of fillers left is cleared away by the writer of all rows."""
        write(tmp_path, 0, 5)
        (tmp_path / ".tmp-a.0123.part").write_bytes(b"half")
        opened(tmp_path).close()
        assert not list(tmp_path.glob(".*"))
        assert (tmp_path / "a.npy").exists()
