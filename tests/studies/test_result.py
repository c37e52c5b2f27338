"""What the results of all studies can do alike."""

import csv
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.studies.results import STUDIES

from intertwine.errors import InputError, MissingExtraError
from intertwine.report.render.csv_text import csv_text

DOUBTS = ["40 rows were fitted on <too>", "the second doubt"]


@pytest.fixture(params=STUDIES)
def result(request, results):
    """Return the result of one study after the other."""
    return results[request.param]


@pytest.fixture
def doubted(result):
    """Return a result with doubts."""
    notes = [*DOUBTS, *result.facts["notes"]]
    return replace(result, facts={**result.facts, "warnings": DOUBTS, "notes": notes})


class Tags(HTMLParser):
    """The elements of a page, all of which must be closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        """Note an element and its attributes."""
        self.seen.append((tag, dict(attrs)))
        if tag != "wbr":
            self.open.append(tag)

    def handle_endtag(self, tag):
        """Check that what closes was open."""
        assert self.open.pop() == tag


def test_repr_is_a_few_lines(result):
    """The text of a result is the study with its networks and sizes, and its headline."""
    lines = repr(result).splitlines()
    assert 2 <= len(lines) <= 3
    assert lines[0].startswith((result.study, "linkage", "plan"))
    assert re.search(r"\d+ (fit row|pair|row|probe)", lines[0])
    assert all(len(line) < 200 for line in lines)
    assert not re.search(r"[{}\[\]]|None|nan", repr(result))


@pytest.mark.parametrize(
    ("study", "headline"),
    [
        ("closed-set", "median −"),
        ("open-set", "worst loss"),
        ("similarity", "median 0."),
        ("linkage", "20 from pairs only, 20 with unlabelled templates"),
        ("plan", "convert: Converting reaches"),
    ],
)
def test_repr_ends_with_the_headline(results, study, headline):
    """The last line of a result's text is what was found."""
    assert headline in repr(results[study]).splitlines()[-1]


def test_repr_begins_with_the_first_doubt(doubted):
    """The first doubt stands before anything else, with how many there are."""
    assert repr(doubted).startswith(f"warning (1 of 2): {DOUBTS[0]}\n")


def test_repr_names_the_first_of_many_networks(results):
    """Of many networks the first six are named."""
    plenty = [{"space": f"n{i}"} for i in range(9)]
    assert "n0, n1, n2, n3, n4, n5 and 3 more:" in repr(
        replace(results["closed-set"], natives=plenty)
    )


def test_repr_of_what_no_number_is_known_of(results):
    """A result whose headline is undefined shows dashes."""
    unknown = {"median_percent_change": None, "worst_percent_change": None}
    result = results["closed-set"]
    assert "median – %" in repr(replace(result, facts=result.facts | unknown))
    similar = results["similarity"]
    pairs = [row | {"cka_debiased_calibrated": None} for row in similar.pairs]
    assert "is defined for no pair" in repr(replace(similar, pairs=pairs))


@pytest.mark.quick("closed-set-pandas", "similarity-polars", "open-set-polars")
@pytest.mark.parametrize("library", [pd, pl])
def test_frames_hold_the_csv_files(result, library):
    """Every table's data frame has the columns and the values of its CSV file, and null for nothing."""
    report = result._report()
    assert "pairs" in {table.name for table in report.files}
    for table in report.files:
        frame = result.to_frame(table.name, library=library.__name__)
        lines = csv_text(report.flat(table.name), table.columns).splitlines()
        rows = list(csv.DictReader(lines))
        assert list(frame.columns) == next(csv.reader(lines[:1]))
        assert len(frame) == len(rows)
        for key in frame.columns:
            values = frame[key].to_list() if library is pl else frame[key].tolist()
            for value, written in zip(values, (row[key] for row in rows), strict=True):
                assert_same_value(value, written)


def assert_same_value(value, written):
    """Check a value of a data frame against the text of a CSV file."""
    if isinstance(value, bool | np.bool_):
        assert written == str(value).lower()
    elif value is None or value != value:  # noqa: PLR0124 - NaN
        assert written == ""
    elif isinstance(value, float | int):
        assert float(written) == value
    elif isinstance(value, str):
        assert written.lstrip("'") == value.lstrip("'")
    else:
        assert written == "x".join(map(str, value))


def test_undefined_numbers_have_a_type_and_a_reason(results):
    """A column of numbers stays one where some or all are undefined, and the reason is kept."""
    result = results["closed-set"]
    rows = [
        row | {"top5": None, "alpha": None if i else 1.5, "reason": "too few rows"}
        for i, row in enumerate(result.pairs)
    ]
    result = replace(result, pairs=rows)
    frame = result.to_frame(library="pandas")
    assert frame["top5"].dtype == frame["alpha"].dtype == np.float64
    assert frame["top5"].isna().all()
    assert frame["alpha"].isna().sum() == len(rows) - 1
    assert set(frame["reason"]) == {"too few rows"}
    frame = result.to_frame(library="polars")
    assert frame.schema["top5"] == frame.schema["alpha"] == pl.Float64
    assert frame["top5"].null_count() == len(rows)


def test_whole_numbers_stay_whole(results):
    """Counts are whole numbers, with polars even where some are undefined."""
    result = results["linkage"]
    assert result.to_frame(library="pandas")["n_probes"].dtype == np.int64
    rows = [
        row | {"n_probes": None if i else row["n_probes"]} for i, row in enumerate(result.pairs)
    ]
    result = replace(result, pairs=rows)
    assert result.to_frame(library="pandas")["n_probes"].dtype == np.float64
    assert result.to_frame(library="polars").schema["n_probes"] == pl.Int64


