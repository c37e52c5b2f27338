import errno
import json
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save
from tests.helpers import assert_refuses_damage

from intertwine.errors import FileFormatError, InputError
from intertwine.storage import files
from intertwine.storage.files import (
    atomic_path,
    check_writable,
    read_header,
    read_json,
    read_tensors,
    sha256_file,
    sha256_tensors,
    write_bytes,
    write_json,
    write_tensors,
)
from intertwine.storage.row_ranges import RowRanges

TENSORS = {"b": np.arange(6.0).reshape(2, 3), "a": np.array([1, 2], np.int32)}
HEADER = {"method": "ridge", "alpha": 1e-05, "note": "λ = 1", "list": [1, 2.5, None]}


@pytest.fixture
def written(tmp_path):
    """Return the path of a file with tensors and a header."""
    path = tmp_path / "file.safetensors"
    write_tensors(path, TENSORS, kind="test", header=HEADER)
    return path


def full_disk(*_args, **_keywords):
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# -- atomic_path ------------------------------------------------------------------------------------


def test_bytes_appear_in_one_step(tmp_path):
    """The path holds nothing new until the block ends, then all of it, and no other file stays."""
    path = tmp_path / "new" / "file.npy"
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        assert not path.exists()
        assert temporary.parent == path.parent
        assert temporary.suffix == path.suffix
        temporary.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_new_files_have_the_usual_permissions(tmp_path):
    """A file that appears this way has the permissions that the umask leaves any new file."""
    old = os.umask(0o027)
    try:
        write_bytes(tmp_path / "file", b"")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, error):
    """When the block fails, the old file stands as it was and nothing is left beside it."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupted():
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"new")
            raise error

    with pytest.raises(type(error)):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("where", ["write", "fsync", "replace", "mkstemp"])
def test_a_full_disk_is_one_clear_line(tmp_path, monkeypatch, where):
    """A disk that fills at any step gives one line, and the old file stands as it was."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    owner = {"write": Path, "fsync": os, "replace": Path, "mkstemp": files.tempfile}[where]
    monkeypatch.setattr(owner, "write_bytes" if where == "write" else where, full_disk)
    with pytest.raises(
        InputError,
        match=r"cannot write .*file: No space left on device; nothing half-written is left there",
    ) as caught:
        write_bytes(path, b"new")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_device_that_is_full_says_so(tmp_path):
    """The system's own error of a full device, raised while writing, is told in one line."""
    with (
        pytest.raises(InputError, match="No space left on device"),
        atomic_path(tmp_path / "file"),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"0")


def test_a_folder_that_cannot_be_is_one_clear_line(tmp_path):
    """A path under a file cannot be made, and the error says why."""
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(InputError, match=r"cannot write .*: (Not a directory|File exists)"):
        write_bytes(tmp_path / "file" / "below" / "x", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_folder_in_the_way_is_one_clear_line(tmp_path):
    """A folder that stands under the name itself is neither replaced nor littered."""
    (tmp_path / "x").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*x: Is a directory"):
        write_bytes(tmp_path / "x", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.skipif(
    sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="permissions stop nobody here",
)
def test_an_unwritable_folder_is_one_clear_line(tmp_path):
    """A folder without write permission gives the system's reason in one line."""
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="Permission denied"):
            write_bytes(tmp_path / "x", b"new")
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_is_tried_before_long_work(tmp_path, monkeypatch):
    """A folder, there or yet to be made, is tried for writing, and nothing stays behind."""
    check_writable(tmp_path)
    check_writable(tmp_path / "new" / "folder")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(InputError, match=r"cannot write .*below: Not a directory"):
        check_writable(tmp_path / "file" / "below")
    monkeypatch.setattr(files.tempfile, "TemporaryFile", full_disk)
    with pytest.raises(InputError, match=r"cannot write .*: No space left on device"):
        check_writable(tmp_path)


# -- JSON and hashes --------------------------------------------------------------------------------


def test_json_comes_back(tmp_path):
    """What is written as JSON is read back equal, non-ASCII text included."""
    write_json(tmp_path / "x.json", HEADER)
    assert read_json(tmp_path / "x.json") == HEADER
    assert "λ" in (tmp_path / "x.json").read_text(encoding="utf-8")


def test_json_holds_no_nan(tmp_path):
    """NaN, which JSON lacks, is refused before anything is written."""
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"", b"[" * 100_000])
def test_what_is_no_json_is_a_format_error(tmp_path, content):
    """Text that is cut, not UTF-8 or nested without end is one format error."""
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(
        FileFormatError, match=r"x.json: (cannot be read as JSON|is not UTF-8 text)"
    ):
        read_json(tmp_path / "x.json")


