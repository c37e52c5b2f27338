"""Blocks of a page run in order, in one folder and one Python namespace."""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
import sys
import tokenize
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.docs.outputs import compare

if TYPE_CHECKING:
    from tests.docs.blocks import Block

# Seconds that a block of commands may take.
_PATIENCE = 600


@dataclass
class Reader:
    """Somebody who types a page's blocks, one after the other."""

    folder: Path
    names: dict = field(default_factory=lambda: {"__name__": "__main__"})

    def run(self, block: Block) -> None:
        """Run a block and compare its output with the page's."""
        try:
            printed = self._python(block) if block.language == "python" else self._shell(block)
            if block.output is not None and block.not_compared is None:
                compare(block.output, printed, str(self.folder))
        except Exception as error:
            error.add_note(f"in the block at {block.place}")
            raise

    def _python(self, block: Block) -> str:
        """Return what the statements print; a comment beside a `print` is what that one prints.

        A last line that is an expression shows its value, as in a notebook.
        """
        tree = ast.parse(block.code)
        told, printed = _comments(block.code), ""
        for statement in tree.body:
            out = io.StringIO()
            expected = told.get(statement.end_lineno) if _is_print(statement) else None
            with redirect_stdout(out):
                if statement is tree.body[-1] and isinstance(statement, ast.Expr):
                    code = compile(ast.Expression(statement.value), block.place, "eval")
                    value = eval(code, self.names)  # noqa: S307
                    if value is not None and block.output is not None:
                        out.write(f"{value!r}\n")
                else:
                    code = compile(ast.Module([statement], []), block.place, "exec")
                    exec(code, self.names)  # noqa: S102
            if expected is not None and block.output is None:
                compare(expected, out.getvalue(), str(self.folder))
            printed += out.getvalue()
        return printed

    def _shell(self, block: Block) -> str:
        """Return what the commands print, errors and notes too; variables last to later blocks."""
        code = re.sub(r"^\$ ", "", block.code, flags=re.MULTILINE)
        script = f"set -eua\ntouch .variables\n. ./.variables\n{code}\nexport -p > .variables\n"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_PATIENCE,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONUNBUFFERED": "1",
            },
        )
        if done.returncode:
            raise AssertionError(f"exit {done.returncode}:\n{done.stdout}")
        return done.stdout


def _is_print(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Name)
        and statement.value.func.id == "print"
    )


def _comments(code: str) -> dict[int, str]:
    """Return the comments by their line."""
    read = tokenize.generate_tokens(io.StringIO(code).readline)
    return {
        each.start[0]: each.string.removeprefix("#").strip()
        for each in read
        if each.type == tokenize.COMMENT
    }
