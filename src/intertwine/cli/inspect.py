"""`intertwine inspect`: what any file or folder of ours holds."""

from __future__ import annotations

import shutil
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intertwine.console import options as common
from intertwine.errors import InputError
from intertwine.wording import counted, named

if TYPE_CHECKING:
    import os

LONGEST_LIST = 8
# The fact that holds shapes by name.
TENSORS = "tensors"
# Correlations and the like are printed in full only by --json.
_REPORT_KEYS = (
    "study",
    "created",
    "n",
    "n_groups",
    "n_fit",
    "n_eval",
    "method",
    "alpha",
    "intercept",
    "precision",
)


def inspect(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="A feature set, map, moments, head, .npy or report."),
    ],
    json: common.JsonOption = False,
) -> None:
    """Show what a file or folder holds.

    Example: intertwine inspect maps/a--b.safetensors
    """
    facts = describe(path)
    if json:
        common.print_json(facts)
        return
    _print(facts)


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a feature set, map, moments, head, `.npy` file, labels or report holds."""
    import numpy as np

    from intertwine.storage.npy import NpyFile, read_vector
    from intertwine.storage.untrusted import require_ordinary
    from intertwine.vectors import split_name

    path = Path(path)
    if not path.is_dir():
        require_ordinary(path)
    if (path / "report.json").is_file():
        path = path / "report.json"
    if path.is_dir():
        return _feature_set(path)
    if not path.is_file() and not split_name(path)[0].is_file():
        raise InputError(f"{path}: nothing there")
    if path.name == "labels.npy":
        labels = read_vector(path)
        return {"kind": "labels", "rows": len(labels), "classes": int(np.unique(labels).size)}
    if path.suffix == ".npy":
        return _described(NpyFile(path), "array")
    if path.suffix == ".json":
        return _report(path)
    if path.name.endswith(".head.safetensors"):
        return _head(path)
    is_table = path.suffix in {".parquet", ".arrow", ".feather"}
    return _vectors(path) if is_table or "#" in path.name else _of_ours(path)


def _head(path: Path) -> dict[str, Any]:
    import numpy as np

    from intertwine.spaces import Head

    head = Head.load(path)
    return {
        "kind": "head",
        "classes": head.n_classes,
        "dim": head.dim,
        "rank": int(np.linalg.matrix_rank(np.asarray(head.weight, np.float64))),
        "fingerprint": head.fingerprint(),
    }


def _of_ours(path: Path) -> dict[str, Any]:
    from intertwine.storage.files import read_tensors

    header = _header(path)
    # Reading the arrays checks them against the header's checksum.
    tensors, _ = read_tensors(path, kind=str(header.get("kind")))
    facts = {key: _without_hashes(value) for key, value in _without_hashes(header).items()}
    return {**facts, "tensors": {name: list(array.shape) for name, array in tensors.items()}}


def _feature_set(path: Path) -> dict[str, Any]:
    import numpy as np

    from intertwine.features.feature_set import FeatureSet

    feature_set = FeatureSet.open(path)
    spaces = {}
    for name, space in feature_set.spaces.items():
        head = feature_set.heads.get(name)
        spaces[name] = {
            "dim": space.dim,
            "dtype": feature_set.dtype(name).name,
            "classes": None if head is None else head.n_classes,
            "fingerprint": space.fingerprint,
            "encoder": feature_set.info[name].get("encoder"),
        }
    labels = feature_set.labels
    return {
        "kind": "feature set",
        "rows": feature_set.n,
        "ids": feature_set.has_ids,
        "labels": None if labels is None else int(np.unique(labels).size),
        "spaces": spaces,
    }


def _vectors(path: Path) -> dict[str, Any]:
    """Describe a table of vectors, or a tensor, of any program."""
    from intertwine.vectors import open_vectors

    file = open_vectors(path)
    others = getattr(file, "other_columns", [])
    return _described(file, "vectors") | ({"columns": others} if others else {})


def _described(file: Any, kind: str) -> dict[str, Any]:
    return {"kind": kind, "rows": file.n_rows, "dim": file.dim, "dtype": file.dtype.name}


def _header(path: Path) -> dict[str, Any]:
    """Return the header of a file of ours; of other safetensors the error says what they hold."""
    from safetensors import SafetensorError, safe_open

    from intertwine.errors import FileFormatError
    from intertwine.storage.files import read_header

    try:
        return read_header(path)
    except FileFormatError as error:
        try:
            with safe_open(str(path), framework="numpy") as file:
                names = sorted(file.keys())
        except (OSError, SafetensorError):
            raise error from None
        raise FileFormatError(
            f"{path}: not a file that intertwine wrote; it holds {named(names[:LONGEST_LIST])}; for "
            f"one of vectors write {path.name}#{names[0] if names else 'NAME'}"
        ) from error


def _report(path: Path) -> dict[str, Any]:
    from intertwine.report.schema import read_report

    value = read_report(path)
    facts = {key: value[key] for key in _REPORT_KEYS if key in value}
    facts |= {key: entry for key, entry in value.items() if key.endswith("percent_change")}
    return {"kind": "report", **facts, "pairs": value.get("pairs", [])}


def _without_hashes(value: Any) -> Any:
    """Return a header, or one of its parts, with the number of hashes in place of the hashes."""
    if not isinstance(value, dict) or not isinstance(value.get("fitted_on"), dict):
        return value
    fitted_on = value["fitted_on"]
    counts = {key: len(each) if isinstance(each, list) else each for key, each in fitted_on.items()}
    return {**value, "fitted_on": counts}


def _print(value: dict[str, Any], indent: str = "") -> None:
    """Print facts a line each, nested ones indented below them."""
    for key, entry in value.items():
        if isinstance(entry, dict) and entry:
            common.print_line(f"{indent}{key}:")
            if key == TENSORS:
                entry = {name: _shape(axes) for name, axes in entry.items()}  # noqa: PLW2901
            _print(entry, indent + "  ")
        elif isinstance(entry, list) and len(entry) > LONGEST_LIST:
            common.print_line(f"{indent}{key}: {counted(len(entry), 'entry', 'entries')}")
        elif isinstance(entry, list) and entry and all(isinstance(each, dict) for each in entry):
            common.print_line(f"{indent}{key}:")
            for line in _columns(entry, shutil.get_terminal_size().columns - len(indent) - 2):
                common.print_line(f"{indent}  {line}")
        else:
            common.print_line(f"{indent}{key}: {_words(entry)}")


def _shape(axes: list[int]) -> str:
    """Return the shape of an array in words."""
    return " × ".join(map(str, axes)) or "one number"


def _words(value: Any) -> str:
    """Return a value of JSON in words."""
    if value is None or value in ([], {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(each)}" for key, each in value.items())
    return str(value)


def _columns(rows: list[dict[str, Any]], width: int) -> list[str]:
    """Return rows of one table as lines of as many columns as fit, and the number of the others.

    Where the names of spaces do not fit beside each other, numbers stand for them, and a legend
    says which.
    """
    from intertwine.report.terminal import legend, numbered

    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = {key: [key, *(_words(row.get(key)) for row in rows)] for key in keys}
    names = [key for key in ("source", "target", "space") if key in cells]
    numbers: dict[str, str] = {}
    if sum(max(map(len, cells[key])) + 2 for key in names) - 2 > width:
        numbers = numbered(
            name for row in zip(*(cells[key][1:] for key in names), strict=True) for name in row
        )
        for key in names:
            cells[key][1:] = [numbers[name] for name in cells[key][1:]]
    sizes = {key: max(map(len, column)) for key, column in cells.items()}
    ends = accumulate(sizes[key] + 2 for key in keys)
    # One is shown however wide it is.
    shown = [key for key, end in zip(keys, ends, strict=True) if end - 2 <= width] or keys[:1]
    lines = [
        "  ".join(cells[key][number].ljust(sizes[key]) for key in shown).rstrip()
        for number in range(len(rows) + 1)
    ]
    left = len(keys) - len(shown)
    more = [f"and {counted(left, 'column')} more, which --json shows"] if left else []
    return [*lines, *more, *legend(numbers)]