def test_absent_files_are_format_errors(tmp_path):
    """A file that is not there is named, by every reader."""
    for read in (read_json, sha256_file, read_header):
        with pytest.raises(FileFormatError, match="absent"):
            read(tmp_path / "absent")


def test_hash_of_a_file(tmp_path):
    """The hash of a file is the SHA-256 of its bytes."""
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_file(tmp_path / "x").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_hash_of_tensors_sees_everything():
    """The hash changes with names, dtypes, shapes, values and header, and not with order."""
    digest = sha256_tensors(TENSORS, HEADER)
    assert sha256_tensors(dict(reversed(TENSORS.items())), HEADER) == digest
    changed = [
        ({**TENSORS, "c": np.zeros(0)}, HEADER),
        ({**TENSORS, "a": TENSORS["a"].astype(np.int64)}, HEADER),
        ({**TENSORS, "a": TENSORS["a"].view(np.float32)}, HEADER),
        ({**TENSORS, "b": TENSORS["b"].reshape(3, 2)}, HEADER),
        ({**TENSORS, "b": TENSORS["b"] + 1}, HEADER),
        (TENSORS, {**HEADER, "alpha": 2}),
    ]
    assert len({digest, *(sha256_tensors(t, h) for t, h in changed)}) == len(changed) + 1


# -- tensor files -----------------------------------------------------------------------------------


def test_tensors_come_back(written):
    """Arrays and header are read back as they were, from any memory layout."""
    write_tensors(written, {"f": np.asfortranarray(TENSORS["b"])}, kind="test", header=HEADER)
    tensors, header = read_tensors(written, kind="test")
    assert np.array_equal(tensors["f"], TENSORS["b"])
    assert {key: header[key] for key in HEADER} == HEADER
    assert header["format_version"] == 1


def test_the_same_content_gives_the_same_bytes(written, tmp_path):
    """Writing the same again, in another order, gives the same file."""
    again = tmp_path / "again"
    write_tensors(again, dict(reversed(TENSORS.items())), kind="test", header=HEADER)
    assert again.read_bytes() == written.read_bytes()


def test_the_header_is_readable_with_plain_safetensors(written):
    """Any safetensors reader shows the header as JSON text."""
    with safe_open(written, framework="numpy") as file:
        header = json.loads(file.metadata()["intertwine"])
    assert header["method"] == "ridge"
    assert header["kind"] == "test"
    assert read_header(written) == header


def test_damage_is_never_missed(written):
    """Flipping any bit, cutting at any length or adding bytes is a format error of one line."""
    assert_refuses_damage(written, lambda path: read_tensors(path, kind="test"))


def test_another_kind_is_refused(written):
    """A file of another kind is refused by what it holds."""
    with pytest.raises(FileFormatError, match="holds a test, expected a map"):
        read_tensors(written, kind="map")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "not a file that intertwine wrote, or cut short"),
        ({"intertwine": "{"}, "not a file that intertwine wrote"),
        ({"intertwine": "[1]"}, "not a file that intertwine wrote"),
        ({"intertwine": "{}"}, "not a file that intertwine wrote"),
        ({"intertwine": "[" * 100_000}, "not a file that intertwine wrote"),
        (
            {"intertwine": '{"format_version": 2}'},
            "format version 2, this program reads 1; upgrade",
        ),
        ({"intertwine": '{"format_version":1}'}, "its header was altered"),
        ({"intertwine": '{"format_version": 1, "kind": "test"}'}, "its checksum does not match"),
    ],
)
def test_files_of_others_are_refused(tmp_path, metadata, message):
    """A safetensors file that is not ours, or of another version, is refused with the reason."""
    path = tmp_path / "x"
    path.write_bytes(save(TENSORS, metadata=metadata))
    with pytest.raises(FileFormatError, match=message):
        read_tensors(path, kind="test")


