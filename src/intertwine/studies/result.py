"""What a study returns: single values, tables of rows, and how people look at them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from intertwine.errors import InputError, MissingExtraError
from intertwine.storage.untrusted import printable

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Sequence
    from pathlib import Path
    from typing import Self

    from matplotlib.figure import Figure

    from intertwine.report.page import Page
    from intertwine.report.schema import Report

# Names of networks that a line of text lists.
MOST_NAMES = 6


@dataclass(frozen=True, repr=False)
class StudyResult(ABC):
    """The result of a study whose tables are fields: the object that `report.json` holds.

    Its `repr` is a few lines; a notebook shows it as the report's main table.

    Parameters
    ----------
    facts
        Single values by key.
    """

    study: ClassVar[str]  # as `report.json` names it

    facts: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the result as one JSON-ready object, which is that of `report.json`."""
        value = asdict(self)
        return {"study": self.study, **value.pop("facts"), **value}

    def to_frame(self, table: str = "pairs", *, library: str | None = None) -> Any:
        """Return a table as a data frame, with the columns and rows of its CSV file.

        Parameters
        ----------
        table
            The table's name, which is that of its CSV file: `pairs` is the main one.
        library
            `pandas` or `polars`; the first of them that is installed when omitted.

        Returns
        -------
        frame
            Undefined numbers are NaN in pandas and null in polars; `reason`, where a table has it,
            says why they are undefined.

        Raises
        ------
        InputError
            For a table that the study does not have, or another library.
        MissingExtraError
            When neither library, or not the one asked for, is installed.
        """
        from intertwine.report.data_frame import data_frame

        report = self._report()
        schemas = {each.name: each for each in report.files}
        if table not in schemas:
            raise InputError(f"got table {table}, expected {_one_of(schemas)}")
        return data_frame(schemas[table], report.flat(table), library)

    def plot(self, figure: str | None = None) -> Figure:
        """Return a figure of the report; a notebook shows it.

        Parameters
        ----------
        figure
            The figure's name, which is that of its PNG file; the main one when omitted.

        Raises
        ------
        InputError
            For a figure that the report does not have.
        MissingExtraError
            When matplotlib is not installed.
        """
        from intertwine.report.draw import for_notebook
        from intertwine.report.render import plots

        drawn = plots(self._page())
        name = next(iter(drawn), "table") if figure is None else figure
        if name not in drawn:
            raise InputError(f"got figure {name}, expected {_one_of(drawn)}")
        return for_notebook(drawn[name]())

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the report's folder, as the study's command does.

        Parameters
        ----------
        folder
            Where to write. An earlier report of the same study is replaced.

        Returns
        -------
        page
            The path of `report.html`; without the extra `report`, which draws it, that of
            `report.json`.

        Raises
        ------
        InputError
            When the folder holds another study's report, or cannot be written.
        """
        dated = self if "created" in self.facts else self.dated()
        return self._write(dated.to_json(), folder)

    def dated(self, **facts: Any) -> Self:
        """Return the result with the present time as that of its creation, and with further facts."""
        from intertwine.maps.linear_map import date_text

        return replace(self, facts={**self.facts, "created": date_text(None), **facts})

    def __repr__(self) -> str:
        """Return the first doubt, what was studied, and what was found."""
        warnings = self.facts.get("warnings") or []
        more = f" (1 of {len(warnings)})" if len(warnings) > 1 else ""
        doubt = [f"warning{more}: {warnings[0]}"] if warnings else []
        return printable("\n".join([*doubt, *self._lines()]), keep="\n")

    def _repr_html_(self) -> str | None:
        """Return the report's main table for a notebook; None, which leaves it to `repr`, without Jinja."""
        from intertwine.report.render.notebook import notebook_html

        try:
            return notebook_html(self._page())
        except MissingExtraError:
            return None

    @abstractmethod
    def _lines(self) -> list[str]:
        """Return the lines of `repr`: study, networks and sizes, and the headline."""

    @abstractmethod
    def _report(self) -> Report:
        """Return the report's numbers, with the look-ups of its study."""

    @abstractmethod
    def _page(self) -> Page:
        """Return what the report's page shows."""

    @abstractmethod
    def _write(self, result: dict[str, Any], folder: str | os.PathLike[str]) -> Path:
        """Write the report of the object that `report.json` will hold; return its page's path."""


def listed(names: Sequence[str]) -> str:
    """Return the names of networks in a line, the first few of many."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_NAMES])} and {len(names) - MOST_NAMES} more"


def _one_of(names: Collection[str]) -> str:
    return f"one of {', '.join(names)}" if names else "none: no number of this result is defined"
