"""Matrices with known properties, and what several test files check alike."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import settings

from intertwine.errors import FileFormatError
from intertwine.moments.moments import Moments

# The same examples every time, and no clock: tests share their machine.
settings.register_profile("intertwine", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("intertwine")

# (n rows, d of the source, d of the target)
SHAPES = {
    "tall": (200, 12, 7),
    "wide": (30, 50, 9),
    "two rows": (2, 5, 3),
    "to more": (150, 6, 20),
    "to one": (60, 5, 1),
    "from one": (60, 1, 4),
}
# Sources and targets whose columns are tall's, but for what their name says.
SHAPED = ("constant", "dead", "duplicated", "rank one", "far")
CASES = (*SHAPES, *SHAPED)


def covering(*factors, strength: int = 2) -> list[tuple]:
    """Return few cases of a cross product in which any two factors' values all meet.

    With strength 3 it is any three factors' values. The same factors always return the same cases.
    """
    factors = [list(values) for values in factors]
    columns = list(combinations(range(len(factors)), strength))

    def parts(row) -> set:
        return {(at, *(row[column] for column in at)) for at in columns}

    rows = list(product(*(range(len(values)) for values in factors)))
    open_parts = {part for row in rows for part in parts(row)}
    chosen = []
    while open_parts:
        best = max(rows, key=lambda row: len(parts(row) & open_parts))
        open_parts -= parts(best)
        chosen.append(best)
    return [
        tuple(values[at] for values, at in zip(factors, row, strict=True)) for row in sorted(chosen)
    ]


def make(case: str, seed: int = 0):
    """Return related (n, d) and (n, q) float64 features of a named kind."""
    n, d, q = SHAPES.get(case, SHAPES["tall"])
    rng = np.random.default_rng([seed, sum(map(ord, case))])
    a = rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + rng.uniform(-2, 2, d)
    b = np.tanh(a @ rng.standard_normal((d, q))) + 0.3 * rng.standard_normal((n, q)) + 1
    if case == "constant":
        a[:, 3], b[:, 2] = 1.7, -7.3
    elif case == "dead":
        a[:, [0, 5]] = 0
        b[:, 1] = 0
    elif case == "duplicated":
        a[:, [4, 7]] = a[:, [0, 0]]
        b[:, 3] = b[:, 0]
    elif case == "rank one":
        a = np.outer(a[:, 0], np.linspace(-1, 2, d)) + 0.5
    elif case == "far":
        a, b = a + 1e4 * a.std(axis=0), b - 1e4 * b.std(axis=0)
    return a, b


def array_in(library: str, array: np.ndarray):
    """Return an array of "numpy" or "torch" over the same numbers."""
    if library == "numpy":
        return array
    import torch

    return torch.from_numpy(array)


def moments_of(a, b, *, precision: str = "float64", **options) -> Moments:
    """Return the joint moments of the rows of two spaces, a and b."""
    moments = Moments({"a": a.shape[1], "b": b.shape[1]}, precision=precision, **options)
    moments.update({"a": a, "b": b})
    return moments


def assert_close(got, expected, tolerance: float) -> None:
    """Check that arrays agree to a tolerance relative to the largest number expected."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    scale = np.abs(expected).max(initial=0.0) or 1.0
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * scale)


def assert_same_map(got, expected, tolerance: float) -> None:
    """Check that two maps have the same weight, and send the source's mean to the same place."""
    assert_close(got.weight, expected.weight, tolerance)
    mean = expected.source_mean
    there = expected.weight @ mean + expected.bias
    spread = np.abs(expected.weight) @ (np.abs(mean) + expected.source_spread)
    error = np.abs(got.weight @ mean + got.bias - there)
    assert (error <= tolerance * np.maximum(spread, np.abs(there)).max(initial=1e-300)).all()


def augmented(a, b, intercept: str):
    """Return the (z, y) that a kind of intercept regresses, by its definition."""
    if intercept == "free":
        return a - a.mean(axis=0), b - b.mean(axis=0)
    if intercept == "homogeneous":
        return np.column_stack([a, np.ones(len(a))]), b
    return a, b


def coefficients(linear_map, intercept: str):
    """Return a map's coefficients for `augmented` features, (p, q)."""
    if intercept == "homogeneous":
        return np.vstack([linear_map.weight.T, linear_map.bias])
    return linear_map.weight.T


def assert_refuses_damage(path, load) -> None:
    """Check that a file with any bit flipped, cut or longer is a format error of one line."""
    load(path)
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    body = range(header, len(whole), max(1, (len(whole) - header) // 60))
    flips = [*range(0, header, 5), *body]
    damaged = [
        whole[:at] + bytes([whole[at] ^ 1 << (at + shift) % 8]) + whole[at + 1 :]
        for at in flips
        for shift in (0, 5)
    ]
    cuts = range(0, len(whole), max(1, len(whole) // 60))
    damaged += [whole[:at] for at in (*cuts, len(whole) - 1)] + [whole + b"\0"]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(FileFormatError) as caught:
            load(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
    path.write_bytes(whole)


# Scales of 24 features; `one` is what massive activations look like.
SCALES = {
    "rising": np.logspace(-6, 6, 24),
    "falling": np.logspace(6, -6, 24),
    "mixed": np.random.default_rng(8).permutation(np.logspace(-6, 6, 24)),
    "one": np.r_[np.ones(23), 3e3],
    "one huge": np.r_[np.ones(23), 1e8],
    "half tiny": np.repeat([1.0, 1e-7], 12),
    "one tiny": np.r_[1e-9, np.ones(23)],
}


def scaled_case(name: str, n: int = 600):
    """Return related (n, 24) and (n, 10) features, and the scales that the first are to have."""
    rng = np.random.default_rng(7)
    a = rng.standard_normal((n, 24)) + 0.5 * rng.standard_normal((n, 1)) + rng.uniform(-2, 2, 24)
    b = a @ rng.standard_normal((24, 10)) + 2 * rng.standard_normal((n, 10)) + 1
    return a, b, SCALES[name]
