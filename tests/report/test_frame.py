import pytest

from intertwine.report.draw.colours import LIGHT
from intertwine.report.draw.frame import Grid, empty_figure, flow


@pytest.mark.parametrize(("height", "expected"), [(None, 2.0), (1.5, 1.5)])
def test_panels_tile_a_figure(height, expected):
    """Panels stand in rows from the top, equally far apart, and end above the foot."""
    grid = Grid(
        n=5,
        columns=2,
        across=5.0,
        left=0.5,
        right=0.2,
        gap=0.3,
        top=0.4,
        heading=0.25,
        axis=0.35,
        foot=0.1,
        height=height,
    )
    figure = empty_figure((grid.across, grid.high), LIGHT)
    boxes = [grid.add_axes(figure, i).get_position() for i in range(grid.n)]
    assert [box.width * grid.across for box in boxes] == pytest.approx([2.0] * 5)
    assert [box.height * grid.high for box in boxes] == pytest.approx([expected] * 5)
    assert [box.x0 * grid.across for box in boxes] == pytest.approx([0.5, 2.8, 0.5, 2.8, 0.5])
    below = [(1 - box.y1) * grid.high - 0.4 - 0.25 for box in boxes]
    assert below == pytest.approx(
        [k * (0.25 + expected + 0.35) for k in (0, 0, 1, 1, 2)], abs=1e-12
    )
    assert boxes[-1].y0 * grid.high == pytest.approx(0.35 + 0.1)
    assert [grid.is_first(i) for i in range(5)] == [True, False, True, False, True]


def test_a_panel_is_no_wider_than_the_largest():
    """A single panel does not fill a wide page."""
    sides = dict.fromkeys(("left", "right", "gap", "top", "heading", "axis"), 0.1)
    assert Grid(n=1, columns=1, across=9.0, largest=4.0, **sides).side == 4.0


def test_entries_flow_onto_further_lines():
    """An entry that would end beyond the edge begins a line, unless it is the first of one."""
    assert flow([2, 2, 9, 1], 1, 6, gap=0.5) == [(1, 0), (3.5, 0), (1, 1), (1, 2)]
    assert flow([], 1, 6) == []
