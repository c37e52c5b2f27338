"""docs/performance.md and its figure, from what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scale.figure import draw_curves

if TYPE_CHECKING:
    from pathlib import Path

    Found = dict[str, Any]

PEERS = {
    "sklearn_targets": "scikit-learn `Ridge`, all targets of a source at once",
    "sklearn_pairs": "scikit-learn `Ridge`, pair by pair",
    "himalaya_targets": "himalaya `Ridge`, all targets at once",
    "torch_targets": "torch `linalg.lstsq`, all targets at once",
    "sklearn_path": "scikit-learn `RidgeCV`, generalised cross-validation, one λ a target",
    "himalaya_path": "himalaya `RidgeCV`, 5 folds, one λ a target",
}


def write_page(found: Found, docs: Path) -> None:
    """Write the page and its figure.

    Parameters
    ----------
    found
        What `benchmarks/scale.py` measured, part by part.
    docs
        The documentation's folder.
    """
    sections = [
        (("moments",), lambda: _moments(found["moments"])),
        (("maps",), lambda: _maps(found["maps"])),
        (("maps", "rows_curve", "spaces_curve"), lambda: _curves(found, docs)),
        (("path", "maps"), lambda: _path(found)),
        (("memory", "bounded"), lambda: _memory(found)),
        (("applying",), lambda: _applying(found["applying"])),
        (("exactness",), lambda: _exactness(found["exactness"])),
        (("gpu",), lambda: _gpu(found["gpu"])),
        (("limits",), lambda: _limits(found["limits"])),
    ]
    parts = [_head(found["machine"]), *found.get("notes", [])]
    parts += [write() for needed, write in sections if all(name in found for name in needed)]
    (docs / "performance.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _head(machine: Found) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    units = " and ".join(machine["matrix_units"]) or "no bfloat16 units"
    return f"""# Performance

Measured by `python benchmarks/scale.py --work DIR --json FILE`; this page is `--page` of the same file. {machine["processor"]}, {machine["cores"]} cores ({units}), {machine["memory_gib"]:.0f} GiB; {", ".join(machine["blas"])};
Python {machine["python"]}, {versions}. The machine is virtual, and its rate of plain products varies by 30 % from minute to minute and by a factor of two from hour to hour: limits and peers are therefore measured right before or after each run of ours, and
a ratio is the median over such pairs of runs. Features are made up (low rank and noise, ReLU, dead columns). The pass does not depend on them; a source with null directions other than dead columns is solved by eigenvectors instead of a Cholesky factor, at three times the time. Each measurement runs in its own process."""


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _moments(found: Found) -> str:
    rows = [
        [
            name,
            f"{part['s']:.1f}",
            f"{sorted(run['limit_s'] for run in part['runs'])[len(part['runs']) // 2]:.1f}",
            f"**{part['ratio']:.2f}**",
            ", ".join(f"{run['s'] / run['limit_s']:.2f}" for run in part["runs"]),
        ]
        for name, part in found.items()
    ]
    first = next(iter(found.values()))
    quicker = found["float32 from float32"]["s"] / found["fast from float32"]["s"]
    return f"""## The pass

Joint moments of six spaces, {first["dim"]:,} dimensions in all, over {first["n"]:,} rows from disk, reading included. The limit is the time for n·D(D + 1) floating-point operations, the upper triangle and nothing else,
at the rate of the fastest plain float32 product of any shape tried. The aim is 1.2. `fast` is {quicker:.1f} times as fast as `float32` here (aim: 1.5).

{_table(["precision, files", "s", "limit, s", "ratio", "runs"], rows)}

On the diagonal BLAS computes half of a tile at two thirds of its speed; these tiles, at most 512 wide, are about 6 % of the triangle."""


def _seconds(run: Found) -> str:
    if "s" in run:
        return f"{run['s']:.0f}"
    return str(run["failed"])


def _peer_row(name: str, part: Found) -> list[str]:
    runs = part["runs"]
    lower = "≥ " if any("s" not in run["peer"] for run in runs) else ""
    memory = runs[0]["peer"]["peak_mib"] / runs[0]["float32"]["peak_mib"]
    return [
        PEERS[name],
        ", ".join(_seconds(run["peer"]) for run in runs),
        *(f"{lower}{part[precision]:.2f}" for precision in ("float32", "fast")),
        f"{runs[0]['peer']['peak_mib'] / 1024:.1f} GiB",
        f"{memory:.1f}",
    ]


def _maps(found: Found) -> str:
    ours = [run["float32"] for run in found["sklearn_targets"]["runs"]]
    middle = sorted(ours, key=lambda run: run["s"])[len(ours) // 2]
    return f"""## All maps

All 30 ordered maps of the same six spaces, λ = 1, from disk, reading included for both. Ours take, in `float32`, {middle["s"]:.0f} s, of which the pass takes {middle["pass_s"]:.0f}, in {middle["peak_mib"] / 1024:.2f} GiB. Aims: 1.9 against the best of
those that fit all targets at once, 2.4 against the best that goes pair by pair (arithmetic alone allows 2 − Σd²/(Σd)² = 1.8 and 3).

{_table(["peer, float32", "s", "× ours, `float32`", "× ours, `fast`", "memory", "× ours"], [_peer_row(name, part) for name, part in found.items()])}

A peer's memory grows with the number of rows, ours does not: from about 100,000 rows on ours is less than a tenth of theirs."""


