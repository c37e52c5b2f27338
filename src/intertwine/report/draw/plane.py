"""The map of spaces: what is near is alike; directions mean nothing, so there are no axes."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from intertwine.report.draw.colours import LIGHT, Palette
from intertwine.report.draw.export import settings
from intertwine.report.draw.frame import empty_figure
from intertwine.report.draw.text import width, wrap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from intertwine.report.shapes import Plane

# All lengths are inches, all font sizes points.
WIDE, NARROW = (8.6, 5.6), (4.3, 4.6)
TEXT = 9.0
LINE = 1.25 / 72  # inches of line height a point
DOT = 0.05  # radius
MANY = 12  # more names than this find no room on a telephone
FOOT = 0.5  # height of the strip of the scale bar
NEAR, FARTHEST, STEP = 0.09, 1.4, 0.11  # how far names are from their points
FAR_COST = 0.003  # square inches an inch: a name would rather touch a path than be far off
DIRECTIONS = (0, 180, 90, 270, 45, 135, 315, 225, 20, 160, 340, 200, 65, 115, 245, 295)  # degrees

Box = tuple[float, float, float, float]  # left, top, right, bottom


def plane(content: Plane, palette: Palette = LIGHT, *, narrow: bool = False) -> Figure:
    """Draw the map with one scale for both directions.

    Names stand beside their points; one that found no room nearby has a line to its point.
    """
    with settings():
        size = NARROW if narrow else WIDE
        figure = empty_figure(size, palette)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, size[0])
        axes.set_ylim(size[1], 0)
        _frame(axes, size, palette)
        scale, places = _places(content, size)
        _paths(axes, content, places, palette)
        _points(axes, content, places, palette)
        names = _Names(size, places, _dotted(content, places), narrow=narrow)
        _names(axes, content, names, palette)
        _bar(axes, content.unit, scale, size, palette)
        if len(_shown(content, narrow=narrow)) < len(content.labels):
            muted: dict[str, Any] = {"fontsize": TEXT - 1.5, "color": palette.muted}
            at = (size[0] - 0.1, size[1] - 0.22)
            axes.text(*at, "first and last layers named", ha="right", va="center", **muted)
        return figure


def _places(content: Plane, size: tuple[float, float]) -> tuple[float, list[tuple[float, float]]]:
    """Return inches a unit, and where each point is in inches from the top left corner."""
    room = (size[0] - 2 * min(1.3, 0.22 * size[0]), size[1] - FOOT - 0.75)
    xs, ys = zip(*content.points, strict=True)
    spans = (max(xs) - min(xs), max(ys) - min(ys))
    scale = min((r / s for r, s in zip(room, spans, strict=True) if s > 0), default=1.0)
    centre = ((max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2)
    middle = (size[0] / 2, (size[1] - FOOT) / 2)
    return scale, [
        (middle[0] + scale * (x - centre[0]), middle[1] - scale * (y - centre[1]))
        for x, y in content.points
    ]


def _frame(axes: Any, size: tuple[float, float], palette: Palette) -> None:
    left, top, right, bottom = 0.02, 0.02, size[0] - 0.02, size[1] - FOOT + 0.06
    xs, ys = (left, right, right, left, left), (top, top, bottom, bottom, top)
    axes.plot(xs, ys, color=palette.rule, linewidth=0.8, zorder=0.2)


def _paths(axes: Any, content: Plane, places: list[tuple[float, float]], palette: Palette) -> None:
    for path in content.paths:
        xs, ys = zip(*(places[i] for i in path), strict=True)
        axes.plot(xs, ys, color=palette.faint, linewidth=1.1, zorder=1)


def _points(axes: Any, content: Plane, places: list[tuple[float, float]], palette: Palette) -> None:
    for i, ((x, y), label) in enumerate(zip(places, content.labels, strict=True)):
        axes.plot(
            [x],
            [y],
            "o",
            gid=f"space-{i}",
            markersize=2 * DOT * 72,
            markerfacecolor=palette.paper if label.control else palette.accent,
            markeredgecolor=palette.muted if label.control else palette.paper,
            markeredgewidth=1.0,
        )


def _dotted(content: Plane, places: list[tuple[float, float]]) -> list[Box]:
    """Return small boxes along the paths, which names keep clear of where they can."""
    boxes = []
    for path in content.paths:
        for one, other in itertools.pairwise(places[i] for i in path):
            steps = max(round(math.dist(one, other) / DOT), 1)
            for k in range(steps + 1):
                x, y = (a + k / steps * (b - a) for a, b in zip(one, other, strict=True))
                boxes.append(_box((x, y), 0.02, 0.02))
    return boxes


@dataclass
class _Names:
    """Finds room for names, one after the other."""

    size: tuple[float, float]
    places: list[tuple[float, float]]
    paths: list[Box]
    narrow: bool
    taken: list[Box] = field(default_factory=list)

    def place(self, index: int, lines: list[str]) -> tuple[float, float, float]:
        """Return the middle of a name, and how far it is from its point."""
        wide = max(width(line, TEXT) for line in lines)
        high = len(lines) * TEXT * LINE
        x, y = self.places[index]
        best, least = (x, y, 0.0), math.inf
        for k in range(round((FARTHEST - NEAR) / STEP) + 1):
            distance, far = NEAR + k * STEP, FAR_COST * k * STEP
            if far >= least:
                break
            for degrees in DIRECTIONS:
                dx, dy = math.cos(math.radians(degrees)), -math.sin(math.radians(degrees))
                at = (x + dx * (distance + wide / 2), y + dy * (distance + high / 2))
                cost = far + self._overlap(_box(at, wide, high))
                if cost < least:
                    best, least = (*at, distance), cost
        self.taken.append(_box(best[:2], wide, high))
        return best

    def _overlap(self, box: Box) -> float:
        """Return the area that a name would share with others, with points, and with the edge."""
        dots = [_box(place, 2.6 * DOT, 2.6 * DOT) for place in self.places]
        frame = (0.08, 0.06, self.size[0] - 0.08, self.size[1] - FOOT)
        area = (box[2] - box[0]) * (box[3] - box[1])
        outside = area - _shared(box, frame)
        shared = sum(_shared(box, other) for other in (*self.taken, *dots, *self.paths))
        return 10 * outside + shared if outside > 1e-9 else shared


def _box(middle: tuple[float, float], wide: float, high: float) -> Box:
    x, y = middle
    return (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)


def _shared(one: Box, other: Box) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(across, 0.0) * max(down, 0.0)


def _names(axes: Any, content: Plane, names: _Names, palette: Palette) -> None:
    room = 1.2 if names.narrow else 2.0
    shown = _shown(content, narrow=names.narrow)
    for i in sorted(shown, key=lambda i: -_nearest(names.places, i)):
        label = content.labels[i]
        lines = wrap(label.name, room, TEXT, lines=3)
        x, y, distance = names.place(i, lines)
        at = names.places[i]
        if distance > NEAR + 1.5 * STEP:
            line = {"color": palette.faint, "linewidth": 0.6, "zorder": 0.5}
            axes.plot([at[0], x], [at[1], y], **line)
        ground = {"facecolor": palette.paper, "edgecolor": "none", "pad": 0.3}
        axes.text(
            x,
            y,
            "\n".join(lines),
            fontsize=TEXT,
            ha="center",
            va="center",
            linespacing=1.2,
            color=palette.muted if label.control else palette.ink,
            style="italic" if label.control else "normal",
            bbox=ground if distance > NEAR + 1.5 * STEP else None,
            parse_math=False,
        )


def _shown(content: Plane, *, narrow: bool) -> list[int]:
    """Return which spaces are named: all, but of long paths on a telephone the ends only."""
    n = len(content.labels)
    inner = {i for path in content.paths for i in path[1:-1]} if narrow and n > MANY else set()
    return [i for i in range(n) if i not in inner]


def _nearest(places: list[tuple[float, float]], index: int) -> float:
    """Return how far a point is from the nearest other one; the lonely are named first."""
    others = [math.dist(places[index], p) for i, p in enumerate(places) if i != index]
    return min(others, default=math.inf)


def _bar(axes: Any, unit: str, scale: float, size: tuple[float, float], palette: Palette) -> None:
    """Draw a length, which is the same in every direction."""
    longest = 0.28 * size[0] / scale
    power = 10.0 ** math.floor(math.log10(longest))
    length = max(step * power for step in (1, 2, 5) if step * power <= longest)
    left, y = 0.12, size[1] - 0.22
    right = left + length * scale
    axes.plot([left, right], [y, y], color=palette.muted, linewidth=1.2)
    for x in (left, right):
        axes.plot([x, x], [y - 0.04, y + 0.04], color=palette.muted, linewidth=1.2)
    text = f"{length:g} {unit}".strip()
    style = {"fontsize": TEXT, "color": palette.muted, "va": "center"}
    axes.text(right + 0.1, y, text, parse_math=False, **style)
