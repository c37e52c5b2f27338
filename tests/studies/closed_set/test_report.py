import csv
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest

from intertwine.errors import InputError
from intertwine.studies.closed_set.report import write_closed_set_report

FILES = {
    "report.html",
    "report.json",
    "table.png",
    "table.svg",
    "curve.png",
    "curve.svg",
    "table.tex",
    *(f"{name}.csv" for name in ("pairs", "natives", "analytic", "baselines", "contrast", "curve")),
}
AT_THE_TOP = ("<h1>", "a doubt", 'class="lede"', "a remark", 'class="tiles"')
HOSTILE = "<script>alert('x')</script> & \"quoted\""


def without_numbers(value):
    """Return a report with every number gone, as after the worst of studies."""
    if isinstance(value, dict):
        return {key: without_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_numbers(item) for item in value]
    return None if isinstance(value, float | int) and not isinstance(value, bool) else value


def renamed(report, names):
    """Return a report with its networks renamed."""
    text = json.dumps(report)
    for old, new in names.items():
        text = text.replace(json.dumps(old), json.dumps(new))
    return json.loads(text)


class Page(HTMLParser):
    """Collects what a page would fetch, its scripts, and whether its tags are balanced."""

    VOID = frozenset({"meta", "link", "br", "wbr", "img", "use", "path"})

    def __init__(self, text):
        super().__init__()
        self.fetched, self.tags, self.ids, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note a tag."""
        self.tags.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href"} and not value.startswith("#"):
                self.fetched.append(value)
            if name == "id":
                self.ids.append(value)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Note a tag that closes itself."""
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        """Check that what closes was open."""
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def folder(make_report, tmp_path_factory):
    """Return the folder of an ordinary report."""
    return write_closed_set_report(make_report(), tmp_path_factory.mktemp("report")).parent


@pytest.fixture(scope="module")
def html(folder):
    """Return its page."""
    return (folder / "report.html").read_text(encoding="utf-8")


def test_folder_holds_every_file_and_no_other(folder):
    """The report folder holds each promised file, none empty, and no leftover."""
    assert {path.name for path in folder.iterdir()} == FILES
    assert all(path.stat().st_size for path in folder.iterdir())


def test_json_is_the_object_given(folder, make_report):
    """report.json holds exactly what was given."""
    assert json.loads((folder / "report.json").read_text()) == make_report()


