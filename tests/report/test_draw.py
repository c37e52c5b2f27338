import struct
import sys

import matplotlib as mpl
import pytest

from intertwine.report import draw
from intertwine.report.draw.colours import DARK, LIGHT, READABLE, cell_colour, contrast, ink_on
from intertwine.report.draw.text import width, wrap, wrap_words
from intertwine.report.shapes import Cell, Label, Matrix
from intertwine.studies.closed_set.lookup import ClosedSetStudy
from intertwine.studies.closed_set.page import summarise_closed_set

LONG = "tf_efficientnet_lite4.in1k-some-extremely-long-name_with_many_parts.v2.0.1"
SHADES = [k / 50 for k in range(-50, 51)]


@pytest.fixture(scope="module")
def page(make_report):
    """Return the summary of an ordinary report."""
    return summarise_closed_set(ClosedSetStudy.of(make_report()))


def figures(page):
    """Return each figure, drawn anew."""
    return {
        "matrix": draw.matrix(page.matrix),
        "curve": draw.curve(page.charts["curve"].content),
        "narrow": draw.curve(page.charts["curve"].content, narrow=True),
    }


def png_size(data):
    """Return width and height of a PNG in pixels."""
    assert data.startswith(b"\x89PNG")
    return struct.unpack(">II", data[16:24])


@pytest.mark.slow
def test_figures_are_the_same_bytes_twice(page):
    """Drawn twice, a figure has the same bytes as SVG and as PNG."""
    for one, two in zip(figures(page).values(), figures(page).values(), strict=True):
        assert draw.to_svg(one) == draw.to_svg(two)
        assert draw.to_png(one) == draw.to_png(two)


@pytest.mark.slow
def test_figures_ignore_and_keep_the_users_settings(page):
    """A user's matplotlib settings change no figure and are as before afterwards."""
    expected = draw.to_svg(draw.matrix(page.matrix))
    with mpl.rc_context({"font.size": 31, "axes.grid": True, "svg.fonttype": "path"}):
        assert draw.to_svg(draw.matrix(page.matrix)) == expected
        assert mpl.rcParams["font.size"] == 31


@pytest.mark.slow
def test_pyplot_is_never_imported(page):
    """Drawing takes no global state: pyplot stays out."""
    before = set(sys.modules)
    draw.to_png(draw.matrix(page.matrix))
    assert "matplotlib.pyplot" not in set(sys.modules) - before


@pytest.mark.quick("2")
@pytest.mark.parametrize("n_networks", [2, 4, 12])
def test_png_has_the_figures_shape(make_report, n_networks):
    """A PNG is as large as its figure, and wider for more networks."""
    figure = draw.matrix(summarise_closed_set(ClosedSetStudy.of(make_report(n_networks))).matrix)
    inches = figure.get_size_inches()
    assert png_size(draw.to_png(figure)) == pytest.approx(200 * inches, abs=1)
    assert bool(inches[0] > 10) is (n_networks == 12)


@pytest.mark.quick("names0")
@pytest.mark.parametrize("names", [["a", "b"], [LONG, "x" * 90, "b"], [LONG] * 12])
def test_nothing_leaves_the_matrix_figure(names):
    """Whatever the names, every text lies inside the figure."""
    cell = Cell("100.00", "−100.00 %", "−100.00 to −100.00", shade=-1.0)
    content = Matrix(
        title="A title that is so long that it has to be broken onto a second line of the figure",
        row_title="features of",
        column_title="classifier of",
        labels=[Label(name, control=i == 1) for i, name in enumerate(names)],
        cells=[[cell] * len(names)] * len(names),
        legend=[],
        legend_title="",
        notes=["A note " * 40],
    )
    figure = draw.matrix(content)
    right, top = figure.bbox.width, figure.bbox.height
    for text in figure.axes[0].texts:
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= right
        assert box.y1 <= top


def test_intervals_fit_their_cells(make_report):
    """The widest interval that two decimals allow is narrower than a cell of twelve networks."""
    assert width("−99.85 to −99.79", 6.3) < 1.02
    page = summarise_closed_set(ClosedSetStudy.of(make_report(12, n_eval=50_000)))
    longest = max((c.interval for row in page.matrix.cells for c in row), key=len)
    assert width(longest, 6.3) < 1.02


@pytest.mark.quick("1281167-False")
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("n_fit", [2700, 1_281_167])
def test_nothing_leaves_the_curve_figure(make_report, narrow, n_fit):
    """Titles and names of the curve lie inside the figure, at the paper's scale too."""
    figure = draw.curve(
        summarise_closed_set(ClosedSetStudy.of(make_report(n_fit=n_fit))).charts["curve"].content,
        narrow=narrow,
    )
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for text in (*axes.texts, axes._left_title, axes.xaxis.label, *axes.get_yticklabels()):
        box = text.get_window_extent()
        assert box.x0 >= -0.5
        assert box.x1 <= figure.bbox.width + 0.5
        assert box.y1 <= figure.bbox.height


@pytest.mark.slow
def test_curve_of_nothing_is_drawn(make_report):
    """A curve without a point is an empty frame, not an error."""
    page = summarise_closed_set(ClosedSetStudy.of(make_report() | {"curve": [], "paper": None}))
    assert draw.to_png(draw.curve(page.charts["curve"].content))


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_reads_on_every_cell(palette):
    """Text has WCAG AA contrast on every shade of both ramps, and as secondary text."""
    for shade in [*SHADES, None]:
        ground = cell_colour(palette, shade)
        assert contrast(ink_on(palette, ground), ground) >= READABLE
    for ground in (palette.paper, palette.panel):
        assert contrast(palette.muted, ground) >= READABLE
    assert contrast(palette.accent, palette.paper) >= READABLE


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("sign", [-1, 1], ids=["loss", "gain"])
def test_ramps_deepen_without_a_turn(palette, sign):
    """The more is lost or gained, the further a cell stands from the paper."""
    steps = [contrast(cell_colour(palette, sign * k / 50), palette.paper) for k in range(1, 51)]
    assert steps == sorted(steps)


def test_page_svg_has_prefixed_ids_and_a_name(page):
    """A figure for the page has its own ids and says what it is."""
    svg = draw.to_svg(draw.curve(page.charts["curve"].content, draw.SENTINELS))
    element = draw.for_page(svg, prefix="a-", label='x < "y"')
    assert element.startswith("<svg viewBox=")
    assert 'aria-label="x &lt; &quot;y&quot;"' in element
    assert 'id="a-pair-0"' in element
    assert "url(#p" not in element
    assert "xmlns" not in element
    assert "var(--font)" in element


@pytest.mark.parametrize("name", ["resnet50", LONG, "x" * 200, "a.b-c_d e"])
@pytest.mark.parametrize("lines", [1, 2, 4])
def test_wrapped_names_fit(name, lines):
    """No line is wider than its room, there are not too many, and only long names lose letters."""
    parts = wrap(name, 1.0, 8.5, lines=lines)
    assert len(parts) <= lines
    assert all(width(part, 8.5) <= 1.0 for part in parts)
    if "…" not in "".join(parts):
        assert "".join(parts).replace(" ", "") == name.replace(" ", "")


def test_names_break_after_separators():
    """A name breaks where people would break it."""
    assert wrap("mobilenet_v3_large", 0.8, 8.5, lines=3) == ["mobilenet_", "v3_large"]


def test_sentences_break_at_spaces():
    """A sentence loses no word."""
    text = "one two three four five six seven"
    lines = wrap_words(text, 0.7, 9.0)
    assert len(lines) > 1
    assert " ".join(lines) == text
