import io
import sys

import pytest

from intertwine.cli import common
from intertwine.errors import InputError


@pytest.mark.parametrize(
    ("text", "rows"), [("0:2700", (0, 2700)), ("5:6", (5, 6)), ("0:0", (0, 0))]
)
def test_a_row_range_is_two_numbers(text, rows):
    """A range is read as its start and its end."""
    assert common.row_range(text) == rows


@pytest.mark.parametrize("text", ["", "5", ":", "3:", ":3", "-1:3", "a:b", "1:2:3", "1.5:2", "²:3"])
def test_anything_else_is_no_row_range(text):
    """What is not A:B is refused with an example."""
    with pytest.raises(InputError, match="expected A:B, such as 0:2700"):
        common.row_range(text)


def test_progress_without_a_terminal_is_a_plain_line_now_and_then(capsys, monkeypatch):
    """Elsewhere than on a terminal a line comes every ten seconds, on standard error only."""
    clock = iter([0.0, 1.0, 9.0, 10.5, 10.5, 12.0, 20.6, 20.6])
    monkeypatch.setattr(common.time, "monotonic", lambda: next(clock))
    with common.progress() as report:
        for done in range(1, 6):
            report("mapping", done, 5)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "mapping: 3 of 5\nmapping: 5 of 5\n"


def test_progress_on_a_terminal_is_a_bar(monkeypatch):
    """On a terminal there is a bar for each stage of the work, on standard error."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with common.progress() as report:
        report("joint moments", 1, 2)
        report("joint moments", 2, 2)
        report("fitting", 1, 1)
    assert "joint moments" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()
    assert "fitting" in terminal.getvalue()


def test_json_holds_no_nan_and_no_sign_beyond_ascii(capsys):
    """JSON is printed in ASCII whatever it holds; NaN is no JSON and never printed."""
    common.print_json({"note": "a → b: λ"})
    assert capsys.readouterr().out == '{"note": "a \\u2192 b: \\u03bb"}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        common.print_json({"r2": float("nan")})
