import copy
import csv
import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from tests.studies.closed_set.closed_set_result import build_report
from tests.studies.open_set.open_set_result import build_open_set
from tests.studies.similarity.test_report import Page, spoken

from intertwine.errors import InputError
from intertwine.report.render import html_page
from intertwine.studies.closed_set.lookup import ClosedSetStudy
from intertwine.studies.closed_set.page import summarise_closed_set
from intertwine.studies.open_set.lookup import OpenSetStudy
from intertwine.studies.open_set.page import summarise_open_set
from intertwine.studies.open_set.report import write_open_set_report

TABLES = ("pairs", "natives", "folds", "curve", "roc")
FIGURES = {f"{name}.{kind}" for name in ("roc", "det", "curve", "rank") for kind in ("png", "svg")}
FILES = {
    *("report.html", "report.json", "table.png", "table.svg", "table.tex"),
    *(f"{name}.csv" for name in TABLES),
    *FIGURES,
}
HOSTILE = "<script>alert('x')</script> & \"quoted\""
LONG = "a-face-network-with-a-name-of-60-letters.trained_on_webface42"


def summary(result):
    """Return what the page of a result shows."""
    return summarise_open_set(OpenSetStudy.of(result))


def changed(path, value):
    """Return a small result with one thing in it replaced, or removed if None is given twice."""
    result = build_open_set(2)
    place = result
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return result


def without_numbers(value):
    """Return a result with every number gone, as after the worst of studies."""
    if isinstance(value, dict):
        return {key: without_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_numbers(item) for item in value]
    return None if isinstance(value, float | int) and not isinstance(value, bool) else value


def page_of(result):
    """Return the page of a result without its figures, which take long to draw."""
    figures = {name: {} for name in ("roc", "det", "curve", "rank")}
    return html_page("intertwine.studies.open_set", summary(result), figures)


@pytest.fixture(scope="module")
def result():
    """Return an ordinary result."""
    return build_open_set()


@pytest.fixture(scope="module")
def folder(result, tmp_path_factory):
    """Return the folder of an ordinary report."""
    return write_open_set_report(result, tmp_path_factory.mktemp("report")).parent


@pytest.fixture(scope="module")
def html(folder):
    """Return its page."""
    return (folder / "report.html").read_text(encoding="utf-8")


def test_folder_holds_every_file_and_no_other(folder):
    """The report folder holds each promised file, none empty, and no leftover."""
    assert {path.name for path in folder.iterdir()} == FILES
    assert all(path.stat().st_size for path in folder.iterdir())


