"""The pass from images to features: every image decoded once, for all encoders."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from intertwine.encoders.registry import open_encoder, parse_uri
from intertwine.errors import InputError
from intertwine.features.record import DTYPES, SpaceRecord
from intertwine.features.writer import FeatureSetWriter
from intertwine.images.face_cache import FaceCache
from intertwine.images.face_detection import face_detector
from intertwine.images.listing import ImageList, list_images
from intertwine.passes.pixels import read_batches

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from intertwine.encoders.encoder import Encoder
    from intertwine.passes.pixels import Batch

# Ids of images without a face that the summary names; the file lists all.
SHOWN = 10
# Rows are brought to disk and marked complete this often.
COMMIT_SECONDS = 2.0


def extract(
    input: str | os.PathLike[str],  # noqa: A002 - the command's own word
    encoder_uris: Sequence[str],
    out: str | os.PathLike[str],
    *,
    batch_size: int = 32,
    dtype: str = "float16",
    workers: int | None = None,
    threads: int | None = None,
    rows: tuple[int, int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Run images through encoders into a feature set.

    The same call again does only what is missing: rows lost to a kill, or an encoder added.
    Images are batched on one absolute grid, so where a run was interrupted changes no byte.

    Parameters
    ----------
    input
        Folder of images or manifest; see `intertwine.images.listing.list_images`.
    encoder_uris
        Encoders, such as `onnx:net.onnx?channels=bgr`.
    out
        Folder of the feature set.
    batch_size
        Images a batch.
    dtype
        `float16` or `float32` on disk.
    workers
        Threads that decode; two, or fewer than the cores, when omitted.
    threads
        Threads of each network; the number of cores when omitted.
    rows
        (start, stop) to take of the input; all when omitted.
    progress
        Called with (done, total) rows.

    Returns
    -------
    summary
        JSON-ready: `out`, `rows`, `extracted` (rows run now), `seconds`, and `spaces` with `dim`,
        `fingerprint`, `encoder` and `extracted` by name. Where an encoder crops faces, `faces` with
        `detector`, `file`, `undetected` (count) and `undetected_ids` (the first of them), else null.

    Raises
    ------
    InputError
        When the images, an encoder or the folder cannot be used as asked.
    FileFormatError
        When an encoder's file is damaged.
    MissingExtraError
        When a library that an encoder needs is not installed.
    """
    _check(encoder_uris, batch_size, dtype)
    began = time.monotonic()
    images = list_images(input)
    images = images if rows is None else images.rows(*rows)
    encoders = [open_encoder(uri, threads=threads) for uri in encoder_uris]
    source = {"path": str(images.path), "kind": images.kind, "rows": rows and list(rows)}
    crops = any(encoder.preprocessing.face for encoder in encoders)
    with (
        face_detector() if crops else nullcontext() as detector,
        FeatureSetWriter(
            out,
            len(images),
            ids=images.ids,
            labels=images.labels,
            classes=images.classes,
            source=source,
        ) as writer,
    ):
        faces = None if detector is None else FaceCache(out, detector)
        for encoder in encoders:
            writer.add_space(_record(encoder, dtype))
        done = _run(images, encoders, writer, batch_size, workers, progress or _silent, faces)
    return {
        "out": str(out),
        "rows": len(images),
        "extracted": max(done.values()),
        "seconds": time.monotonic() - began,
        "spaces": {encoder.name: _summary(encoder, done[encoder.name]) for encoder in encoders},
        "faces": None if faces is None else _faces(faces, images),
    }


def _faces(faces: FaceCache, images: ImageList) -> dict[str, Any]:
    missed = faces.not_found(images.ids)
    return {
        "detector": faces.detector.name,
        "file": str(faces.path),
        "undetected": len(missed),
        "undetected_ids": missed[:SHOWN],
    }


def _summary(encoder: Encoder, extracted: int) -> dict[str, Any]:
    return {
        "dim": encoder.dim,
        "fingerprint": encoder.fingerprint,
        "encoder": encoder.uri,
        "extracted": extracted,
    }


def _silent(done: int, total: int) -> None:
    del done, total


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


def _record(encoder: Encoder, dtype: str) -> SpaceRecord:
    facts = {
        "encoder": encoder.uri,
        "fingerprint": encoder.fingerprint,
        "weights_sha256": encoder.weights_sha256,
        "preprocessing": encoder.preprocessing.to_json(),
        "parameters": encoder.parameters,
        "crop": list(encoder.preprocessing.size),
        "reported_top1": encoder.reported_top1,
    }
    return SpaceRecord(encoder.name, encoder.dim, dtype, encoder.head, facts)


def _run(
    images: ImageList,
    encoders: Sequence[Encoder],
    writer: FeatureSetWriter,
    batch_size: int,
    workers: int | None,
    progress: Callable[[int, int], None],
    faces: FaceCache | None,
) -> dict[str, int]:
    """Extract what is missing; return the number of rows by space."""
    work = _plan(writer, encoders, batch_size)
    total, seen = sum(len(batch) for batch, _ in work), 0
    done = dict.fromkeys((encoder.name for encoder in encoders), 0)
    progress(0, total)
    committed = time.monotonic()
    try:
        for batch in read_batches(images, work, workers=workers, faces=faces):
            for encoder in batch.wanted:
                done[encoder.name] += _write(encoder, batch, writer)
            if time.monotonic() - committed >= COMMIT_SECONDS:
                _commit(writer, faces)
                committed = time.monotonic()
            seen += len(batch.rows)
            progress(seen, total)
    finally:
        _commit(writer, faces)
    return done


def _write(encoder: Encoder, batch: Batch, writer: FeatureSetWriter) -> int:
    """Write the rows of a batch that an encoder lacks; return their number."""
    features, written = encoder.encode(batch.pixels[encoder.preprocessing.resize_key]), 0
    for start, stop in _overlaps(writer.missing(encoder.name), batch.rows):
        writer.write(
            encoder.name, start, features[start - batch.rows.start : stop - batch.rows.start]
        )
        written += stop - start
    return written


def _commit(writer: FeatureSetWriter, faces: FaceCache | None) -> None:
    # Faces first: features on disk then never lack theirs.
    if faces is not None:
        faces.commit()
    writer.commit()


def _plan(
    writer: FeatureSetWriter, encoders: Sequence[Encoder], batch_size: int
) -> list[tuple[range, list[Encoder]]]:
    """Return the batches of the absolute grid that lack rows, each with who lacks them."""
    missing = {encoder.name: writer.missing(encoder.name) for encoder in encoders}
    plan = []
    for start in range(0, writer.n, batch_size):
        batch = range(start, min(writer.n, start + batch_size))
        wanted = [encoder for encoder in encoders if _overlaps(missing[encoder.name], batch)]
        if wanted:
            plan.append((batch, wanted))
    return plan


def _overlaps(ranges: Sequence[tuple[int, int]], batch: range) -> list[tuple[int, int]]:
    cut = ((max(start, batch.start), min(stop, batch.stop)) for start, stop in ranges)
    return [(start, stop) for start, stop in cut if start < stop]
