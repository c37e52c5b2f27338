import os
from pathlib import Path

import numpy as np
import pytest

from intertwine.cli.inspect import describe
from intertwine.encoders.torch.weights import read_state
from intertwine.errors import FileFormatError, InputError, IntertwineError
from intertwine.features.feature_set import FeatureSet
from intertwine.inputs.images.listing import list_images
from intertwine.inputs.texts.listing import list_texts
from intertwine.maps.map_pair import load_map
from intertwine.spaces import Head
from intertwine.storage.files import read_header, read_json, sha256_file, write_json
from intertwine.storage.npy import NpyFile
from intertwine.storage.row_ranges import RowRanges
from intertwine.storage.untrusted import (
    damage_as_error,
    parse_json,
    read_text,
    require_ordinary,
    require_shape,
)
from intertwine.stores import open_store
from intertwine.studies.open_set.pairs import read_pairs
from intertwine.vectors import open_vectors

READERS = {
    "npy": NpyFile,
    "map": load_map,
    "header": read_header,
    "json": read_json,
    "hash": sha256_file,
    "head": Head.load,
    "inspect": describe,
    "text": read_text,
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_pipe_is_refused_at_once(tmp_path, reader):
    """A pipe in the place of a file blocks no reader."""
    os.mkfifo(tmp_path / "x.npy")
    with pytest.raises(FileFormatError, match=r"x\.npy: is a pipe, expected a file"):
        reader(tmp_path / "x.npy")


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_device_without_end_is_refused_at_once(tmp_path, reader):
    """A link to a device that never ends fills no memory."""
    (tmp_path / "x.npy").symlink_to("/dev/zero")
    with pytest.raises(FileFormatError, match=r"x\.npy: is a device, expected a file"):
        reader(tmp_path / "x.npy")


@pytest.mark.parametrize("name", ["ids.txt", "feature_set.json", "labels.npy", "a.npy"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_no_file_of_a_set_blocks_or_fills_memory(tmp_path, name, kind):
    """Whichever file of a feature set is a pipe or a device, the set is refused by its name."""
    np.save(tmp_path / "a.npy", np.eye(3))
    (tmp_path / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(FileFormatError, match=f"{name}: is a {kind}"):
        FeatureSet.open(tmp_path)


def test_a_file_beyond_its_size_is_refused(tmp_path):
    """Where a size is known to be enough, a larger file is not read."""
    (tmp_path / "x").write_bytes(b"12345")
    require_ordinary(tmp_path / "x", 5)
    with pytest.raises(FileFormatError, match="has 5 bytes, expected at most 4"):
        require_ordinary(tmp_path / "x", 4)


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path):
    """A mark that some editors write first is passed over."""
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbfone\n")
    assert read_text(tmp_path / "x") == "one\n"


def test_sets_are_joined_where_one_list_of_ids_has_a_byte_order_mark(tmp_path):
    """The first id is the same id with and without the mark."""
    for name, mark in (("one", b""), ("two", b"\xef\xbb\xbf")):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / f"{name}.npy", np.eye(3))
        (tmp_path / name / "ids.txt").write_bytes(mark + b"x\ny\nz\n")
    joined = FeatureSet.open(tmp_path / "one", tmp_path / "two")
    assert list(joined.spaces) == ["one", "two"]


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", '{"a": -Infinity}', "1e999", '{"a": -1e400}']
)
def test_json_holds_finite_numbers_alone(text):
    """What other programs of Python's write in place of numbers is no JSON."""
    with pytest.raises(ValueError, match=r"no number|too large"):
        parse_json(text)


def test_names_that_are_not_utf8_survive_json(tmp_path):
    """A path of any bytes is written and read as the same path."""
    path = os.fsdecode(b"caf\xe9/\xff.npy")
    write_json(tmp_path / "x.json", {"path": path, "sign": "λ"})
    assert read_json(tmp_path / "x.json") == {"path": path, "sign": "λ"}
    assert "λ" in (tmp_path / "x.json").read_text(encoding="utf-8")


SHAPE = {"n": int, "name": str, "list?": [{"id": str}], "size?": ([float], None), "*": (bool, str)}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], r"x: it is \[\], expected an object"),
        ({"name": "a"}, "x: holds no 'n'"),
        ({"n": -1, "name": "a"}, "x: n is -1, expected a count"),
        ({"n": True, "name": "a"}, "x: n is true, expected a count"),
        ({"n": None, "name": "a"}, "x: n is null, expected a count"),
        ({"n": {"é": 1}, "name": "a"}, r'x: n is \{"é": 1\}, expected a count'),
        ({"n": 1.0, "name": "a"}, "x: n is 1.0, expected a count"),
        ({"n": 10**30, "name": "a"}, "expected a count"),
        ({"n": 1, "name": 7}, "x: name is 7, expected a text"),
        ({"n": 1, "name": "a", "list": {}}, r"x: list is \{\}, expected a list"),
        ({"n": 1, "name": "a", "list": [{"id": "x"}, {}]}, r"x: holds no 'id' in list\[1\]"),
        ({"n": 1, "name": "a", "size": "7"}, "x: size is '7', expected a list or null"),
        ({"n": 1, "name": "a", "other": 3}, "x: other is 3, expected true or false or a text"),
    ],
    ids=str,
)
def test_what_has_another_shape_is_named(value, message):
    """The error says where it stands, what stands there and what was expected."""
    with pytest.raises(FileFormatError, match=message):
        require_shape(value, SHAPE, "x")


