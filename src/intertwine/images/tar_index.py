"""Where the files inside a tar lie, from its headers alone: nothing is unpacked."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from intertwine.errors import FileFormatError, InputError
from intertwine.listing import files_only, hidden
from intertwine.untrusted import DAMAGE, require_ordinary
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

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


class Member(NamedTuple):
    """A file inside a tar: its name, its first byte and its number of bytes."""

    name: str
    offset: int
    size: int


def tar_shards(path: Path) -> list[Path]:
    """Return the tars that a path means.

    Parameters
    ----------
    path
        A `.tar` file, a folder that holds nothing else, or several as `shards-{000..012}.tar`.

    Returns
    -------
    shards
        In the order of their names; empty when the path means no tars.

    Raises
    ------
    InputError
        When one is compressed, or one of a range is not there.
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
                f"{shard}: compressed, expected a plain .tar, whose images are read where they "
                "lie; decompress it"
            )
    return shards


def _expanded(name: str) -> Iterator[Path]:
    """Yield the files of a name with ranges in braces, the last range running fastest."""
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


def tar_members(path: Path) -> Iterator[Member]:
    """Yield the regular files of a tar in their order.

    Links, sparse files, what lies in hidden folders, and names that are absolute or contain `..` are
    passed over.

    Parameters
    ----------
    path
        The tar, not compressed.

    Raises
    ------
    FileFormatError
        When it is no tar, cut short or damaged.
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
            f"{path}: cut short, damaged or not a plain tar ({error}); fetch it again"
        ) from error


def _check_plain(path: Path) -> None:
    """Raise when a file is compressed, whatever it is called."""
    with path.open("rb") as file:
        start = file.read(8)
    tool = next((tool for magic, tool in _MAGIC.items() if start.startswith(magic)), None)
    if tool is not None:
        raise FileFormatError(
            f"{path}: compressed, expected a plain tar, whose images are read where they lie; "
            f"decompress it with {tool}"
        )


def _inside(name: str) -> bool:
    parts = name.removeprefix("./").split("/")
    return not name.startswith("/") and ".." not in parts and not any(map(hidden, parts[:-1]))


def read_member(file: BinaryIO, offset: int, size: int) -> bytes:
    """Return bytes of an open file.

    Raises
    ------
    OSError
        When it cannot be read, or ends before.
    """
    file.seek(offset)
    data = file.read(size)
    if len(data) != size:
        raise OSError(f"got {counted(len(data), 'byte')}, expected {size}")
    return data
