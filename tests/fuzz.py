# ruff: noqa: T201, S311 - a script prints, and nothing here is secret
"""Damages good files of every kind at random, and reads them: a line or a value, never a traceback.

    python tests/fuzz.py --count 200000 --seed 1

Inputs are read in child processes, so that an abort or a hang ends one of them and is counted. What is
counted as a finding: an exception that is none of this program's, an abort, a reading of more than ten
seconds, a file written outside the input's folder, a program that is started, a connection, and
anything printed on standard output.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

SECONDS, GRACE = 10, 60
# Inputs that one child reads.
CHUNK = 500
ODD: list[Any] = [
    None,
    True,
    False,
    -1,
    0,
    1,
    2**31,
    2**53,
    2**64,
    10**30,
    -0.5,
    1e308,
    "",
    "x",
    "é",
]
ODD += [
    "\ud800",
    "nan",
    "../../x",
    "\x1b[31m",
    [],
    {},
    [[]],
    {"a": 1},
    [1, 2, 3],
    [[0, 10**9]],
    7 * "[[",
]
WORDS = [
    b"0",
    b"-1",
    b"99999999999999999999",
    b"1e999",
    b"NaN",
    b"\x00",
    b"\xff\xfe",
    b"\n",
    b"\r",
    b",",
]
WORDS += [
    b'"',
    b"\t",
    b"{",
    b"]",
    b"\xef\xbb\xbf",
    b"..",
    b"/",
    b"%",
    b" ",
    "é".encode(),
    b"\x1b[2J",
]


def damaged_value(value: Any, rng: random.Random) -> Any:
    """Return JSON with one place of it replaced, removed or doubled."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.8:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = rng.choice(list(keys))
        copy: Any = dict(value) if isinstance(value, dict) else list(value)
        how = rng.random()
        if how < 0.15:
            del copy[key]
        elif how < 0.25 and isinstance(copy, list):
            copy.append(copy[key])
        elif how < 0.3 and isinstance(copy, dict):
            copy[rng.choice(["x", "..", "a--b", "é"])] = copy[key]
        else:
            copy[key] = damaged_value(copy[key], rng)
        return copy
    return rng.choice(ODD)


def damaged_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return bytes with some changed, cut out, doubled or put in."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4, 16])):
        at, how = rng.randrange(len(changed) + 1), rng.randrange(8)
        length = rng.choice([1, 1, 2, 4, 8, 64])
        if how == 0:
            del changed[at:]
        elif how == 1:
            del changed[at : at + length]
        elif how == 2:
            changed[at:at] = changed[at : at + length]
        elif how == 3:
            changed[at : at + rng.choice([0, length])] = rng.choice(WORDS)
        elif how == 4:
            changed[at : at + length] = rng.choice([b"\0", b"\xff", b"\x7f"]) * length
        elif at < len(changed):
            changed[at] = changed[at] ^ (1 << rng.randrange(8)) if how < 7 else rng.randrange(256)
    return bytes(changed)


def damage(path: Path, kind: Any, rng: random.Random) -> None:
    """Damage a good file in place."""
    from fuzz_kinds import resigned

    if kind.spoil is not None:
        kind.spoil(path, rng)
        return
    if kind.signed is not None:
        which = rng.randrange(4)
        how = (lambda value: damaged_value(value, rng)) if which else rng.choice
        with contextlib.suppress(ValueError, TypeError):
            resigned(path, kind.signed, how, which)
        return
    data = path.read_bytes()
    if path.suffix == ".json" and rng.random() < 0.6:
        value = json.loads(data)
        for _ in range(rng.choice([1, 1, 2])):
            value = damaged_value(value, rng)
        path.write_bytes(json.dumps(value).encode("utf-8", "surrogatepass"))
    else:
        path.write_bytes(damaged_bytes(data, rng))


