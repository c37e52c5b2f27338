"""The colours of every report: two themes, one ramp for losses, one for gains.

Losses are reds and gains blues, each of monotone lightness, so that they stay apart and in order
for a colour-blind reader and in grey print. Figures for the page are drawn in `SENTINELS`, colours
that mean nothing; each is then replaced by a CSS variable, so that the figure follows the theme.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

READABLE = 4.5  # WCAG 2 AA contrast for body text


@dataclass(frozen=True)
class Palette:
    """The colours of one theme.

    `paper`, `panel` and `rule` are ground, raised ground and hairlines; `ink`, `muted` and `faint`
    text, secondary text and thin lines of a figure; `accent` is the one thick line. `loss` and
    `gain` are ramps from nothing to everything.
    """

    paper: str
    panel: str
    rule: str
    ink: str
    muted: str
    faint: str
    accent: str
    loss: tuple[str, ...]
    gain: tuple[str, ...]

    def named(self) -> dict[str, str]:
        """Return the single colours by name, as the style sheet calls them."""
        names = ("paper", "panel", "rule", "ink", "muted", "faint", "accent")
        return {name: getattr(self, name) for name in names}


LIGHT = Palette(
    paper="#ffffff",
    panel="#f3f5f8",
    rule="#d5dbe3",
    ink="#14181f",
    muted="#56606d",
    faint="#9aa5b3",
    accent="#b3261e",
    loss=("#fff9f6", "#fde4db", "#f9c0ae", "#ef9079", "#d9573f", "#b02a20", "#7c1014"),
    gain=("#f5faff", "#d3e6f7", "#9cc8ea", "#5499d0", "#2166a5", "#0b3a70"),
)
DARK = Palette(
    paper="#101318",
    panel="#191e25",
    rule="#313944",
    ink="#e9edf2",
    muted="#9fabb9",
    faint="#6d7886",
    accent="#ff7a66",
    loss=("#1d1a1c", "#37201f", "#572621", "#7b2b22", "#a03226", "#c23c2d", "#d14434"),
    gain=("#171d25", "#18304a", "#1a466e", "#1c5c92", "#2072b0"),
)
SENTINELS = Palette(
    paper="#010203",
    panel="#010204",
    rule="#010205",
    ink="#010206",
    muted="#010207",
    faint="#010208",
    accent="#010209",
    loss=LIGHT.loss,
    gain=LIGHT.gain,
)


def cell_colour(palette: Palette, shade: float | None) -> str:
    """Return the ground of a cell: −1 the deepest loss, 1 the deepest gain, None the paper."""
    if shade is None:
        return palette.paper
    return _mix(palette.gain if shade > 0 else palette.loss, abs(shade))


def ink_on(palette: Palette, ground: str) -> str:
    """Return a text colour that reads on a ground: the theme's own where it does."""
    choices = (palette.ink, "#ffffff", "#000000")
    return next((ink for ink in choices if contrast(ink, ground) >= READABLE), "#000000")


def contrast(one: str, other: str) -> float:
    """Return the WCAG 2 contrast ratio of two colours, 1 … 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _mix(ramp: tuple[str, ...], where: float) -> str:
    position = min(max(where, 0.0), 1.0) * (len(ramp) - 1)
    start = min(math.floor(position), len(ramp) - 2)
    weight = position - start
    pairs = zip(_channels(ramp[start]), _channels(ramp[start + 1]), strict=True)
    return "#" + "".join(f"{round(a + weight * (b - a)):02x}" for a, b in pairs)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4  # sRGB to linear light
        for c in (channel / 255 for channel in _channels(colour))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