def _curves(found: Found, docs: Path) -> str:
    peers = {point["peer"] for point in found["rows_curve"]}
    rows = [
        *found["rows_curve"],
        *({"n": 50_000, "peer": name, **found["maps"][name]} for name in peers),
    ]
    spaces = [
        *found["spaces_curve"],
        *({"spaces": 6, **point} for point in found["rows_curve"] if point["n"] == 25_000),
    ]
    draw_curves(rows, spaces, docs / "performance.svg")
    return f"""## Over rows and spaces

![How many times as long others take, over the number of rows and of spaces](performance.svg)

Six spaces:

{_points(rows, "n", "rows")}

25,000 rows:

{_points(spaces, "spaces", "spaces")}"""


def _points(points: list[Found], key: str, label: str) -> str:
    rows = []
    for point in sorted(points, key=lambda point: (list(PEERS).index(point["peer"]), point[key])):
        run = point["runs"][0]
        theirs, ours = run["peer"]["peak_mib"], run["float32"]["peak_mib"]
        lower = "" if "s" in run["peer"] else "≥ "
        rows.append(
            [
                PEERS[point["peer"]],
                f"{point[key]:,}",
                *(f"{lower}{point[precision]:.2f}" for precision in ("float32", "fast")),
                f"{theirs / 1024:.1f} GiB",
                f"{theirs / ours:.1f}",
            ]
        )
    return _table(["peer", label, "× ours, `float32`", "× ours, `fast`", "memory", "× ours"], rows)


def _path(found: Found) -> str:
    part, sources = found["path"], 6
    ours = part["float32"]
    rows = []
    for name in ("sklearn_path", "himalaya_path"):
        peer = part[name]
        seconds = peer.get("s") or peer.get("stopped_after_s")
        rows.append(
            [
                PEERS[name],
                _seconds(peer),
                *(
                    f"≥ {sources * seconds / part[p]['s']:.0f}" if seconds else "—"
                    for p in ("float32", "fast")
                ),
                f"{peer['peak_mib'] / 1024:.1f} GiB",
            ]
        )
    single = sorted(run["float32"]["s"] for run in found["maps"]["sklearn_targets"]["runs"])
    return f"""## Twenty λ by cross-validation

The same 30 maps with one λ of 20 for every target dimension: ours {ours["s"]:.0f} s in `float32` ({part["fast"]["s"]:.0f} s in `fast`), against {single[len(single) // 2]:.0f} s for a single λ. A peer gets only the smallest source (1,024 dimensions, all other
spaces as targets) and is stopped after a while; six times its time is less than it would need for all six. The aim is 15.

{_table(["peer, float32", "s for one source", "× ours, `float32`", "× ours, `fast`", "memory"], rows)}"""


def _memory(found: Found) -> str:
    rows = [
        [
            name,
            *(f"{run['n']:,}: {run['peak_mib']:.0f}" for run in runs),
            f"{runs[1]['peak_mib'] / runs[0]['peak_mib']:.3f}",
        ]
        for name, runs in found["memory"].items()
    ]
    bounded = [
        [PEERS.get(name, f"ours, `{name}`"), f"{run['s']:.0f} s" if "s" in run else run["failed"]]
        for name, run in found["bounded"].items()
    ]
    dim = next(iter(found["memory"].values()))[0]["dim"]
    return f"""## Memory

Peak resident memory of the pass at n and 16 n rows of {dim:,} dimensions, MiB. The aim is a ratio of 1.05.

{_table(["precision", "n", "16 n", "ratio"], rows)}

All 30 maps of 50,000 rows in a process that may take 4 GiB:

{_table(["program", "time"], bounded)}"""


def _applying(found: Found) -> str:
    rows = [
        [f"{run[key]:.1f}" for key in ("s", "gemm_s", "copy_s")]
        + [f"{run['s'] / max(run['gemm_s'], run['copy_s']):.2f}"]
        for run in found["runs"]
    ]
    return f"""## Applying a map

{found["rows"]:,} × {found["dims"][0]} float32 → {found["dims"][1]}, file to file, compared with a plain product of that size and with a plain copy that reads the input and writes the output's bytes to disk. Median ratio to the slower of the two: **{found["ratio"]:.2f}** (aim: 1.3).

{_table(["`apply`, s", "product, s", "copy, s", "ratio"], rows)}"""


def _exactness(found: Found) -> str:
    rows = [
        [row["precision"], f"{row['r2']:.1e}", f"{row['accuracy']:.2%}"] for row in found["table"]
    ]
    return f"""## What precision costs

The bundled real features ({found["n"]:,} rows to fit, {found["n_eval"]:,} to score, {found["maps"]} maps, λ = 300): the largest difference from `float64` in any map's R² and top-1 accuracy (one row of the evaluation set is {1 / found["n_eval"]:.2%}).

{_table(["precision", "R²", "accuracy"], rows)}"""


def _limits(found: Found) -> str:
    best = found["best_gflops"]
    return f"""## What the machine can do

Fastest plain products: {best["float32"]:.0f} GFLOP/s in float32, {best["float64"]:.0f} in float64, {best["bfloat16"]:.0f} with bfloat16 units inside float32 products. Reading cached files {found["read_gbps"]:.1f} GB/s, copying one {found["copy_file_gbps"]:.1f}, copying memory {found["copy_memory_gbps"]:.1f}."""


def _gpu(found: Found) -> str:
    if "failed" in found:
        return f"""## On a GPU

Not measured: {found["failed"]}. The code for GPUs is tested on a processor instead."""
    return f"""## On a GPU

{found["device"]}: {found["rows"]:,} rows of {found["dim"]:,} dimensions, made on the device. Moments in {found["pass_s"]:.1f} s, {found["share_of_gemm"]:.0%} of the rate of a plain float16 product ({found["gemm_tflops"]:.0f} TFLOP/s), counting the triangle only;
{found["maps"]} maps in {found["solve_s"]:.1f} s. Largest relative error of a map against `float64`, on a part of the rows: {found["error"]:.1e}."""