@pytest.mark.slow
@pytest.mark.usefixtures("figure_files")
def test_rendered_again_from_its_json_the_same_bytes(folder, tmp_path):
    """A report rendered from its own JSON has the same bytes in every file."""
    write_closed_set_report(json.loads((folder / "report.json").read_text()), tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


@pytest.mark.parametrize("name", ["pairs", "natives", "analytic", "baselines", "contrast", "curve"])
def test_csv_reads_back_exactly(folder, make_report, name):
    """Every number of a CSV reads back to the same float, null as an empty field."""
    with (folder / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, expected in zip(rows, make_report()[name], strict=True):
        for key, value in expected.items():
            if value is None:
                assert not row[key]
            elif isinstance(value, float):
                assert float(row[key]) == value
            elif not isinstance(value, bool | list):
                assert row[key] == str(value)


@pytest.mark.slow
def test_csv_keeps_columns_of_an_empty_table(make_report, tmp_path):
    """A table without rows still has its heading."""
    write_closed_set_report(make_report() | {"contrast": []}, tmp_path)
    assert (tmp_path / "contrast.csv").read_text().startswith("source,target,kind,")


def test_page_fetches_nothing(html):
    """The page refers to nothing outside itself; an address occurs only as plain text."""
    assert Page(html).fetched == []
    assert "url(http" not in html
    assert "@import" not in html
    assert re.findall(r"https?://[^\s<]*", html.replace("<wbr>", "")) == [
        "https://arxiv.org/abs/2010.02323"
    ]


def test_page_is_well_formed(html):
    """Tags are balanced and no id occurs twice, although two figures are put in."""
    page = Page(html)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("svg") == 3


def test_page_follows_the_theme(html):
    """The page has both themes, and no sentinel colour is left in its figures."""
    assert "@media screen and (prefers-color-scheme: dark)" in html
    assert "#0102" not in html
    assert "fill: var(--muted)" in html


def test_figure_text_stays_text(html, folder):
    """Figures hold words that can be searched and read out, not outlines of letters."""
    assert "median of 12 pairs" in html
    assert "googlenet_" in (folder / "table.svg").read_text()


def test_page_shows_headlines_beside_the_papers(html, make_report):
    """Median and worst stand beside the paper's, with both numbers of rows."""
    report = make_report()
    plain = html.replace("\u202f", " ")
    for text in (
        f"{report['median_percent_change']:.1f} %".replace("-", "−"),
        f"{report['worst_percent_change']:.1f} %".replace("-", "−"),
        "−1.90 %",
        "−11.6 %",
        "2 700 rows",
        "1 281 167 rows",
        "PNASNet → ResNet-v2-152, 82.46 % against 78.70 %",
    ):
        assert text in plain


def test_main_table_is_a_real_table(html, make_report):
    """The main figure is a table with row and column headings and a cell for every pair."""
    table = html[html.index('<figure class="matrix">') : html.index("</figure>")]
    n = len(make_report()["natives"])
    assert table.count('scope="row"') == table.count('scope="col"') == n
    assert table.count('<td class="cell') == n * n
    assert table.count('<td class="cell native"') == n - 1
    assert table.count('<td class="cell control"') == 2 * n - 1


def test_cell_says_interval_agreement_r2_and_penalty(html, make_report):
    """Asked for more, a cell says interval, agreement, R², λ and top-5."""
    row = make_report()["pairs"][1]
    title = re.search(r'title="googlenet → mobilenet_v1\n([^"]*)"', html)[1]
    said = title.replace("\u202f", " ").replace("\u00a0", " ").replace("−", "-")
    for text in (
        f"accuracy {100 * row['accuracy']:.1f} %, top-5 {100 * row['top5']:.1f} %",
        f"interval {row['ci_low']:.1f} to {row['ci_high']:.1f}",
        f"on {100 * row['agreement']:.1f} % of rows",
        f"R² on evaluation rows {row['r2']:.3f}, λ {row['alpha']:.3g}",
    ):
        assert text in said


def test_no_change_is_shown_in_a_controls_own_row(html):
    """Relative to chance a change means nothing, so a control's row has accuracies only."""
    row = html[html.index('<th scope="row" class="control">') :]
    assert row[: row.index("</tr>")].count("<span>") == 1  # the native cell


@pytest.mark.slow
def test_undefined_is_a_dash_with_its_reason(make_report, tmp_path):
    """A null is an en dash that says why, in the main table's notes and in the plain tables."""
    report = make_report()
    gone = ("accuracy", "percent_change", "ci_low", "ci_high", "r2", "agreement", "top5", "alpha")
    report["pairs"][1] |= dict.fromkeys(gone) | {"reason": "the source's accuracy is 0"}
    html = write_closed_set_report(report, tmp_path).read_text()
    said = "the source&#39;s accuracy is 0"
    assert f"– undefined in 1 cell: {said}." in html
    assert f'title="undefined: {said}">–<' in html
    assert "Why undefined" in html


def test_report_without_a_number_is_still_a_page(make_report, tmp_path):
    """Nulls everywhere give dashes, never a crash or the word None."""
    report = without_numbers(make_report()) | {"worst_pair": {"source": None, "target": None}}
    report["curve"] = []
    html = write_closed_set_report(report, tmp_path).read_text()
    assert "None" not in html
    assert "There is no curve" in html
    assert "No change in accuracy could be computed" in html


@pytest.mark.slow
def test_optional_parts_may_be_absent(make_report, tmp_path):
    """What only adorns a report may be missing from it."""
    needed = make_report()
    for key in ("paper", "notes", "gains", "inputs", "version", "created", "worst_pair"):
        del needed[key]
    html = write_closed_set_report(needed | {"best_control_cell": None}, tmp_path).read_text()
    assert "The paper</span>" not in html
    assert "None" not in html


@pytest.mark.quick("2-True")
@pytest.mark.parametrize(
    ("n_networks", "control"),
    [
        (2, True),
        (12, False),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in ((2, False), (3, False), (3, True), (12, True))
        ),
    ],
)
def test_any_number_of_networks(make_report, tmp_path, n_networks, control):
    """Two to twelve networks, with a control or without, give a report."""
    report = make_report(n_networks, control=control)
    html = write_closed_set_report(report, tmp_path).read_text()
    assert f"these {n_networks} networks" in html
    assert ("No untrained network was given" in html) is not control


@pytest.mark.slow
@pytest.mark.usefixtures("figure_files")
def test_markup_in_names_and_notes_is_text(make_report, tmp_path):
    """Names and notes that look like markup are shown, not obeyed, in HTML and in SVG."""
    report = renamed(make_report(2), {"googlenet": HOSTILE}) | {"notes": [HOSTILE]}
    report["natives"][0]["encoder"] = HOSTILE
    page = write_closed_set_report(report, tmp_path)
    assert Page(page.read_text()).tags.count("script") == 1
    assert "<script>alert" not in page.read_text()
    for name in ("table.svg", "curve.svg"):
        assert not ET.parse(tmp_path / name).getroot().findall(".//{*}script")  # noqa: S314


@pytest.mark.slow
@pytest.mark.usefixtures("figure_files")
def test_dollars_in_a_name_are_no_mathematics(make_report, tmp_path):
    """A name with dollar signs is drawn as it is."""
    report = renamed(make_report(2), {"googlenet": "net$_a$"})
    write_closed_set_report(report, tmp_path)
    assert ">net$_a$<" in (tmp_path / "table.svg").read_text()


@pytest.mark.parametrize("name", ["table.svg", "curve.svg"])
def test_svg_is_well_formed_xml(folder, name):
    """A standalone SVG parses, carries no date and asks for nothing."""
    text = (folder / name).read_text()
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314
    assert "<metadata>" not in text
    assert "#0102" not in text


@pytest.mark.slow
def test_many_rows_show_hundredths(make_report, tmp_path):
    """From ten thousand evaluation rows on, percentages have two decimals."""
    report = make_report(2, n_eval=50_000)
    html = write_closed_set_report(report, tmp_path).read_text()
    assert f"<b>{100 * report['pairs'][0]['accuracy']:.2f}</b>" in html


@pytest.mark.quick("some-later-method")
@pytest.mark.parametrize("method", ["ridge", "cca", "analytic", "some-later-method"])
def test_page_says_what_the_method_looked_at(make_report, tmp_path, method):
    """Only a method that was fitted to features is called one."""
    html = write_closed_set_report(make_report(2) | {"method": method}, tmp_path).read_text()
    assert ("no labels and no classifier" in " ".join(html.split())) is (method != "analytic")
    assert f"Maps: {method}" in html


@pytest.mark.slow
def test_prior_is_not_passed_over(make_report, tmp_path):
    """Maps shrunk toward the analytic map used the classifiers, and the page says so."""
    html = write_closed_set_report(make_report(2) | {"prior": "analytic"}, tmp_path).read_text()
    assert "no labels and no classifier" not in " ".join(html.split())
    assert "distance from the analytic map" in html


@pytest.mark.slow
def test_published_accuracy_as_share_or_percent(make_report, tmp_path):
    """A published accuracy of 0.687 is the same as one of 68.7."""
    report = make_report(2)
    report["natives"][0]["reported_top1"] = 0.687
    report["natives"][1]["reported_top1"] = 68.7
    html = write_closed_set_report(report, tmp_path).read_text()
    assert html.count(">68.70<") == 2


@pytest.mark.slow
def test_the_paper_stands_beside_ours(make_report, tmp_path):
    """Table 1 shows the accuracy that the paper measured, and says where it has none."""
    report = make_report(2)
    report["natives"][0]["paper_top1"] = 0.7115
    html = write_closed_set_report(report, tmp_path).read_text()
    assert "as the paper measured it" in html
    assert html.count(">71.15<") == 1
    assert "not a network of the paper’s table" in html


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"study": "open-set"}, "got a report of the study 'open-set', expected closed-set"),
        ({"chance": float("nan")}, "cannot be written as JSON"),
        ({"chance": np.float32(0.1)}, "cannot be written as JSON"),
    ],
)
def test_wrong_object_is_refused(make_report, tmp_path, broken, message):
    """A report of another study, or one that JSON cannot hold, is refused and nothing written."""
    with pytest.raises(InputError, match=message):
        write_closed_set_report(make_report(2) | broken, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("source", "", "pairs[1] of this report: got source='', expected a name"),
        (
            "accuracy",
            1.5,
            "pairs[1].accuracy of this report: got 1.5, expected a share from 0 to 1",
        ),
    ],
)
def test_a_row_that_no_study_writes_is_refused(make_report, tmp_path, key, value, message):
    """A row with what no study writes is refused by its place and its field."""
    report = make_report(2)
    report["pairs"][1][key] = value
    with pytest.raises(InputError, match=re.escape(message)):
        write_closed_set_report(report, tmp_path / "out")


