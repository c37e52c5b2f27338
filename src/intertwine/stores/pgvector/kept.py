"""What a switch notes beside the new vectors, so that it can be undone whatever names become of."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

KEPT = "_before"


@dataclass(frozen=True)
class Kept:
    """The old column, while its name stands for the new one.

    Parameters
    ----------
    column
        What the new column was called, and is again after a rollback.
    before
        What the switch called the old column.
    number
        Which column of the table it is: it may be renamed. None where an earlier version switched.
    not_null
        Whether NULL was refused there.
    indexes
        Names that the new column's indexes took over, and what the old ones have been called since.
    stamped
        Whether a column of stamps stood beside.
    """

    column: str
    before: str
    number: int | None = None
    not_null: bool = False
    indexes: dict[str, str] = field(default_factory=dict)
    stamped: bool = False

    def to_text(self) -> str:
        """Return it as the text that a mark keeps."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str | None, source: str) -> Kept | None:
        """Return what a mark keeps of the switch of a source's name; None where it keeps nothing."""
        if text is None:
            return None
        try:
            value = json.loads(text)
            return cls(
                str(value["column"]),
                str(value["before"]),
                None if value["number"] is None else int(value["number"]),
                bool(value["not_null"]),
                {str(name): str(old) for name, old in value["indexes"].items()},
                # Whoever noted a number wrote stamps.
                bool(value.get("stamped", value["number"] is not None)),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            # Earlier versions kept the new column's name alone.
            return cls(text, source + KEPT)