class Watch:
    """What a reading does that no reading should: it is told by Python's own audit."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen, self.on = str(folder), [], False
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note programs started, connections, and files opened for writing elsewhere."""
        if not self.on:
            return
        if event in {
            "subprocess.Popen",
            "os.system",
            "os.exec",
            "os.posix_spawn",
            "socket.connect",
        }:
            self.seen.append(f"{event} {arguments[:2]!r}"[:200])
        elif event == "open" and isinstance(arguments[0], str) and isinstance(arguments[2], int):
            writes = arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes and not arguments[0].startswith((self.folder, "/dev/", "/proc/")):
                self.seen.append(f"writes {arguments[0]}"[:200])


class Output:
    """Standard output while inputs are read, which stays empty; facts go to where it led before."""

    def __init__(self) -> None:
        self._facts = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._held = tempfile.TemporaryFile()  # noqa: SIM115 - held until the child ends
        os.dup2(self._held.fileno(), 1)

    def tell(self, **facts: Any) -> None:
        """Write facts as one line."""
        print(json.dumps(facts), file=self._facts, flush=True)

    def taken(self) -> bytes:
        """Return what was printed since the last call."""
        sys.stdout.flush()
        self._held.seek(0)
        printed = self._held.read()
        self._held.seek(0)
        self._held.truncate()
        return printed


def _late(*_: object) -> None:
    raise TimeoutError


def work(names: list[str], seed: int, start: int, stop: int) -> None:
    """Read some damaged inputs of each kind and print what came of each, a line each."""
    from torchvision_operators import declare_operators

    declare_operators()
    root = Path(tempfile.mkdtemp(prefix="fuzz-"))
    watch, output = Watch(root), Output()
    signal.signal(signal.SIGALRM, _late)
    warnings.simplefilter("ignore")
    for name in names:
        _read_kind(name, seed, range(start, stop), root, watch, output)
    shutil.rmtree(root)


def _read_kind(
    name: str, seed: int, numbers: range, root: Path, watch: Watch, output: Output
) -> None:
    from fuzz_kinds import KINDS
    from intertwine.errors import IntertwineError

    kind, good = KINDS[name], root / "good"
    good.mkdir()
    file = kind.make(good).relative_to(good)
    kind.read(good / file)  # whatever is imported or cached for the first time is not counted
    # Readings may leave files, so the good input is made once more.
    shutil.rmtree(good)
    good.mkdir()
    kind.make(good)
    for number in numbers:
        rng = random.Random(f"{name} {seed} {number}")
        shutil.copytree(good, root / "input")
        damage(root / "input" / file, kind, rng)
        output.taken()
        output.tell(kind=name, begun=number)
        watch.seen, watch.on = [], True
        began, found = time.monotonic(), "read"
        signal.alarm(SECONDS)
        try:
            kind.read(root / "input" / file)
        except IntertwineError as error:
            # Signs that only Python takes for ends of lines are printed as their escapes.
            lines = str(error).split("\n")
            found = (
                "refused" if len(lines) == 1 or not str(error) else f"{len(lines)} lines: {error}"
            )
        except TimeoutError:
            found = f"hang: over {SECONDS} s"
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            place = list(traceback.extract_tb(error.__traceback__))
            own = next((f for f in reversed(place) if "intertwine" in f.filename), place[-1])
            where = f"{Path(own.filename).name}:{own.lineno}"
            found = f"traceback: {type(error).__name__} at {where}: {str(error)[:100]}"
        finally:
            signal.alarm(0)
            watch.on = False
        shutil.rmtree(root / "input", ignore_errors=True)
        seconds = round(time.monotonic() - began, 2)
        if printed := output.taken():
            watch.seen.append(f"prints {printed!r}"[:200])
        output.tell(kind=name, done=number, found=found, seconds=seconds, seen=watch.seen)
    shutil.rmtree(good)


