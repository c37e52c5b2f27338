"""What an extraction records of each space in the set, and its summary."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from intertwine.encoders.preprocessing import Preprocessing
from intertwine.errors import InputError
from intertwine.features.writing.record import (
    MANIFEST,
    SpaceRecord,
    is_line,
    left_out,
    read_manifest,
)
from intertwine.inputs.rows import RowList, shown_path

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from intertwine.encoders.encoder import Encoder
    from intertwine.inputs.images.faces.cache import FaceCache

# Kinds of input that are a file a row.
FILE_KINDS = frozenset({"folder", "class-folders", "labels", "manifest"})
# Ids of images that the summary names; the set's own files list all.
SHOWN = 10

Rows = TypeVar("Rows", bound=RowList)


def space_record(encoder: Encoder, dtype: str) -> SpaceRecord:
    """Return the set's record of an encoder's space."""
    facts = {
        "encoder": encoder.uri,
        "fingerprint": encoder.fingerprint,
        "weights_sha256": encoder.weights_sha256,
        "preprocessing": encoder.preprocessing.to_json(),
        "parameters": encoder.parameters,
        "reported_top1": encoder.reported_top1,
        "paper_top1": encoder.paper_top1,
        "precision": encoder.precision,
    }
    if encoder.notes:
        facts["notes"] = list(encoder.notes)
    if isinstance(encoder.preprocessing, Preprocessing):
        facts["crop"] = list(encoder.preprocessing.size)
    return SpaceRecord(encoder.name, encoder.dim, dtype, encoder.head, facts)


def changed_since(listed: RowList, out: Path) -> list[str]:
    """Return doubts about an input that may differ from the one that a set has features of.

    Its files may be newer than the features, or it may be another folder whose rows have like ids.
    """
    dates = [_date(file) for file in out.glob("[!.]*.npy") if file.name != "labels.npy"]
    if not dates:
        return []
    return [*_elsewhere(listed, out), *_newer(listed, out, min(dates))]


def _elsewhere(listed: RowList, out: Path) -> list[str]:
    """Return a doubt where the set's features are of another folder or file."""
    if not (out / MANIFEST).exists():
        return []
    before = (read_manifest(out / MANIFEST).get("input") or {}).get("path")
    if not isinstance(before, str) or Path(before).resolve() == listed.path.resolve():
        return []
    return [
        (
            f"{out}: was extracted from {shown_path(before)} and keeps the features that it has; if "
            f"{shown_path(listed.path)} holds other images or texts of like ids, extract them to a new "
            "folder"
        )
    ]


def _newer(listed: RowList, out: Path, oldest: int) -> list[str]:
    """Return a doubt where files of the input are newer than the set."""
    newer = [name for name, file in _files_of(listed) if _date(file) > oldest]
    if not newer:
        return []
    of = f"{newer[0]} is" if len(newer) == 1 else f"{len(newer)} files, such as {newer[0]}, are"
    return [
        (
            f"{out}: {of} newer than the set, which keeps the features that it has: if images or texts "
            "changed, extract them to a new folder"
        )
    ]


def _files_of(listed: RowList) -> list[tuple[str, Path]]:
    """Return the files that hold the rows, and their names."""
    root = getattr(getattr(listed, "source", None), "root", None)
    if listed.kind in FILE_KINDS and root is not None:
        return [(name, root / name) for name in listed.ids]
    files = sorted(listed.path.glob("[!.]*")) if listed.path.is_dir() else [listed.path]
    return [(file.name, file) for file in files]


def _date(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def nameable(listed: Rows, *, skip_bad: bool) -> Rows:
    """Return a list without the rows whose ids are no text on one line, with a note about them.

    Ids may be names of files, which may be any bytes. InputError for such a row unless `skip_bad`,
    and where there is no other.
    """
    unfit = [row for row, name in enumerate(listed.ids) if not is_line(name)]
    if not unfit:
        return listed
    where = f"{listed.path}: {shown_path(listed.ids[unfit[0]])}"
    if not skip_bad:
        raise InputError(
            f"{where}: its name is no id, expected UTF-8 text on one line; rename it, or leave such "
            "files out with --skip-bad"
        )
    more = f", as are {len(unfit) - 1} more" if len(unfit) > 1 else ""
    note = f"{where}: left out, because its name is not UTF-8 text on one line{more}"
    rest = listed.without({listed.ids[row] for row in unfit})
    return replace(rest, notes=(*listed.notes, note))


def summarise(
    out: str | os.PathLike[str],
    encoders: Sequence[Encoder],
    done: Mapping[str, int],
    *,
    rows: int,
    seconds: tuple[float, float],
) -> dict[str, Any]:
    """Return the summary of an extraction, faces aside; see `extract.extract`.

    `done` are the rows run now, by space; `seconds` all time taken, and that of the rows alone.
    """
    gone = left_out(Path(out))
    extracted = max(done.values(), default=0)
    spaces = {
        encoder.name: {
            "dim": encoder.dim,
            "fingerprint": encoder.fingerprint,
            "encoder": encoder.uri,
            "extracted": done.get(encoder.name, 0),
        }
        for encoder in encoders
    }
    return {
        "out": str(out),
        "rows": rows,
        "extracted": extracted,
        "seconds": seconds[0],
        "rate": extracted / seconds[1] if extracted else None,
        "left_out": {"count": len(gone), "ids": gone[:SHOWN]},
        "spaces": spaces,
    }


def summarise_faces(faces: FaceCache, ids: Sequence[str]) -> dict[str, Any]:
    """Return the summary of the faces of some images."""
    missed = faces.not_found(ids)
    return {
        "detector": faces.detector.name,
        "file": str(faces.path),
        "undetected": len(missed),
        "undetected_ids": missed[:SHOWN],
    }


def crops_faces(encoders: Sequence[Encoder], in_parts: str | None) -> bool:
    """Return whether an encoder crops faces.

    InputError when it does and `in_parts` names an option by which rows are extracted in parts.
    """
    crops = [
        encoder.name
        for encoder in encoders
        if isinstance(encoder.preprocessing, Preprocessing) and encoder.preprocessing.face
    ]
    if crops and in_parts:
        raise InputError(
            f"got {in_parts} with encoder {crops[0]}, which crops faces: they are kept in one file; "
            "extract it in one process"
        )
    return bool(crops)
