"""The pass from images or texts to features: every image decoded once, for all encoders."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intertwine._moved import renamed
from intertwine.encoders.registry import open_encoder, parse_uri
from intertwine.errors import InputError
from intertwine.features.writing.record import DTYPES, left_out
from intertwine.features.writing.writer import FeatureSetWriter
from intertwine.inputs.images.faces.cache import FaceCache
from intertwine.inputs.images.faces.detection import face_detector
from intertwine.inputs.images.listing import ImageList, list_images
from intertwine.inputs.texts.listing import TextList, list_texts
from intertwine.passes.extract.facts import (
    changed_since,
    crops_faces,
    nameable,
    space_record,
    summarise,
    summarise_faces,
)
from intertwine.passes.extract.pixels import read_images
from intertwine.passes.extract.run import ExtractRun, plan, read_texts
from intertwine.storage.files import require_outside

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Sequence

    from intertwine.encoders.encoder import Encoder
    from intertwine.inputs.tables.columns import Columns
    from intertwine.parallel.progress import RowProgress
    from intertwine.parallel.workers import Workers


@renamed(say="notify")
def extract(
    input: str | os.PathLike[str],  # noqa: A002 - the command's own word
    encoder_uris: Sequence[str],
    out: str | os.PathLike[str],
    *,
    batch_size: int = 32,
    dtype: str = "float16",
    readers: int | None = None,
    workers: Workers | None = None,
    threads: int | None = None,
    device: str = "cpu",
    precision: str = "float32",
    rows: tuple[int, int] | None = None,
    fill: tuple[int, int] | None = None,
    skip_bad: bool = False,
    leave_out: Collection[str] = (),
    columns: Columns | None = None,
    progress: RowProgress | None = None,
    notify: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run images or texts through encoders into a feature set, and return a JSON-ready summary.

    The same call again does only what is missing: rows lost to a kill, or an encoder added. Rows
    are batched on one absolute grid, so where a run was interrupted changes no byte.

    Parameters
    ----------
    input
        What to read; see `intertwine.inputs.images.listing.list_images` and
        `intertwine.inputs.texts.listing.list_texts`.
    encoder_uris
        Encoders, such as `onnx:net.onnx?channels=bgr`; all of images or all of texts.
    out
        Folder of the feature set.
    batch_size
        Rows a batch.
    dtype
        `float16` or `float32` on disk.
    readers
        Threads that decode; one a core when omitted.
    workers
        Where ranges of the rows are extracted, each by a worker that opens the encoders itself;
        here when omitted. They see the same files.
    threads
        Threads of each network; the number of cores when omitted.
    device, precision
        Where networks run and with which products; see `intertwine.encoders.registry.open_encoder`.
    rows
        (start, stop) to take of the input; all when omitted.
    fill
        (start, stop): extract only these rows of the set, while other processes or machines fill
        others; a last call without it joins what they did into one set. All when omitted.
    skip_bad
        Whether an image that cannot be read is left out of every space, and listed as `left_out` in
        feature_set.json; so is one whose name is no text, which a note names. Otherwise the pass
        stops at it, and the same call resumes from there.
    leave_out
        Ids of rows of the input that the set does not have.
    columns
        Which columns of a table to read.
    progress
        Called with (done, total) rows.
    notify
        Called with each note before any network runs.

    Returns
    -------
    summary
        `notes` (on the input and the encoders), `warnings` (those of them by which labels or files
        of the input are not in the set), `out`, `rows`, `extracted` (rows run now), `seconds` in all,
        `rate` (rows run now a second of running them, null where there were none), `left_out`
        (`count` of images, and the first `ids`), `turned` (images run now whose cameras recorded an
        orientation; null with workers) and `spaces` with `dim`, `fingerprint`, `encoder` and
        `extracted` by name. Where an encoder crops faces, `faces` with `detector`, `file`,
        `undetected` (count) and `undetected_ids` (the first of them), else null.

    Raises
    ------
    InputError
        When the input, an encoder or the folder cannot be used as asked, `out` is or lies in the
        input, or an image is bad.
    FileFormatError
        When an encoder's file is damaged.
    MissingExtraError
        When a library that an encoder needs is not installed.
    """
    require_outside(out, input)
    _check(encoder_uris, batch_size, dtype)
    in_parts = _in_parts(workers, fill)
    options = _Options(
        batch_size=batch_size,
        dtype=dtype,
        readers=readers,
        threads=threads,
        device=device,
        precision=precision,
        rows=rows,
        skip_bad=skip_bad,
        leave_out=tuple(leave_out),
        columns=columns,
    )
    began = time.monotonic()
    encoders = [
        open_encoder(uri, threads=threads, device=device, precision=precision)
        for uri in encoder_uris
    ]
    crops = crops_faces(encoders, in_parts)
    listed = nameable(_list(input, encoders, columns, rows), skip_bad=skip_bad)
    listed = replace(listed, notes=(*listed.notes, *changed_since(listed, Path(out))))
    notes = _noted(listed, encoders, notify or _silent)
    gone = {*left_out(Path(out)), *leave_out}
    listed = listed.without(gone) if gone else listed
    progress = progress or _silent
    if workers is not None:
        run_part = partial(_fill, str(input), list(encoder_uris), str(out), options)
        _share_out(workers, run_part, len(listed), batch_size, progress)
    run, faces = _write(out, listed, encoders, options, fill=fill, crops=crops, progress=progress)
    seconds = (time.monotonic() - began, run.seconds)
    summary = summarise(out, encoders, run.done, rows=run.n_rows, seconds=seconds)
    return {
        "warnings": list(listed.notes),
        "notes": notes,
        **summary,
        "turned": None if workers is not None else run.turned,
        "faces": None if faces is None else summarise_faces(faces, listed.ids),
    }


