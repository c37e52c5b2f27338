import csv
import json
import math
import re
import struct
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from scipy.cluster.hierarchy import cophenet
from tests.studies.similarity.similarity_result import CONTROL, MEASURES, build_result, undefined

from intertwine.errors import InputError
from intertwine.report import draw
from intertwine.report.render.latex import latex_table
from intertwine.studies.similarity.lookup import SimilarityStudy
from intertwine.studies.similarity.page import summarise_similarity
from intertwine.studies.similarity.report import write_similarity_report
from intertwine.studies.similarity.sentences import prediction

FEW = ("cka_debiased", "procrustes", "r2")
TABLES = ("pairs", "spaces", "measures", "layers", "interchangeability", "spectra")
HOSTILE = "<script>alert('x')</script> & \"quoted\""
LONG = "tf_efficientnetv2_b3.in21k_ft_in1k-with-a-name-of-60-letters"
REASON = "n = 900 rows are too few: unrelated spaces reach 1 too"
VOID = frozenset({"meta", "br", "wbr", "use", "path", "input"})


class Page(HTMLParser):
    """Collects ids, tags, what a page would fetch, and whether its tags are balanced."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.tags, self.ids, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note a tag."""
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        links = [v for name, v in attrs if name in {"src", "href", "xlink:href"}]
        self.fetched += [value for value in links if not value.startswith("#")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Note a tag that closes itself."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        """Check that what closes was open."""
        if tag not in VOID:
            assert self.open.pop() == tag


def summary(result):
    """Return what the page of a result shows."""
    return summarise_similarity(SimilarityStudy.of(result))


def spoken(text):
    """Return text with ordinary spaces and hyphens, without optional breaks."""
    for odd, usual in (("\u202f", " "), ("\u00a0", " "), ("−", "-"), ("<wbr>", "")):
        text = text.replace(odd, usual)
    return " ".join(text.split())


@pytest.fixture(scope="module")
def result():
    """Return an ordinary result."""
    return build_result(measures=FEW)


@pytest.fixture(scope="module")
def folder(result, tmp_path_factory):
    """Return the folder of its report."""
    return write_similarity_report(result, tmp_path_factory.mktemp("report")).parent


@pytest.fixture(scope="module")
def html(folder):
    """Return its page."""
    return (folder / "report.html").read_text(encoding="utf-8")


def test_folder_holds_every_file_and_no_other(folder):
    """The report folder holds each promised file, none empty, and no leftover."""
    figures = [
        f"{n}.{k}" for n in ("similarity", "dendrogram", "map", "swaps") for k in ("png", "svg")
    ]
    heatmaps = [f"heatmap-{name}.png" for name in FEW]
    tables = [f"{name}.csv" for name in TABLES]
    others = ["report.html", "report.json", "similarity.tex"]
    assert {path.name for path in folder.iterdir()} == {*figures, *heatmaps, *tables, *others}
    assert all(path.stat().st_size for path in folder.iterdir())


@pytest.mark.slow
@pytest.mark.usefixtures("figure_files")
def test_rendered_again_from_its_json_the_same_bytes(folder, result, tmp_path):
    """report.json holds what was given, and a report made from it has the same bytes."""
    again = json.loads((folder / "report.json").read_text())
    assert again == result
    write_similarity_report(again, tmp_path)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.slow
def test_figures_of_an_earlier_report_do_not_stay(tmp_path):
    """A report without swaps leaves no figure of swaps behind, and nobody else's file is touched."""
    for name in ("swaps.png", "swaps.svg", "heatmap-rsa.png", "heatmap-mine.png"):
        (tmp_path / name).write_bytes(b"old")
    write_similarity_report(build_result(2, swaps=False, measures=FEW), tmp_path)
    assert not list(tmp_path.glob("swaps.*"))
    assert not (tmp_path / "heatmap-rsa.png").exists()
    assert (tmp_path / "heatmap-mine.png").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["pairs", "spaces", "interchangeability", "layers"])
