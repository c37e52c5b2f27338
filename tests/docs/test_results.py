"""docs/results.md quotes results/*.csv rightly; so do other pages that quote them."""

from __future__ import annotations

import csv
import json
import re
import shlex
from statistics import median

import pytest
from tests.docs import usage
from tests.docs.blocks import PAGES, ROOT

RESULTS = ROOT / "results"
# What tables call a space, and what the sample calls it.
NAMES = {
    "GoogLeNet": "googlenet",
    "MobileNet-v1": "mobilenet_v1",
    "MobileNet-v2": "mobilenet_v2",
    "MobileNet-v3": "mobilenet_v3",
    "untrained": "googlenet_untrained",
    "FaceNet-CASIA": "facenet_casia",
    "FaceNet-VGGFace2": "facenet_vgg2",
    "MobileFaceNet-128": "mobilefacenet_128",
    "MobileFaceNet-192": "mobilefacenet_192",
    "SFace": "sface",
}
# `<!-- quotes results/NAME.csv -->` stands before a table with a row a source, a column a target.
_QUOTE = re.compile(r"<!-- quotes results/([\w-]+)\.csv -->\n((?:\|.*\n)+)")
_CELL = re.compile(r"\**(\d+\.\d)\**(?: \(([−+]?\d+\.\d)\))?")
TABLES = [
    (page, name, table)
    for page in PAGES
    for name, table in _QUOTE.findall((ROOT / page).read_text(encoding="utf-8"))
]