def test_tensors_that_numpy_lacks_are_refused(tmp_path, written):
    """A file whose tensors NumPy cannot hold is a format error too."""
    with safe_open(written, framework="numpy") as file:
        text = file.metadata()["intertwine"]
    body = json.dumps(
        {"__metadata__": {"intertwine": text}, "a": _entry("F8_E4M3", [2], [0, 2])}
    ).encode()
    (tmp_path / "x").write_bytes(len(body).to_bytes(8, "little") + body + b"\0\0")
    with pytest.raises(FileFormatError, match="x: "):
        read_tensors(tmp_path / "x", kind="test")


def _entry(dtype, shape, offsets):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize("content", [b"", b"\0" * 7, b"\xff" * 64, b"PK\x03\x04", None])
def test_what_is_no_safetensors_is_refused(tmp_path, content):
    """Empty files, other formats and folders are format errors."""
    path = tmp_path / "x"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"not a file that intertwine wrote|is a folder"):
        read_header(path)


# -- row ranges -------------------------------------------------------------------------------------

RANGES = st.lists(st.tuples(st.integers(-5, 40), st.integers(-5, 40)), max_size=12)


@given(RANGES, st.integers(0, 45))
def test_row_ranges_are_a_set_of_rows(pairs, n_rows):
    """Whatever is added, ranges stay disjoint and sorted, and what is missing completes them."""
    rows = {row for start, stop in pairs for row in range(start, stop)}
    ranges = RowRanges(pairs)
    listed = ranges.to_list()
    assert {row for start, stop in listed for row in range(start, stop)} == rows
    edges = [edge for pair in listed for edge in pair]
    assert edges == sorted(set(edges))
    missing = ranges.missing(n_rows)
    assert [row for start, stop in missing for row in range(start, stop)] == [
        row for row in range(n_rows) if row not in rows
    ]


@given(RANGES)
def test_row_ranges_survive_json(pairs):
    """Ranges read back from JSON are the same set."""
    listed = RowRanges(pairs).to_list()
    assert RowRanges(json.loads(json.dumps(listed))).to_list() == listed


@given(RANGES, st.integers(0, 45))
def test_adding_what_is_missing_completes(pairs, n_rows):
    """After every missing range is added nothing is missing."""
    ranges = RowRanges(pairs)
    for start, stop in ranges.missing(n_rows):
        ranges.add(start, stop)
    assert ranges.missing(n_rows) == []


def test_several_files_appear_together_the_last_one_last(tmp_path, monkeypatch):
    """Files written together get their names in order, once the bytes of all are written."""
    seen = []
    replace = Path.replace

    def spy(self, target):
        names = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".tmp-")}
        seen.append((Path(target).name, names, len(list(tmp_path.iterdir()))))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", spy)
    files.write_files(tmp_path, {"a": b"1", "b": b"2", "page": b"3"})
    assert seen == [("a", set(), 3), ("b", {"a"}, 3), ("page", {"a", "b"}, 3)]
    assert [(tmp_path / name).read_bytes() for name in ("a", "b", "page")] == [b"1", b"2", b"3"]


def test_several_files_do_not_appear_where_one_fails(tmp_path, monkeypatch):
    """Where one of several files does not fit, none appears and older ones stay as they were."""
    (tmp_path / "a").write_bytes(b"old")
    write = Path.write_bytes

    def fail(self, data):
        if data == b"2":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(InputError, match=r"cannot write .*b: No space left"):
        files.write_files(tmp_path, {"a": b"1", "b": b"2", "page": b"3"})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"
