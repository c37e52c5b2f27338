"""What lists of images and texts share, and folders told apart by their files."""

from __future__ import annotations

import numpy as np
import pytest

from intertwine.errors import InputError
from intertwine.inputs.rows import RowList, absolute, files_only


@pytest.fixture
def rows(tmp_path):
    """Return a list of five rows."""
    return RowList(tmp_path, "lines", list("abcde"), np.arange(5) * 10, ["x"], np.arange(5))


class TestRowList:
    def test_rows(self, rows):
        """A part of a list knows where its rows stand in the whole."""
        part = rows.rows(1, 4)
        assert (len(part), part.ids, part.classes) == (3, ["b", "c", "d"], ["x"])
        assert (part.labels.tolist(), part.places.tolist()) == ([10, 20, 30], [1, 2, 3])

    @pytest.mark.parametrize(("start", "stop"), [(0, 6), (2, 2), (-1, 2)])
    def test_no_such_rows(self, rows, start, stop):
        """Rows that are not there are refused."""
        with pytest.raises(InputError, match=f"got rows {start}:{stop}, expected some of 0:5"):
            rows.rows(start, stop)

    def test_without(self, rows):
        """Rows are left out by id; order, labels and places of the others stay."""
        left = rows.rows(1, 5).without(["d", "b", "unknown"])
        assert (left.ids, left.labels.tolist(), left.places.tolist()) == (
            ["c", "e"],
            [20, 40],
            [2, 4],
        )

    def test_without_labels(self, tmp_path):
        """A list without labels stays without."""
        rows = RowList(tmp_path, "lines", ["a", "b"], None, None, np.arange(2))
        assert rows.without({"a"}).labels is None

    def test_nothing_left(self, rows):
        """A list of nothing is refused."""
        with pytest.raises(InputError, match="nothing is left without 5 of 5 rows"):
            rows.without("abcde")


class TestFilesOnly:
    def test_sorted(self, tmp_path):
        """Files of the kinds asked for come sorted, hidden ones not among them."""
        for name in ("b.tar", "a.TAR", ".hidden", "c.tgz"):
            (tmp_path / name).touch()
        assert [path.name for path in files_only(tmp_path, ".tar", ".tgz")] == [
            "a.TAR",
            "b.tar",
            "c.tgz",
        ]

    @pytest.mark.parametrize("other", ["notes.md", "folder.tar/"])
    def test_other(self, tmp_path, other):
        """One file or folder of another kind makes it another kind of folder."""
        (tmp_path / "a.tar").touch()
        if other.endswith("/"):
            (tmp_path / other).mkdir()
        else:
            (tmp_path / other).touch()
        assert files_only(tmp_path, ".tar") == []

    def test_unreadable(self, tmp_path):
        """What cannot be looked into holds nothing of the kind."""
        assert files_only(tmp_path / "absent", ".tar") == []


def test_absolute(tmp_path, monkeypatch):
    """A relative path is taken from where one stands, and links are not followed."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    monkeypatch.chdir(tmp_path)
    assert absolute(type(tmp_path)("link/../link")) == tmp_path / "link"