@dataclass(frozen=True)
class _Options:
    """The options of `extract` that its workers get too."""

    batch_size: int
    dtype: str
    readers: int | None
    threads: int | None
    device: str
    precision: str
    rows: tuple[int, int] | None
    skip_bad: bool
    leave_out: tuple[str, ...]
    columns: Columns | None


def _write(
    out: str | os.PathLike[str],
    listed: ImageList | TextList,
    encoders: Sequence[Encoder],
    options: _Options,
    *,
    fill: tuple[int, int] | None,
    crops: bool,
    progress: RowProgress,
) -> tuple[ExtractRun, FaceCache | None]:
    """Write the rows that the set lacks; return the run, and the faces if any are cropped."""
    with ExitStack() as stack:
        detector = stack.enter_context(face_detector()) if crops else None
        writer = stack.enter_context(
            FeatureSetWriter(
                out,
                len(listed),
                ids=listed.ids,
                labels=listed.labels,
                classes=listed.classes,
                source=_source(listed, options.rows, options.columns),
                fill=fill,
            )
        )
        faces = None if detector is None else FaceCache(out, detector)
        for encoder in encoders:
            writer.add_space(space_record(encoder, options.dtype))
        work = plan(writer, encoders, options.batch_size)
        if isinstance(listed, ImageList):
            batches = read_images(listed, work, workers=options.readers, faces=faces)
        else:
            batches = read_texts(listed, work)
        run = ExtractRun(listed, writer, faces, skip_bad=options.skip_bad)
        run.run(batches, sum(len(batch) for batch, _ in work), progress)
        if fill is None:
            run.leave_out_bad()
    return run, faces


def _in_parts(workers: Workers | None, fill: tuple[int, int] | None) -> str | None:
    """Return the option that asks for rows in parts, or None."""
    if workers is not None and fill is not None:
        raise InputError(
            "got --fill and workers, expected one of them: workers share all rows of the set"
        )
    return "--fill" if fill is not None else "workers" if workers is not None else None


def _noted(
    listed: ImageList | TextList, encoders: Sequence[Encoder], notify: Callable[[str], None]
) -> list[str]:
    """Report and return the notes on the input and on the encoders."""
    for note in listed.notes:
        notify(f"warning: {note}")
    more = [note for encoder in encoders for note in encoder.notes]
    for note in more:
        notify(note)
    return [*listed.notes, *more]


def _share_out(
    workers: Workers,
    run_part: Callable[[tuple[int, int]], int],
    n_rows: int,
    batch_size: int,
    progress: RowProgress,
) -> None:
    """Fill ranges of whole batches on workers, one each; the caller does what they leave."""
    batches = -(-n_rows // batch_size)
    count = min(workers.count, batches)
    edges = [min(n_rows, batches * k // count * batch_size) for k in range(count + 1)]
    done = 0
    for _, more in workers.run(run_part, list(pairwise(edges))):
        done += more
        progress(done, n_rows)


def _fill(source: str, uris: list[str], out: str, options: _Options, rows: tuple[int, int]) -> int:
    """Extract some rows of the set beside other workers; return how many they are."""
    extract(source, uris, out, fill=rows, **vars(options))
    return rows[1] - rows[0]


def _silent(*_: object) -> None:
    pass


def _check(encoder_uris: Sequence[str], batch_size: int, dtype: str) -> None:
    if not encoder_uris:
        raise InputError("got no encoder, expected at least one, such as onnx:net.onnx")
    if batch_size < 1:
        raise InputError(f"got batch size {batch_size}, expected at least 1")
    if dtype not in DTYPES[:2]:
        raise InputError(f"got dtype {dtype!r}, expected one of {', '.join(DTYPES[:2])}")
    names = [parse_uri(uri).name for uri in encoder_uris]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two encoders have the space name {name}; give one name=NAME")


def _list(
    path: str | os.PathLike[str],
    encoders: Sequence[Encoder],
    columns: Columns | None,
    rows: tuple[int, int] | None,
) -> ImageList | TextList:
    """List what all encoders read."""
    reader = {encoder.reads: encoder.name for encoder in encoders}
    if len(reader) > 1:
        raise InputError(
            f"encoder {reader['images']} reads images and {reader['texts']} reads texts, expected "
            "encoders of one kind; make a set of each"
        )
    listed: ImageList | TextList
    if "texts" in reader:
        listed = list_texts(path, columns=columns)
    else:
        listed = list_images(path, columns=columns)
    return listed if rows is None else listed.rows(*rows)


def _source(
    listed: ImageList | TextList, rows: tuple[int, int] | None, columns: Columns | None
) -> dict[str, Any]:
    named = {} if columns is None else {"columns": asdict(columns)}
    return {"path": str(listed.path), "kind": listed.kind, "rows": rows and list(rows), **named}
