"""The code blocks of README.md and docs/*.md, as a reader meets them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))

# What is run, and what is only shown. A block says which; directives of MyST are in braces.
RUN = {"python", "sh", "console"}
SHOWN = {"text", "json", "bibtex", "toml", "html", "css", "yaml"}
# `<!-- not run: REASON -->` stands right before a block, `<!-- not compared: REASON -->` before
# its output; MyST's comments, `% not run: REASON`, do as well.
_REMARK = re.compile(r"(?:<!--|%)\s*(not run|not compared):\s*(.*?)\s*(?:-->)?", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block, and the output that the page shows right below it."""

    page: str
    # The line of the fence, from 1.
    line: int
    language: str
    code: str
    output: str | None = None
    # Why it is not run, or why its output is that of another run.
    not_run: str | None = None
    not_compared: str | None = None

    @property
    def place(self) -> str:
        """Where the block is, such as `docs/maps.md:10`."""
        return f"{self.page}:{self.line}"


@cache
def tokens(page: str) -> list:
    """Return the page's top-level tokens of Markdown."""
    return MarkdownIt("commonmark").parse((ROOT / page).read_text(encoding="utf-8"))


def blocks(page: str) -> list[Block]:
    """Return the page's blocks that a reader could run, in order, each with its output."""
    return [block for block in in_markdown(page, tokens(page)) if block.language in RUN]


def loose_outputs(page: str) -> list[str]:
    """Return the places of outputs that follow no block and that no remark excuses."""
    return [
        block.place
        for block in in_markdown(page, tokens(page))
        if block.language == "text" and block.not_compared is None
    ]


def in_markdown(page: str, tokens: list) -> list[Block]:
    """Return the blocks of a page's tokens, and outputs that follow none."""
    found: list[Block] = []
    remarks: dict[str, str] = {}
    follows = False
    for token in tokens:
        if token.type == "fence":
            language, line = token.info.strip(), token.map[0] + 1
            if language == "text" and follows:
                found[-1] = replace(
                    found[-1], output=token.content, not_compared=remarks.get("not compared")
                )
            elif language in {*RUN, "text"}:
                block = Block(page, line, language, token.content)
                why = {name.replace(" ", "_"): reason for name, reason in remarks.items()}
                found.append(replace(block, **why))
            follows = language in RUN
            remarks = {}
        elif token.type == "html_block" or (
            token.type == "inline" and token.content.startswith("% ")
        ):
            if remark := _REMARK.fullmatch(token.content.strip()):
                remarks[remark[1]] = " ".join(remark[2].split())
        elif token.type not in {"paragraph_open", "paragraph_close"}:
            follows, remarks = False, {}
        elif token.type == "paragraph_close" and not remarks:
            follows = False
    return found


def fences(page: str) -> list[tuple[int, str]]:
    """Return line and language of every fenced block of the page."""
    return [(t.map[0] + 1, t.info.strip()) for t in tokens(page) if t.type == "fence"]


def inline_commands(page: str) -> list[tuple[int, str]]:
    """Return line and text of what the page's prose names as a command, `intertwine …`."""
    return [
        (token.map[0] + 1, child.content)
        for token in tokens(page)
        if token.type == "inline"
        for child in token.children
        if child.type == "code_inline" and child.content.startswith("intertwine ")
    ]
