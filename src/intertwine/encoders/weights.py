"""The option `weights`: the network's own, those of a file, or fresh ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.storage.untrusted import is_count

if TYPE_CHECKING:
    from intertwine.encoders.uri import EncoderUri

RANDOM = "random:"


@dataclass(frozen=True)
class Weights:
    """Which weights a URI asks for; its own when neither is set."""

    file: Path | None = None
    # Of fresh ones, the untrained control.
    seed: int | None = None


def asked_weights(uri: EncoderUri, *, files: bool = True) -> Weights:
    """Return which weights a URI's option `weights` asks for; with `files` it may name a file."""
    value = uri.options.get("weights")
    if value is None:
        return Weights()
    seed = value.removeprefix(RANDOM)
    if value.startswith(RANDOM) and is_count(seed):
        return Weights(seed=int(seed))
    if files and not value.startswith("random") and Path(value).is_file():
        return Weights(file=Path(value))
    a_file = "a file that is there, or " if files else ""
    raise InputError(
        f"{uri.where}: got weights={value}, expected {a_file}weights=random:SEED "
        "with a whole number, such as random:0"
    )
