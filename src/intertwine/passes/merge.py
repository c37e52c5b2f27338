"""The pass that adds files of moments up, in an order of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from intertwine.counted_rows import joined
from intertwine.errors import FileFormatError, InputError
from intertwine.files import check_writable, read_header, require_apart
from intertwine.locks import one_run
from intertwine.moments import Moments
from intertwine.passes.moments_file import summary_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence


def merge_files(
    paths: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    say: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write the moments of all rows that several files of moments hold.

    They are added in the order of their rows, whatever order they are named in: the same files give
    the same bytes. Memory holds two of them.

    Parameters
    ----------
    paths
        Files that `intertwine moments` or `Moments.save` wrote, over different rows of the same
        spaces.
    out
        File to write.
    say
        Called with (files done, files in all).

    Returns
    -------
    summary
        JSON-ready: out, n, rows, spaces, precision, parts.

    Raises
    ------
    InputError
        For no files, files that share rows, files of different spaces, and an `out` that is one of
        them.
    FileFormatError
        For a file that is altered, cut, or no file of moments.
    """
    if not paths:
        raise InputError("got no file, expected at least one file of moments")
    out = Path(out)
    require_apart(out, *map(Path, paths))
    check_writable(out.parent)
    with one_run(out):
        return _merge(paths, out, say)


def _merge(
    paths: Sequence[str | os.PathLike[str]], out: Path, say: Callable[[int, int], None] | None
) -> dict[str, Any]:
    listed = sorted((_order(Path(path)), Path(path)) for path in paths)
    _refuse_shared(listed)
    total = Moments.load(listed[0][1])
    for done, (_, path) in enumerate(listed[1:], start=1):
        try:
            total += Moments.load(path)
        except InputError as error:
            raise InputError(f"{path} does not go with {listed[0][1]}: {error}") from error
        if say:
            say(done + 1, len(listed))
    total.save(out)
    return summary_of(total, out) | {"parts": len(listed)}


def _order(path: Path) -> tuple[list[Any], str]:
    """Return what files are put in order by: their rows, else their contents."""
    header = read_header(path)
    if header.get("kind") != "moments":
        raise FileFormatError(f"{path}: holds a {header.get('kind')}, expected moments")
    return header.get("rows", []), header["sha256"]


def _refuse_shared(listed: Sequence[tuple[tuple[list[Any], str], Path]]) -> None:
    """Raise before anything is added when two files hold the same rows."""
    seen: dict[str, Path] = {}
    rows: list[tuple[str, int, int]] = []
    for (ranges, checksum), path in listed:
        if checksum in seen:
            raise InputError(f"{path} holds the same moments as {seen[checksum]}; name it once")
        seen[checksum] = path
        try:
            rows = joined(rows, [(key, start, stop) for key, start, stop in ranges])
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
