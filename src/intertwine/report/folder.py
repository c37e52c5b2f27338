"""The folder of a report: one study a folder, and nothing left of an older report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from intertwine.errors import FileFormatError, InputError
from intertwine.storage.files import read_json, require_outside, write_files

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

PAGE = "report.html"


def check_folder(
    folder: str | os.PathLike[str], study: str, inputs: Iterable[str | os.PathLike[str]] = ()
) -> None:
    """Raise an `InputError` now, before long work, when a folder is not free for a study's report.

    It may hold an earlier report of the same study, which is replaced. It must not hold another
    study's report or a `report.json` of something else, nor be or lie in one of the inputs.
    """
    place = Path(folder).resolve()
    require_outside(folder, *inputs)
    held = _study_in(place / "report.json")
    if held not in {None, study}:
        article = "an" if str(held)[0] in "aeiou" else "a"
        raise InputError(f"{folder} holds {article} {held} report; name another folder (--out)")


def _study_in(report: Path) -> str | None:
    """Return the study whose report a file is, None where there is no file."""
    if not report.exists():
        return None
    try:
        study = read_json(report)["study"]
    except (FileFormatError, KeyError, TypeError, IndexError):
        study = None
    if not isinstance(study, str) or not study:
        raise InputError(
            f"{report}: is no report of a study; name another folder (--out), or move the file away"
        )
    return study


def write_folder(
    folder: str | os.PathLike[str], files: dict[str, bytes], *, optional: Iterable[str] = ()
) -> Path:
    """Write a report's files, the last one last, and return its path.

    Where the page is, the rest is too. Of the optional files, which a report of this study may have
    or not, those absent now are removed, so that nothing of an earlier report contradicts the new
    one.
    """
    check_folder(folder, json.loads(files["report.json"])["study"])
    if PAGE not in files:
        # Before the rest: an older page never stands beside a newer report.
        (Path(folder) / PAGE).unlink(missing_ok=True)
    write_files(folder, files)
    for name in optional:
        if name not in files:
            (Path(folder) / name).unlink(missing_ok=True)
    return Path(folder) / list(files)[-1]