def test_csv_reads_back_exactly(folder, result, name):
    """Every number of a CSV reads back to the same float, null as an empty field."""
    with (folder / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, expected in zip(rows, result[name], strict=True):
        for key, value in expected.items():
            if value is None:
                assert not row[key]
            elif isinstance(value, float):
                assert float(row[key]) == value
            elif isinstance(value, str):
                assert row[key] == value


def test_spectra_are_in_long_form(folder, result):
    """Each canonical correlation is a line of its own, numbered from one."""
    with (folder / "spectra.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = [
        (row["source"], row["target"], i + 1, rho)
        for row in result["spectra"]
        for i, rho in enumerate(row["rho"])
    ]
    assert [(r["source"], r["target"], int(r["index"]), float(r["rho"])) for r in rows] == expected


def test_page_is_well_formed_and_fetches_nothing(html):
    """Tags are balanced, no id occurs twice, and the page refers to nothing outside itself."""
    page = Page(html)
    assert page.open == []
    assert page.fetched == []
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"url\(http|@import|https?://", html)
    assert page.tags.count("svg") == 1 + 2 * 3
    assert "#0102" not in html


def test_reader_picks_a_measure_without_a_script(html):
    """Each measure has a radio button with a label and a heatmap; the headline is chosen at first."""
    inputs = re.findall(r'<input type="radio" name="measure" id="([^"]+)"( checked)?>', html)
    labels = re.findall(r'<label for="([^"]+)">([^<]+)</label>', html)
    assert [key for key, _ in inputs] == [key for key, _ in labels]
    chosen = [title for (_, title), (_, checked) in zip(labels, inputs, strict=True) if checked]
    assert chosen == ["Debiased linear CKA"]
    assert html.count('<figure class="matrix">') == len(FEW)


def test_cells_show_calibrated_raw_and_interval(result):
    """A cell shows the calibrated score large, the raw score and its interval small."""
    cell = heatmap(summary(result), "procrustes").cells[0][1]
    row = result["pairs"][1]
    assert spoken(cell.value) == f"{row['procrustes_calibrated']:.2f}"
    assert spoken(cell.change) == f"raw {row['procrustes']:.2f}"
    low, high = row["procrustes_low"], row["procrustes_high"]
    assert spoken(cell.interval) == f"{low:.2f} to {high:.2f}"
    assert cell.shade == row["procrustes_calibrated"]
    said = spoken(" ".join(cell.detail))
    assert f"95 % interval {low:.3f} to {high:.3f}" in said
    assert f"null {row['procrustes_null']:.3f}" in said


def test_where_the_null_is_0_a_number_stands_once(result):
    """A raw score that is the calibrated one is left out, and the note says why."""
    page = summary(result)
    assert {cell.change for row in page.matrix.cells for cell in row} == {""}
    assert "the null is 0, so the raw score is the same" in page.matrix.notes[0]
    assert page.matrix.cells[0][1].interval
    assert "the raw score with its" in heatmap(page, "procrustes").notes[0]


def heatmap(page, name):
    """Return the main figure of one measure."""
    return next(each.matrix for each in page.more["heatmaps"] if each.name == name)


def test_the_example_is_of_a_measure_whose_null_is_not_0(result):
    """The worked example names its measure and subtracts a null that is not 0."""
    page = summary(result)
    said = spoken(page.example)
    assert said.startswith("For example, by Procrustes angle ")
    numbers = re.search(r"shows \((.*) - (.*)\) / \(0 - (.*)\) = (.*)\.$", said)
    raw, null, again, calibrated = (float(each) for each in numbers.groups())
    assert null == again == 1.25
    assert (raw - null) / -null == pytest.approx(calibrated, abs=0.01)


def test_pairs_with_a_control_are_counted_apart(result):
    """Pairs are counted among the networks of the title, those with a control beside them."""
    said = spoken(summary(result).sizes)
    assert said.startswith("6 pairs of 4 networks, and 4 pairs with a control, over ")
    alone = build_result(4, control=False, measures=FEW)
    assert spoken(summary(alone).sizes).startswith("6 pairs of 4 networks, over ")


