"""Writing feature sets that survive kills, full disks and second thoughts."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from intertwine.errors import FileFormatError, InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.features.writing.record import SpaceRecord
from intertwine.features.writing.writer import FeatureSetWriter, write_feature_set
from intertwine.spaces import Head
from intertwine.storage import locks as folder_lock
from intertwine.storage import npy as row_file

N, D = 10, 3
X = np.random.default_rng(0).standard_normal((N, D)).astype(np.float32)
IDS = [f"id {row}" for row in range(N)]
HEAD = Head(np.ones((2, D), np.float32))


def record(name="a", **changes):
    """Return a record of a space."""
    facts = {"fingerprint": "f0", "encoder": "test:a"}
    return SpaceRecord(name, **{"dim": D, "dtype": "float32", "facts": facts, **changes})


@pytest.fixture
def folder(tmp_path):
    """Return a folder that holds rows 0…3 of a space, as a killed run leaves it."""
    with FeatureSetWriter(tmp_path / "set", N, ids=IDS, labels=np.arange(N)) as writer:
        writer.add_space(record(head=HEAD))
        writer.write("a", 0, X[:4])
    return tmp_path / "set"


class TestWhole:
    def test_plain_folder(self, tmp_path):
        """What is written is the plain folder that the reader and NumPy read."""
        arrays = {"a": X, "b": X.astype(np.float64) * 2}
        write_feature_set(tmp_path, arrays, ids=IDS, labels=list(range(N)), heads={"a": HEAD})
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), X)
        feature_set = FeatureSet.open(tmp_path)
        assert (feature_set.n, sorted(feature_set.spaces)) == (N, ["a", "b"])
        np.testing.assert_array_equal(feature_set.labels, np.arange(N))
        np.testing.assert_array_equal(feature_set.heads["a"].weight, HEAD.weight)
        assert (tmp_path / "ids.txt").read_text().splitlines() == IDS

    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
    def test_dtype(self, tmp_path, dtype):
        """Features are stored in the dtype asked for, from whichever they come in."""
        write_feature_set(tmp_path, {"a": X.astype(np.float64)}, dtype=dtype)
        stored = np.load(tmp_path / "a.npy")
        assert stored.dtype == dtype
        np.testing.assert_array_equal(stored, X.astype(np.float64).astype(dtype))
        assert not (tmp_path / "ids.txt").exists()

    def test_manifest(self, folder):
        """feature_set.json says what is known of the rows and each space."""
        manifest = json.loads((folder / "feature_set.json").read_text())
        assert (manifest["format_version"], manifest["rows"]) == (1, N)
        assert manifest["spaces"]["a"] == {
            "fingerprint": "f0",
            "encoder": "test:a",
            "dtype": "float32",
            "dim": D,
            "complete": [[0, 4]],
        }

    def test_classes(self, tmp_path):
        """Names of classes stand one a line."""
        FeatureSetWriter(tmp_path, N, classes=["cat", "dog"]).close()
        assert (tmp_path / "classes.txt").read_text() == "cat\ndog\n"

    @pytest.mark.parametrize(
        ("features", "message"),
        [
            ({}, "got no space"),
            ({"a": X, "b": X[:5]}, "space b: got 5 rows, expected 10 as in the others"),
            ({"a": X[:, 0]}, r"space a: got an array of shape \(10,\), expected two dimensions"),
            ({"a": X, "b": X * np.nan}, "space b: NaN or infinite features in rows 0, 1"),
            ({"a": X[:0]}, "got n = 0 rows"),
            ({"a--b": X}, "got space name 'a--b'"),
        ],
    )
    def test_bad_arrays(self, tmp_path, features, message):
        """Arrays that are no feature set are refused."""
        with pytest.raises(InputError, match=message):
            write_feature_set(tmp_path / "set", features)
        assert not (tmp_path / "set").exists()


class TestResume:
    def test_missing(self, folder):
        """An opened set says which rows are left, and keeps those it has."""
        with FeatureSetWriter(folder, N, ids=IDS) as writer:
            writer.add_space(record(head=HEAD))
            assert writer.missing("a") == [(4, N)]
            writer.write("a", 7, X[7:])
            assert writer.missing("a") == [(4, N)]
            writer.commit()
            assert writer.missing("a") == [(4, 7)]
            writer.write("a", 4, X[4:7])
        np.testing.assert_array_equal(np.load(folder / "a.npy"), X)
        FeatureSet.open(folder)

    def test_unfinished_is_not_readable(self, folder):
        """A reader refuses a set that is not finished."""
        with pytest.raises(InputError, match="space a lacks 6 of 10 rows"):
            FeatureSet.open(folder)

    def test_another_space(self, folder):
        """A space added later starts empty and leaves the others as they are."""
        before = (folder / "a.npy").read_bytes()
        with FeatureSetWriter(folder, N, ids=IDS) as writer:
            writer.add_space(record("b"))
            assert writer.missing("b") == [(0, N)]
            writer.write("b", 0, X)
        assert (folder / "a.npy").read_bytes() == before
        assert json.loads((folder / "feature_set.json").read_text())["spaces"]["a"]["complete"]

    def test_array_removed(self, folder):
        """A space whose array was removed is made again from the start."""
        (folder / "a.npy").unlink()
        with FeatureSetWriter(folder, N, ids=IDS) as writer:
            writer.add_space(record(head=HEAD))
            assert writer.missing("a") == [(0, N)]

    def test_head_removed(self, folder):
        """A head whose file was removed is written again."""
        (folder / "a.head.safetensors").unlink()
        with FeatureSetWriter(folder, N, ids=IDS) as writer:
            writer.add_space(record(head=HEAD))
        assert Head.load(folder / "a.head.safetensors").n_classes == 2

    def test_left_over_files(self, folder):
        """What a kill left half-written is cleared away."""
        (folder / ".tmp-a.part").write_bytes(b"half")
        FeatureSetWriter(folder, N, ids=IDS).close()
        assert not list(folder.glob(".tmp-*"))

    def test_killed_at_once(self, tmp_path):
        """A run killed before its ids were written finds its own folder."""
        FeatureSetWriter(tmp_path, N, ids=IDS).close()
        (tmp_path / "ids.txt").unlink()
        FeatureSetWriter(tmp_path, N, ids=IDS).close()
        assert (tmp_path / "ids.txt").read_text().splitlines() == IDS

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ({"n": 9, "ids": IDS[:9]}, "got 9 rows, it holds 10"),
            ({"n": N, "ids": IDS[::-1]}, "got rows of other ids, or in another order"),
            ({"n": N}, "got rows of other ids"),
            ({"n": N, "ids": IDS, "labels": np.zeros(N, int)}, "the labels differ"),
        ],
    )
    def test_other_rows(self, folder, rows, message):
        """A set goes on only with its own rows."""
        with pytest.raises(InputError, match=message):
            FeatureSetWriter(folder, **rows)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"facts": {"fingerprint": "f1"}}, "space a has fingerprint f0, got f1"),
            ({"dtype": "float16"}, "space a has dtype float32, got float16"),
            ({"dim": 4}, "space a has dim 3, got 4"),
            ({"head": Head(np.zeros((2, D)))}, "space a has another head"),
            ({"head": None}, "space a has another head"),
        ],
    )
    def test_other_encoder(self, folder, changes, message):
        """A space goes on only with the encoder, head and dtype it was begun with."""
        with (
            FeatureSetWriter(folder, N, ids=IDS) as writer,
            pytest.raises(InputError, match=message),
        ):
            writer.add_space(record(**{"head": HEAD, **changes}))

    def test_foreign_arrays(self, tmp_path):
        """A folder of somebody's own arrays is never written into."""
        np.save(tmp_path / "a.npy", X)
        with pytest.raises(InputError, match=r"holds a\.npy, which intertwine extract did not"):
            FeatureSetWriter(tmp_path, N)
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), X)

    def test_foreign_array_of_a_new_space(self, folder):
        """Nor is an array that belongs to no space of the set."""
        np.save(folder / "b.npy", X)
        with (
            FeatureSetWriter(folder, N, ids=IDS) as writer,
            pytest.raises(InputError, match="belongs to no space of this set"),
        ):
            writer.add_space(record("b"))

    @pytest.mark.parametrize("text", ["[]", '{"format_version": 2}', '{"format_version": 1}'])
    def test_other_manifest(self, folder, text):
        """A manifest of another version or kind is refused."""
        (folder / "feature_set.json").write_text(text)
        with pytest.raises(InputError, match="not written by intertwine extract of this version"):
            FeatureSetWriter(folder, N, ids=IDS)

    def test_damaged_manifest(self, folder):
        """A manifest that is no JSON is refused."""
        (folder / "feature_set.json").write_text("{")
        with pytest.raises(FileFormatError, match="cannot be read as JSON"):
            FeatureSetWriter(folder, N, ids=IDS)

    def test_array_of_another_size(self, folder):
        """An array that was cut is refused, not filled beside its header."""
        os.truncate(folder / "a.npy", 100)
        with (
            FeatureSetWriter(folder, N, ids=IDS) as writer,
            pytest.raises(InputError, match=r"a\.npy: has another size than its 10 rows"),
        ):
            writer.add_space(record(head=HEAD))


