"""What draws reports is asked for before the work."""

import sys

import pytest

from intertwine.errors import MissingExtraError
from intertwine.report import require_report_extra


@pytest.mark.parametrize("module", ["jinja2", "matplotlib"])
def test_a_missing_library_is_named_with_its_pip_line(monkeypatch, module):
    """Without a library of the extra, the error is the pip line that installs it."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'intertwine\[report\]'"):
        require_report_extra()


def test_nothing_happens_when_all_is_there():
    """With the extra installed nothing is raised."""
    assert require_report_extra() is None
