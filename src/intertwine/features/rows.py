"""Row identity: ids as 64-bit hashes, joins by id, and nested random subsets."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import FileFormatError, InputError
from intertwine.storage.untrusted import LARGEST_TEXT, read_text, require_ordinary
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from intertwine.numerics.arrays import Array


def read_id_hashes(path: Path, n_rows: int) -> Array:
    """Return a 64-bit hash of each line of an `ids.txt`, (n,) uint64.

    Hashes hold a million ids in eight megabytes; two different ids of a million share one with a
    chance of 3e-8. InputError when there are not n lines, or an id is empty or repeats;
    FileFormatError when the file is not UTF-8.
    """
    hashes = np.zeros(n_rows, np.uint64)
    count = 0
    require_ordinary(path, LARGEST_TEXT)
    try:
        # Some programs begin a file of text with a byte order mark, which is no part of an id.
        with path.open(encoding="utf-8-sig") as file:
            for count, line in enumerate(file, start=1):
                text = line.rstrip("\r\n")
                if not text:
                    raise InputError(f"{path}: line {count} is empty, expected an id")
                if count <= n_rows:
                    hashes[count - 1] = _hash(text)
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"{path}: is not UTF-8 text ({error.reason}); save it as UTF-8"
        ) from error
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror})") from error
    if count != n_rows:
        raise InputError(f"{path}: got {counted(count, 'id')}, expected {n_rows}, one a row")
    unique, counts = np.unique(hashes, return_counts=True)
    if len(unique) < n_rows:
        repeated = ids_of(path, set(unique[counts > 1].tolist()), limit=1)[0]
        raise InputError(f"{path}: the id {repeated!r} repeats")
    return hashes


def read_ids(path: Path) -> list[str]:
    """Return the lines of an `ids.txt` that `read_id_hashes` has checked."""
    return read_text(path).removesuffix("\n").split("\n")


def ids_of(path: Path, hashes: set[int], *, limit: int) -> list[str]:
    """Return up to `limit` ids of a file with these hashes, for an error message."""
    ids: list[str] = []
    with path.open(encoding="utf-8-sig") as file:
        for line in file:
            text = line.rstrip("\r\n")
            if len(ids) < limit and _hash(text) in hashes:
                ids.append(text)
    return ids


def hash_ids(ids: Iterable[str]) -> Array:
    """Return a 64-bit hash of each id, (n,) uint64: those of `read_id_hashes`."""
    return np.array([_hash(text) for text in ids], np.uint64)


def _hash(text: str) -> int:
    return _digest(text.encode())


def _digest(data: bytes | memoryview) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def row_number_hashes(n_rows: int) -> Array:
    """Return a 64-bit hash of each row number, (n,) uint64, for rows without ids.

    The finaliser of SplitMix64; Steele, Lea & Flood, *Fast splittable pseudorandom number
    generators*, OOPSLA (2014).
    """
    x = np.arange(1, n_rows + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def content_hashes(rows: Array) -> Array:
    """Return a 64-bit hash of each row's values as float32, (n,) uint64, whatever their dtype."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.ascontiguousarray(rows.astype(np.float32) + np.float32(0))  # −0 becomes 0
    return np.array([_digest(row.data) for row in values], np.uint64)


def join_order(reference: Array, other: Array) -> tuple[Array | None, Array, Array]:
    """Return the place of each reference row in another set, from (n,) and (m,) distinct hashes.

    The three results are (n,) row numbers of `other` in the reference's order, None where rows do
    not match; the hashes of `reference` that `other` lacks; and the reverse.
    """
    absent = np.setdiff1d(reference, other)
    extra = np.setdiff1d(other, reference)
    if absent.size or extra.size:
        return None, absent, extra
    sorter = np.argsort(other, kind="stable")
    return sorter[np.searchsorted(other, reference, sorter=sorter)], absent, extra


def nested_subsets(hashes: Array, sizes: list[int]) -> list[Array]:
    """Return disjoint sets of ascending row numbers whose unions are nested random subsets.

    Set k holds subset k without subset k−1. Sizes ascend, the last is at most n. Rows are ordered
    by their (n,) hashes, so the subsets depend on ids and not on the order of the data.
    """
    order = np.argsort(hashes, kind="stable")
    edges = [0, *sizes]
    return [np.sort(order[a:b]) for a, b in pairwise(edges)]


def curve_sizes(n_rows: int, points: int) -> list[int]:
    """Return up to `points` sizes from about n/128 to n, even on a logarithmic scale."""
    low = min(n_rows, max(16, n_rows // 128))
    # From n downwards, so that a single point is all rows.
    return sorted({round(float(size)) for size in np.geomspace(n_rows, low, points)})