@pytest.mark.slow
@pytest.mark.usefixtures("figure_files")
def test_rendered_again_from_its_json_the_same_bytes(folder, result, tmp_path):
    """report.json is the object given, and rendered again it has the same bytes in every file."""
    plain = json.loads((folder / "report.json").read_text())
    assert plain == result
    write_open_set_report(plain, tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


@pytest.mark.parametrize("name", ["pairs", "natives", "folds", "curve"])
def test_csv_reads_back_exactly(folder, result, name):
    """Every number of a CSV reads back to the same float, null as an empty field."""
    with (folder / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(result[name])
    for row, expected in zip(rows, result[name], strict=True):
        for key, value in expected.items():
            same = row[key] == "" if value is None else type(value)(row[key]) == value
            assert same, (key, row[key], value)


def test_roc_csv_has_one_row_a_point(folder, result):
    """The ROC's CSV holds every point of every pair in the order given."""
    with (folder / "roc.csv").open(newline="") as file:
        rows = [
            (r["source"], r["target"], float(r["far"]), float(r["tar"]))
            for r in csv.DictReader(file)
        ]
    expected = [
        (row["source"], row["target"], far, row["tar"][i])
        for row in result["roc"]
        for i, far in enumerate(row["far"])
    ]
    assert rows == expected


def test_page_is_self_contained_and_sound(html):
    """The page fetches nothing, its ids differ, its tags are balanced and no sentinel is left."""
    page = Page(html)
    assert page.fetched == []
    assert len(page.ids) == len(set(page.ids))
    assert page.open == []
    assert "#0102" not in html
    assert "None" not in html
    assert "nan" not in re.sub(r"[a-z]*nan[a-z]+|[a-z]+nan", "", html.lower())


def test_page_says_loss_ceiling_and_floor_first(html, result):
    """The first paragraph has the median, the worst loss, the networks alone and no map at all."""
    lede = spoken(re.search(r'<p class="lede">(.*?)</p>', html, re.DOTALL)[1])
    owns = [100 * row["accuracy"] for row in result["natives"]]
    off = [row for row in result["pairs"] if row["source"] != row["target"]]
    unmapped = [100 * row["identity_accuracy"] for row in off]
    for text in (
        f"loses {-result['median_percent_change']:.2f} %",
        f"worst loses {result['worst_loss']:.2f} points",
        f"reach {min(owns):.2f} to {max(owns):.2f} %",
        f"reaches {min(unmapped):.2f} to {max(unmapped):.2f} %; chance is 50 %",
    ):
        assert text in lede


def test_table_has_sources_in_rows_and_targets_in_columns(html, result):
    """Row A, column B holds A → B; the diagonal holds the network alone with ± its deviation."""
    table = html[html.index('<figure class="matrix">') : html.index("</figure>")]
    cells = re.findall(r'<td class="cell (\w+)".*?<b>(.*?)</b><span>(.*?)</span>', table, re.DOTALL)
    assert len(cells) == 16
    for row, (kind, value, change) in zip(result["pairs"], cells, strict=True):
        assert value == f"{100 * row['accuracy']:.2f}"
        if row["source"] == row["target"]:
            assert (kind, change) == ("native", "± 0.40")
        else:
            assert (kind, spoken(change)) == ("pair", f"{row['percent_change']:.2f} %")


def test_colours_are_those_of_the_closed_set_table():
    """The same change has the same shade, and the same legend, as in the closed-set study."""
    closed = build_report(2, control=False)
    result = build_open_set(2)
    result["pairs"][1]["percent_change"] = closed["pairs"][1]["percent_change"]
    one = summarise_closed_set(ClosedSetStudy.of(closed)).matrix
    other = summary(result).matrix
    assert one.cells[0][1].shade == other.cells[0][1].shade
    assert one.legend == other.legend
    assert one.legend_title == other.legend_title


def test_cell_says_intervals_rates_and_the_weaker_network(html, result):
    """Asked for more, a cell says change with interval, loss, EER, TAR, no map and threshold."""
    row = result["pairs"][1]
    said = spoken(re.search(r'title="facenet_casia → facenet_vggface2\n([^"]*)"', html)[1])
    for text in (
        f"accuracy {100 * row['accuracy']:.2f} ± 0.40",
        f"interval {row['percent_change_low']:.2f} to {row['percent_change_high']:.2f}",
        f"loss against the weaker, facenet_casia: {row['loss']:.2f} points",
        f"EER {100 * row['eer']:.2f} [{100 * row['eer_low']:.2f} to {100 * row['eer_high']:.2f}]",
        f"TAR at FAR 0.1 %: {100 * row['tar_at_far_1e-3']:.1f} [",
        f"without a map {100 * row['identity_accuracy']:.1f} %",
        f"threshold {row['threshold']:.3f}, λ 1",
    ):
        assert text in said


@pytest.mark.parametrize(("name", "rows"), [("natives", 4), ("pairs", 12), ("rates", 12)])
def test_tables_have_one_row_a_network_or_map(result, name, rows):
    """Each network stands once in its table, each map in both of theirs, with every interval."""
    table = summary(result).tables[name]
    assert len(table.rows) == rows
    assert all(len(row) == len(table.columns) for row in table.rows)
    if name != "pairs":
        row = result["natives" if name == "natives" else "pairs"][0 if name == "natives" else 1]
        expected = (
            f"{100 * row['auc']:.2f} [{100 * row['auc_low']:.2f} to {100 * row['auc_high']:.2f}]"
        )
        assert expected in [spoken(text.text) for text in table.rows[0]]


def test_folds_stand_in_their_order(result):
    """The table of folds has one row a pair, diagonal included, and one column a fold."""
    table = summary(result).tables["folds"]
    assert [column.title for column in table.columns[2:]] == [f"Fold {k}" for k in range(1, 11)]
    assert len(table.rows) == 16
    first = [f"{100 * row['accuracy']:.2f}" for row in result["folds"][:10]]
    assert [text.text for text in table.rows[0][2:]] == first


@pytest.mark.parametrize(("kind", "key"), [("pairs", "n_fit"), ("rank", "rank")])
def test_curves_are_medians_over_pairs(result, kind, key):
    """Each curve's thick line is NumPy's median over the pairs at each size."""
    page = summary(result)
    curve = page.charts["curve" if kind == "pairs" else "rank"].content
    sizes = sorted({row[key] for row in result["curve"] if row["kind"] == kind})
    expected = [
        np.median(
            [r["percent_change"] for r in result["curve"] if r["kind"] == kind and r[key] == n]
        )
        for n in sizes
    ]
    assert [x for x, _ in curve.median.points] == sizes
    assert [y for _, y in curve.median.points] == pytest.approx(expected)
    assert len(curve.lines) == 12
    assert curve.x_ticks == tuple(sizes)
    assert [
        row[0].text.replace("\u202f", "")
        for row in page.tables["curve" if kind == "pairs" else "rank"].rows
    ] == [str(n) for n in sizes]


def test_chance_is_drawn_only_where_a_curve_comes_near_it(result):
    """A curve that loses little has no line of chance that would flatten it."""
    near = summary(result).charts["curve"].content
    assert near.marks[-1].text == "chance"
    assert near.marks[-1].y == pytest.approx(-49.5, abs=0.6)
    rows = [row for row in result["curve"] if (row["n_fit"] or 0) > 1000]
    assert [m.text for m in summary(result | {"curve": rows}).charts["curve"].content.marks] == [
        "no loss: the source’s own accuracy"
    ]


@pytest.mark.quick("3")
@pytest.mark.parametrize("n_networks", [1, 2, 3, 11])
def test_any_number_of_networks(n_networks):
    """One to eleven networks give a report; one alone has no map and says so."""
    html = page_of(build_open_set(n_networks))
    title = re.search(r"<h1>(.*?)</h1>", html)[1]
    assert title.startswith("One network" if n_networks == 1 else "How interchangeable are these")
    assert html.count('<td class="cell') == n_networks**2
    assert ("so there is no map" in html) is (n_networks == 1)
    assert ("By itself it reaches 98.75" in html) is (n_networks == 1)
    assert "None" not in html


def test_few_pairs_show_tenths():
    """With few pairs a percentage has one decimal, since one pair is more than a hundredth."""
    value = summary(build_open_set(2, n_pairs=600)).matrix.cells[0][0].value
    assert value == f"{100 * build_open_set(2)['natives'][0]['accuracy']:.1f}"


def test_undefined_is_a_dash_with_its_reason():
    """A null is an en dash that says why, in the main table's notes and in the plain tables."""
    result = build_open_set(3)
    keys = [key for key, value in result["pairs"][1].items() if isinstance(value, float)]
    result["pairs"][1] |= dict.fromkeys(keys) | {"reason": "fold 3 has no matched pair"}
    del result["pairs"][2]
    html = page_of(result)
    assert "– undefined in 1 cell: fold 3 has no matched pair." in html
    assert "– undefined in 1 cell: not measured." in html
    assert 'title="undefined: fold 3 has no matched pair">–<' in html
    assert "Why undefined" in html


def test_report_without_a_number_is_still_a_page(tmp_path):
    """Nulls everywhere give dashes, never a crash or the word None, and no figure of rates."""
    result = without_numbers(build_open_set(3) | {"roc": []})
    html = write_open_set_report(result, tmp_path).read_text()
    assert "None" not in html
    assert "No change in accuracy could be computed" in html
    assert "There are no curves" in html
    assert {path.name for path in tmp_path.iterdir()} == FILES - FIGURES


@pytest.mark.slow
def test_figures_of_an_earlier_report_are_removed(tmp_path):
    """A report without curves leaves none of an earlier report's behind."""
    write_open_set_report(build_open_set(2), tmp_path)
    assert (tmp_path / "rank.png").exists()
    html = write_open_set_report(build_open_set(2) | {"curve": [], "roc": []}, tmp_path).read_text()
    assert {path.name for path in tmp_path.iterdir()} == FILES - FIGURES
    assert "How much a map needs" not in html
    assert "<code>rank</code>" not in html


def test_optional_parts_may_be_absent():
    """What only adorns a report may be missing from it."""
    result = build_open_set(2)
    for key in (
        *("notes", "inputs", "fit_inputs", "version", "created", "pairs_file", "n_people"),
        *("n_images", "n_folds", "alpha", "rank", "protocol", "space", "refit", "replicates"),
        *("confidence", "worst_loss", "intercept", "threshold"),
    ):
        del result[key]
    html = page_of(result)
    assert "None" not in html
    assert "95\u202f%" in html


@pytest.mark.slow
@pytest.mark.usefixtures("figure_files")
def test_markup_in_names_and_notes_is_text(tmp_path):
    """Names and notes that look like markup are shown, not obeyed, in HTML and in SVG."""
    text = json.dumps(build_open_set(2)).replace('"facenet_casia"', json.dumps(HOSTILE))
    result = json.loads(text) | {"notes": [HOSTILE], "pairs_file": HOSTILE}
    html = write_open_set_report(result, tmp_path).read_text()
    assert Page(html).tags.count("script") == 1
    assert "<script>alert" not in html
    for path in tmp_path.glob("*.svg"):
        assert not ET.parse(path).getroot().findall(".//{*}script")  # noqa: S314


@pytest.mark.quick(
    "fit-images-It takes no labels", "protocol-best-cross-validation inside the training folds"
)
@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("fit", "matched-pairs", "It takes labels"),
        ("fit", "images", "It takes no labels"),
        ("fit", "set", "another feature set"),
        ("fit", "maps", "nothing was fitted here"),
        ("threshold", "train", "which the map may have been fitted on"),
        ("threshold", "crossfit", "mapped by a map that was not fitted on it"),
        ("protocol", "paper", "McNeely-White"),
        ("protocol", "best", "cross-validation inside the training folds"),
        ("space", "target", "its stored templates stay as they are"),
        ("space", "shared", "mapped into a shared space too"),
        ("refit", True, "fitted again for each draw"),
        ("refit", False, "does not cover the choice of fit data"),
        ("method", "identity", "Nothing was fitted"),
        ("method", "some-later-method", "Method some-later-method"),
        ("intercept", "none", "Here b is 0"),
        ("alpha", "gcv", "gcv; median (range) over pairs 1"),
    ],
)
def test_page_says_how_it_was_run(part, value, said):
    """Each choice of a study has its own sentence on the page."""
    html = page_of(build_open_set(2) | {part: value})
    assert said in spoken(html)
    other = build_open_set(2) | {part: "something-else"}
    assert said not in spoken(page_of(other)) or part == "refit"