def test_a_map_of_equal_distances_says_so(result):
    """Where all distances are nearly equal, the page says that groups in its map may be none."""
    assert "nearly equal" not in summary(result).facts["share"]
    flat = json.loads(json.dumps(result))
    for number, row in enumerate(flat["pairs"]):
        row["procrustes"] = 0.0 if row["source"] == row["target"] else 1.2 + number / 1000
    said = spoken(summary(flat).facts["share"])
    assert "All distances are nearly equal, from 1.20 to 1.22 rad" in said


def test_symmetric_measures_give_symmetric_matrices(result):
    """A symmetric measure shows the same numbers on both sides, a directed one need not."""
    for heatmap in summary(result).more["heatmaps"]:
        shown = [[(cell.value, cell.interval) for cell in row] for row in heatmap.matrix.cells]
        turned = [list(row) for row in zip(*shown, strict=True)]
        assert (shown == turned) is (heatmap.name != "r2")
        n = len(shown)
        assert len(heatmap.scores.rows) == (
            n * (n - 1) if heatmap.name == "r2" else n * (n - 1) // 2
        )


def test_smaller_is_more_similar_is_said(html):
    """The page says that a small Procrustes angle means similar, and that PWCCA and R² run one way."""
    said = spoken(html)
    assert "Smaller raw scores are more similar" in said
    assert "0 to π/2; smaller is more similar" in said
    assert "Not symmetric: from the space of the row to that of the column." in said


def test_controls_stand_last_and_apart(result):
    """A control is last, grey, and in neither the finding nor the most and least alike."""
    moved = result | {"spaces": [result["spaces"][-1], *result["spaces"][:-1]]}
    page = summary(moved)
    assert [label.control for label in page.matrix.labels] == [False] * 4 + [True]
    assert {cell.kind for cell in page.matrix.cells[-1]} == {"control"}
    assert CONTROL not in page.lede
    assert CONTROL in page.tiles[2].where


def test_lede_names_the_extremes(result):
    """The finding is the most and the least similar pair, by the calibrated headline score."""
    rows = [r for r in result["pairs"] if r["source"] != r["target"] and not r["control"]]
    best = max(rows, key=lambda row: row["cka_debiased_calibrated"])
    worst = min(rows, key=lambda row: row["cka_debiased_calibrated"])
    most, least = summary(result).lede.split("Least alike")
    for row, text in ((best, most), (worst, least)):
        assert row["source"] in text
        assert row["target"] in text
        assert f"{row['cka_debiased_calibrated']:.2f}" in text


@pytest.mark.slow
def test_undefined_is_a_dash_with_its_reason(result, tmp_path):
    """A null score is an en dash that says why, in the cell, under the figure and in the table."""
    broken = undefined(result, "cka_debiased", REASON, keep=("",))
    page = summary(broken)
    assert page.lede == f"No pair has a defined calibrated score (debiased linear CKA): {REASON}."
    cell = page.matrix.cells[0][1]
    assert (cell.value, cell.shade) == ("–", None)
    assert cell.change.startswith("raw")
    assert f"– is undefined: {REASON}" in cell.detail
    assert f"– undefined in 25 cells: {REASON}." in page.matrix.notes
    html = write_similarity_report(broken, tmp_path).read_text()
    assert f'title="undefined: {REASON}">–<' in html
    assert "Why undefined" in html
    assert "None" not in html


