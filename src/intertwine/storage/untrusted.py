"""Reading files from any source: ordinary ones, of bounded size, of a known shape.

A pipe in the place of a file would block for ever and a device never end; a record with a text
where a number belongs would fail long after it was read. Both are refused here, in one line.
"""

from __future__ import annotations

import csv
import json
import math
import stat
import struct
import unicodedata
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intertwine.errors import FileFormatError, IntertwineError
from intertwine.wording import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

# Larger than any record or list of ids of this program, smaller than memory.
LARGEST_TEXT = 1 << 30
# Counts are at most this; a larger number in JSON is no count.
LARGEST_COUNT = 1 << 53
# Most digits of a number in a text; Python refuses to read some thousands.
MOST_DIGITS = 15
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# What parsing a damaged file raises, whichever parser it is.
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    csv.Error,
    struct.error,
    zlib.error,
)


def require_ordinary(path: str | os.PathLike[str], most: int | None = None) -> None:
    """Raise FileFormatError for what is not an ordinary file, or has more than `most` bytes.

    An absent file passes: opening it will fail.
    """
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(status.st_mode):
        kind = KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise FileFormatError(f"{path}: is {kind}, expected a file")
    if most is not None and status.st_size > most:
        raise FileFormatError(
            f"{path}: has {counted(status.st_size, 'byte', form=',')}, expected at most {most:,}"
        )


def read_text(path: str | os.PathLike[str], most: int = LARGEST_TEXT) -> str:
    """Return the text of a UTF-8 file, without the byte order mark that some programs write first.

    FileFormatError when it is absent, no ordinary file, larger than `most` bytes, or not UTF-8.
    """
    require_ordinary(path, most)
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"{path}: is not UTF-8 text ({error.reason}); save it as UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileFormatError(f"{path}: cannot be read ({reason})") from error


def is_count(text: str) -> bool:
    """Return whether a text is a whole number ≥ 0 of a sane length."""
    return text.isdecimal() and len(text) <= MOST_DIGITS


def parse_json(text: str) -> Any:
    """Return the value of a JSON text, in which all numbers are finite.

    ValueError for anything else, also for NaN and numbers beyond a float, which Python's parser
    accepts; RecursionError for lists nested without end.
    """
    return json.loads(text, parse_constant=_not_a_number, parse_float=_finite)


def _not_a_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON's")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large for a number")
    return value


@contextmanager
def damage_as_error(path: str | os.PathLike[str], expected: str) -> Iterator[None]:
    """Turn what a parser raises over a damaged file into one line that names the file.

    Anything in `DAMAGE` becomes a FileFormatError that says what was `expected`; errors of this
    program pass.
    """
    try:
        yield
    except IntertwineError:
        raise
    except KeyError as error:
        raise FileFormatError(f"{path}: holds no {error}") from error
    except DAMAGE as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise FileFormatError(f"{path}: damaged, expected {expected} ({reason})") from error


def require_shape(value: Any, shape: Any, path: str | os.PathLike[str], at: str = "") -> None:
    """Raise FileFormatError unless a value read from JSON has the shape of files of its kind.

    A shape is a type; a tuple of shapes, one of which must fit; a list of one shape, for lists of
    it; or a dictionary of shapes by key, in which a key that ends in `?` is optional and `*` is for
    any other. `int` is a count: whole, from 0 to 2^53; `float` any number; None is null. Keys
    without a shape are not checked. `at` is where in the file the value is, for the error.
    """
    if isinstance(shape, tuple):
        if not any(_fits(value, each, path) for each in shape):
            _refuse(value, " or ".join(_name(each) for each in shape), path, at)
    elif isinstance(shape, dict):
        if not isinstance(value, dict):
            _refuse(value, _name(shape), path, at)
        _require_keys(value, shape, path, at)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            _refuse(value, _name(shape), path, at)
        for number, each in enumerate(value):
            require_shape(each, shape[0], path, f"{at}[{number}]")
    elif not _is(value, shape):
        _refuse(value, _name(shape), path, at)


def _require_keys(
    value: Mapping[str, Any], shape: Mapping[str, Any], path: str | os.PathLike[str], at: str
) -> None:
    for key, each in shape.items():
        name = key.removesuffix("?")
        if key == "*":
            known = {other.removesuffix("?") for other in shape}
            for other in value.keys() - known:
                require_shape(value[other], each, path, f"{at}.{other}")
        elif name in value:
            require_shape(value[name], each, path, f"{at}.{name}")
        elif name == key:
            where = f" in {at.lstrip('.')}" if at else ""
            raise FileFormatError(f"{path}: holds no {name!r}{where}")


def _fits(value: Any, shape: Any, path: str | os.PathLike[str]) -> bool:
    try:
        require_shape(value, shape, path)
    except FileFormatError:
        return False
    return True


def _is(value: Any, kind: Any) -> bool:
    if kind is None:
        return value is None
    if kind is int:
        return type(value) is int and 0 <= value <= LARGEST_COUNT
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, kind)


def _name(shape: Any) -> str:
    if isinstance(shape, (dict, list)):
        return "an object" if isinstance(shape, dict) else "a list"
    names = {str: "a text", int: "a count", float: "a number", bool: "true or false"}
    names |= {dict: "an object", list: "a list"}
    return "null" if shape is None else names.get(shape, getattr(shape, "__name__", "a value"))


def _refuse(value: Any, expected: str, path: str | os.PathLike[str], at: str) -> None:
    where = at.lstrip(".") or "it"
    raise FileFormatError(f"{path}: {where} is {spelled(value)}, expected {expected}")


def spelled(value: Any) -> str:
    """Return a value of JSON for a message: as its file spells it, and not longer than a line."""
    of_file = json.dumps(value, ensure_ascii=False, default=repr)
    got = repr(value) if isinstance(value, str) else of_file
    return got if len(got) <= 60 else f"{got[:57]}…"


def printable(text: str, *, keep: str = "") -> str:
    """Return text without anything that commands a terminal or turns the direction of writing.

    Names of files may bring in ESC sequences, ends of lines, or bytes that are no UTF-8; they are
    escaped, except for the characters in `keep`.
    """
    return "".join(
        each if each in keep or _is_shown(each) else each.encode("unicode_escape").decode()
        for each in text
    )


def _is_shown(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"
