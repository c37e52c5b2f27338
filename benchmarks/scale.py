"""Speed and memory of the one pass, compared with the best peers and the machine's limits.

    python benchmarks/scale.py --work DIR --json FILE      every part that FILE lacks
    python benchmarks/scale.py --work DIR --json FILE --only maps path
    python benchmarks/scale.py --json FILE --page          docs/performance.md from FILE

Every measurement runs in a process of its own. DIR takes about 20 GB of made-up features.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

from scale import data, process
from scale.page import write_page

DIMS = [1024, 1024, 1280, 1792, 2048, 1536]
ROWS = 50_000
CURVE_ROWS = (12_500, 25_000)
MOST_ROWS = 100_000
MEMORY_ROWS = 12_500
CAP = 240.0
BOUND_GIB = 4
OURS = ("float32", "fast")
PEERS = ("sklearn_targets", "torch_targets", "sklearn_pairs", "himalaya_targets")


class Run:
    """The parts, measured with one set of sizes.

    Parameters
    ----------
    work
        Folder for made-up features.
    rows
        Rows of the main set.
    repeat
        Runs that a median is taken of.
    """

    def __init__(self, work: Path, rows: int, repeat: int) -> None:
        self.work, self.rows, self.repeat = work, rows, repeat
        self.spaces = data.names_of(DIMS)

    def folder(self, rows: int, dtype: str = "float32", times: int = 1) -> str:
        """Return a folder of made-up features, written now if it is missing."""
        made = process.measure(
            "scale.data:make", root=str(self.work), dims=DIMS, rows=rows, dtype=dtype, times=times
        )
        return str(made["folder"])

    def limits(self) -> dict[str, Any]:
        """Measure what the machine can do."""
        return process.measure("scale.limits:limits", folder=self.folder(self.rows), quick=False)

    def moments(self) -> dict[str, Any]:
        """Measure the pass, by precision and type of file."""
        return {
            f"{precision} from {dtype}": process.measure(
                "scale.ours:moments_pass",
                folder=self.folder(self.rows, dtype),
                precision=precision,
                repeat=self.repeat,
            )
            for dtype in ("float32", "float16")
            for precision in OURS
        }

    def maps(self) -> dict[str, Any]:
        """Measure all ordered maps, ours and others in turn."""
        folder, found = self.folder(self.rows), {}
        for name in PEERS:
            repeat = self.repeat if name in PEERS[:2] else 1
            found[name] = self._in_turn(folder, name, self.spaces, repeat)
        return found

    def rows_curve(self) -> list[dict[str, Any]]:
        """Measure all maps over the number of rows."""
        measured = [(rows, name) for rows in CURVE_ROWS for name in PEERS[:3]]
        # Pair by pair it would take too long.
        measured += [(MOST_ROWS, name) for name in PEERS[:2]]
        return [
            {"n": n, "peer": name, **self._in_turn(self.folder(n), name, self.spaces, 1)}
            for n, name in measured
        ]

    def spaces_curve(self) -> list[dict[str, Any]]:
        """Measure all maps over the number of spaces."""
        folder = self.folder(CURVE_ROWS[1])
        return [
            {"spaces": k, "peer": name, **self._in_turn(folder, name, self.spaces[:k], 1)}
            for k in range(2, len(DIMS), 2)
            for name in PEERS[:3]
        ]

    def path(self) -> dict[str, Any]:
        """Measure 20 λ by cross-validation: ours for every source, peers for the first."""
        folder = self.folder(self.rows)
        found: dict[str, Any] = {
            precision: process.measure(
                "scale.ours:maps", folder=folder, spaces=self.spaces, precision=precision, path=True
            )
            for precision in OURS
        }
        for name in ("sklearn_path", "himalaya_path"):
            found[name] = process.measure(
                f"scale.peers:{name}", cap=CAP, folder=folder, spaces=self.spaces, sources=1
            )
        return found

    def memory(self) -> dict[str, Any]:
        """Measure peak memory at n and 16 n."""
        return {
            precision: [
                process.measure(
                    "scale.ours:memory",
                    folder=self.folder(MEMORY_ROWS, "float16", times),
                    precision=precision,
                )
                for times in (1, data.TIMES)
            ]
            for precision in OURS
        }

    def bounded(self) -> dict[str, Any]:
        """Fit all maps in a process of limited memory."""
        given = {"folder": self.folder(self.rows), "spaces": self.spaces, "limit_gib": BOUND_GIB}
        ours = {p: process.measure("scale.ours:maps", precision=p, **given) for p in OURS[:1]}
        return ours | {
            name: process.measure(f"scale.peers:{name}", cap=CAP, **given) for name in PEERS
        }

    def applying(self) -> dict[str, Any]:
        """Measure a map applied file to file."""
        return process.measure(
            "scale.applying:applying",
            cap=1200,
            root=str(self.work),
            rows=1_000_000,
            dims=[768, 1024],
            repeat=self.repeat,
        )

    def exactness(self) -> dict[str, Any]:
        """Measure the difference of each precision from float64 on the bundled sample."""
        from intertwine.features.samples import FILE, unpack

        sample = Path(__file__).parents[1] / "sample" / FILE
        fit, evaluation, _, _ = unpack(sample, self.work / "sample")
        return process.measure(
            "scale.exactness:exactness", fit=str(fit), evaluation=str(evaluation)
        )

    def gpu(self) -> dict[str, Any]:
        """Measure the paper's whole problem where there is a GPU."""
        return process.measure("scale.gpu:whole_problem", cap=600)

    def _in_turn(self, folder: str, peer: str, spaces: list[str], repeat: int) -> dict[str, Any]:
        """Measure a peer between runs of ours; ratios are of neighbours."""
        runs = []
        for _ in range(repeat):
            run = {
                precision: process.measure(
                    "scale.ours:maps", folder=folder, spaces=spaces, precision=precision
                )
                for precision in OURS
            }
            run["peer"] = process.measure(
                f"scale.peers:{peer}", cap=CAP, folder=folder, spaces=spaces
            )
            runs.append(run)
        whole = {"runs": runs}
        for precision in OURS:
            whole[precision] = median(_peer_s(run) / run[precision]["s"] for run in runs)
        return whole


def _peer_s(run: dict[str, Any]) -> float:
    """Return a peer's seconds; where it was stopped, the seconds until then, a lower bound."""
    peer = run["peer"]
    return float(peer.get("s") or peer.get("stopped_after_s") or float("nan"))


PARTS = (
    "exactness",
    "moments",
    "maps",
    "path",
    "memory",
    "bounded",
    "applying",
    "spaces_curve",
    "rows_curve",
    "limits",
    "gpu",
)


def main() -> None:
    """Measure the requested parts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("benchmark-features"))
    parser.add_argument("--json", type=Path, default=Path("scale.json"))
    parser.add_argument("--only", nargs="+", choices=PARTS, default=None)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    found = json.loads(options.json.read_text()) if options.json.exists() else {}
    if options.page:
        write_page(found, Path(__file__).parents[1] / "docs")
        return
    options.work.mkdir(parents=True, exist_ok=True)
    run = Run(options.work, options.rows, options.repeat)
    found["machine"] = process.measure("scale.machine:facts")
    for name in options.only or [part for part in PARTS if part not in found]:
        print(f"{name} …", flush=True)
        found[name] = getattr(run, name)()
        options.json.write_text(json.dumps(found, indent=1))
        print(json.dumps(found[name])[:600], flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == [process.CHILD]:
        process.child(*sys.argv[2:4])
    else:
        main()
