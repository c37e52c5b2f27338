import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from tests.studies.plan.plan_result import build_plan
from tests.studies.similarity.test_report import HOSTILE, LONG, Page, spoken

from intertwine.errors import InputError
from intertwine.maps.linear_map import LinearMap
from intertwine.spaces import Space
from intertwine.studies.plan.draw_options import options
from intertwine.studies.plan.lookup import PlanStudy
from intertwine.studies.plan.page import summarise_plan
from intertwine.studies.plan.report import write_plan_report
from intertwine.studies.plan.tables import DOMAIN

FIGURES = ("options", "curve", "repair", "gallery")
TABLES = (
    "pairs",
    "baselines",
    "curve",
    "candidates",
    "rerank",
    "backfill",
    "thresholds",
    "calibration",
    "gallery",
    "domain",
)
FILES = {
    "report.html",
    "report.json",
    "table.tex",
    *(f"{name}.csv" for name in TABLES),
    *(f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")),
}
MAP = "map.safetensors"
REASON = "too few rows for <this> $number$"


@pytest.fixture(scope="module")
def result():
    """Return an ordinary plan."""
    return build_plan()


@pytest.fixture(scope="module")
def folder(result, tmp_path_factory):
    """Return the folder of its report."""
    return write_plan_report(result, tmp_path_factory.mktemp("plan")).parent


def summary(result):
    """Return what the page of a plan shows."""
    return summarise_plan(PlanStudy.of(result))


def undefined(result):
    """Return a plan in which every number of every table is undefined."""
    kept = {"n_pairs", "depth", "share", "n_items"}
    changed = json.loads(json.dumps(result))
    for name in TABLES:
        for row in changed[name] or ():
            for key, value in row.items():
                if isinstance(value, float | int) and key not in kept:
                    row[key] = None
            row["reason"] = REASON
    return {**changed, "pairs_needed": None, "pairs_needed_reason": REASON}


def test_the_folder_holds_every_file(folder):
    """The report folder holds each promised file, none empty, and no leftover."""
    assert {path.name for path in folder.iterdir()} == FILES
    assert all(path.stat().st_size for path in folder.iterdir())


@pytest.mark.slow
@pytest.mark.usefixtures("figure_files")
def test_the_same_report_gives_the_same_bytes(folder, tmp_path):
    """Written again from its own JSON, every file is the same byte for byte."""
    write_plan_report(json.loads((folder / "report.json").read_text()), tmp_path)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_page_stands_alone(folder):
    """The page fetches nothing, closes what it opens and gives no id twice."""
    page = Page((folder / "report.html").read_text())
    assert page.fetched == []
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("svg") == 1 + 2 * len(FIGURES)


@pytest.mark.parametrize("name", TABLES)
def test_tables_hold_the_numbers_in_full(folder, result, name):
    """CSV numbers read back exactly, one row a row of the report, source and target first."""
    with (folder / f"{name}.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:2] == ["source", "target"]
    for row, expected in zip(rows, result[name], strict=True):
        for key, value in expected.items():
            if isinstance(value, float):
                assert float(row[key]) == value
            else:
                shown = str(value).lower() if isinstance(value, bool) else str(value)
                assert row[key] == ("" if value is None else shown)


@pytest.mark.slow
def test_a_table_without_rows_has_its_heading(tmp_path):
    """A plan without proxy and store writes the table of domains with a heading alone."""
    write_plan_report(build_plan(proxy=False), tmp_path)
    assert (tmp_path / "domain.csv").read_text() == ",".join(DOMAIN.columns) + "\n"


def test_the_decision_and_its_reason_come_first(folder, result):
    """The heading is the decision in words, the first sentence its reason, then the options."""
    html = spoken((folder / "report.html").read_text())
    places = [
        html.index(part)
        for part in (
            "<h1>Convert the stored vectors</h1>",
            f'<p class="lede">{result["reason"]}',
            "What each option would retrieve",
            "How many pairs it takes",
            "Pairs of your own against a proxy",
            "Repairing a converted store",
            "Thresholds and scores",
            "Which map",
            "Larger stores",
            "How it was made",
        )
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("decision", "said", "option"),
    [
        ("bridge", "Bridge the queries", "Bridge the queries, pairs maps"),
        ("convert-and-backfill", "then repair", "Convert the store, pairs maps"),
        ("reembed", "Re-embed the store", "Re-embed all"),
    ],
)
def test_each_decision_has_its_words_and_its_option(result, decision, said, option):
    """Each decision has a heading of its own and marks one option, in both panels alike."""
    page = summary({**result, "decision": decision})
    assert said in page.title
    assert page.more["following"]
    for panel in page.charts["options"].content:
        assert [dot.name for dot in panel.dots if dot.chosen] == [option]
    named = [row[0].text for row in page.tables["options"].rows if "recommended" in row[0].text]
    assert len(named) == 1


def test_a_decision_for_the_proxy_marks_its_maps(result):
    """When maps from the proxy are the better ones, it is they that are marked and forecast."""
    page = summary({**result, "fit": "proxy"})
    chosen = [dot.name for dot in page.charts["options"].content[0].dots if dot.chosen]
    assert chosen == ["Convert the store, proxy maps"]
    assert page.tiles[0].value.text.startswith(f"{100 * 0.655 / 0.748:.1f}")
    assert "maps from proxy" in page.tiles[0].where


@pytest.mark.parametrize(
    ("measure", "panel"),
    [("recall_at_10", 0), ("ndcg_at_10", 1)],
)
def test_options_stand_where_their_rows_say(result, measure, panel):
    """Each option's dot is its own number in per cent, with the ceiling and do-nothing beside."""
    found = summary(result).charts["options"].content[panel]
    rows = [*result["pairs"], *result["baselines"]]
    assert sorted(dot.value for dot in found.dots) == sorted(100 * row[measure] for row in rows)
    value = {row["option"]: 100 * row[measure] for row in result["pairs"]}
    lines = {kind: x for _, kind, x in found.references}
    assert lines["ceiling"] == value["reembed"]
    assert lines["nothing"] == value["nothing"]
    assert lines.get("accept") == (0.8 * value["reembed"] if panel else None)


def test_every_option_is_drawn(folder, result):
    """The SVG of the options has one dot a panel and option."""
    ids = set(re.findall(r'id="([^"]+)"', (folder / "options.svg").read_text()))
    n = len(result["pairs"]) + len(result["baselines"])
    assert {f"option-{panel}-{i}" for panel in range(2) for i in range(n)} <= ids


def test_a_telephone_shows_whole_names(result):
    """On a telephone, too, no ordinary option's name is cut."""
    panels = summary(result).charts["options"].content
    figure = options(panels, narrow=True)
    names = [text.get_text() for text in figure.axes[0].texts]
    assert {dot.name for dot in panels[0].dots} <= {name.replace("\n", " ") for name in names}


def test_the_curve_runs_over_the_pairs(result):
    """Each panel holds one option's recall over its pairs, its interval, and what is accepted."""
    convert, bridge = summary(result).charts["curve"].content
    for panel, option in ((convert, "convert"), (bridge, "bridge")):
        rows = [row for row in result["curve"] if row["option"] == option]
        assert panel.median.points == [(r["n_pairs"], 100 * r["recall_at_10"]) for r in rows]
        assert panel.lines[0].points == [(r["n_pairs"], 100 * r["ci_low"]) for r in rows]
        assert panel.native.points == [(25, 80), (900, 80)]


def test_without_labels_a_forecast_is_its_recall():
    """Re-embedding's recall is 1, however it was rounded, so that shares of it are recalls."""
    changed = build_plan(labels=False)
    for row in changed["pairs"]:
        row |= {"recall_at_10": {"convert": 0.5155, "reembed": 1 - 1e-16}.get(row["option"], 0.1)}
    page = summary(changed)
    dot = next(dot for dot in page.charts["options"].content[0].dots if dot.chosen)
    assert page.tiles[0].value.text == f"{dot.text}\u202f%"


def test_pairs_and_proxy_stand_side_by_side(result):
    """One row an option and measure: from the pairs, from the proxy, and their difference."""
    rows = summary(result).tables["fits"].rows
    assert [spoken(piece.text) for piece in rows[0]] == [
        "Convert the store: Recall@10",
        "61.8 [58.4 to 65.2]",
        "54.6 [51.1 to 58.1]",
        "-7.2",
    ]
    assert len(rows) == 4


@pytest.mark.slow
def test_a_plain_plan_leaves_out_what_it_lacks(tmp_path):
    """Without labels, proxy and store there is no nDCG, nothing to compare, and no empty head."""
    html = spoken(write_plan_report(build_plan(labels=False, proxy=False), tmp_path).read_text())
    assert "nDCG" not in html
    assert "proxy maps" not in html
    assert "Leverage" not in html
    assert "recall@10 61.8 [58.4 to 65.2]" in html


@pytest.mark.slow
def test_undefined_numbers_have_their_reason(result, tmp_path):
    """Every undefined number is a dash with its reason; figures without numbers are left out."""
    write_plan_report(result, tmp_path)
    html = write_plan_report(undefined(result), tmp_path).read_text()
    assert "undefined: too few rows for &lt;this&gt; $number$" in html
    assert "<this>" not in html
    assert "NaN" not in html
    assert (tmp_path / "options.png").exists()
    for name in ("curve", "repair", "gallery"):
        assert not (tmp_path / f"{name}.png").exists()
    assert [tile.value.kind for tile in summary(undefined(result)).tiles] == ["undefined"] * 4


def test_a_plan_without_rows_is_still_a_page(result, tmp_path):
    """Empty tables give a page that says the decision, and no figure."""
    empty = {**result, **{name: [] for name in TABLES}, "domain": None}
    page = Page(write_plan_report(empty, tmp_path).read_text())
    assert page.tags.count("svg") == 1
    assert page.tags.count("table") == 1
    assert page.open == []


@pytest.mark.slow
def test_hostile_names_are_text(result, tmp_path):
    """Whatever names, reasons and notes hold is shown, never run, in the page and in the figures."""
    text = json.dumps(result).replace("resnet18", "EVIL").replace("resnet50", LONG)
    evil = json.loads(text.replace("EVIL", json.dumps(HOSTILE)[1:-1]))
    evil |= {"reason": f"{HOSTILE} $x^$", "notes": [HOSTILE], "decision": HOSTILE}
    evil["inputs"] = {"pairs": [HOSTILE], "proxy": [HOSTILE], "store": HOSTILE}
    evil["pairs"][0]["option"] = f"{HOSTILE} $x^$"
    evil["domain"][0]["of"] = HOSTILE
    html = write_plan_report(evil, tmp_path).read_text()
    assert "alert(" in html
    assert "<script>alert" not in html
    page = Page(html)
    assert page.open == []
    assert page.tags.count("script") == 1


def test_the_latex_table_escapes_and_counts(folder, result):
    """The LaTeX table has one line an option, numbers to the right, per cent signs escaped."""
    text = (folder / "table.tex").read_text()
    body = text.split("\\midrule\n")[1].split("\\bottomrule")[0]
    assert body.count(r"\\") == len(result["pairs"]) + len(result["baselines"])
    assert all(line.count("&") == 5 for line in body.splitlines())
    assert r"\begin{tabular}{@{}llrrrr@{}}" in text
    assert not re.search(r"(?<!\\)%(?! Needs|$)", text, flags=re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["[5pt]", pytest.param("*", marks=pytest.mark.slow)])
def test_a_latex_row_begins_with_nothing_that_latex_reads(result, tmp_path, name):
    """A row that begins with a bracket or a star is not read as part of the row before."""
    changed = json.loads(json.dumps(result))
    changed["pairs"][0]["option"] = name
    write_plan_report(changed, tmp_path)
    assert f"\\\\\n{{}}{name}" in (tmp_path / "table.tex").read_text()


def test_another_study_is_refused(result):
    """A report of another study, or one that lacks a part, is refused."""
    with pytest.raises(InputError, match="expected plan"):
        PlanStudy.of({**result, "study": "linkage"})
    with pytest.raises(InputError, match="lacks curve; is it a plan report"):
        PlanStudy.of({key: value for key, value in result.items() if key != "curve"})


def weighed(result, quality):
    """Return a plan as it is made today: with the measure that decides, and shares of its quality."""
    changed = json.loads(json.dumps(result))
    chance, top = 0.058, 0.748
    for row in [*changed["pairs"], *changed["baselines"]]:
        value = row["recall_at_10"] if quality == "recall" else row["ndcg_at_10"]
        share = value if quality == "recall" else (value - chance) / (top - chance)
        row |= {"quality": share, "quality_low": share - 0.02, "quality_high": share + 0.02}
    for row in changed["curve"]:
        row |= {"ndcg_at_10": 0.5, "ndcg_low": 0.45, "ndcg_high": 0.55}
        row |= {"quality": 0.64, "quality_low": 0.6, "quality_high": 0.7}
    return {**changed, "quality": quality, "otherwise": None, "warnings": [], "pairs_needed": 250}


def test_one_page_goes_by_one_measure(result):
    """Tiles, curve and what is accepted are all by the measure that decides, above chance."""
    page = summary(weighed(result, "ndcg"))
    assert all("nDCG@10" in spoken(tile.where) for tile in page.tiles)
    assert all("recall" not in spoken(tile.where) for tile in page.tiles)
    accepted = 100 * (0.058 + 0.8 * (0.748 - 0.058))
    assert page.charts["curve"].content[0].title.endswith("nDCG@10, %")
    assert page.charts["curve"].content[0].native.points[0][1] == pytest.approx(accepted)
    (line,) = [x for _, kind, x in page.charts["options"].content[1].references if kind == "accept"]
    assert line == pytest.approx(accepted)
    assert "nDCG@10" in page.facts["needed"]
    # Figures that show recall alone draw no line of what is accepted by the other measure.
    assert [
        panel.native for panel in (*page.charts["repair"].content, *page.charts["gallery"].content)
    ] == [None] * 4
    share = (0.702 - 0.058) / (0.748 - 0.058)
    assert page.tiles[0].value.text.startswith(f"{100 * share:.1f}")


def test_labels_that_do_not_decide_leave_recall(result):
    """With labels by which nothing is told, all goes by recall, and nDCG stays in the table."""
    page = summary(weighed(result, "recall"))
    assert all("recall" in spoken(tile.where) for tile in page.tiles)
    assert page.charts["curve"].content[0].title.endswith("recall@10, %")
    assert page.charts["curve"].content[0].native.points[0][1] == 80
    assert any("nDCG" in column.title for column in page.tables["options"].columns)


@pytest.mark.slow
def test_staying_has_its_words_and_its_option(result, tmp_path):
    """A plan that says stay marks staying, forecasts what is best otherwise, and warns at the top."""
    changed = weighed(result, "ndcg")
    changed |= {"decision": "stay", "otherwise": "bridge", "warnings": ["Mind the copies."]}
    changed["notes"] = ["Mind the copies.", *changed["notes"]]
    page = summary(changed)
    assert page.title == "Stay with the old model"
    assert [dot.name for dot in page.charts["options"].content[0].dots if dot.chosen] == [
        "Stay with the old model"
    ]
    assert "bridge" in page.tiles[0].title
    html = write_plan_report(changed, tmp_path).read_text()
    assert html.count("Mind the copies.") == 1
    assert html.index("Mind the copies.") < html.index('class="lede"')


def test_a_map_that_a_plan_no_longer_recommends_is_removed(results, tmp_path):
    """A plan saved over another keeps none of its maps, and touches no file of a folder without a report."""
    plan = results["plan"]
    fitted = LinearMap(np.eye(2), np.zeros(2), Space("old", 2), Space("new", 2), method="ridge")
    replace(plan, maps={"convert": fitted}).save(tmp_path / "plan")
    assert (tmp_path / "plan" / MAP).is_file()
    plan.save(tmp_path / "plan")
    assert not (tmp_path / "plan" / MAP).exists()
    (tmp_path / "own").mkdir()
    fitted.save(tmp_path / "own" / MAP)
    plan.save(tmp_path / "own")
    assert (tmp_path / "own" / MAP).is_file()
