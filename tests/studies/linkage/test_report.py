import csv
import json
import re

import numpy as np
import pytest
from tests.studies.linkage.linkage_sets import write_sets
from tests.studies.similarity.test_report import Page, spoken

from intertwine.errors import InputError
from intertwine.estimators import FitOptions
from intertwine.features.feature_set import FeatureSet
from intertwine.studies.linkage.lookup import LinkageStudy
from intertwine.studies.linkage.page import summarise_linkage
from intertwine.studies.linkage.report import write_linkage_report
from intertwine.studies.linkage.study import linkage

FILES = {
    "report.html",
    "report.json",
    "pairs.csv",
    "cmc.csv",
    "linkable.csv",
    "table.tex",
    *(f"{name}.{kind}" for name in ("table", "known", "cmc") for kind in ("png", "svg")),
}


@pytest.fixture(scope="module")
def result(tmp_path_factory, write_folder):
    """Return the object of a small study."""
    sets = write_sets(tmp_path_factory.mktemp("linkage"), write_folder)
    gallery, probe = map(FeatureSet.open, sets)
    options = FitOptions(method="ridge", alpha=0.1)
    found = linkage(gallery, probe, options=options, known=[8, 20], n_replicates=50).to_json()
    return {**json.loads(json.dumps(found)), "created": "2026-01-02T03:04:05+00:00"}


@pytest.fixture(scope="module")
def folder(result, tmp_path_factory):
    """Return the report's folder."""
    path = tmp_path_factory.mktemp("linkage-report")
    write_linkage_report(result, path)
    return path


def summary(result):
    """Return what the page of a result shows."""
    return summarise_linkage(LinkageStudy.of(result))


def without(result, **changes):
    """Return a result whose rows of one kind are changed."""
    return {**json.loads(json.dumps(result)), **changes}


def test_the_folder_holds_every_file(folder):
    """The report folder holds each promised file, none empty, and no leftover."""
    assert {path.name for path in folder.iterdir()} == FILES
    assert all(path.stat().st_size for path in folder.iterdir())


@pytest.mark.slow
@pytest.mark.usefixtures("figure_files")
def test_the_same_report_gives_the_same_bytes(folder, tmp_path):
    """Written again from its own JSON, every file is the same byte for byte."""
    write_linkage_report(json.loads((folder / "report.json").read_text()), tmp_path)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_page_stands_alone(folder):
    """The page fetches nothing, closes what it opens and gives no id twice."""
    page = Page((folder / "report.html").read_text())
    assert page.fetched == []
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("svg") == 1 + 2 * 2


