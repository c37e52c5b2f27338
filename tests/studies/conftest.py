"""Reports of studies, whose figures are drawn once, on the page, unless a test needs their files."""

import pytest
from tests.studies.results import results

__all__ = ["results"]


@pytest.fixture
def figure_files():
    """Draw the files of figures too."""


@pytest.fixture(autouse=True)
def _figures_on_the_page_alone(request, monkeypatch):
    """Write figures' files without drawing them again, unless a test uses `figure_files`."""
    if "figure_files" not in request.fixturenames:
        from intertwine.report.render import write

        monkeypatch.setattr(
            write, "figure_files", lambda plots: dict.fromkeys(write.figure_names(plots), b"drawn")
        )