@pytest.mark.slow
def test_report_without_a_number_is_still_a_page(result, tmp_path):
    """Nulls everywhere, no tree and no map give dashes and reasons, never the word None."""
    broken = result
    for name in FEW:
        broken = undefined(broken, name, REASON)
    gone = {
        "merges": [],
        "leaves": [],
        "points": [],
        "share": None,
        "reason": "an angle is missing",
    }
    empty = dict.fromkeys(("spearman", "ci_low", "ci_high", "p_value"))
    rows = [r | empty | {"reason": "too few networks"} for r in result["interchangeability"]]
    broken |= {
        "dendrogram": result["dendrogram"] | gone,
        "mds": result["mds"] | gone,
        "interchangeability": rows,
        **dict.fromkeys(("n_groups", "sample_rows", "precision", "closed_set")),
    }
    page = write_similarity_report(broken, tmp_path)
    html = page.read_text()
    assert "None" not in html
    assert "There is no tree: an angle is missing." in html
    assert "There is no map: an angle is missing." in html
    assert "is undefined: too few networks." in spoken(html)
    assert not (tmp_path / "map.png").exists()


@pytest.mark.slow
def test_swaps_may_be_absent(tmp_path):
    """Without a closed-set report the page has no part on interchangeability and no such figure."""
    html = write_similarity_report(build_result(2, swaps=False, measures=FEW), tmp_path).read_text()
    assert "interchangeability</h2>" not in html
    assert not (tmp_path / "swaps.png").exists()
    assert (tmp_path / "interchangeability.csv").read_text().startswith("measure,n_pairs")


def correlations(*rows):
    """Return a result whose measures have these rank correlations and intervals."""
    result = build_result(measures=FEW)
    keys = ("spearman", "ci_low", "ci_high")
    found = [
        row | dict(zip(keys, numbers, strict=True))
        for row, numbers in zip(result["interchangeability"], rows, strict=True)
    ]
    return SimilarityStudy.of(result | {"interchangeability": found})


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (((0.5, 0.1, 0.9), (0.8, 0.4, 0.95), (0.2, -0.3, 0.6)), "the intervals cannot tell"),
        (
            ((0.5, 0.1, 0.6), (0.9, 0.8, 0.95), (0.2, -0.3, 0.6)),
            "above that of every other measure",
        ),
        (((0.5, -0.1, 0.9), (0.6, -0.4, 0.9), (0.2, -0.3, 0.6)), "do not show that any measure"),
        (((0.5, None, None), (0.6, None, None), (None, None, None)), "cannot be said"),
    ],
    ids=["overlap", "apart", "nothing", "no interval"],
)
def test_best_predictor_is_claimed_only_when_intervals_allow(rows, said):
    """The best predictor is named, and called best only when its interval meets no other."""
    text = prediction(correlations(*rows))
    best = max((row[0] or -1.0, i) for i, row in enumerate(rows))[1]
    title = ("debiased linear CKA", "Procrustes angle", "linear predictivity R²")[best]
    assert f"best here is {title}" in text
    assert said in text


def test_scatter_leaves_controls_out_and_turns_distances(result):
    """A panel has a point for each ordered pair without a control, and angles run backwards."""
    swaps = summary(result).charts["swaps"].content
    assert [len(panel.points) for panel in swaps.panels] == [12] * 3
    assert [panel.falling for panel in swaps.panels] == [False, True, False]
    axes = draw.scatter(swaps).axes
    assert [ax.get_xlim()[0] > ax.get_xlim()[1] for ax in axes] == [False, True, False]


def test_tree_has_the_heights_of_the_linkage(result):
    """Two leaves meet in the drawn tree at the height at which SciPy says they do."""
    tree = summary(result).charts["dendrogram"].content
    expected = sorted(set(cophenet(result["dendrogram"]["merges"]).round(12)))
    assert sorted({round(join.height, 12) for join in tree.joins}) == pytest.approx(expected)
    assert tree.limit == math.pi / 2
    drawn = [line for line in draw.dendrogram(tree).axes[0].lines if line.get_gid()]
    assert len(drawn) == len(tree.labels) - 1