def test_what_has_the_shape_passes():
    """Optional keys may be absent, null where it is allowed, and others of their own kind."""
    require_shape({"n": 0, "name": "", "size": None, "more": "x"}, SHAPE, "x")
    require_shape({"n": 5, "name": "a", "size": [1, 2.5], "list": []}, SHAPE, "x")


@pytest.mark.parametrize(
    "error", [ValueError("a\nb"), IndexError(), OverflowError("x"), MemoryError()]
)
def test_whatever_a_parser_raises_is_one_line(error):
    """Errors of parsers become one line that names the file; those of this program pass."""
    told = pytest.raises(FileFormatError, match=r"^f: damaged, expected a map \(.*\)$")
    with told, damage_as_error(Path("f"), "a map"):
        raise error
    with pytest.raises(InputError, match=r"^as it is$"), damage_as_error("f", "a map"):
        raise InputError("as it is")


def test_twenty_thousand_ranges_take_no_time(tmp_path):
    """A record of many disjoint ranges is read in time that grows with their number alone."""
    np.save(tmp_path / "a.npy", np.zeros((200_001, 1), np.float16))
    ranges = [[10 * i, 10 * i + 5] for i in range(20_000)]
    facts = {"a": {"complete": ranges[::-1]}}
    write_json(tmp_path / "feature_set.json", {"format_version": 1, "rows": 1, "spaces": facts})
    with pytest.raises(InputError, match="space a lacks 100001 of 200001 rows"):
        FeatureSet.open(tmp_path)
    assert RowRanges(ranges).to_list() == ranges


@pytest.mark.parametrize("crop", ["224", 224, [224, "x"], {"a": 1}], ids=repr)
def test_facts_of_another_kind_are_refused_when_a_set_is_opened(tmp_path, crop):
    """What a study would stumble over at its end is refused at its beginning."""
    np.save(tmp_path / "a.npy", np.eye(3))
    write_json(tmp_path / "feature_set.json", {"spaces": {"a": {"crop": crop}}})
    with pytest.raises(FileFormatError, match=r"spaces\.a\.crop is .*, expected a list or null"):
        FeatureSet.open(tmp_path)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("x.parquet", open_vectors),
        ("x.arrow", open_vectors),
        ("x.safetensors", open_vectors),
        ("x.index", lambda path: open_store(f"faiss:{path}")),
        ("x.pt", read_state),
        ("x.csv", list_images),
        ("x.parquet", list_images),
        ("x.txt", list_texts),
        ("x.tar", list_images),
        ("x.txt", list_images),
        ("x.csv", read_pairs),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_no_input_blocks_or_fills_memory(tmp_path, name, read, kind):
    """Whatever a command is told to read, a pipe or a device in its place is one line at once."""
    path = tmp_path / name
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(IntertwineError, match=name.replace(".", r"\.")):
        read(path)
