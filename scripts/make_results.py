"""Measure what docs/results.md says of the bundled samples: results/*.csv and docs/reports/*.json.

python scripts/make_results.py [--work build/results] [--only NAME …]

Runs the commands of `RUNS` in the folder --work, a few minutes each on two cores. A report that is
there already is not made again: remove the folder to measure anew. Each CSV is the study's
`pairs.csv`, one row a pair of spaces, with two more columns, the command and the program's version;
each JSON is a `report.json`, of which `make docs` makes a page.
"""

from __future__ import annotations

import argparse
import csv
import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from intertwine.features.samples import FACES, find_sample, unpack_faces

ROOT = Path(__file__).parents[1]
SAMPLE = "demo-output/sample"
PEOPLE = "demo-output/faces"
# The audit's sets, and the systems in them.
GALLERY, PROBES = "gallery", "probes"
AUDITED = ("facenet_casia", "sface")


@dataclass(frozen=True)
class Run:
    """A command, the folder of its report, and what is kept of it."""

    command: str
    report: str
    # Tables of the report by the name of the CSV that keeps them; more than one are joined.
    tables: dict[str, tuple[str, ...]]
    # Whether the documentation shows the report.
    shown: bool = False


DEMO = "intertwine demo --out demo-output"
RUNS = {
    "closed_set": Run(
        DEMO,
        "demo-output/report",
        {
            "closed_set": ("pairs",),
            "closed_set_natives": ("natives",),
            "closed_set_baselines": ("baselines",),
            "closed_set_analytic": ("analytic",),
            "closed_set_curve": ("curve",),
        },
        shown=True,
    ),
    "open_set": Run(DEMO, "demo-output/open-set", {"open_set": ("pairs",)}, shown=True),
    "linkage": Run(
        f"intertwine linkage --gallery {GALLERY} --probe {PROBES} --known 0,25,100,all --out linkage",
        "linkage",
        {"linkage": ("pairs",)},
        shown=True,
    ),
    "plan": Run(
        f"intertwine plan --pairs {PEOPLE}/set --source facenet_casia --target sface --rows 1000 "
        "--out plan",
        "plan",
        {"plan": ("pairs", "baselines")},
        shown=True,
    ),
    "similarity": Run(
        f"intertwine similarity {PEOPLE}/set --out similarity",
        "similarity",
        {"similarity": ("pairs",)},
        shown=True,
    ),
    "plan_images": Run(
        f"intertwine plan --pairs {SAMPLE}/fit --source mobilenet_v2 --target googlenet "
        "--out image-plan",
        "image-plan",
        {"plan_images": ("pairs", "baselines")},
    ),
    "closed_set_lambda_1": Run(
        f"intertwine closed-set --fit {SAMPLE}/fit --eval {SAMPLE}/eval --alpha 1.0 "
        "--control googlenet_untrained --curve-points 1 --out lambda-1",
        "lambda-1",
        {"closed_set_lambda_1": ("pairs",)},
    ),
    "open_set_best": Run(
        f"intertwine open-set {PEOPLE}/set --pairs {PEOPLE}/pairs.csv --protocol best --out best",
        "best",
        {"open_set_best": ("pairs",)},
    ),
}


def main() -> None:
    """Read the arguments, run what is missing and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "results")
    parser.add_argument("--only", action="append", choices=RUNS)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    for name in arguments.only or RUNS:
        run, report = RUNS[name], arguments.work / RUNS[name].report
        if not (report / "report.json").is_file():
            print(run.command, flush=True)
            if name == "linkage":
                cut_people(arguments.work)
            words = [sys.executable, "-m", *shlex.split(run.command)]
            subprocess.run(words, cwd=arguments.work, check=True)
        keep(name, run, report)


def cut_people(work: Path) -> None:
    """Write the sets of the audit: of each person one image enrolled, all others as probes."""
    folder, _, _ = unpack_faces(find_sample(FACES), work / PEOPLE)
    person = np.load(folder / "labels.npy")
    ids = (folder / "ids.txt").read_text(encoding="utf-8").split()
    _, first = np.unique(person, return_index=True)
    enrolled = np.zeros(len(person), bool)
    enrolled[first] = True
    for name, rows in ((GALLERY, np.flatnonzero(enrolled)), (PROBES, np.flatnonzero(~enrolled))):
        out = work / name
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        for space in AUDITED:
            np.save(out / f"{space}.npy", np.load(folder / f"{space}.npy")[rows])
        np.save(out / "labels.npy", person[rows])
        (out / "ids.txt").write_text("".join(f"{ids[row]}\n" for row in rows), encoding="utf-8")


def keep(name: str, run: Run, report: Path) -> None:
    """Copy a report's tables and, where the documentation shows it, its JSON."""
    made_by = {"command": run.command, "version": metadata.version("intertwine")}
    for table, parts in run.tables.items():
        rows = [row for part in parts for row in read_rows(report / f"{part}.csv")]
        columns = [*dict.fromkeys(key for row in rows for key in row), *made_by]
        path = ROOT / "results" / f"{table}.csv"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows({**row, **made_by} for row in rows)
    if run.shown:
        result = json.loads((report / "report.json").read_text(encoding="utf-8"))
        path = ROOT / "docs" / "reports" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        text = json.dumps(result, ensure_ascii=False, separators=(",", ":"))
        path.write_text(text + "\n", encoding="utf-8")


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