def test_tables_hold_the_numbers_in_full(folder, result):
    """CSV numbers read back exactly, one row a row of the report."""
    for name in ("pairs", "cmc", "linkable"):
        with (folder / f"{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(result[name])
        for row, expected in zip(rows, result[name], strict=True):
            for key, value in expected.items():
                if isinstance(value, float):
                    assert float(row[key]) == value
                else:
                    assert row[key] == ("" if value is None else str(value))


def test_the_matrix_shows_the_most_known_pairs(result):
    """Off the diagonal stands rank 1 with the most known pairs, on it the native rate."""
    matrix = summary(result).matrix
    names = [label.name for label in matrix.labels]
    rows = {(r["source"], r["target"], r["known_pairs"]): r["rank1"] for r in result["pairs"]}
    for i, source in enumerate(names):
        for j, target in enumerate(names):
            rate = rows[source, target, 0 if i == j else 20]
            assert matrix.cells[i][j].value == f"{100 * rate:.1f}"
            assert matrix.cells[i][j].kind == ("native" if i == j else "pair")


def test_redder_is_more_linked(result):
    """A cell's colour deepens with its rate on a fixed scale; native cells have none."""
    cells = [cell for row in summary(result).matrix.cells for cell in row]
    shaded = sorted((float(cell.value), cell.shade) for cell in cells if cell.kind == "pair")
    assert all(-1 <= shade <= 0 for _, shade in shaded)
    assert [shade for _, shade in shaded] == sorted((s for _, s in shaded), reverse=True)
    assert all(cell.shade is None for cell in cells if cell.kind == "native")


def test_curves_start_without_a_map(result):
    """Each curve runs over 0, 8 and 20 known pairs, with chance and the native rate beside it."""
    rank1, trained, tpir, d_sys = summary(result).charts["known"].content
    mapped, self_trained = {"unmapped", "mapped"}, {"unmapped", "self-trained"}
    for panel, key, conditions in (
        (rank1, "rank1", mapped),
        (trained, "rank1", self_trained),
        (tpir, "tpir_at_fpir_1e-2", mapped),
        (d_sys, "d_sys", mapped),
    ):
        for line, (source, target) in zip(panel.lines, [("b", "a"), ("a", "b")], strict=True):
            expected = [
                (float(row["known_pairs"]), 100 * row[key])
                for row in result["pairs"]
                if (row["source"], row["target"]) == (source, target)
                and row["condition"] in conditions
            ]
            np.testing.assert_allclose(line.points, expected, rtol=1e-12)
        assert [x for x, _ in panel.median.points] == [0, 8, 20]
        assert len(panel.chance.points) == 3
        assert panel.native is not None
    assert len(summary(result).charts["cmc"].content) == 3


def test_the_figures_hold_every_line(folder):
    """The SVG of the curves has one group a panel and pair of systems."""
    ids = set(re.findall(r'id="([^"]+)"', (folder / "known.svg").read_text()))
    assert {f"pair-{panel}-{line}" for panel in range(3) for line in range(2)} <= ids
    assert {
        f"{name}-{panel}" for name in ("median", "chance", "native") for panel in range(3)
    } <= ids


def test_the_page_says_what_the_rates_are(folder, result):
    """The finding, chance, the sizes and the promise to name nobody stand on the page."""
    text = spoken((folder / "report.html").read_text())
    page = summary(result)
    for said in (page.lede, page.sizes, "it does not say who was linked to whom"):
        assert spoken(said) in text
    assert "75 probes of 30 people" in spoken(page.sizes)


@pytest.mark.slow
def test_undefined_numbers_have_their_reason(result, tmp_path):
    """A condition without numbers is a dash in its cell, with the reason under the figure."""
    changed = without(result)
    for row in changed["pairs"]:
        if row["known_pairs"] == 20:
            keep = ("source", "target", "condition", "known_pairs")
            row |= {key: None for key in row if key not in keep}
            row["reason"] = "too few rows for <this> method"
    changed["cmc"] = [row for row in changed["cmc"] if row["known_pairs"] != 20]
    page = summary(changed)
    assert page.matrix.cells[0][1].value == "–"
    assert any("undefined in 2 cells: too few rows" in note for note in page.matrix.notes)
    html = write_linkage_report(changed, tmp_path).read_text()
    assert "&lt;this&gt;" in html
    assert "<this>" not in html


@pytest.mark.slow
def test_one_system_alone_has_no_curve(result, tmp_path):
    """With native rows alone there is no curve, and figures of an earlier report are removed."""
    write_linkage_report(result, tmp_path)
    changed = without(
        result,
        pairs=[row for row in result["pairs"] if row["condition"] == "native"][:1],
        cmc=[row for row in result["cmc"] if row["condition"] == "native"],
        linkable=[],
    )
    html = write_linkage_report(changed, tmp_path).read_text()
    assert "no pair of two systems" in html
    assert not (tmp_path / "known.png").exists()
    assert not (tmp_path / "cmc.svg").exists()


@pytest.mark.slow
def test_systems_of_one_side_leave_dashes(result, tmp_path):
    """A pair that is not among the systems of both sides is a dash that says so."""
    changed = without(
        result,
        pairs=[row for row in result["pairs"] if (row["source"], row["target"]) == ("a", "b")],
        linkable=[
            {
                "source": "a",
                "target": "b",
                "above_chance_from": 0,
                "half_of_native_from": None,
                "reason": "no native",
            }
        ],
    )
    page = summary(changed)
    assert [[cell.value == "–" for cell in row] for row in page.matrix.cells] == [
        [True, True],
        [False, True],
    ]
    assert "not among the systems of both sides" in page.matrix.notes[1]
    assert page.charts["known"].content[0].native is None
    html = write_linkage_report(changed, tmp_path).read_text()
    assert "no map needed" in html
    assert "no system is on both sides" in html


def test_another_study_is_refused(result):
    """A report of another study, or one that lacks a part, is refused."""
    with pytest.raises(InputError, match="expected linkage"):
        LinkageStudy.of({**result, "study": "similarity"})
    with pytest.raises(InputError, match="lacks cmc; is it a linkage report"):
        LinkageStudy.of({key: value for key, value in result.items() if key != "cmc"})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("source", "", "pairs[2] of this report: got source='', expected a name"),
        ("rank1_low", "few", "pairs[2].rank1_low of this report: got 'few', expected a number"),
        ("rank5", 1.5, "pairs[2].rank5 of this report: got 1.5, expected a share from 0 to 1"),
    ],
)
def test_a_row_that_no_study_writes_is_refused(result, key, value, message):
    """A row with a number that no study writes is refused by its place and its field."""
    changed = without(result)
    changed["pairs"][2][key] = value
    with pytest.raises(InputError, match=re.escape(message)):
        LinkageStudy.of(changed)


