import math

import numpy as np
import pytest
from scipy.stats import norm
from tests.studies.open_set.open_set_result import build_open_set
from tests.studies.open_set.test_report import LONG

from intertwine.report import draw
from intertwine.report.rates import CHOSEN, MAPPED, SOURCE, TARGET
from intertwine.studies.open_set.lookup import OpenSetStudy
from intertwine.studies.open_set.page import summarise_open_set


def summary(result):
    """Return what the page of a result shows."""
    return summarise_open_set(OpenSetStudy.of(result))


def lines_by_kind(panel, kind):
    """Return the curves of one kind in a panel."""
    return [line.points for line in panel.lines if line.kind == kind]


@pytest.fixture(scope="module")
def result():
    """Return an ordinary result."""
    return build_open_set()


def test_every_target_has_its_panel_with_the_worst_map_marked(result):
    """A target's panel has its own curve, all maps into it, and marks the largest EER of them."""
    panels = summary(result).charts["roc"].content.panels
    points = {
        (r["source"], r["target"]): list(zip(r["far"], r["tar"], strict=True))
        for r in result["roc"]
    }
    names = [row["space"] for row in result["natives"]]
    assert [panel.title for panel in panels] == names
    for panel, target in zip(panels, names, strict=True):
        into = [r for r in result["pairs"] if r["target"] == target and r["source"] != target]
        worst = max(into, key=lambda r: r["eer"])
        assert lines_by_kind(panel, TARGET) == [points[target, target]]
        assert lines_by_kind(panel, CHOSEN) == [points[worst["source"], target]]
        assert len(lines_by_kind(panel, MAPPED)) == len(into) - 1
        assert panel.findings[1].endswith(f"from {worst['source']}")


def test_det_shows_refusals(result):
    """A DET curve is the ROC's with 1 − TAR in place of TAR."""
    page = summary(result)
    for one, other in zip(
        page.charts["roc"].content.panels, page.charts["det"].content.panels, strict=True
    ):
        for roc, det in zip(one.lines, other.lines, strict=True):
            assert det.points == [(x, 1 - y) for x, y in roc.points]


@pytest.mark.slow
def test_many_networks_show_worst_median_and_best_pair():
    """With more than nine networks three pairs are shown, with both networks' own curves."""
    result = build_open_set(11)
    panels = summary(result).charts["roc"].content.panels
    off = sorted(
        (r for r in result["pairs"] if r["source"] != r["target"]), key=lambda r: -r["eer"]
    )
    for panel, name, i in zip(panels, ("Worst", "Median", "Best"), (0, 55, 109), strict=True):
        assert panel.title == f"{name}: {off[i]['source']} → {off[i]['target']}"
        assert [line.kind for line in panel.lines] == [SOURCE, TARGET, CHOSEN]


def test_legend_names_only_what_is_drawn():
    """With two networks there is no other map, and the legend has no entry for one."""
    assert [kind for kind, _ in summary(build_open_set(2)).charts["roc"].content.legend] == [
        TARGET,
        CHOSEN,
    ]
    assert [kind for kind, _ in summary(build_open_set(1)).charts["roc"].content.legend] == [TARGET]


def test_limits_are_half_of_one_pair(result):
    """The axes end at half of one pair, below which no rate can be told from 0."""
    page = summary(result)
    assert page.charts["roc"].content.x_limits == pytest.approx((0.5 / 3000, 1.0))
    assert page.charts["det"].content.y_limits == pytest.approx((0.5 / 3000, 0.5))


def test_roc_is_drawn_over_a_logarithmic_far(result):
    """The ROC's x axis is logarithmic, its y axis linear down to a tenth below the lowest curve."""
    content = summary(result).charts["roc"].content
    axes = draw.roc(content).axes[0]
    place = axes.transData.transform
    xs = [place((x, 1.0))[0] for x in (1e-3, 1e-2, 1e-1)]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1])
    lowest = min(y for p in content.panels for line in p.lines for x, y in line.points if x > 2e-4)
    assert axes.get_ylim() == pytest.approx((math.floor(10 * lowest) / 10, 1.0))


def test_det_axes_are_normal_deviates(result):
    """On a DET's axes a distance is one of SciPy's normal deviates, so these curves are straight."""
    axes = draw.roc(summary(result).charts["det"].content).axes[0]
    rates = np.array([1e-3, 0.01, 0.2, 0.4])
    place = np.array([axes.transData.transform((r, r)) for r in rates])  # (rates, 2)
    deviates = norm.ppf(rates)
    for axis in (0, 1):
        slope, offset = np.polyfit(deviates, place[:, axis], 1)
        assert place[:, axis] == pytest.approx(slope * deviates + offset)


@pytest.mark.quick("roc")
@pytest.mark.parametrize("deviate", [False, True], ids=["roc", "det"])
def test_figures_are_the_same_bytes_twice(result, deviate):
    """Drawn twice, a figure has the same bytes."""
    content = (
        summary(result).charts["det"].content if deviate else summary(result).charts["roc"].content
    )
    one, two = draw.roc(content), draw.roc(content)
    assert draw.to_svg(one) == draw.to_svg(two)
    assert draw.to_png(one) == draw.to_png(two)


@pytest.mark.slow
@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
@pytest.mark.parametrize("n_networks", [1, 7, 11])
@pytest.mark.parametrize("deviate", [False, True], ids=["roc", "det"])
def test_nothing_leaves_the_figure(n_networks, narrow, deviate):
    """Whatever the names and widths, every text lies inside the figure, no heading on another."""
    page = summary(build_open_set(n_networks))
    figure = draw.roc(
        page.charts["det"].content if deviate else page.charts["roc"].content, narrow=narrow
    )
    figure.draw_without_rendering()
    texts = list(figure.texts)
    for axes in figure.axes:
        texts += [*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels()]
        findings, title = (text.get_window_extent() for text in axes.texts)
        assert findings.y1 <= title.y0 + 1
        assert findings.y0 >= axes.get_window_extent().y1
    for box in (text.get_window_extent() for text in texts if text.get_text()):
        assert box.x0 >= -0.5
        assert box.y0 >= -0.5
        assert box.x1 <= figure.bbox.width + 0.5
        assert box.y1 <= figure.bbox.height + 0.5
    if n_networks == 7:
        assert any(LONG[:12] in text.get_text() for axes in figure.axes for text in axes.texts)


@pytest.mark.slow
def test_perfect_and_useless_networks_are_drawn(tmp_path):
    """Curves that are all 0, all 1 or a single point give finite figures."""
    result = build_open_set(3)
    perfect, useless = {"far": [0.0], "tar": [1.0]}, {"far": [0.0, 1.0], "tar": [0.0, 1.0]}
    for i, row in enumerate(result["roc"]):
        row.update(useless if i % 2 else perfect)
    page = summary(result)
    for content in (page.charts["roc"].content, page.charts["det"].content):
        path = tmp_path / "figure.svg"
        path.write_text(draw.to_svg(draw.roc(content)))
        assert "nan" not in path.read_text()


def test_curves_without_points_are_left_out():
    """A pair whose curve is empty has no line, and a report without any has no figure."""
    result = build_open_set(2)
    result["roc"][1] |= {"far": [], "tar": []}
    assert [len(panel.lines) for panel in summary(result).charts["roc"].content.panels] == [2, 1]
    for row in result["roc"]:
        row |= {"far": [], "tar": []}
    assert summary(result).charts["roc"].content is None
    assert summary(result).charts["det"].content is None
