"""What a store offers only when all of it is there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.arrays import Array
    from intertwine.stores.store import Batch, Mark, Store, Target


class WhenWhole(ABC):
    """Reads and searches finished files; before, an error says that they are not finished."""

    @abstractmethod
    def whole(self) -> Store:
        """Return the finished files as a store."""

    def batches(self, size: int, after: Any = None) -> Iterator[Batch]:
        """Give all items of the finished files."""
        return self.whole().batches(size, after)

    def sample(self, size: int) -> Batch:
        """Return some items of the finished files."""
        return self.whole().sample(size)

    def read(self, ids: Sequence[Any]) -> Array:
        """Return vectors of the finished files, a row of NaN where there is none."""
        return self.whole().read(ids)

    def search(self, queries: Array, k: int) -> list[list[Any]]:
        """Return the nearest items of each query among the finished files."""
        return self.whole().search(queries, k)

    def target(self, text: str, mark: Mark) -> Target:
        """Return the place beside the finished files that another address names."""
        return self.whole().target(text, mark)