def test_every_row_has_the_declared_fields(result):
    """What the study writes is what its tables declare, field by field."""
    for table in LinkageStudy.tables:
        for row in result[table.name]:
            assert set(row) == set(table.columns)


# -- unlabelled templates ------------------------------------------------------------------------


def test_a_page_of_both_attacks_says_what_unlabelled_templates_add(result):
    """The lede, a tile, a column and a curve show self-training; a page without it shows none."""
    page = summary(result)
    assert "With unlabelled templates of both systems beside" in page.lede
    titles = [tile.title for tile in page.tiles]
    assert "Half of native from, with unlabelled templates" in titles
    columns = [column.title for column in page.tables["linkable"].columns]
    assert "Half of native from, with unlabelled templates" in columns
    panels = [panel.title for panel in page.charts["known"].content]
    assert "Rank 1 with unlabelled templates, %" in panels
    paired = without(
        result,
        pairs=[row for row in result["pairs"] if row["condition"] != "self-trained"],
        attack="paired",
        overlap=None,
    )
    page = summary(paired)
    assert "unlabelled" not in page.lede
    assert not any("unlabelled" in tile.title for tile in page.tiles)
    shown = [column.title for table in page.tables.values() for column in table.columns]
    assert not any("unlabelled" in title or title.startswith("Overlap") for title in shown)
    assert len(page.charts["known"].content) == 3


def test_a_report_of_before_is_still_read(result):
    """A report without the keys of self-training, as earlier versions wrote it, has its page."""
    added = {"overlap", "believed", "steps", "pseudo_share", "pseudo_share_by_chance", "seconds"}
    pairs = [
        {key: value for key, value in row.items() if key not in added}
        for row in result["pairs"]
        if row["condition"] != "self-trained"
    ]
    linkable = [
        {key: value for key, value in row.items() if not key.endswith("self_trained")}
        for row in result["linkable"]
    ]
    old = without(result, pairs=pairs, linkable=linkable)
    del old["attack"], old["overlap"]
    assert "unlabelled" not in summary(old).lede


def test_the_table_tells_mapped_from_self_trained(folder):
    """The CSV has the overlap and the schedule of self-trained rows, blank in others."""
    with (folder / "pairs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["condition"] for row in rows} == {"native", "unmapped", "mapped", "self-trained"}
    for row in rows:
        blank = row["condition"] != "self-trained"
        assert (row["overlap"] == "", row["seconds"] == "", row["believed"] == "") == (blank,) * 3