def read_few(names: list[str], seed: int, count: int) -> list[dict[str, Any]]:
    """Return what one child found in the first inputs of each kind; it must not end early."""
    kinds = [part for name in names for part in ("--kind", name)]
    command = [sys.executable, __file__, *kinds, "--seed", str(seed), "--work", f"0:{count}"]
    done = subprocess.run(command, capture_output=True, check=True)
    facts = [json.loads(line) for line in done.stdout.splitlines()]
    ends = [fact for fact in facts if "done" in fact]
    assert len(ends) == len(names) * count
    return [fact for fact in ends if fact["found"] not in {"read", "refused"} or fact["seen"]]


def read_all(
    name: str, seed: int, start: int, stop: int
) -> tuple[Counter[str], list[dict[str, Any]]]:
    """Have children read inputs of a kind; one that ends early is replaced behind its last input."""
    counts: Counter[str] = Counter()
    findings: list[dict[str, Any]] = []
    while start < stop:
        arguments = [
            "--kind",
            name,
            "--seed",
            str(seed),
            "--work",
            f"{start}:{min(start + CHUNK, stop)}",
        ]
        command = [sys.executable, __file__, *arguments]
        limit = GRACE + CHUNK * SECONDS
        try:
            done = subprocess.run(command, capture_output=True, timeout=limit, check=False)
            out, code, err = done.stdout, done.returncode, done.stderr
        except subprocess.TimeoutExpired as expired:
            out, code, err = expired.stdout or b"", -9, b""
        begun = -1
        for line in out.splitlines():
            fact = json.loads(line)
            if "begun" in fact:
                begun = fact["begun"]
                continue
            begun = -1
            counts[fact["found"] if fact["found"] in {"read", "refused"} else "finding"] += 1
            if fact["found"] not in {"read", "refused"} or fact["seen"]:
                findings.append(fact)
        if code and begun < 0:
            raise RuntimeError(f"{name}: the reading itself failed: {err.decode()[-2000:]}")
        if begun >= 0:
            counts["finding"] += 1
            findings.append(
                {"kind": name, "done": begun, "found": f"ended with {code}", "seen": []}
            )
            start = begun + 1
        else:
            start = min(start + CHUNK, stop)
    return counts, findings


def shares(count: int, kinds: dict[str, Any]) -> dict[str, int]:
    """Return how many inputs of each kind are read."""
    weights = {name: 0.2 if kind.heavy else 1.0 for name, kind in kinds.items()}
    return {name: round(count * each / sum(weights.values())) for name, each in weights.items()}


def fuzz(count: int, seed: int, names: list[str]) -> dict[str, Any]:
    """Read damaged inputs of kinds, a heavy one a fifth as often; return counts and findings."""
    from concurrent.futures import ThreadPoolExecutor

    from fuzz_kinds import KINDS

    kinds = {name: KINDS[name] for name in names}
    result: dict[str, Any] = {"seed": seed, "kinds": {}, "findings": []}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        works = {
            name: pool.submit(read_all, name, seed, 0, n)
            for name, n in shares(count, kinds).items()
        }
        for name, found in works.items():
            counts, findings = found.result()
            result["kinds"][name] = dict(counts)
            result["findings"] += findings
            print(f"{name}: {dict(counts)}", file=sys.stderr, flush=True)
    result["inputs"] = sum(sum(counts.values()) for counts in result["kinds"].values())
    return result


def main() -> int:
    """Run the command; exit 1 where anything was found."""
    sys.path.insert(0, str(Path(__file__).parent))
    from fuzz_kinds import KINDS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=20261130)
    parser.add_argument("--kind", action="append", choices=sorted(KINDS))
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    names = arguments.kind or list(KINDS)
    if arguments.work:
        start, stop = map(int, arguments.work.split(":"))
        work(names, arguments.seed, start, stop)
        return 0
    result = fuzz(arguments.count, arguments.seed, names)
    print(json.dumps(result, indent=1))
    return 1 if result["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
