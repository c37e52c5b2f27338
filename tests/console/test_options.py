import pytest

from intertwine.console import options as common
from intertwine.errors import InputError


@pytest.mark.parametrize(
    ("text", "rows"), [("0:2700", (0, 2700)), ("5:6", (5, 6)), ("0:0", (0, 0))]
)
def test_a_row_range_is_two_numbers(text, rows):
    """A range is read as its start and its end."""
    assert common.row_range(text) == rows


@pytest.mark.parametrize(
    "text",
    ["", "5", ":", "3:", ":3", "-1:3", "a:b", "1:2:3", "1.5:2", "²:3", "0:" + 5000 * "7"],
    ids=lambda text: text[:9],
)
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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain λ → é\tand\nlines", "plain λ → é\tand\nlines"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("caf\udce9.npy", r"caf\udce9.npy"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
    ],
    ids=["plain", "ESC", "CSI in one byte", "no UTF-8", "turned"],
)
def test_names_command_no_terminal(capsys, text, shown):
    """What a terminal would obey, or could not write, is printed as its escape."""
    common.print_line(text)
    common.print_note(text)
    printed = capsys.readouterr()
    assert printed.out == printed.err == f"{shown}\n"


@pytest.mark.parametrize("command", ["inspect", "fit", "apply", "closed-set", "migrate"])
def test_a_name_of_any_bytes_is_one_line_of_error(intertwine, tmp_path, command):
    """A path with an ESC sequence and bytes that are no UTF-8 is named without either."""
    path = tmp_path / "a\x1b[31m\udcff"
    arguments = {
        "inspect": [path],
        "fit": [path, "--out", tmp_path / "out"],
        "apply": [path, path, tmp_path / "x.npy"],
        "closed-set": ["--fit", path, "--eval", path, "--out", tmp_path / "out"],
        "migrate": [f"npy:{path}.npy", "npy:x.npy", "--map", path],
    }[command]
    done = intertwine(command, *arguments)
    assert r"a\x1b[31m\udcff" in done.error()


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        (["plan", "--out", "my report", "--json"], "intertwine plan --out 'my report'"),
        (
            ["fit", "--scheduler", "tcp://me:open sesame@host:1/x"],
            "intertwine fit --scheduler 'tcp://me:***@host:1/x'",
        ),
        (["apply", "pgvector://me:s3cr3t@h/db?table=t"], "'pgvector://me:***@h/db?table=t'"),
        (["plan", "a\x1b[31m"], r"intertwine plan 'a\x1b[31m'"),
    ],
    ids=["quoted", "password", "store", "ESC"],
)
def test_a_report_holds_the_command_without_secrets(monkeypatch, typed, command):
    """The command line is quoted for a shell, without secrets and without what changes nothing."""
    monkeypatch.setattr(common, "typed", typed)
    held = common.command_line()
    assert held["command"].endswith(command)


def test_a_result_outside_of_a_command_holds_none():
    """Where no command line runs, nothing is added."""
    assert common.command_line() == {}
