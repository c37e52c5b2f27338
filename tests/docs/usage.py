"""Commands that a page shows without running them: their names, options and files are real."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import tomllib

import click
import typer
from tests.docs.blocks import ROOT

from intertwine.cli import app
from intertwine.encoders.registry import SCHEMES
from intertwine.encoders.uri import EncoderUri

# Programs that come with a machine; what they do is not for us to check.
OTHERS = {"cat", "cd", "git", "ls", "mkdir", "mv", "python3"}
_ELLIPSIS = {"…", "...", "[…]"}


def check_shell(code: str) -> None:
    """Check every line of a shell block: the program is known, and takes what it is passed."""
    for line in re.split(r"\n| && ", code.replace("\\\n", " ")):
        # A console's lines begin with a prompt, or with a machine's name and one.
        words = shlex.split(re.sub(r"^[^'\"]*?\$ ", "", line), comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if words:
            check_words(
                [word.rpartition("bin/")[2] if i == 0 else word for i, word in enumerate(words)]
            )


def check_words(words: list[str]) -> None:
    """Check one command line."""
    program, *rest = words
    if program == "intertwine":
        check_command(rest)
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(rest) <= set(targets), f"no such target: {rest}"
    elif program == "pip" or words[:3] == ["python", "-m", "pip"]:
        _check_pip(words)
    elif words[:3] == ["python", "-m", "intertwine"]:
        check_command(words[3:])
    elif program == "python" and rest[0].endswith(".py"):
        _check_script(rest)
    else:
        assert program in {*OTHERS, "python"}, f"unknown program: {program}"


def check_command(words: list[str]) -> None:
    """Parse the arguments of `intertwine`, as the program itself does."""
    group = typer.main.get_command(app)
    with click.Context(group, info_name="intertwine") as parent:
        words = [word for word in words if word not in _ELLIPSIS]
        # The program's own options, such as --version, stand alone.
        own = {option for each in group.params for option in each.opts}
        if set(words) <= {*own, "--help"}:
            return
        name, *rest = words
        assert name in group.commands, f"no such command: {name}"
        context = group.commands[name].make_context(name, rest, parent=parent)
    for text in context.params.get("encoder") or ():
        check_encoder(text)


def check_encoder(text: str) -> None:
    """Parse the URI of an encoder; its scheme knows the options."""
    uri = EncoderUri.parse(text)
    assert uri.scheme in SCHEMES, f"no such scheme: {text}"
    unknown = set(uri.options) - set(SCHEMES[uri.scheme].known) - _ELLIPSIS
    # What a function of one's own takes is its own affair.
    assert uri.scheme == "python" or not unknown, f"{text}: unknown {unknown}"


def check_options(text: str) -> None:
    """Check that a command in prose exists, with the options that are named; values may be words."""
    group = typer.main.get_command(app)
    named = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", text))
    words = text.split()
    if not (command := group.commands.get(words[1])):
        assert words[1].startswith("-"), f"no such command: {text}"
        command = group
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    assert named <= {*known, "--help", "--debug"}, f"{text}: unknown {named - known}"


def check_python(code: str) -> None:
    """Compile a block; what it imports from us exists."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "intertwine":
            module = importlib.import_module(node.module)
            missing = [each.name for each in node.names if not hasattr(module, each.name)]
            assert not missing, f"{node.module} lacks {missing}"


def _check_pip(words: list[str]) -> None:
    """Check that the extras of a pip line are ours."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = set(project["project"]["optional-dependencies"])
    for word in words:
        if found := re.search(r"^(?:intertwine|\.|.*\.whl)\[([\w,-]+)\]", word):
            assert set(found[1].split(",")) <= extras, f"unknown extra: {word}"


def _check_script(words: list[str]) -> None:
    """Check that one of our scripts is there and knows the options."""
    script, *rest = words
    assert (ROOT / script).is_file(), f"no such script: {script}"
    text = (ROOT / script).read_text(encoding="utf-8")
    unknown = [word for word in rest if word.startswith("--") and f'"{word}"' not in text]
    assert not unknown, f"{script}: unknown {unknown}"
