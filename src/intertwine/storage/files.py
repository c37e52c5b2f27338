"""Writing that survives a kill: atomic files, and checked tensor files with their hashes."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialise

from intertwine.errors import FileFormatError, InputError
from intertwine.storage.untrusted import DAMAGE, parse_json, read_text, require_ordinary
from intertwine.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    Array = npt.NDArray[Any]

HEADER_KEY = "intertwine"
FORMAT_VERSION = 1
# Flags of Linux's renameat2: names relative to the working folder, and exchanged.
HERE, EXCHANGE = -100, 2
# Names of a feature set's files; and endings of names that mark existing files as such.
OF_SETS = ("ids.txt", "labels.npy", "feature_set.json")
ENDS_OF_SETS = (".npy", ".head.safetensors")
# Files of arrays, which are often put in the place of a file of ours.
_ARRAYS = {".npy": "one array", ".npz": "a file of arrays"}
# Characters of a file's name that go into the names of its temporaries.
LONGEST_NAME = 100
# How the names of arrays end that are allocated at their whole size before any row is there.
PART = ".part"


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path next to `path`; on success it replaces `path` in one step.

    The folder is made when absent. Whatever happens, nothing half-written is left under `path`.
    InputError when the folder cannot be written or the disk is full.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays, since some writers choose a format by it.
        temporary, handle = new_temporary(path, path.suffix)
        os.close(handle)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def new_temporary(path: Path, suffix: str) -> tuple[Path, int]:
    """Create an empty file next to `path` under an unpredictable name; return it and its handle."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_temporary_prefix(path), suffix=suffix)
    temporary = Path(name)
    temporary.chmod(0o666 & ~_umask())
    return temporary, handle


def no_links(path: str, flags: int) -> int:
    """Open a file but no symbolic link; an `opener` for `open`."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def exchange_names(a: Path, b: Path) -> bool:
    """Exchange the names of two files in one step; return whether the system could."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    names = os.fsencode(a), os.fsencode(b)
    return rename is not None and rename(HERE, names[0], HERE, names[1], EXCHANGE) == 0


def remove_temporaries(path: Path) -> None:
    """Remove the temporary files of `path` that killed runs left."""
    prefix, suffix = _temporary_prefix(path), path.suffix
    # Exactly what mkstemp makes: `a` leaves alone what `a-b`, which may be in the making, has.
    ours = re.compile(re.escape(prefix) + rf"[a-z0-9_]{{8}}({re.escape(suffix)}|{re.escape(PART)})")
    for stale in path.parent.glob(f"{escape(prefix)}*"):
        if ours.fullmatch(stale.name):
            stale.unlink(missing_ok=True)


def _temporary_prefix(path: Path) -> str:
    name = path.name
    if len(name) > LONGEST_NAME:
        # Names that begin alike must not share what is in the making.
        name = f"{name[:LONGEST_NAME]}~{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return f".tmp-{name}-"


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Raise InputError now, before long work, if a folder could not be made or written later.

    Nothing is made: the nearest folder that exists is tried with a file that has no name.
    """
    folder = Path(folder)
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"0")
            file.flush()
    except OSError as error:
        raise cannot_write(folder, error) from error


def require_apart(output: Path, *inputs: Path) -> None:
    """Raise InputError if a file to write is one of the inputs, under any name.

    Of an input that is a feature set's folder, every file of the set counts.
    """
    real = output.resolve()
    for source in inputs:
        if real == source.resolve() or (
            output.exists() and source.exists() and output.samefile(source)
        ):
            raise InputError(f"got {output} as input and output, expected another name to write")
        of_set = real.name in OF_SETS or (output.exists() and real.name.endswith(ENDS_OF_SETS))
        if of_set and source.is_dir() and real.parent == source.resolve():
            raise InputError(
                f"{output} belongs to the feature set {source}, which is read; expected another name to "
                "write"
            )


def require_outside(output: str | os.PathLike[str], *inputs: str | os.PathLike[str]) -> None:
    """Raise InputError if a folder to write is an input's folder, or inside one."""
    place = Path(output).resolve()
    for each in inputs:
        source = Path(each).resolve()
        if source == place or source in place.parents:
            where = "is" if source == place else "lies in"
            raise InputError(
                f"got {output} to write, which {where} the input {each}; name another folder (--out)"
            )


def cannot_write(path: Path, error: OSError) -> InputError:
    """Return the error that a file could not be written, and why."""
    reason = error.strerror or str(error)
    return InputError(f"cannot write {path}: {reason}; nothing half-written is left there")


