"""Items that a rollback carries along in a store, and the notes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Items that a note names.
NAMED = 3


@dataclass
class Carried:
    """Items that were added, edited or removed since the switch and carried along by a rollback.

    Added ones have no old vector. `kind` is what the store calls items, such as `rows`, and `spell`
    returns an id as a note shows it.
    """

    kind: str
    spell: Callable[[Any], str]
    added: dict[Any, None] = field(default_factory=dict)
    edited: dict[Any, None] = field(default_factory=dict)
    removed: dict[Any, None] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self.added or self.edited or self.removed)

    def named(self, items: Iterable[Any]) -> str:
        """Return a few items in words."""
        return ", ".join(self.spell(item) for item in islice(items, NAMED))

    def notes(self, old: str, new: str) -> list[str]:
        """Return notes of them, by the names of the old place and the new one."""
        notes = []
        if self.added:
            are = "is" if len(self.added) == 1 else "are"
            notes.append(
                f"{self._after_the_switch('came', 'came', self.added)}, {are} in {old} without an old "
                f"vector, which no search finds; new vectors stay in {new}, and come back with the next "
                "switch"
            )
        if self.edited:
            keep = "keeps its edits" if len(self.edited) == 1 else "keep their edits"
            notes.append(
                f"{self._after_the_switch('was edited', 'were edited', self.edited)}, {keep}; old "
                "vectors are those of before"
            )
        if self.removed:
            stay = "stays" if len(self.removed) == 1 else "stay"
            deleted = self._after_the_switch("was deleted", "were deleted", self.removed)
            notes.append(f"{deleted}, {stay} deleted")
        return notes

    def _after_the_switch(self, was: str, were: str, items: dict[Any, None]) -> str:
        if len(items) == 1:
            return (
                f"1 {self.kind.removesuffix('s')} that {was} after the switch, {self.named(items)}"
            )
        return (
            f"{len(items)} {self.kind} that {were} after the switch, {self.named(items)} among them"
        )
