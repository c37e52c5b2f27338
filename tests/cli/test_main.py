import errno
import shlex
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import typer

from intertwine.cli import app
from intertwine.errors import InputError
from intertwine.extras import installed_version
from intertwine.passes import apply as passes

COMMANDS = [
    "demo",
    "encoders",
    "extract",
    "fit",
    "apply",
    "closed-set",
    "convert-checkpoint",
    "inspect",
]


@pytest.mark.slow
def test_help_lists_every_command(installed):
    """The installed command prints its commands and exits 0."""
    done = installed("--help")
    assert done.code == 0
    assert all(f" {name} " in done.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(intertwine, name):
    """Every command explains itself and takes --json."""
    done = intertwine(name, "--help")
    assert done.code == 0
    assert "--json" in done.out


@pytest.mark.slow
def test_help_is_in_words(intertwine):
    """No help shows a type of Python's, or choices between bars that break inside words."""
    for name in [[], *([each] for each in typer.main.get_command(app).commands)]:
        text = intertwine(*name, "--help").out
        assert "<" not in text.replace("<= ", "")
        assert "|" not in text.replace("local|ADDRESS", "")
    choices = " ".join(intertwine("fit", "--help").out.replace("│", " ").split())
    assert "One of ridge, least-squares, procrustes" in choices


def test_every_command_has_an_example_that_it_accepts():
    """The example in a command's help is a command line that it can read."""
    commands = typer.main.get_command(app).commands
    assert len(commands) > 14
    for name, command in commands.items():
        program, first, *rest = shlex.split(command.help.partition("Example: ")[2])
        assert (program, first) == ("intertwine", name)
        assert command.make_context(name, rest).params


@pytest.mark.parametrize("how", ["command", "module"])
def test_the_version_is_printed(intertwine, how):
    """The program states its version, also as a module of Python's."""
    expected = f"intertwine {installed_version()}\n"
    assert installed_version()[0].isdigit()
    if how == "command":
        done = intertwine("--version")
        assert (done.code, done.out, done.err) == (0, expected, "")
    else:
        module = [sys.executable, "-m", "intertwine", "--version"]
        assert subprocess.run(module, capture_output=True, text=True, check=True).stdout == expected


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("intertwine clo", {"closed-set"}),
        ("intertwine fit set --method r", {"ridge", "reduced-rank"}),
        ("intertwine extract images --preset paper-f", {"paper-faces"}),
        ("intertwine extract images --encoder ti", {"timm:"}),
    ],
)
def test_a_shell_completes_names(intertwine, monkeypatch, typed, offered):
    """Names of commands, methods, presets and schemes are completed."""
    monkeypatch.setenv("_INTERTWINE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    assert set(intertwine().out.split()) == offered


def test_two_values_for_one_are_met_with_what_to_type(intertwine):
    """Where an option for one path got two, the error says how several are typed."""
    done = intertwine("closed-set", "--fit", "a.npy", "b.npy", "--eval", "c", "--out", "report")
    assert done.code == 2
    text = " ".join(done.err.replace("│", " ").split())
    assert "repeat it for several, as in --fit A --fit B" in text


@pytest.mark.slow
def test_help_waits_for_no_numerical_library():
    """The help is printed without importing NumPy, SciPy, scikit-learn, torch or matplotlib."""
    script = (
        "import sys\n"
        "from intertwine.cli import main\n"
        "sys.argv = ['intertwine', '--help']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code\n"
        "heavy = {'numpy', 'scipy', 'sklearn', 'torch', 'matplotlib', 'safetensors'}\n"
        "print('imported:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "imported: []"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["fit"],
        ["fit", "set"],
        ["apply", "map"],
        ["closed-set", "--fit", "set", "--out", "report"],
        ["fit", "set", "--out", "maps", "--method", "magic"],
        ["fit", "set", "--out", "maps", "--precision", "float8"],
        ["fit", "set", "--out", "maps", "--nonsense"],
        ["closed-set", "--fit", "a", "--eval", "b", "--out", "c", "--curve-points", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2(intertwine, arguments):
    """A command line that makes no sense exits 2 and says so on standard error."""
    done = intertwine(*arguments)
    assert done.code == 2
    if arguments:
        assert done.out == ""
        assert "Usage" in done.err or "Error" in done.err


@pytest.mark.slow
def test_an_error_is_one_line_and_exit_1(installed, tmp_path):
    """A user's error is one line on standard error, without a traceback, and exit 1."""
    line = installed("inspect", tmp_path / "absent").error()
    assert line.endswith("absent: nothing there")


@pytest.mark.slow
def test_debug_shows_the_traceback(intertwine, installed, tmp_path):
    """With --debug the exception itself is seen."""
    done = installed("inspect", tmp_path / "absent", "--debug")
    assert done.code == 1
    assert "Traceback" in done.err
    assert "InputError" in done.err
    with pytest.raises(InputError):
        intertwine("--debug", "inspect", tmp_path / "absent")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "disk"),
        OSError(errno.EFBIG, "File too large", "disk"),
        OSError(errno.EIO, "Input/output error", "disk"),
        PermissionError(errno.EACCES, "Permission denied", "disk"),
        NotADirectoryError(errno.ENOTDIR, "Not a directory", "disk"),
        OSError("disk: something without a number"),
    ],
    ids=lambda error: error.args[-1] if error.errno is None else errno.errorcode[error.errno],
)
def test_what_the_system_refuses_is_one_line(intertwine, monkeypatch, tmp_path, error):
    """An error of the system, wherever it arises, is one clear line."""

    def fail(*_args, **_options):
        raise error

    monkeypatch.setattr(passes, "apply_file", fail)
    line = intertwine("apply", "map", "in.npy", tmp_path / "out.npy").error()
    assert "disk" in line
    assert (error.strerror or "something without a number") in line


