"""Names in PostgreSQL, and a table with all its parts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

LONGEST_NAME = 63
# The table whose number is put in, its partitions, and what inherits from it.
TREE = """tree(oid) AS (
    SELECT %s::oid
    UNION SELECT h.inhrelid FROM pg_inherits h JOIN tree ON h.inhparent = tree.oid
)"""


def fitting(name: str, ending: str = "") -> str:
    """Return a name with an ending, cut to what PostgreSQL takes."""
    data = name.encode()
    most = LONGEST_NAME - len(ending.encode())
    if len(data) <= most:
        return name + ending
    mark = "_" + hashlib.sha256(data).hexdigest()[:8]
    return data[: most - len(mark)].decode(errors="ignore") + mark + ending


def free(name: str, ending: str, taken: Collection[str]) -> str:
    """Return a name with an ending, or a number behind it, that is not taken."""
    found, number = fitting(name, ending), 1
    while found in taken:
        number += 1
        found = fitting(name, f"{ending}_{number}")
    return found
