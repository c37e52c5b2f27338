"""Every measure of similarity of two arrays at once, with intervals and what unrelated ones score."""

from __future__ import annotations

import html
import warnings
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, overload

from intertwine.arrays.pair import NAMES, feature_set_of, without_files
from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.passes.moments.groups import GROUPS
from intertwine.report.data_frame import data_frame
from intertwine.report.numbers import plain
from intertwine.report.schema import Field, TableSchema
from intertwine.report.shapes import DASH
from intertwine.similarity.canonical import VARIANCE
from intertwine.similarity.measures import MEASURES
from intertwine.studies.similarity.row_sample import SAMPLE_ROWS
from intertwine.studies.similarity.study import SimilarityOptions, SimilarityResult
from intertwine.studies.similarity.study import similarity as study
from intertwine.wording import counted, named

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

# Of the figure, in inches: its width, the room below its axes and above.
WIDE, FOOT, TOP = 6.4, 0.5, 0.35


@dataclass(frozen=True)
class Score:
    """What one measure says of two arrays.

    Parameters
    ----------
    measure, title
        The measure's key, such as `cka_debiased`, and what people call it.
    source, target
        The two spaces. Of a measure that differs by direction there is a score each way.
    score
        The score; None where it is undefined.
    low, high
        Its 95 % interval; None where it is undefined.
    null
        What unrelated arrays of these sizes and spectra score on average.
    calibrated, calibrated_low, calibrated_high
        (score − null) / (best − null): 0 for unrelated arrays, 1 for arrays alike, and its interval.
        None where unrelated arrays reach the best score too.
    best
        The score of an array against itself.
    reason
        Why something is None.
    """

    measure: str
    title: str
    source: str
    target: str
    score: float | None
    low: float | None
    high: float | None
    null: float | None
    calibrated: float | None
    calibrated_low: float | None
    calibrated_high: float | None
    best: float
    reason: str | None = None

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """The 95 % interval."""
        return self.low, self.high

    @classmethod
    def of(cls, row: Mapping[str, Any], name: str) -> Self:
        """Return a measure's score in a row of the study's main table."""
        ends = ("low", "high", "null", "calibrated", "calibrated_low", "calibrated_high")
        return cls(
            measure=name,
            title=MEASURES[name].title,
            source=row["source"],
            target=row["target"],
            score=row[name],
            **{end: row[f"{name}_{end}"] for end in ends},
            best=MEASURES[name].best,
            reason=row["reasons"].get(name),
        )


