"""Pairs of maps into a shared space, and reading map files of either kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from intertwine.errors import InputError, SpaceMismatchError
from intertwine.maps.linear_map import HEADER, LinearMap, date_text, facts_of
from intertwine.storage.files import read_header, read_tensors, write_tensors
from intertwine.storage.untrusted import damage_as_error, require_shape

if TYPE_CHECKING:
    import os
    from datetime import datetime

    from intertwine.numerics.arrays import Array


@dataclass(frozen=True)
class MapPair:
    """Two maps into one shared space, where both sides may be compared.

    Parameters
    ----------
    source, target
        Maps from the two spaces into the shared one.
    """

    source: LinearMap
    target: LinearMap

    def __post_init__(self) -> None:
        for each in (self.source, self.target):
            each.require_affine("a pair of maps")
        if self.source.target != self.target.target:
            raise SpaceMismatchError(
                f"got maps into {self.source.target.name} and {self.target.target.name}, "
                "expected one shared space"
            )

    @property
    def name(self) -> str:
        """`SOURCE--TARGET`, the stem of its file."""
        return f"{self.source.source.name}--{self.target.source.name}"

    @property
    def info(self) -> dict[str, Any]:
        """What is known of the fit: that of the source's map."""
        return self.source.info

    def with_info(self, **facts: Any) -> MapPair:
        """Return the pair with more facts on its fit, as `LinearMap.with_info` does."""
        return replace(self, source=self.source.with_info(**facts))

    @cached_property
    def _through(self) -> LinearMap:
        return self.to_map()

    @overload
    def apply(self, features: Array) -> Array: ...
    @overload
    def apply(self, features: Any) -> Any: ...
    def apply(self, features: Any) -> Any:
        """Map features of the source, (n, d_source), through the shared space to the target's.

        Parameters, result and errors are those of `LinearMap.apply`. Where both sides are at hand,
        `source.apply` and `target.apply` compare them in the shared space.
        """
        return self._through.apply(features)

    __call__ = apply

    def __repr__(self) -> str:
        source, shared, target = self.source.source, self.source.target, self.target.source
        ends = f"{source.name} ({source.dim}) → {shared.name} ({shared.dim}) ← {target.name} ({target.dim})"
        return f"<MapPair {ends}: {', '.join([self.source.method, *facts_of(self.source.info)])}>"

    def to_map(self) -> LinearMap:
        """Return the one map source → shared → target, through the pseudo-inverse of the second."""
        there = self.target.inverse().compose(self.source)
        first = self.source
        return replace(there, method=first.method, info=first.info, fitted_on=first.fitted_on)

    def save(self, path: str | os.PathLike[str], *, created: datetime | None = None) -> None:
        """Write both maps as one checked safetensors file."""
        sides = {"source": self.source, "target": self.target}
        tensors = {f"{side}/{k}": v for side, m in sides.items() for k, v in m.tensors().items()}
        header: dict[str, Any] = {side: m.header() for side, m in sides.items()}
        write_tensors(
            path, tensors, kind="map pair", header={**header, "created": date_text(created)}
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MapPair:
        """Read a pair that `save` wrote.

        Raises
        ------
        FileFormatError
            When the file is altered, cut, or of another kind.
        """
        tensors, header = read_tensors(path, kind="map pair")
        require_shape(header, {"source": HEADER, "target": HEADER}, path)

        def side(name: str) -> LinearMap:
            arrays = {
                key.removeprefix(f"{name}/"): value
                for key, value in tensors.items()
                if key.startswith(f"{name}/")
            }
            return LinearMap.from_parts(arrays, header[name])

        with damage_as_error(path, "a map pair"):
            return cls(side("source"), side("target"))


def load_map(path: str | os.PathLike[str]) -> LinearMap:
    """Read a map, or a pair of maps as the one map through their shared space.

    Raises
    ------
    FileFormatError
        When the file is neither, or altered.
    """
    if not Path(path).exists() or Path(path).is_dir():
        raise InputError(f"{path}: no such map file")
    if read_header(path).get("kind") == "map pair":
        return MapPair.load(path).to_map()
    return LinearMap.load(path)