class TestInput:
    @pytest.mark.parametrize(
        ("ids", "message"),
        [
            (IDS[:9], "got 9 ids, expected 10"),
            ([*IDS[:9], "id 3"], "the id 'id 3' repeats"),
            ([*IDS[:9], ""], "row 9: got id ''"),
            ([*IDS[:9], "a\nb"], "expected text on one line"),
            ([*IDS[:9], "a\u2028b"], "expected text on one line"),
            ([*IDS[:9], "a\udcffb"], "expected text on one line"),
        ],
    )
    def test_ids(self, tmp_path, ids, message):
        """Ids are one a row, distinct, and lines of text."""
        with pytest.raises(InputError, match=message):
            FeatureSetWriter(tmp_path / "set", N, ids=ids)
        assert not (tmp_path / "set").exists()

    @pytest.mark.parametrize("labels", [np.zeros(N), np.zeros(9, int), np.zeros((N, 1), int)])
    def test_labels(self, tmp_path, labels):
        """Labels are one integer a row."""
        with pytest.raises(InputError, match=r"expected integers \(10,\)"):
            FeatureSetWriter(tmp_path, N, labels=labels)

    def test_dtype(self):
        """A dtype that is not stored is refused with those that are."""
        with pytest.raises(InputError, match="got dtype 'int8', expected one of float16, float32"):
            record(dtype="int8")

    @pytest.fixture
    def writer(self, tmp_path):
        """Return a writer with a float16 space."""
        with FeatureSetWriter(tmp_path / "set", N) as writer:
            writer.add_space(record(dtype="float16"))
            yield writer

    def test_same_space_twice(self, writer):
        """A space cannot be added twice in one run."""
        with pytest.raises(InputError, match="space a stands twice"):
            writer.add_space(record(dtype="float16"))

    def test_overflow(self, writer):
        """What float16 cannot hold is refused with space, row and remedy."""
        features = X.copy()
        features[2, 1] = -70000
        with pytest.raises(
            InputError, match=r"space a: row 6 reaches 70000, beyond float16; use --dtype float32"
        ):
            writer.write("a", 4, features[:5])
        assert writer.missing("a") == [(0, N)]

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_not_finite(self, writer, value):
        """NaN and infinities are refused with their rows."""
        features = X.copy()
        features[3] = value
        with pytest.raises(InputError, match="space a: NaN or infinite features in rows 5"):
            writer.write("a", 2, features[:6])

    @pytest.mark.parametrize(("start", "rows"), [(0, X[:, :2]), (8, X[:3]), (0, X[0])])
    def test_shape(self, writer, start, rows):
        """Rows of another dimension, or beyond the last, are refused."""
        with pytest.raises(InputError, match=r"expected \(k, 3\) within 10 rows"):
            writer.write("a", start, rows)


