"""Where and how an encoder's network runs."""

from __future__ import annotations

from dataclasses import dataclass

from intertwine.errors import InputError
from intertwine.parallel.threads import available_cores
from intertwine.storage.untrusted import is_count

PRECISIONS = ("float32", "bfloat16")
DEVICES = "cpu, cuda, cuda:N or mps"


@dataclass(frozen=True)
class Execution:
    """Where and how an encoder's network runs."""

    # On the CPU; the number of cores when None.
    threads: int | None = None
    device: str = "cpu"
    # Of the network's products.
    precision: str = "float32"

    def __post_init__(self) -> None:
        kind, colon, number = self.device.partition(":")
        numbered = kind == "cuda" and is_count(number) if colon else True
        if kind not in {"cpu", "cuda", "mps"} or not numbered:
            raise InputError(f"got device {self.device!r}, expected {DEVICES}")
        if self.precision not in PRECISIONS:
            raise InputError(
                f"got precision {self.precision!r}, expected one of {', '.join(PRECISIONS)}"
            )
        if self.threads is not None and self.threads < 1:
            raise InputError(f"got threads = {self.threads}, expected at least 1")

    @property
    def cores(self) -> int:
        """Threads on the CPU, the default filled in."""
        return self.threads or available_cores()

    def require_plain(self, where: str) -> None:
        """Raise unless this is float32 on the CPU, all that some ecosystems' runners do."""
        if (self.device, self.precision) != ("cpu", "float32"):
            raise InputError(
                f"{where}: got device {self.device} and precision {self.precision}, "
                "but such networks run on the cpu in float32"
            )