def _umask() -> int:
    # The only portable way to read the umask is to set it.
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a whole file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_files(folder: str | os.PathLike[str], files: dict[str, bytes]) -> None:
    """Write several whole files, by name, into a folder.

    No file gets its name before the bytes of all are on disk; the last one gets its name last.
    """
    with ExitStack() as stack:
        for name, data in reversed(files.items()):
            stack.enter_context(atomic_path(Path(folder) / name)).write_bytes(data)


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that it holds, or nothing where it is absent."""
    shutil.rmtree(folder, ignore_errors=True)


def text_bytes(text: str) -> bytes:
    """Return text in UTF-8, with escapes for surrogates, which represent undecodable bytes.

    In JSON the escapes are JSON's own.
    """
    return text.encode(errors="backslashreplace")


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return a value as JSON that UTF-8 can hold; NaN is refused because JSON has none."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    return text_bytes(text).decode()


def json_bytes(value: Any) -> bytes:
    """Return a value as readable JSON; NaN is refused because JSON has none."""
    return f"{json_text(value, indent=2)}\n".encode()


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a value as JSON, atomically; NaN is refused because JSON has none."""
    write_bytes(path, json_bytes(value))


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file; FileFormatError when it cannot be read or is not JSON."""
    text = read_text(path)
    try:
        return parse_json(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path}: cannot be read as JSON ({one_line(error)})") from error


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    require_ordinary(path)
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror})") from error


def sha256_tensors(tensors: Mapping[str, Array], header: Mapping[str, Any]) -> str:
    """Return one SHA-256 over named arrays (names, dtypes, shapes, bytes) and a JSON header."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        # A name that comes from JSON may contain a lone surrogate.
        described = f"{name}|{tensor.dtype.str}|{tensor.shape}"
        digest.update(described.encode("utf-8", "surrogatepass"))
        # Zero-size arrays cannot be cast to bytes.
        digest.update(tensor.reshape(-1).view(np.uint8).data if tensor.size else b"")
    return digest.hexdigest()


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Array], *, kind: str, header: dict[str, Any]
) -> None:
    """Write arrays and a readable header as one safetensors file, with a checksum over both.

    The header holds JSON-ready values that any safetensors tool can show. `kind` is what the file
    is, such as `map`; `read_tensors` checks it.
    """
    body = {"kind": kind, "format_version": FORMAT_VERSION, **header}
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    body["sha256"] = sha256_tensors(contiguous, body)
    # One key only: safetensors writes several in no fixed order, and bytes must be reproducible.
    write_bytes(path, serialise(contiguous, metadata={HEADER_KEY: json_text(body)}))


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the header of a file that `write_tensors` wrote, without reading its arrays.

    FileFormatError for any other file, and for one that a newer version wrote.
    """
    require_ordinary(path)
    if Path(path).suffix in _ARRAYS and Path(path).exists():
        raise FileFormatError(
            f"{path}: not a file that intertwine wrote, but {_ARRAYS[Path(path).suffix]}; for a feature "
            "set put a NAME.npy a space in one folder, and name the folder"
        )
    try:
        with safe_open(str(path), framework="numpy") as file:
            text = (file.metadata() or {})[HEADER_KEY]
        header = parse_json(text)
        version = header["format_version"]
    except (OSError, SafetensorError, *DAMAGE) as error:
        reason = one_line(error) if isinstance(error, (OSError, SafetensorError)) else "no header"
        raise FileFormatError(
            f"{path}: not a file that intertwine wrote, or cut short ({reason})"
        ) from error
    if version != FORMAT_VERSION:
        raise FileFormatError(
            f"{path}: format version {version}, this program reads {FORMAT_VERSION}; upgrade it"
        )
    if json_text(header) != text:
        # The checksum is over values; this catches a byte that changes only their spelling.
        raise FileFormatError(f"{path}: its header was altered")
    return dict(header)


def read_tensors(
    path: str | os.PathLike[str], *, kind: str
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays and the header of a file of this `kind` that `write_tensors` wrote.

    Every byte is checked: FileFormatError when the file is of another kind, cut, or altered.
    """
    header = read_header(path)
    if header.get("kind") != kind:
        raise FileFormatError(f"{path}: holds a {header.get('kind')}, expected a {kind}")
    try:
        with safe_open(str(path), framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, *DAMAGE) as error:
        # Such as a dtype that NumPy lacks.
        raise FileFormatError(f"{path}: cannot be read ({one_line(error)})") from error
    expected = header.pop("sha256", None)
    if sha256_tensors(tensors, header) != expected:
        raise FileFormatError(f"{path}: its checksum does not match; the file was altered")
    return tensors, header