class TestDisk:
    @pytest.mark.slow
    def test_one_writer(self, folder):
        """A second process that writes to the set is refused, and free to once the first ends."""
        code = f"from intertwine.features.writing.writer import *; FeatureSetWriter({str(folder)!r}, {N})"
        with FeatureSetWriter(folder, N, ids=IDS):
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=False
            )
            assert "another process is writing there" in done.stderr
        FeatureSetWriter(folder, N, ids=IDS).close()

    def test_no_locks(self, folder, monkeypatch):
        """A file system without locks is written to without one."""

        def refuse(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr("fcntl.flock", refuse)
        lock = folder_lock.lock_folder(folder)
        lock.close()

    def test_unwritable(self, tmp_path):
        """A place where no folder can be made is named."""
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match=r"cannot write .*file/set: Not a directory"):
            FeatureSetWriter(tmp_path / "file" / "set", N)

    def test_no_room(self, tmp_path, monkeypatch):
        """Where the disk has no room for a space, that is known before any work."""

        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", full)
        with (
            FeatureSetWriter(tmp_path, N) as writer,
            pytest.raises(InputError, match=r"cannot write .*a\.npy: No space left on device"),
        ):
            writer.add_space(record())
        assert not list(tmp_path.glob("*a*.npy")) + list(tmp_path.glob(".tmp-*"))
        assert json.loads((tmp_path / "feature_set.json").read_text())["spaces"] == {}

    @pytest.fixture
    def half(self, tmp_path):
        """Return a writer whose rows 0…3 are complete."""
        with FeatureSetWriter(tmp_path, N) as writer:
            writer.add_space(record())
            writer.write("a", 0, X[:4])
            writer.commit()
            yield writer

    def test_write_fails(self, half, monkeypatch):
        """A disk that fails under a write costs the rows not yet complete, and says so."""

        class Broken:
            def fileno(self):
                raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(half._files["a"], "_file", Broken())
            with pytest.raises(InputError, match="No space left on device; rows marked complete"):
                half.write("a", 4, X[4:])
        assert half.missing("a") == [(4, N)]

    def test_sync_fails(self, half, monkeypatch):
        """A disk that fails when bytes are brought to it leaves these rows unmarked."""

        def fail(*_):
            raise OSError(errno.EIO, "Input/output error")

        half.write("a", 4, X[4:])
        with monkeypatch.context() as patch:
            patch.setattr(row_file.os, "fsync", fail)
            with pytest.raises(InputError, match="Input/output error; rows marked complete remain"):
                half.commit()
        assert half.missing("a") == [(4, N)]
        half.commit()
        assert half.missing("a") == []

    def test_folder_cannot_be_opened(self, tmp_path, monkeypatch):
        """A folder that cannot be opened is named."""

        def refuse(*_):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(folder_lock.os, "open", refuse)
        with pytest.raises(InputError, match=r"cannot write .*: Permission denied"):
            folder_lock.lock_folder(tmp_path)
