"""The images of WebDataset tars: files with one name up to its first dot are one sample."""

from __future__ import annotations

import json
import re
import tarfile
from array import array
from io import BytesIO
from itertools import groupby, takewhile
from pathlib import Path
from sys import intern
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from intertwine.errors import FileFormatError, InputError
from intertwine.features.writing.record import ids_text
from intertwine.inputs.images.decode import UnreadableImageError
from intertwine.inputs.images.file_images import OTHER_SUFFIXES, SUFFIXES, class_folders
from intertwine.inputs.rows import files_only, hidden
from intertwine.inputs.tables.columns import LABEL, Columns, read_labels
from intertwine.storage.untrusted import DAMAGE, require_ordinary
from intertwine.wording import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from intertwine.numerics.arrays import Array

_COMPRESSED = (".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
# What compressed files begin with, and what unpacks them.
_MAGIC = {
    b"\x1f\x8b\x08": "gunzip",
    b"BZh": "bunzip2",
    b"\xfd7zXZ": "unxz",
    b"\x28\xb5\x2f\xfd": "unzstd",
    b"PK\x03\x04": "unzip",
}
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_BLOCK = bytes(tarfile.BLOCKSIZE)
# What reading a damaged header can raise.
_ERRORS = (*DAMAGE, tarfile.TarError, OSError)
LABEL_ENDING = "cls"
JSON_ENDING = "json"
MAX_LABEL_BYTES = 1 << 20
# As WebDataset cuts names; hidden files and files without an ending belong to no sample.
_NAME = re.compile(r"((?:.*/)?[^./]+)\.([^/]*)", re.DOTALL)


class TarImages:
    """The images of tars, in order, read in place; an `ImageSource`.

    Ids are the keys of the samples. A label is the text of `KEY.cls`, or `label` in `KEY.json`.
    Where no sample has one, folders may be the classes, as of a folder of images: those right below
    the folders that all keys begin with. In `columns`, `content` is the ending of the images where
    a sample holds several, `label` the ending of the labels or their key in `.json`. InputError
    when a sample has no image or several, its files are not adjacent, only some have labels, a
    label is unfit, or the id column is named; FileFormatError when a tar is damaged.
    """

    kind = "webdataset"

    def __init__(self, shards: Sequence[Path], columns: Columns) -> None:
        if columns.id is not None:
            raise InputError(f"{shards[0]}: ids are the keys of the samples; name no id column")
        self._shards = list(shards)
        self.ids: list[str] = []
        self._endings: list[str] = []
        # Shard, first byte and number of bytes of each image.
        self._places = array("q")
        values: list[Any] = []
        seen: set[str] = set()
        for number, shard in enumerate(shards):
            try:
                with shard.open("rb") as file:
                    for key, files in _samples(shard, seen):
                        self._add(number, key, _image(f"{shard}: {key}", files, columns.content))
                        values.append(_label(shard, file, files, columns.label))
            except OSError as error:
                raise InputError(f"{shard}: cannot be read ({error.strerror})") from error
        if not self.ids:
            raise InputError(f"{shards[0]}: holds no image, expected files such as KEY.jpg")
        # Bytes that are no UTF-8 pass here: extraction may leave such samples out.
        keys = [key.encode(errors="backslashreplace").decode() for key in self.ids]
        ids_text(keys, len(keys), shards[0])
        self.labels: Array | None = None
        self.classes: list[str] | None = None
        self.notes: tuple[str, ...] = ()
        if columns.label is not None or any(value is not None for value in values):
            self._check_labels(values)
            self.labels, self.classes = read_labels(values, self.name)
        else:
            shared = _shared_folders(self.ids)
            inner = [key[len(shared) :] for key in self.ids]
            self.labels, self.classes, _, self.notes = class_folders(shards[0], inner)

    def open(self, place: int) -> BytesIO:
        """Return an image's bytes; UnreadableImageError when they cannot be read."""
        shard, offset, size = self._places[3 * place : 3 * place + 3]
        try:
            with self._shards[shard].open("rb") as file:
                return BytesIO(read_member(file, offset, size))
        except OSError as error:
            reason = error.strerror or str(error)
            raise UnreadableImageError(self.name(place), f"cannot be read ({reason})") from error

    def name(self, place: int) -> str:
        """Return the name of an image for an error."""
        shard = self._shards[self._places[3 * place]]
        return f"{shard}: {self.ids[place]}{self._endings[place]}"

    def _add(self, shard: int, key: str, image: Member) -> None:
        self.ids.append(key)
        self._endings.append(intern(image.name[len(key) :]))
        self._places.extend((shard, image.offset, image.size))

    def _check_labels(self, values: Sequence[Any]) -> None:
        for place, value in enumerate(values):
            if value is None:
                raise InputError(
                    f"{self.name(place)}: has no label, expected one for every image or for none"
                )


def tar_shards(path: Path) -> list[Path]:
    """Return the tars of a path in the order of their names; none when it means no tars.

    It is a `.tar` file, a folder of nothing else, or several as `shards-{000..012}.tar`. InputError
    when one is compressed, or one of a range is absent.
    """
    if path.is_dir():
        shards = files_only(path, ".tar", *_COMPRESSED)
    elif path.name.lower().endswith((".tar", *_COMPRESSED)):
        shards = [path] if path.is_file() else list(_expanded(str(path)))
    else:
        return []
    for shard in shards:
        if not shard.name.lower().endswith(".tar"):
            raise InputError(
                f"{shard}: compressed, expected a plain .tar, whose images are read in "
                "place; decompress it"
            )
    return shards


def _expanded(name: str) -> Iterator[Path]:
    """Yield the files of a name with ranges in braces; the last range varies fastest."""
    match = _RANGE.search(name)
    if match is None:
        if not Path(name).is_file():
            raise InputError(f"{name}: no such tar")
        yield Path(name)
        return
    first, last = match.groups()
    for number in range(int(first), int(last) + 1):
        middle = str(number).zfill(len(first))
        yield from _expanded(name[: match.start()] + middle + name[match.end() :])


class Member(NamedTuple):
    """A file inside a tar: its name, its first byte and its number of bytes."""

    name: str
    offset: int
    size: int


def tar_members(path: Path) -> Iterator[Member]:
    """Yield the regular files of an uncompressed tar in their order.

    Links, sparse files, files in hidden folders, and names that are absolute or contain `..` are
    skipped. FileFormatError when it is no tar, cut short or damaged.
    """
    require_ordinary(path)
    try:
        _check_plain(path)
        length = path.stat().st_size
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                # The library keeps every header otherwise.
                tar.members.clear()  # type: ignore[attr-defined]
                if not 0 <= member.size <= length - member.offset_data:
                    raise tarfile.ReadError(f"{member.name} reaches past the end")
                if member.isreg() and not member.issparse() and _inside(member.name):
                    yield Member(member.name.removeprefix("./"), member.offset_data, member.size)
            # It also stops, without a word, at a damaged or missing header.
            tar.fileobj.seek(tar.offset)
            if tar.fileobj.read(len(_BLOCK)) != _BLOCK:
                raise tarfile.ReadError(f"no header and no end mark at byte {tar.offset}")
    except _ERRORS as error:
        raise FileFormatError(
            f"{path}: cut short, damaged or not a plain tar ({one_line(error)}); fetch it again"
        ) from error


def read_member(file: BinaryIO, offset: int, size: int) -> bytes:
    """Return bytes of an open file; OSError when it ends before."""
    file.seek(offset)
    data = file.read(size)
    if len(data) != size:
        raise OSError(f"got {counted(len(data), 'byte')}, expected {size}")
    return data


def _check_plain(path: Path) -> None:
    """Raise FileFormatError when a file is compressed, whatever its name."""
    with path.open("rb") as file:
        start = file.read(8)
    tool = next((tool for magic, tool in _MAGIC.items() if start.startswith(magic)), None)
    if tool is not None:
        raise FileFormatError(
            f"{path}: compressed, expected a plain tar, whose images are read in place; "
            f"decompress it with {tool}"
        )


def _inside(name: str) -> bool:
    parts = name.removeprefix("./").split("/")
    return not name.startswith("/") and ".." not in parts and not any(map(hidden, parts[:-1]))


def _samples(shard: Path, seen: set[str]) -> Iterator[tuple[str, dict[str, Member]]]:
    """Yield each sample's key, not seen before, and its files by ending in lower case."""
    named = ((_NAME.fullmatch(member.name), member) for member in tar_members(shard))
    matched = ((match, member) for match, member in named if match is not None)
    for key, group in groupby(matched, lambda pair: pair[0][1]):
        if key in seen:
            raise InputError(
                f"{shard}: files of {key} are in two places, expected the files of a sample "
                "next to each other and every key once"
            )
        seen.add(key)
        files: dict[str, Member] = {}
        for match, member in group:
            ending = match[2].lower()
            if ending in files:
                raise InputError(f"{shard}: {member.name} repeats")
            files[ending] = member
        yield key, files


def _shared_folders(keys: Sequence[str]) -> str:
    """Return the folders that all keys begin with, with the last `/`, such as `photos/`."""
    # What the first and the last of them in order begin with, all do.
    ends = (end(key.split("/")[:-1] for key in keys) for end in (min, max))
    shared = takewhile(lambda pair: pair[0] == pair[1], zip(*ends, strict=False))
    return "".join(f"{folder}/" for folder, _ in shared)


def _image(where: str, files: dict[str, Member], ending: str | None) -> Member:
    if ending is not None:
        fit = [name for name in files if name == ending.lower().removeprefix(".")]
    else:
        fit = [name for name in files if f".{name}" in SUFFIXES]
    if len(fit) != 1:
        raise InputError(
            f"{where}: got files ending in {', '.join(files)}, expected one image; {_advice(files)}"
        )
    return files[fit[0]]


def _advice(files: Iterable[str]) -> str:
    """Return what to do about a sample whose files, by their endings, are not one image."""
    last = {f".{ending.rpartition('.')[2]}" for ending in files}
    if any("." in ending for ending in files) and last & set(SUFFIXES):
        return (
            "a sample's key ends at the first dot of its name, so rename files such as v1.0001.png "
            "to v1_0001.png, or name the ending with --column where samples hold several images"
        )
    if last & OTHER_SUFFIXES:
        return (
            f"{' '.join(sorted(last & OTHER_SUFFIXES))} is not read here; convert it to JPEG or PNG"
        )
    return "name its ending with --column"


def _label(shard: Path, file: BinaryIO, files: dict[str, Member], named: str | None) -> Any:
    """Return a sample's label, or None."""
    member = files.get((named or LABEL_ENDING).lower())
    as_json = member is None
    member = files.get(JSON_ENDING) if member is None else member
    if member is None:
        return None
    where = f"{shard}: {member.name}"
    if member.size > MAX_LABEL_BYTES:
        raise InputError(f"{where}: got {counted(member.size, 'byte')}, expected a label")
    try:
        text = read_member(file, member.offset, member.size).decode()
        if not as_json:
            return text.strip()
        facts = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{where}: cannot be read as a label ({one_line(error)})") from error
    return facts.get(named or LABEL) if isinstance(facts, dict) else None
