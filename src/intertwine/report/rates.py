"""What figures of error rates are drawn from: small panels of curves, ROC or DET."""

from __future__ import annotations

from dataclasses import dataclass

TARGET, SOURCE, MAPPED, CHOSEN = "target", "source", "mapped", "chosen"


@dataclass(frozen=True)
class RateLine:
    """One curve of error rates.

    Points are (false accept rate, y), both shares of 1, from strict to lenient. The kind is
    `target` or `source` (a network by itself), `mapped`, or `chosen`, a map to look at.
    """

    points: list[tuple[float, float]]
    kind: str


@dataclass(frozen=True)
class RocPanel:
    """One small figure: whose it is, what to see in it, and its curves, the last on top."""

    title: str
    findings: list[str]
    lines: list[RateLine]


@dataclass(frozen=True)
class Rates:
    """Small figures over common axes, in reading order.

    The legend names each kind of curve with its meaning. Limits are the ends of the axes, shares of
    1; rates beyond them are drawn at the edge. With `deviate` both axes are normal deviates (DET);
    else x is logarithmic and y linear (ROC).
    """

    x_title: str
    y_title: str
    legend: list[tuple[str, str]]
    panels: list[RocPanel]
    x_limits: tuple[float, float]
    y_limits: tuple[float, float]
    deviate: bool