@pytest.mark.parametrize("narrow", [False, True])
def test_map_keeps_distances(result, narrow):
    """Drawn distances are the given ones times one scale for both directions."""
    page = summary(result)
    figure = draw.plane(page.charts["map"].content, narrow=narrow)
    dots = [line for line in figure.axes[0].lines if (line.get_gid() or "").startswith("space-")]
    drawn = [(line.get_xdata()[0], line.get_ydata()[0]) for line in dots]
    given = page.charts["map"].content.points
    pairs = [(i, j) for i in range(len(given)) for j in range(i)]
    ratios = [math.dist(drawn[i], drawn[j]) / math.dist(given[i], given[j]) for i, j in pairs]
    assert ratios == pytest.approx([ratios[0]] * len(ratios))
    assert figure.axes[0].get_xlim()[1] == figure.get_figwidth()


def test_map_of_one_place_is_drawn(result):
    """Spaces that all stand in one place still give a map."""
    points = [point | {"x": 0.1, "y": 0.1} for point in result["mds"]["points"]]
    page = summary(result | {"mds": result["mds"] | {"points": points}})
    assert draw.to_png(draw.plane(page.charts["map"].content))


@pytest.mark.quick("names0-False")
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("names", [("a", "b"), (LONG, "x" * 60), ("ab", LONG)])
def test_nothing_leaves_the_figures(names, narrow):
    """Whatever the names, every text of tree, map and scatter lies inside its figure."""
    result = build_result(2, control=False, measures=FEW)
    text = json.dumps(result)
    for old, new in zip(("googlenet", "mobilenet_v1"), names, strict=True):
        text = text.replace(f'"{old}"', f'"{new}"')
    page = summary(json.loads(text))
    plots = (
        (draw.dendrogram, page.charts["dendrogram"].content),
        (draw.plane, page.charts["map"].content),
        (draw.scatter, page.charts["swaps"].content),
    )
    for plot, content in plots:
        figure = plot(content, narrow=narrow)
        figure.draw_without_rendering()
        texts = [text for axes in figure.axes for text in axes.texts] + figure.texts
        boxes = [text.get_window_extent() for text in texts]
        assert min(box.x0 for box in boxes) >= -0.5
        assert max(box.x1 for box in boxes) <= figure.bbox.width + 0.5
        assert min(box.y0 for box in boxes) >= -0.5
        assert max(box.y1 for box in boxes) <= figure.bbox.height + 0.5


@pytest.mark.slow
def test_names_on_the_map_do_not_cover_each_other():
    """With eleven networks and a control no two names of the map overlap."""
    figure = draw.plane(summary(build_result(11, swaps=False, measures=FEW)).charts["map"].content)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    for i, one in enumerate(boxes):
        assert not any(one.shrunk(0.98, 0.8).overlaps(other) for other in boxes[:i])


@pytest.mark.slow
def test_figures_are_the_same_bytes_twice(result):
    """Drawn twice, each figure has the same bytes."""
    one, two = (summary(result).charts for _ in range(2))
    for name, chart in one.items():
        first, second = (draw.to_svg(chart.draw(each[name].content)) for each in (one, two))
        assert first == second


@pytest.mark.parametrize("name", ["similarity", "dendrogram", "map", "swaps"])
def test_svg_is_well_formed_xml(folder, name):
    """A standalone SVG parses and carries no date."""
    text = (folder / f"{name}.svg").read_text()
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314
    assert "<metadata>" not in text


@pytest.mark.slow
@pytest.mark.usefixtures("figure_files")
def test_layers_stand_in_groups(tmp_path):
    """Layers of one network stand together with a gap before the next, in page and figure alike."""
    result = build_result(24, n_layers=6, swaps=False, measures=FEW[:1])
    order = result["spaces"]
    mixed = result | {"spaces": [order[-1], *order[:-1:2], *order[1:-1:2]], "dendrogram": {}}
    page = summary(result)
    assert page.title == "How similar are these 24 layers of 4 networks?"
    assert page.matrix.starts == {6, 12, 18, 24}
    assert summary(mixed | {"mds": {}}).matrix.starts == {6, 12, 18, 24}
    assert page.charts["map"].content.paths == [list(range(k, k + 6)) for k in range(0, 24, 6)]
    html = write_similarity_report(result, tmp_path).read_text()
    assert html.count('<tr class="start">') == 4
    assert "Which layer matches which" in html
    width, _ = struct.unpack(">II", (tmp_path / "similarity.png").read_bytes()[16:24])
    assert width < 200 * 14