def test_a_name_that_is_too_long_is_one_line(intertwine):
    """A path that the system cannot even look at is a user's error."""
    assert "File name too long" in intertwine("inspect", "x" * 5000).error()


def test_too_little_memory_is_one_line(intertwine, monkeypatch, tmp_path):
    """A lack of memory says what to do."""

    def fail(*_args, **_options):
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr(passes, "apply_file", fail)
    line = intertwine("apply", "map", "in.npy", tmp_path / "out.npy").error()
    assert "not enough memory (Unable to allocate 9 TiB); use --precision float32" in line


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", pytest.param("latin-1", marks=pytest.mark.slow)])
def test_a_terminal_without_unicode_is_served(installed, study_folders, tmp_path, encoding):
    """Where a terminal lacks a sign, tables and errors are printed all the same."""
    environment = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    folders = ["--fit", study_folders / "fit", "--eval", study_folders / "eval"]
    done = installed("closed-set", *folders, "--out", tmp_path / "report", environment=environment)
    assert done.code == 0, done.err
    assert "native" in done.out
    np.save(tmp_path / "flat.npy", np.ones(3))
    done = installed("inspect", tmp_path / "flat.npy", environment=environment)
    assert "expected (n, d)" in done.error()


def test_an_interrupt_inside_a_lock_exits_130(intertwine, monkeypatch):
    """Ctrl-C that a lock of the standard library turned into another error is still Ctrl-C."""

    def interrupted(*_args, **_options):
        lock = threading.Condition()
        with lock:
            # What an interrupt at the wrong moment of `Condition.wait` leaves behind.
            lock.release()
            raise KeyboardInterrupt

    monkeypatch.setattr(passes, "apply_file", interrupted)
    done = intertwine("apply", "map", "in.npy", "out.npy")
    assert (done.code, done.out) == (130, "")
    assert done.err == "intertwine: stopped; the same command goes on from here\n"


@pytest.mark.parametrize("arguments", [["--json"], []], ids=["json", "table"])
def test_ctrl_c_exits_130(networks, tmp_path, arguments):
    """Ctrl-C at work exits 130, prints no traceback, and leaves no report."""
    three = networks({"a": 300, "b": 300, "c": 300})
    three.save(tmp_path / "fit", 3000, 1)
    three.save(tmp_path / "eval", 3000, 2)
    folders = ["--fit", tmp_path / "fit", "--eval", tmp_path / "eval"]
    # So many points take minutes.
    many = ["--curve-points", "2000", "--out", tmp_path / "report"]
    # Python leaves Ctrl-C ignored where the tests run behind a shell's &.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    loaded = "from intertwine import cli; print('loaded', flush=True); cli.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{heard}; {loaded}", "closed-set", *folders, *many, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "loaded\n"
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1] == "intertwine: stopped; no report was written"
    assert "Traceback" not in err
    assert not (tmp_path / "report").exists()