def test_gain_is_no_loss():
    """Where no pair is below the weaker network, the page says so in place of a negative loss."""
    result = build_open_set(3)
    for row in result["pairs"]:
        row |= {"loss": -0.1, "percent_change": 0.3}
    html = page_of(result)
    assert "none does worse than the weaker of its two networks" in html
    assert "pairs of networks gains 0.30" in spoken(html)


def test_page_says_what_embeddings_are(html):
    """The page says that embeddings are pseudonymous personal data and that it holds rates."""
    assert "is personal data" in html
    assert "<em>pseudonymous</em>, not anonymous" in html


def test_latex_has_every_cell(folder, result):
    """The LaTeX table holds every accuracy, the networks alone in bold."""
    text = (folder / "table.tex").read_text()
    for row in result["pairs"]:
        value = f"{100 * row['accuracy']:.2f}"
        assert (f"\\textbf{{{value}}}" if row["source"] == row["target"] else value) in text
    assert r"\label{tab:open-set}" in text
    assert r"$\pm$" in text


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (changed(["study"], "closed-set"), "got a report of the study 'closed-set', expected open"),
        (changed(["worst_loss"], float("nan")), "cannot be written as JSON"),
        (changed(["n_pairs"], np.float32(0.1)), "cannot be written as JSON"),
        (["a", "list"], "got a report that is a list, expected a JSON object"),
        (changed(["n_pairs"], "many"), "n_pairs of this report: got 'many', expected a number"),
        (changed(["alpha"], 10**400), "alpha of this report: got .*, which no study gives"),
        (changed(["fit"], ["images"]), 'fit of this report: got \\["images"\\], expected a text'),
        (changed(["method"], None), "method of this report: got null, expected a text"),
        (changed(["threshold"], 0.5), "threshold of this report: got 0.5, expected a text"),
        (changed(["notes"], [1]), r"notes of this report: got \[1\], expected a list of texts"),
        (changed(["inputs"], 7), "inputs of this report: got 7, expected a list of texts"),
        (changed(["pairs"], {"a": 1}), "pairs of this report is no list of objects"),
        (changed(["natives"], [1, 2]), "natives of this report is no list of objects"),
        (changed(["natives"], []), "natives of this report is empty"),
        (
            changed(["natives", 0, "space"], None),
            r"natives\[0\] .* got space=null, expected a name",
        ),
        (changed(["natives", 0, "space"], "facenet_vggface2"), "names a network twice"),
        (changed(["folds", 3, "target"], "other"), "folds of this report names 'other'"),
        (changed(["pairs", 1, "loss"], True), r"pairs\[1\].loss .* got true, expected a number"),
        (changed(["pairs", 1, "eer_low"], 97.2), r"pairs\[1\].eer_low .* a share from 0 to 1"),
        (changed(["pairs", 1, "percent_change"], 1e300), r"got 1e\+300, which no study gives"),
        (changed(["roc", 0, "tar"], [0.5]), r"roc\[0\] .* far and tar must be lists of one length"),
        (changed(["roc", 0, "tar", 0], None), r"roc\[0\].tar of this report holds null"),
        (changed(["roc", 0, "far", 0], 1.5), r"roc\[0\].far .* a share from 0 to 1"),
    ],
)
def test_wrong_object_is_refused(tmp_path, broken, message):
    """A report of another study, or one with parts that cannot be, is refused by name."""
    with pytest.raises(InputError, match=message):
        write_open_set_report(broken, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("part", ["pairs", "roc", "fit", "n_mismatched"])
def test_missing_part_is_named(tmp_path, part):
    """A report that lacks a part is refused by the part's name."""
    result = build_open_set(2)
    del result[part]
    with pytest.raises(InputError, match=f"lacks {part}; is it an open-set report"):
        write_open_set_report(result, tmp_path)


def test_given_object_is_not_changed(result):
    """Writing a report leaves the object that was given as it was."""
    before = copy.deepcopy(result)
    page_of(result)
    assert result == before
