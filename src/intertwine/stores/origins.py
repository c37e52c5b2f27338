"""A note at each item that a migration writes: from which content of the source it was made."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

# The column or payload key, in a target, that holds the note; it never gets under the source's name.
ORIGIN = "intertwine_origin"
# How a vector came about: mapped, or kept as the source's name had it when it was rolled back.
MAPPED, KEPT = "mapped", "kept"


@dataclass(frozen=True)
class Origin:
    """Digests of what an item of a target was made from; items without one were written by others.

    `old` is of the source's vector, `rest` of everything else there, `new` of the vector as it was
    written: another one there now means that somebody changed it. `how` is `mapped` or `kept`.
    """

    old: str
    rest: str
    new: str = ""
    how: str = MAPPED

    def to_text(self) -> str:
        """Return the note as a word of text."""
        return f"{self.how}:{self.old}:{self.rest}:{self.new}"

    @classmethod
    def from_text(cls, text: object) -> Origin | None:
        """Return the note that a text holds; None for anything else."""
        parts = text.split(":") if isinstance(text, str) else []
        if len(parts) != 4 or parts[0] not in {MAPPED, KEPT}:
            return None
        how, old, rest, new = parts
        return cls(old, rest, new, how)

    def same_source(self, other: Origin) -> bool:
        """Whether two items were made from the same content."""
        return (self.old, self.rest) == (other.old, other.rest)


def digest(content: bytes) -> str:
    """Return 8 bytes that tell contents apart, as text."""
    return blake2b(content, digest_size=8).hexdigest()