def rows_of(name: str) -> list[dict[str, str]]:
    """Return the rows of a file of results."""
    with (RESULTS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def page(name: str) -> str:
    """Return a page's text, each run of blanks as one."""
    return " ".join((ROOT / "docs" / name).read_text(encoding="utf-8").split())


def signed(number: float, digits: int = 1) -> str:
    """Return a number as pages write it."""
    return f"{number:.{digits}f}".replace("-", "−")


def swaps(name: str) -> list[dict[str, str]]:
    """Return the rows between different trained networks."""
    return [
        row
        for row in rows_of(name)
        if row["source"] != row["target"] and "untrained" not in row["source"] + row["target"]
    ]


def changes(name: str) -> list[float]:
    """Return the percent change of every map between trained networks."""
    return [float(row["percent_change"]) for row in swaps(name)]


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.csv")), ids=lambda path: path.stem)
def test_every_row_states_a_command_that_exists_and_a_version(path):
    """A file of results has a row a pair, each with the command that made it and the version."""
    rows = rows_of(path.stem)
    assert rows
    for text in {row["command"] for row in rows}:
        usage.check_words(shlex.split(text))
    assert all(re.fullmatch(r"\d+\.\d+\.\d+\S*", row["version"]) for row in rows)


def test_tables_are_quoted():
    """Tables of results are compared with their files."""
    assert {name for _, name, _ in TABLES} >= {"closed_set", "open_set"}


@pytest.mark.parametrize(("page", "name", "table"), TABLES, ids=lambda value: str(value)[:20])
def test_tables_quote_their_file(page, name, table):
    """Each cell is the accuracy, and in brackets the change, of its row's and column's spaces."""
    found = {(row["source"], row["target"]): row for row in rows_of(name)}
    head, _, *lines = [
        [cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.splitlines()
    ]
    assert len(lines) >= 4
    for source, *cells in lines:
        for target, cell in zip(head[1:], cells, strict=True):
            row = found[NAMES[source], NAMES[target]]
            accuracy, change = _CELL.fullmatch(cell).groups()
            place = f"{page}: {source}, {target}"
            assert accuracy == f"{100 * float(row['accuracy']):.1f}", place
            assert change in {None, signed(float(row["percent_change"]))}, place


def test_the_closed_set_is_quoted():
    """Medians, extremes, native accuracies, curve and baselines are those of the files."""
    text, found = page("results.md"), changes("closed_set")
    worst = min(swaps("closed_set"), key=lambda row: float(row["percent_change"]))
    low, high = (signed(float(worst[key])) for key in ("ci_low", "ci_high"))
    assert f"| median percent change | {signed(median(found))} |" in text
    change = signed(float(worst["percent_change"]))
    assert f"| worst percent change (95 % interval) | {change} ({low} to {high}) |" in text
    for row in rows_of("closed_set_natives"):
        accuracy, low, high, top5 = (
            f"{100 * float(row[key]):.1f}" for key in ("accuracy", "ci_low", "ci_high", "top5")
        )
        assert f"| {accuracy} ({low}–{high}) | {top5} |" in text
    controls = [
        float(row["accuracy"])
        for row in rows_of("closed_set")
        if row["source"] != row["target"] and row["control"] == "true"
    ]
    assert f"| best cell of a control | {100 * max(controls):.1f} % |" in text


def test_the_closed_set_with_a_fixed_alpha_is_quoted():
    """Median and worst change with λ = 1 are those of the file."""
    found = changes("closed_set_lambda_1")
    quoted = f"the median is {signed(median(found))} and the worst {signed(min(found))}"
    assert f"With λ = 1, the paper's choice, {quoted}" in page("results.md")


def test_the_open_set_is_quoted():
    """Pairs without a map score within the bounds of the page."""
    rows = [row for row in rows_of("open_set") if row["source"] != row["target"]]
    found = [100 * float(row["identity_accuracy"]) for row in rows]
    assert f"all of these are {min(found):.0f} to {max(found):.0f}:" in page("results.md")
    best = [row for row in rows_of("open_set_best") if row["source"] != row["target"]]
    worst = max(best, key=lambda row: float(row["loss"]))
    names = {space: name for name, space in NAMES.items()}
    assert (
        f"is {median(float(row['loss']) for row in best):.2f} points, the worst {float(worst['loss']):.2f} "
        f"({names[worst['source']]} → {names[worst['target']]})"
    ) in page("results.md")


def test_similarity_is_quoted():
    """Scores are those of the file, and R² is higher towards fewer directions in every pair."""
    text = page("results.md")
    rows = {(row["source"], row["target"]): row for row in rows_of("similarity")}
    report = json.loads((ROOT / "docs" / "reports" / "similarity.json").read_text(encoding="utf-8"))
    directions = {row["space"]: row["participation_ratio"] for row in report["spaces"]}
    faces = [name for name in NAMES if NAMES[name] in directions]
    for at, first in enumerate(faces):
        assert f"{directions[NAMES[first]]:.0f} ({first})" in text
        for second in faces[at + 1 :]:
            a, b = NAMES[first], NAMES[second]
            cells = [rows[a, b]["cka_debiased"], rows[a, b]["r2"], rows[b, a]["r2"]]
            there, back = (float(cell) for cell in cells[1:])
            assert (there > back) is (directions[b] < directions[a])
            numbers = " | ".join(f"{float(cell):.2f}" for cell in cells)
            assert f"| {first} and {second} | {numbers} |" in text


def test_the_plan_is_quoted():
    """Decision and forecasts are those of the file."""
    text, rows = page("results.md"), {row["option"]: row for row in rows_of("plan")}
    report = json.loads((ROOT / "docs" / "reports" / "plan.json").read_text(encoding="utf-8"))
    assert f"is decided `{report['decision']}`" in text

    def percent(option: str, key: str) -> str:
        return f"{100 * float(rows[option][key]):.1f} %"

    assert f"finds {percent('stay', 'ndcg_at_10')} (nDCG@10)" in text
    assert f"converted vectors {percent('convert', 'ndcg_at_10')}" in text
    assert f"queries mapped back {percent('bridge', 'ndcg_at_10')}" in text
    assert f"re-embedding {percent('reembed', 'ndcg_at_10')}" in text
    assert f"converted vectors find {percent('convert', 'recall_at_10')}" in text
    assert f"mapped queries {percent('bridge', 'recall_at_10')}" in text


def test_the_curve_is_quoted():
    """The curve's medians are those of the file."""
    by_rows: dict[int, list[dict[str, str]]] = {}
    for row in swaps("closed_set_curve"):
        by_rows.setdefault(int(row["n_fit"]), []).append(row)
    numbers = " | ".join(f"{n:,}" for n in by_rows)
    classes = " | ".join(rows[0]["classes_covered"] for rows in by_rows.values())
    medians = " | ".join(
        signed(median(float(row["percent_change"]) for row in rows)) for rows in by_rows.values()
    )
    text = page("results.md")
    for title, values in (
        ("fit rows", numbers),
        ("classes covered", classes),
        ("median change, %", medians),
    ):
        assert f"| {title} | {values} |" in text


def test_baselines_and_analytic_maps_are_quoted():
    """Baselines reach no more than the page says, and analytic maps change no prediction."""
    text = page("results.md")
    best = max(
        float(row["accuracy"])
        for row in rows_of("closed_set_baselines")
        if row["baseline"] in {"identity", "mean"} and row["accuracy"]
    )
    assert f"Doing nothing and the mean vector reach at most {100 * best:.1f} %" in text
    assert {row["differing"] for row in rows_of("closed_set_analytic")} == {"0"}
    assert "changes 0 of 1,300 predictions for every pair and in both forms" in text


def test_the_audit_is_quoted():
    """The rates of linkage are those of the file."""
    text = page("results.md")
    found = {
        (row["source"], row["target"], row["condition"], row["known_pairs"]): row
        for row in rows_of("linkage")
    }
    for source, target in (("SFace", "FaceNet-CASIA"), ("FaceNet-CASIA", "SFace")):
        a, b = NAMES[source], NAMES[target]
        cells = [found[b, b, "native", "0"], found[a, b, "unmapped", "0"]]
        cells += [
            found[a, b, condition, known]
            for known in ("25", "100", "1247")
            for condition in ("mapped", "self-trained")
        ]
        rates = " | ".join(f"{100 * float(row['rank1']):.1f}" for row in cells)
        assert f"| {source} → {target} | {rates} |" in text


def test_published_reports_are_those_of_the_files():
    """The reports that the documentation shows hold the pairs of the files, and are small."""
    shown = sorted((ROOT / "docs" / "reports").glob("*.json"))
    linked = set(re.findall(r'href="reports/(\w+)\.html"', page("reports.md")))
    assert {path.stem for path in shown} == linked
    for path in shown:
        assert path.stat().st_size < 1_000_000
        pairs = json.loads(path.read_text(encoding="utf-8"))["pairs"]
        for pair, row in zip(pairs, rows_of(path.stem), strict=False):
            numbers = {
                key for key, value in pair.items() if isinstance(value, float) and key in row
            }
            assert numbers
            assert all(float(row[key]) == pair[key] for key in numbers)
    assert sum(path.stat().st_size for path in shown) < 3_000_000
