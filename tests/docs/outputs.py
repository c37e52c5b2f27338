"""What a page says that a block prints, compared with what it prints."""

from __future__ import annotations

import re

# A line of progress, which a slow machine is shown now and then.
_PROGRESS = re.compile(r"[^:]+: \d+ of \d+.*")
_NUMBER = re.compile(r"(?<![\w.])[-−+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])")
# What differs from run to run, and what stands for it.
_VARIES = (
    (
        re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?)?"),
        "DATE",
    ),
    (re.compile(r"\b\d+(?:\.\d+)?(?= ?(?:s|seconds?|min|minutes?)\b)"), "TIME"),
    # Rules of tables are as long as their columns are wide.
    (re.compile(r"([─━═-])\1+"), r"\1"),
    (re.compile(r"\s+"), " "),
)


def compare(shown: str, printed: str, folder: str = "") -> None:
    """Raise AssertionError unless what is shown is what was printed.

    Lines are compared one by one, blank ones left out. Numbers may differ by one and a half units
    of their last decimal, whole ones not at all; dates, durations, paths below `folder` and the
    widths of columns do not count. A line `…` stands for any lines.
    """
    wanted = _lines(shown)
    got = _lines(printed.replace(f"{folder}/", "") if folder else printed)
    assert _match(wanted, got), "shown:\n{}\nprinted:\n{}".format("\n".join(wanted), "\n".join(got))


def _lines(text: str) -> list[str]:
    """Return the lines that count, each with what varies replaced."""
    kept = []
    for line in text.splitlines():
        plain = line.strip()
        if not plain or _PROGRESS.fullmatch(plain):
            continue
        for pattern, instead in _VARIES:
            plain = pattern.sub(instead, plain)
        kept.append(plain)
    return kept


def _match(wanted: list[str], got: list[str]) -> bool:
    if not wanted:
        return not got
    if wanted[0] in {"…", "..."}:
        return any(_match(wanted[1:], got[start:]) for start in range(len(got) + 1))
    return bool(got) and _same_line(wanted[0], got[0]) and _match(wanted[1:], got[1:])


def _same_line(wanted: str, got: str) -> bool:
    numbers, printed = _NUMBER.findall(wanted), _NUMBER.findall(got)
    return (
        _NUMBER.sub("#", wanted) == _NUMBER.sub("#", got)
        and len(numbers) == len(printed)
        and all(map(_same_number, numbers, printed))
    )


def _same_number(wanted: str, got: str) -> bool:
    """Return whether two numbers agree to the shown one's last decimal."""
    a, b = (float(text.replace(",", "").replace("−", "-")) for text in (wanted, got))
    digits, _, exponent = wanted.partition("e")
    decimals = len(digits.partition(".")[2])
    unit = 10.0 ** (int(exponent or 0) - decimals)
    return abs(a - b) <= (1.5 * unit if decimals else 0)