@dataclass(frozen=True, repr=False)
class ArraySimilarity:
    """How similar two arrays are, by every measure.

    Its `repr` is a small table, in a notebook as HTML. Index it by a measure's key: `s["cka"].score`.

    Parameters
    ----------
    study
        The result of the similarity study of the two: everything else that it computes.
    scores
        One a measure; two, one each way, for measures that differ by direction.
    """

    study: SimilarityResult
    scores: tuple[Score, ...] = field(default=())

    @classmethod
    def of(cls, result: SimilarityResult) -> Self:
        """Return the scores of the result of a study of two spaces."""
        a, b = (row["space"] for row in result.spaces)
        rows = {(row["source"], row["target"]): row for row in result.pairs}
        scores = []
        for name in (measure["name"] for measure in result.measures):
            scores.append(Score.of(rows[a, b], name))
            if not MEASURES[name].symmetric:
                scores.append(Score.of(rows[b, a], name))
        return cls(result, tuple(scores))

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.study.facts["n"])

    @property
    def names(self) -> tuple[str, str]:
        """The names of the two spaces."""
        a, b = (row["space"] for row in self.study.spaces)
        return a, b

    @property
    def notes(self) -> list[str]:
        """What a reader should know; doubts come first."""
        return [without_files(note, self.names) for note in self.study.facts["notes"]]

    @property
    def warnings(self) -> list[str]:
        """The doubts among the notes."""
        return [without_files(note, self.names) for note in self.study.facts["warnings"]]

    @cached_property
    def _by_measure(self) -> dict[str, Score]:
        return {each.measure: each for each in reversed(self.scores)}

    def __getitem__(self, measure: str) -> Score:
        """Return a measure's score, from the first array to the second."""
        if measure not in self._by_measure:
            known = dict.fromkeys(each.measure for each in self.scores)
            raise InputError(f"got measure {measure!r}, expected one of {named(known)}")
        return self._by_measure[measure]

    def __iter__(self) -> Iterator[Score]:
        """Yield the scores."""
        return iter(self.scores)

    def __len__(self) -> int:
        """Return the number of scores."""
        return len(self.scores)

    def to_json(self) -> dict[str, Any]:
        """Return the scores, sizes and notes as one JSON-ready object."""
        return {
            "n": self.n,
            "dimensions": {row["space"]: row["dimension"] for row in self.study.spaces},
            "confidence": self.study.facts["confidence"],
            "warnings": self.warnings,
            "notes": self.notes,
            "scores": [asdict(each) for each in self.scores],
        }

    # -- shown ----------------------------------------------------------------------------------

    def __repr__(self) -> str:
        head, rows = ("", *_COLUMNS), self._rows()
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
        lines = [
            "  ".join(
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in (head, *rows)
        ]
        doubts = [f"warning: {text}" for text in self.warnings]
        return "\n".join([*doubts, self._title(), *lines, *self._reasons()])

    def _repr_html_(self) -> str:
        """Return the table for a notebook, in the notebook's own colours."""
        cell = 'style="text-align:right;padding:.15em .7em"'
        first = 'style="text-align:left;padding:.15em .7em;font-weight:normal"'
        text = html.escape
        head = "".join(f"<th {cell}>{text(name)}</th>" for name in _COLUMNS)
        body = "".join(
            f"<tr><th {first}>{text(row[0])}</th>"
            + "".join(f"<td {cell}>{text(value)}</td>" for value in row[1:])
            + "</tr>"
            for row in self._rows()
        )
        doubts = "".join(f"<p><strong>{text(each)}</strong></p>" for each in self.warnings)
        reasons = "".join(f"<div>{text(each)}</div>" for each in self._reasons())
        return (
            f'<div>{doubts}<table style="border-collapse:collapse;font-variant-numeric:tabular-nums">'
            f'<caption style="text-align:left;padding:.3em .7em">{text(self._title())}</caption>'
            f"<thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>"
            f'<div style="opacity:.75;font-size:.9em;padding:.3em .7em">{reasons}</div></div>'
        )

    def _title(self) -> str:
        ends = " and ".join(f"{row['space']} ({row['dimension']})" for row in self.study.spaces)
        return f"similarity of {ends} over {counted(self.n, 'row', form=',')}"

    def _rows(self) -> list[tuple[str, ...]]:
        """Return the table's rows: title, score, interval, null, calibrated."""
        rows = []
        for each in self.scores:
            one_way = "" if MEASURES[each.measure].symmetric else f", {each.source} → {each.target}"
            ends = (each.low, each.high)
            interval = DASH if None in ends else " to ".join(plain(end, 3) for end in ends)
            numbers = [plain(value, 3) for value in (each.score, each.null, each.calibrated)]
            rows.append((each.title + one_way, numbers[0], interval, *numbers[1:]))
        return rows

    def _reasons(self) -> list[str]:
        """Return why numbers are undefined, one line a reason."""
        titles: dict[str, list[str]] = {}
        for each in self.scores:
            if each.reason:
                titles.setdefault(each.reason, []).append(each.title)
        return [f"{', '.join(dict.fromkeys(those))}: {reason}" for reason, those in titles.items()]

    def to_frame(self, *, library: str | None = None) -> Any:
        """Return the scores as a data frame, one row a score.

        Parameters
        ----------
        library
            `pandas` or `polars`; the first of them that is installed when omitted.

        Returns
        -------
        frame
            Undefined numbers are NaN in pandas and null in polars; `reason` says why.

        Raises
        ------
        InputError
            For another library.
        MissingExtraError
            When neither library, or not the one asked for, is installed.
        """
        return data_frame(SCORES, [asdict(each) for each in self.scores], library)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the report of the similarity study of the two arrays; return the path of its page.

        Parameters and errors are those of `SimilarityResult.save`.
        """
        return self.study.save(folder)

    def plot(self) -> Figure:
        """Return a figure of the calibrated scores with their intervals.

        Raises
        ------
        MissingExtraError
            When matplotlib is not installed.
        """
        from intertwine.report.draw import for_notebook
        from intertwine.report.draw.colours import LIGHT
        from intertwine.report.draw.export import settings
        from intertwine.report.draw.frame import bare_axes, empty_figure

        shown = [
            (row[0], each.calibrated, [each.calibrated_low, each.calibrated_high])
            for row, each in zip(self._rows(), self.scores, strict=True)
            if each.calibrated is not None
        ]
        with settings():
            inner = 0.28 * len(shown)
            high = inner + FOOT + TOP
            figure = empty_figure((WIDE, high), LIGHT)
            axes: Any = figure.add_axes((0.35, FOOT / high, 0.61, inner / high))
            bare_axes(axes, LIGHT, 8.5, grid="x")
            for place, (_, calibrated, ends) in enumerate(shown):
                if None not in ends:
                    axes.plot(ends, [place, place], color=LIGHT.faint, linewidth=2.2)
                axes.plot(calibrated, place, "o", color=LIGHT.accent, markersize=4.5)
            axes.set_yticks(range(len(shown)), [title for title, *_ in shown])
            axes.set_ylim(len(shown) - 0.5, -0.5)
            axes.axvline(0, color=LIGHT.muted, linewidth=0.8)
            axes.set_xlabel(
                "calibrated: 0 as unrelated arrays, 1 as an array with itself",
                fontsize=8.5,
                color=LIGHT.muted,
            )
            axes.set_title(self._title(), loc="left", fontsize=9.5, color=LIGHT.ink)
        return for_notebook(figure)


_COLUMNS = ("score", "95 % interval", "unrelated", "calibrated")


SCORES = TableSchema(
    "scores",
    "One row a measure; two where it differs by direction.",
    (
        Field("measure", "name"),
        Field("title", "text"),
        Field("source", "name"),
        Field("target", "name"),
        Field("score", "number", interval=("low", "high")),
        Field("null", "number"),
        Field("calibrated", "number", interval=True),
        Field("best", "number"),
        Field("reason", "text"),
    ),
)


@overload
def similarity(
    x: FeatureSet, y: None = None, *, options: SimilarityOptions | None = None, **study: Any
) -> SimilarityResult: ...
@overload
def similarity(
    x: Any,
    y: Any,
    *,
    names: Sequence[str] = NAMES,
    ids: Any = None,
    groups: int = GROUPS,
    sample: int = SAMPLE_ROWS,
    neighbours: int | None = None,
    cca_alpha: float = 0.0,
    variance: float = VARIANCE,
    precision: str = "auto",
    device: str = "cpu",
) -> ArraySimilarity: ...
def similarity(x: Any, y: Any = None, **options: Any) -> ArraySimilarity | SimilarityResult:
    """Return how similar two arrays are by every measure, with intervals; or study a feature set.

    `similarity(feature_set, options=SimilarityOptions(…))` measures every pair of its spaces: see
    `intertwine.studies.similarity.similarity`.

    Parameters
    ----------
    x, y
        (n, d_x) and (n, d_y) arrays of any library; row i of both is the same sample.
    names
        What to call the two.
    ids
        (n,) ids that decide row groups and samples; row numbers when omitted.
    groups, sample, neighbours, cca_alpha, variance
        Those of `SimilarityOptions`.
    precision, device
        Of the moments, and where they are worked out.

    Returns
    -------
    similarity
        Of two arrays an `ArraySimilarity`, whose numbers are those of the study and of
        `intertwine.cka(x, y)` and so on; of a feature set a `SimilarityResult`.

    Raises
    ------
    InputError
        For arrays that are not (n, d), not finite or differ in rows, and options out of range.

    Warns
    -----
    UserWarning
        Where two arrays are no more alike than shuffled rows: are rows in the same order?

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> round(similarity(x, x[:, ::-1] + 1)["cka"].score, 6)
    1.0
    """
    if isinstance(x, FeatureSet):
        if y is not None:
            raise InputError("got a feature set and another argument, expected the set alone")
        return study(x, **options)
    return _of_arrays(x, y, **options)


def _of_arrays(
    x: Any,
    y: Any,
    *,
    names: Sequence[str] = NAMES,
    ids: Any = None,
    precision: str = "auto",
    device: str = "cpu",
    **options: Any,
) -> ArraySimilarity:
    feature_set = feature_set_of(x, y, names=names, ids=ids)
    chosen = SimilarityOptions(**options)
    result = study(feature_set, options=chosen, precision=precision, device=device)
    found = ArraySimilarity.of(result)
    for doubt in found.warnings:
        # Called through the module `intertwine.similarity`.
        warnings.warn(doubt, stacklevel=4)
    return found