def test_similarity_says_why_by_measure(results):
    """The frame of similarities has the reasons of all measures in one column."""
    result = results["similarity"]
    first = result.pairs[0] | {"pwcca": None, "reasons": {"pwcca": "no", "cka": "never"}}
    reasons = replace(result, pairs=[first, *result.pairs[1:]]).to_frame()["reason"]
    assert reasons[0] == "pwcca: no; cka: never"


def test_unknown_tables_figures_and_libraries(results):
    """What a result does not have is refused in a line that names what there is."""
    result = results["linkage"]
    with pytest.raises(
        InputError, match=r"got table natives, expected one of pairs, cmc, linkable$"
    ):
        result.to_frame("natives")
    with pytest.raises(InputError, match=r"got library arrow, expected pandas or polars$"):
        result.to_frame(library="arrow")
    with pytest.raises(InputError, match=r"got figure roc, expected one of table, known, cmc$"):
        result.plot("roc")


def test_frames_need_either_library(results, monkeypatch):
    """Without pandas polars serves; without both, or without the one asked for, an ImportError says so."""
    result = results["linkage"]
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert isinstance(result.to_frame(), pl.DataFrame)
    with pytest.raises(ImportError, match=r"^pandas is not installed; run: pip install pandas$"):
        result.to_frame(library="pandas")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(
        MissingExtraError, match=r"^neither pandas nor polars is installed; run: pip"
    ):
        result.to_frame()


@pytest.mark.quick("linkage", "open-set")
def test_notebooks_show_the_main_table(doubted, monkeypatch):
    """The table comes after title and doubts, runs nothing, fetches nothing and needs no matplotlib."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = doubted._page()
    html = doubted._repr_html_()
    tags = Tags(html)
    assert {"script", "link", "img", "iframe"}.isdisjoint(tag for tag, _ in tags.seen)
    assert not any(key in attrs for _, attrs in tags.seen for key in ("src", "href", "onclick"))
    assert not re.search(r"@import|url\(|https?:", html)
    body = html.split("</style>")[1].replace("<wbr>", "")
    title = page.matrix.title if page.matrix else next(iter(page.tables.values())).caption
    places = [body.index(text) for text in ("fitted on &lt;too&gt;", DOUBTS[1], title, "<table")]
    assert places == sorted(places)
    assert all(note in body for note in page.notes)


def test_the_main_table_is_that_of_the_report(results):
    """A result's table in a notebook is, character for character, in the report's page."""
    from intertwine.report.render.page import html_page

    for study in ("open-set", "plan"):
        result = results[study]
        table = re.search(r"<table.*?</table>", result._repr_html_(), re.DOTALL)[0]
        inline = {name: {} for name in result._page().charts}
        assert table in html_page(
            type(result).__module__.rpartition(".")[0], result._page(), inline
        )


def test_styles_stay_within_their_element(result):
    """Every rule holds within the result's own element; both themes are there."""
    css = result._repr_html_().split("<style>")[1].split("</style>")[0]
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    opening, closing = "@media screen and (prefers-color-scheme: dark) {", "}"
    assert opening in css
    rules = re.findall(r"([^{}]+)\{[^{}]*\}", css.replace(opening, closing))
    selectors = [rule.replace(closing, "").strip() for rule in rules]
    assert len(selectors) > 20
    for selector in selectors:
        for part in re.split(r",(?![^(]*\))", selector):
            assert re.match(r"(:where\([^)]*\) )?\.intertwine\b", part.strip()), selector


def test_without_jinja_notebooks_show_the_text(results, monkeypatch):
    """Without Jinja there is no table, so that the notebook shows the text."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert results["plan"]._repr_html_() is None


@pytest.mark.quick("linkage")
def test_the_main_figure_is_drawn(result):
    """The figure is matplotlib's, with the main table's or the options' texts, and shows itself."""
    from matplotlib.figure import Figure

    figure = result.plot()
    assert isinstance(figure, Figure)
    texts = {
        text.get_text() for text in figure.findobj(match=lambda each: hasattr(each, "get_text"))
    }
    page = result._page()
    if page.matrix:
        assert {cell.value for row in page.matrix.cells for cell in row} <= texts
    else:
        assert "Re-embed" in " ".join(texts)
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_other_figures_by_name(results):
    """A figure is drawn by the name of its file."""
    figure = results["closed-set"].plot("curve")
    assert "fitted on" in figure.axes[0].get_xlabel()


def test_figures_ask_for_the_extra(results, monkeypatch):
    """Without matplotlib the error is the line that installs it."""
    monkeypatch.setitem(sys.modules, "matplotlib.style", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'intertwine\[report\]'"):
        results["plan"].plot()


@pytest.mark.slow
def test_saving_twice_is_one_report(results, tmp_path):
    """A result saved again has the date of that time, unless it was dated before."""
    dated = replace(results["linkage"], facts={**results["linkage"].facts, "created": "2026-01-02"})
    page = dated.save(tmp_path / "new" / "report")
    assert page == tmp_path / "new" / "report" / "report.html"
    assert "2026-01-02" in page.read_text()
    assert dated.to_json()["created"] == "2026-01-02"
    assert "created" not in results["linkage"].to_json()
    assert results["linkage"].dated().facts["created"] > "2026-01-02"


def test_another_studys_folder_is_refused(results, tmp_path):
    """A report does not replace that of another study, nor are a plan's maps written there."""
    (tmp_path / "report.json").write_text('{"study": "linkage"}')
    with pytest.raises(InputError, match="holds a linkage report"):
        results["plan"].save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