def test_many_spaces_show_one_number_a_cell():
    """With more than a dozen spaces a cell holds its calibrated score alone; the rest is on hover."""
    matrix = summary(build_result(18, n_layers=6, swaps=False, measures=FEW[:1])).matrix
    cell = matrix.cells[0][1]
    assert matrix.compact
    assert not cell.change
    assert not cell.interval
    assert any("interval" in line for line in cell.detail)
    lines = latex_table(matrix, label="tab:a").split(r"\midrule")[1].split(r"\bottomrule")[0]
    assert len(lines.strip().splitlines()) == len(matrix.labels)


@pytest.mark.slow
def test_one_network_beside_a_control_is_a_page(tmp_path):
    """With nothing but controls to compare with, the page says that there is no pair."""
    result = build_result(1, swaps=False, measures=FEW[:1])
    html = write_similarity_report(result, tmp_path).read_text()
    assert "How similar is one network to the controls?" in html
    assert "There is no pair without a control." in html


@pytest.mark.slow
@pytest.mark.usefixtures("figure_files")
def test_markup_in_names_and_notes_is_text(result, tmp_path):
    """Names and notes that look like markup are shown, not obeyed."""
    text = json.dumps(result).replace('"googlenet"', json.dumps(HOSTILE))
    page = write_similarity_report(json.loads(text) | {"notes": [HOSTILE]}, tmp_path)
    assert Page(page.read_text()).tags.count("script") == 1
    for name in ("similarity.svg", "dendrogram.svg", "map.svg"):
        assert not ET.parse(tmp_path / name).getroot().findall(".//{*}script")  # noqa: S314


def test_every_measure_is_explained():
    """All eleven measures have a row with formula, range, what they ignore, and source."""
    page = summary(build_result(2, control=False, swaps=False))
    rows = page.tables["measures"].rows
    assert [row[0].text for row in rows] == [measure[1] for measure in MEASURES]
    assert all(text.text for row in rows for text in row)
    assert rows[6][2].text == "−∞ to 1; larger is more similar; differs by direction"


def test_table_for_a_paper_is_ascii(folder):
    """The LaTeX table needs no input encoding and marks the control."""
    text = (folder / "similarity.tex").read_text()
    assert text.isascii()
    assert r"googlenet\_untrained$^\dagger$ &" in text


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"study": "closed-set"}, "got a report of the study 'closed-set', expected similarity"),
        ({"n": float("nan")}, "cannot be written as JSON"),
    ],
)
def test_wrong_object_is_refused(result, tmp_path, broken, message):
    """A report of another study, or one that JSON cannot hold, is refused and nothing written."""
    with pytest.raises(InputError, match=message):
        write_similarity_report(result | broken, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("target", None, "pairs[1] of this report: got target=null, expected a name"),
        (
            "cka_debiased_low",
            "few",
            "pairs[1].cka_debiased_low of this report: got 'few', expected a number",
        ),
    ],
)
def test_a_row_that_no_study_writes_is_refused(result, key, value, message):
    """A row with what no study writes is refused by its place and its field."""
    pairs = [dict(row) for row in result["pairs"]]
    pairs[1][key] = value
    with pytest.raises(InputError, match=re.escape(message)):
        SimilarityStudy.of(result | {"pairs": pairs})


def test_another_studys_report_is_named_as_such(make_report, tmp_path):
    """A whole closed-set report is refused by its study, not by what it lacks."""
    with pytest.raises(InputError, match="got a report of the study 'closed-set'"):
        write_similarity_report(make_report(2), tmp_path)


def test_missing_part_is_named(result, tmp_path):
    """A report that lacks a part is refused by the part's name."""
    part = {key: value for key, value in result.items() if key != "mds"}
    with pytest.raises(InputError, match="lacks mds; is it a similarity report"):
        write_similarity_report(part, tmp_path)
