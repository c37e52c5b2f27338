"""Text files, one text a line."""

from __future__ import annotations

import pytest

from intertwine.errors import FileFormatError, InputError
from intertwine.inputs.texts.listing import LineTexts


def written(folder, data):
    """Write a file and open it."""
    (folder / "notes.txt").write_bytes(data)
    return LineTexts(folder / "notes.txt")


@pytest.mark.parametrize("end", [b"\n", b""], ids=["ended", "not ended"])
@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""], ids=["marked", "not marked"])
def test_lines(tmp_path, end, mark):
    """Lines end in LF or CRLF only, and come in any order; a byte order mark is no text."""
    texts = written(tmp_path, mark + "première\r\n zwei \x0c\u2028drei\n4".encode() + end)
    assert texts.ids == ["0", "1", "2"]
    assert texts.texts([2, 0, 1]) == ["4", "première", " zwei \x0c\u2028drei"]
    assert (texts.kind, texts.labels, texts.classes) == ("lines", None, None)
    assert texts.name(0) == f"{tmp_path / 'notes.txt'}: line 1"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"notes\.txt: holds no text, expected one a line"),
        (b"a\n \r\nb\n", "line 2: empty, expected one text a line; remove it"),
        (b"a\n\n", "line 2: empty"),
        (b"a\nb\0\n", "line 2: holds a NUL byte, expected text"),
        (b"a\nb\n\xff\n", "line 3: not UTF-8 .*convert the file"),
    ],
    ids=["nothing", "blank", "empty last", "NUL", "not UTF-8"],
)
def test_errors(tmp_path, data, message):
    """A line that is no text is named by its number."""
    with pytest.raises(InputError, match=message):
        written(tmp_path, data)


def test_unreadable(tmp_path):
    """What cannot be opened as a file is refused."""
    with pytest.raises(FileFormatError, match="is a folder, expected a file"):
        LineTexts(tmp_path)


@pytest.mark.parametrize("data", [None, b"a\n\xff\xff\n"], ids=["gone", "changed"])
def test_changed_since(tmp_path, data):
    """A file that is gone or another one when it is read is named."""
    texts = written(tmp_path, b"a\nb\n")
    texts._path.unlink()
    if data is not None:
        texts._path.write_bytes(data)
    with pytest.raises(InputError, match=r"notes\.txt: cannot be read any more"):
        texts.texts([1])
