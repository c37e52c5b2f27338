import pytest

from intertwine.storage.cells import bare, guarded

FORMULAS = ["=1+1", "+1", "-x", "@SUM(A1)", "\t=1", "\r=1", " =HYPERLINK(1)", "＝1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_text(text):
    """What a spreadsheet would compute begins with an apostrophe, and reads back as it was."""
    assert guarded(text) == "'" + text
    assert bare(guarded(text)) == text


@pytest.mark.parametrize("text", ["", "a", "a=b", "1e-3", "'quoted'", "'", "5"])
def test_other_text_stays(text):
    """Text that no spreadsheet computes is left as it is."""
    assert guarded(text) == text == bare(text)


@pytest.mark.parametrize("text", ["'=1", "''-a"])
def test_text_that_looks_guarded_reads_back(text):
    """An apostrophe of the text's own is not lost."""
    assert guarded(text) != text
    assert bare(guarded(text)) == text
