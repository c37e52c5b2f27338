"""What figures of error rates are drawn from: small panels of curves, ROC or DET."""

from __future__ import annotations

from dataclasses import dataclass

TARGET, SOURCE, MAPPED, CHOSEN = "target", "source", "mapped", "chosen"


@dataclass(frozen=True)
class RateLine:
    """One curve of error rates.

    Parameters
    ----------
    points
        (false accept rate, y), both shares of 1, from strict to lenient.
    kind
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
    """Small figures over common axes.

    Parameters
    ----------
    x_title, y_title
        What the axes measure.
    legend
        Each kind of curve with what it stands for.
    panels
        In reading order.
    x_limits, y_limits
        Ends of the axes, shares of 1; rates beyond them are drawn at the edge.
    deviate
        Whether both axes are normal deviates (DET); else x is logarithmic and y linear (ROC).
    """

    x_title: str
    y_title: str
    legend: list[tuple[str, str]]
    panels: list[RocPanel]
    x_limits: tuple[float, float]
    y_limits: tuple[float, float]
    deviate: bool