def test_missing_part_is_named(make_report, tmp_path):
    """A report that lacks a table is refused by the table's name."""
    report = make_report(2)
    del report["pairs"]
    with pytest.raises(InputError, match="lacks pairs; is it a closed-set report"):
        write_closed_set_report(report, tmp_path)


@pytest.mark.slow
def test_doubts_stand_before_all_else(make_report, tmp_path):
    """What puts the results in question stands at the top of the page, other notes before tiles."""
    report = {**make_report(), "warnings": ["a doubt <b>"], "notes": ["a doubt <b>", "a remark"]}
    html = write_closed_set_report(report, tmp_path).read_text()
    assert html.count("a doubt &lt;b&gt;") == 1
    order = [html.index(each) for each in AT_THE_TOP]
    assert order == sorted(order)
    assert 'class="warnings"' not in write_closed_set_report(make_report(), tmp_path).read_text()


@pytest.mark.parametrize(
    "name",
    [
        "=HYPERLINK(1)",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("-1+1", "@x", "+x")),
    ],
)
def test_a_spreadsheet_computes_no_name(make_report, tmp_path, name):
    """Text that a spreadsheet would compute is text in every CSV, and numbers stay numbers."""
    report = renamed(make_report(), {make_report()["natives"][0]["space"]: name})
    write_closed_set_report(report, tmp_path)
    for file in tmp_path.glob("*.csv"):
        rows = list(csv.reader(file.read_text().splitlines()))
        cells = [cell for row in rows for cell in row]
        assert not any(cell.lstrip().startswith(("=", "@", "+")) for cell in cells)
        assert name not in cells
    rows = list(csv.DictReader((tmp_path / "pairs.csv").read_text().splitlines()))
    assert any(row["source"] == f"'{name}" for row in rows)
    expected = [row["percent_change"] for row in report["pairs"]]
    assert [float(row["percent_change"]) for row in rows if row["percent_change"]] == [
        value for value in expected if value is not None
    ]


@pytest.mark.quick("parameters-12M-12M")
@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("crop", "224", "224"),
        pytest.param("crop", 299, "299", marks=pytest.mark.slow),
        ("parameters", "12M", "12M"),
    ],
)
def test_odd_facts_of_a_network_are_shown_as_they_are(make_report, tmp_path, key, value, shown):
    """What a record of somebody's own says of a network does not end the report."""
    report = make_report()
    report["natives"][0][key] = value
    html = write_closed_set_report(report, tmp_path).read_text()
    assert shown in html
