"""Files that a migration makes beside those of its source."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatch
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.files import cannot_write, check_writable
from intertwine.stores.file_switch import give_name
from intertwine.stores.file_writing import write_like
from intertwine.stores.row_store import folders_below
from intertwine.stores.row_target import RowTarget
from intertwine.vectors.tables import TableVectors
from intertwine.wording import counted

if TYPE_CHECKING:
    from intertwine.features.npy import NpyFile
    from intertwine.stores.address import Address
    from intertwine.stores.files import FileStore
    from intertwine.stores.row_store import RowStore
    from intertwine.stores.store import Mark

# What other programs write about the files of a dataset.
LISTS = ("_metadata", "_common_metadata", "_delta_log")


def target_of(source: FileStore, text: str, mark: Mark) -> FileTarget:
    """Return the files that an address names, beside a source.

    Raises
    ------
    InputError
        For another kind of store or column, the source itself, a folder that cannot be written.
    """
    address = source.address.beside(text)
    address.only("metric")
    if address.part not in {"", source.column}:
        raise InputError(
            f"got target column {address.part!r}, expected {source.column!r} as in the source, whose "
            "readers find it by that name"
        )
    address = replace(address, part=source.column or "")
    return FileTarget(source, address, outputs_at(source, Path(address.place)), mark)


def outputs_at(source: RowStore, place: Path) -> list[Path]:
    """Return the files to make at a place, one for each of the source's.

    Raises
    ------
    InputError
        For the source itself, a pattern, a file for many files, a folder that cannot be written.
    """
    if "*" in str(place):
        raise InputError(f"got target {place}, a pattern, expected a folder or a file")
    suffix = source.paths[0].suffix
    if place.suffix == suffix and not place.is_dir():
        if len(source.paths) > 1:
            raise InputError(
                f"got target {place}, a file, for {len(source.paths)} files; give a folder"
            )
        outputs = [place]
    elif place.suffix and not place.is_dir() and len(source.paths) == 1:
        raise InputError(f"got target {place}, expected a folder or a name that ends in {suffix}")
    else:
        outputs = [place / path.relative_to(source.root) for path in source.paths]
    require_others(source, outputs)
    return outputs


def require_others(source: RowStore, outputs: list[Path]) -> None:
    """Raise when files to make are the source's, or stand where nothing can be written.

    Raises
    ------
    InputError
        Naming one.
    """
    given = {path.resolve() for path in source.paths}
    for output in outputs:
        if output.resolve() in given:
            raise InputError(f"{output} is the source itself; name another file or folder")
        if finds(source.address.place, output):
            raise InputError(
                f"{output} would be one of the files of {source.name}; name a target outside of it"
            )
    check_writable(outputs[0].parent)


def finds(place: str, path: Path) -> bool:
    """Return whether an address's files will be found to hold a path, too."""
    real = path.resolve()
    if Path(place).is_dir():
        return any(real.is_relative_to(folder) for folder, _ in folders_below(Path(place)))
    if not has_magic(place):
        return False
    wanted, parts = Path(place).resolve().parts, real.parts
    if "**" in wanted:
        return fnmatch(str(real), str(Path(place).resolve()))
    return len(wanted) == len(parts) and all(map(fnmatch, parts, wanted))


class FileTarget(RowTarget):
    """Parquet, Arrow or `.npy` files as the source's, with their other columns.

    Parameters
    ----------
    source
        Where the vectors come from.
    address
        Of these files.
    outputs
        The files, one for each of the source's.
    made
        The mark that they bear.
    """

    def __init__(
        self, source: FileStore, address: Address, outputs: list[Path], made: Mark
    ) -> None:
        super().__init__(source, address, outputs, made)
        self._files = source
        self.making = "at once" if address.scheme == "npy" else "beside"

    def build(self, file: int, rows: NpyFile) -> None:
        """Write the file that is to hold some rows, atomically."""
        source, output = self._files.open_file(file), self.outputs[file]
        if isinstance(source, TableVectors):
            write_like(source, rows, output)
            return
        try:
            give_name(rows.path, output)
        except OSError as error:
            raise cannot_write(output, error) from error

    def require_ready(self, *, force: bool = False) -> list[str]:
        """Raise where a name is taken; return warnings of files that say what the source's files hold."""
        paths = self._files.paths
        beside = [folder / name for folder in {path.parent for path in paths} for name in LISTS]
        beside += [self._files.root / name for name in LISTS]
        beside += [path.with_name(f".{path.name}.crc") for path in paths]
        found = sorted({str(path) for path in beside if path.exists()})
        warnings = [
            f"{name} says what the files beside it hold, which a switch makes untrue: write it again "
            "then, or remove it"
            for name in found[:1]
        ]
        if found[1:]:
            warnings.append(f"so do {len(found) - 1} more, such as {found[1]}")
        return warnings + super().require_ready(force=force)

    def opened(self) -> FileStore:
        """Return the finished files as a store."""
        return type(self._files)(self.address, self.outputs, self.metric)

    def described(self, path: Path) -> str:
        """Return how many rows a file holds, in words."""
        return f"it holds {counted(self._files.open_path(path).n_rows, 'row')} now"
