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
    with pytest.raises(InputError, match=r"got --rows .* expected A:B, such as 0:2700"):
        common.row_range(text)
    with pytest.raises(InputError, match="got --fill "):
        common.row_range(text, option="--fill")


def test_json_holds_no_nan_and_no_sign_beyond_ascii(capsys):
    """JSON is printed in ASCII whatever it holds; NaN is no JSON and never printed."""
    common.print_json({"note": "a → b: λ"})
    assert capsys.readouterr().out == '{"note": "a \\u2192 b: \\u03bb"}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        common.print_json({"r2": float("nan")})
