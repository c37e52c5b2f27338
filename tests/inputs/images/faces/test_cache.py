"""Faces found before, kept beside the features."""

from __future__ import annotations

import csv
from dataclasses import dataclass

import pytest

from intertwine.errors import FileFormatError, InputError
from intertwine.inputs.images.faces.cache import HEADER, FaceCache
from intertwine.inputs.images.faces.detection import Face

FOUND = Face((0.1, -2.5, 1 / 3, 1e-17), tuple(float(value) / 7 for value in range(10)), found=2)
MISSED = Face((1.0, 2.0, 3.0, 4.0), (5.0,) * 10, found=0)


@dataclass
class Detector:
    """What a cache needs of a detector."""

    name: str = "mtcnn 1"


def filled(folder, **faces):
    """Return a cache after it took in faces by id and brought them to disk."""
    cache = FaceCache(folder, Detector())
    for name, face in faces.items():
        cache.add(name, face)
    cache.commit()
    return cache


class TestKeeps:
    def test_exact(self, tmp_path):
        """Opened again, it gives every face to the last bit, and None for others."""
        filled(tmp_path, a=FOUND, b=MISSED)
        cache = FaceCache(tmp_path, Detector())
        assert (cache.get("a"), cache.get("b"), cache.get("c")) == (FOUND, MISSED, None)

    def test_only_after_commit(self, tmp_path):
        """What was taken in is known at once and on disk after a commit."""
        cache = filled(tmp_path, a=FOUND)
        cache.add("b", MISSED)
        assert cache.get("b") == MISSED
        assert FaceCache(tmp_path, Detector()).get("b") is None
        cache.commit()
        cache.commit()
        assert FaceCache(tmp_path, Detector()).get("b") == MISSED

    def test_nothing_written_without_faces(self, tmp_path):
        """A folder without faces gets no file."""
        filled(tmp_path)
        assert not list(tmp_path.iterdir())

    def test_awkward_ids(self, tmp_path):
        """Ids with commas, quotes, blanks and other scripts come back."""
        names = ['a,b "c".jpg', " d", "é/写真.png", "'"]
        filled(tmp_path, **dict.fromkeys(names, FOUND))
        cache = FaceCache(tmp_path, Detector())
        assert all(cache.get(name) == FOUND for name in names)

    def test_readable(self, tmp_path):
        """The file is a CSV with a header, one line an image, 0 faces where none was found."""
        cache = filled(tmp_path, a=FOUND, b=MISSED)
        with cache.path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [(row["id"], row["detector"], row["faces"]) for row in rows] == [
            ("a", "mtcnn 1", "2"),
            ("b", "mtcnn 1", "0"),
        ]
        assert float(rows[0]["right"]) == 1 / 3

    def test_not_found(self, tmp_path):
        """It lists the images without a face, in the order asked, those unknown left out."""
        cache = filled(tmp_path, a=MISSED, b=FOUND, c=MISSED)
        assert cache.not_found(["c", "d", "b", "a"]) == ["c", "a"]

    def test_another_detector(self, tmp_path):
        """Faces of another detector's version are not used, and stay."""
        filled(tmp_path, a=FOUND)
        newer = FaceCache(tmp_path, Detector("mtcnn 2"))
        assert newer.get("a") is None
        newer.add("a", MISSED)
        newer.commit()
        assert FaceCache(tmp_path, Detector("mtcnn 2")).get("a") == MISSED
        assert FaceCache(tmp_path, Detector()).get("a") == FOUND


class TestKill:
    @pytest.mark.slow
    def test_any_cut(self, tmp_path):
        """Cut at any byte, the file gives the faces whose lines are whole and takes in more."""
        whole = filled(tmp_path, a=FOUND, b=MISSED).path.read_bytes()
        for end in range(len(whole)):
            (tmp_path / "faces.csv").write_bytes(whole[:end])
            lines = whole[:end].count(b"\n")
            cache = FaceCache(tmp_path, Detector())
            assert (cache.get("a"), cache.get("b")) == (FOUND if lines > 1 else None, None)
            for name, face in (("a", FOUND), ("b", MISSED)):
                if cache.get(name) is None:
                    cache.add(name, face)
            cache.commit()
            assert cache.path.read_bytes() == whole

    def test_disk_full(self, tmp_path, monkeypatch):
        """A write that fails half-way leaves the file as it was, and the next one succeeds."""
        cache = filled(tmp_path, a=FOUND)
        before = cache.path.read_bytes()
        cache.add("b", MISSED)

        def full(_):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            with pytest.raises(InputError, match=r"cannot write .*faces\.csv: No space left"):
                cache.commit()
        assert cache.path.read_bytes() == before
        cache.commit()
        assert FaceCache(tmp_path, Detector()).get("b") == MISSED


class TestErrors:
    def test_another_file(self, tmp_path):
        """A file of that name with another header is not touched."""
        (tmp_path / "faces.csv").write_text("name,age\nx,3\n")
        with pytest.raises(FileFormatError, match="first line is not that of a list of faces"):
            FaceCache(tmp_path, Detector())
        assert (tmp_path / "faces.csv").read_text() == "name,age\nx,3\n"

    @pytest.mark.parametrize("spoilt", ["nan", "inf", "x", "1,2"])
    def test_damaged_line(self, tmp_path, spoilt):
        """A line with a value that is no finite number is named."""
        path = filled(tmp_path, a=FOUND, b=MISSED).path
        lines = path.read_text().splitlines()
        lines[2] = lines[2].rpartition(",")[0] + f",{spoilt}"
        path.write_text("\n".join([*lines, ""]))
        with pytest.raises(FileFormatError, match=rf"line 3 is no face, expected {len(HEADER)}"):
            FaceCache(tmp_path, Detector())

    def test_unreadable(self, tmp_path):
        """A folder in the file's place is a user's error."""
        (tmp_path / "faces.csv").mkdir()
        with pytest.raises(FileFormatError, match=r"faces\.csv: (is a folder|cannot be read)"):
            FaceCache(tmp_path, Detector())
