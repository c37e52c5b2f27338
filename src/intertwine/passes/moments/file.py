"""The passes that write a file of moments, resumed after a kill, and that merge such files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intertwine._moved import renamed
from intertwine.errors import FileFormatError, InputError
from intertwine.features.feature_set import FeatureSet, file_stamps
from intertwine.moments.accumulators import AUTO
from intertwine.moments.blocks import joined
from intertwine.moments.moments import Moments
from intertwine.passes.moments.checkpoint import EVERY_SECONDS, MomentsCheckpoint
from intertwine.passes.moments.joint import add_rows, empty_moments, set_key
from intertwine.storage.files import check_writable, read_header, require_apart
from intertwine.storage.locks import one_run

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from intertwine.moments.accumulators import Products
    from intertwine.parallel.progress import RowProgress
    from intertwine.parallel.workers import Workers
    from intertwine.storage.shelf import Checkpoints


@renamed(say="progress")
def moments_to_file(
    paths: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    rows: tuple[int, int] | None = None,
    names: Sequence[str] | None = None,
    products: Products = AUTO,
    workers: Workers | None = None,
    every: float = EVERY_SECONDS,
    progress: RowProgress | None = None,
) -> dict[str, Any]:
    """Write the joint moments of some rows of a feature set as a file; return a summary.

    The same call resumes where a killed one stopped, and writes the same bytes. `rows` (start,
    stop) and `names` are all when omitted; every part of a set has the same origin, so that parts
    merge without a rounding. Other parameters are those of `resumable_moments`. The summary, JSON-ready,
    has out, n, rows, spaces, precision and resumed.
    """
    out = Path(out)
    if out.is_dir():
        raise InputError(f"got {out}, a folder, expected a file to write")
    require_apart(out, *map(Path, paths))
    check_writable(out.parent)
    feature_set = FeatureSet.open(*paths)
    start, stop = rows or (0, feature_set.n)
    if not 0 <= start < stop <= feature_set.n:
        raise InputError(
            f"got rows {start}:{stop}, expected some of 0:{feature_set.n}, the rows of {feature_set}"
        )
    with one_run(out):
        moments, resumed, done = resumable_moments(
            feature_set,
            names or list(feature_set.spaces),
            out,
            rows=range(start, stop),
            products=products,
            workers=workers,
            every=every,
            progress=progress,
        )
        moments.save(out)
        done()
    return summary_of(moments, out) | {"resumed": resumed}


def resumable_moments(
    feature_set: FeatureSet,
    names: Sequence[str],
    output: Path,
    *,
    rows: range | None = None,
    products: Products = AUTO,
    workers: Workers | None = None,
    every: float = EVERY_SECONDS,
    progress: RowProgress | None = None,
) -> tuple[Moments, int, Callable[[], None]]:
    """Return the moments of some rows, the rows that an earlier run had done, and a clean-up.

    `output` is the unfinished file or folder, beside which the checkpoints lie; call the clean-up,
    which removes them, when they are no longer needed. `every` is the number of seconds between two
    checkpoints; other parameters are those of `joint_moments`.
    """
    rows = range(feature_set.n) if rows is None else rows
    moments = empty_moments(feature_set, names, products, first_row=rows.start)
    facts = [file_stamps(feature_set), list(names), [rows.start, rows.stop], repr(moments.products)]
    checkpoint = MomentsCheckpoint(output, [*facts, workers is not None], every=every)
    if workers is not None:
        resumed = _rows_in(checkpoint.parts)
        add_rows(
            moments,
            feature_set,
            rows,
            workers=workers,
            saved=checkpoint.parts,
            progress=progress,
        )
    else:
        moments = checkpoint.load() or moments
        resumed = moments.n
        add_rows(
            moments,
            feature_set,
            rows[resumed:],
            progress=progress and (lambda done, _: progress(resumed + done, len(rows))),
            after_chunk=lambda: checkpoint.save(moments),
        )
        checkpoint.save(moments, whole=True)
    moments.rows = [(set_key(feature_set), rows.start, rows.stop)]
    return moments, resumed, checkpoint.remove


def _rows_in(parts: Checkpoints) -> int:
    """Return about how many rows an earlier run's parts hold, without reading them."""
    n_rows = 0
    for file in parts.files():
        with suppress(FileFormatError):
            n_rows += int(read_header(file)["n"])
    return n_rows


def summary_of(moments: Moments, out: Path) -> dict[str, Any]:
    """Return the summary of a file of moments, JSON-ready."""
    return {
        "out": str(out),
        "n": moments.n,
        "rows": [[start, stop] for _, start, stop in moments.rows],
        "spaces": {name: space.dim for name, space in moments.spaces.items()},
        "precision": moments.precision,
    }


@renamed(say="progress")
def merge_files(
    paths: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    progress: RowProgress | None = None,
) -> dict[str, Any]:
    """Write the moments of all rows of several files of moments; return a JSON-ready summary.

    They are added in the order of their rows, whatever order they are named in: the same files lead
    to the same bytes. Memory holds two of them. The files hold different rows of the same spaces,
    and `out` is none of them. The summary has out, n, rows, spaces, precision and parts.
    """
    if not paths:
        raise InputError("got no file, expected at least one file of moments")
    out = Path(out)
    require_apart(out, *map(Path, paths))
    check_writable(out.parent)
    with one_run(out):
        return _merge(paths, out, progress)


def _merge(
    paths: Sequence[str | os.PathLike[str]], out: Path, progress: RowProgress | None
) -> dict[str, Any]:
    listed = sorted((_order(Path(path)), Path(path)) for path in paths)
    _refuse_shared(listed)
    total = Moments.load(listed[0][1])
    for done, (_, path) in enumerate(listed[1:], start=1):
        try:
            total += Moments.load(path)
        except InputError as error:
            raise InputError(f"{path} does not go with {listed[0][1]}: {error}") from error
        if progress:
            progress(done + 1, len(listed))
    total.save(out)
    return summary_of(total, out) | {"parts": len(listed)}


def _order(path: Path) -> tuple[list[Any], str]:
    """Return the key that files are sorted by: their rows, else their contents."""
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
