"""What a study returns: single values by key, and tables of rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class StudyResult:
    """The result of a study whose tables are fields: the object that `report.json` holds.

    Parameters
    ----------
    facts
        Single values by key.
    """

    study: ClassVar[str]  # as `report.json` names it

    facts: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the result as one JSON-ready object."""
        value = asdict(self)
        return {"study": self.study, **value.pop("facts"), **value}
