import sys

import pytest

from intertwine.errors import MissingExtraError
from intertwine.extras import import_extra, known_extras


def test_a_module_that_is_there_is_imported():
    """A module that is installed comes back as it is."""
    assert import_extra("json.decoder", "onnx") is sys.modules["json.decoder"]


def test_a_missing_module_gives_the_pip_line():
    """The error for an absent module is the command that installs it, and carries its name."""
    with pytest.raises(
        MissingExtraError,
        match=r"no_such_module is not installed; run: pip install 'intertwine\[onnx\]'",
    ) as caught:
        import_extra("no_such_module.inner", "onnx")
    assert caught.value.name == "no_such_module"


def test_what_a_module_itself_lacks_is_named(tmp_path, monkeypatch):
    """When an installed module needs an absent one, the absent one is named."""
    (tmp_path / "needy_module.py").write_text("import absent_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match="absent_dependency is not installed"):
        import_extra("needy_module", "report")


def test_a_module_that_is_broken_otherwise_says_so_itself(tmp_path, monkeypatch):
    """An installed module that fails for another reason is not called missing."""
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('its own trouble')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match="its own trouble"):
        import_extra("broken_module", "report")


def test_the_extras_come_from_the_installed_package():
    """The extras known are those that the package's metadata declares."""
    assert {"onnx", "tflite", "report"} <= set(known_extras())


def test_a_module_that_cannot_use_another_says_which(tmp_path, monkeypatch):
    """An installed module that says itself which other one is missing is not called missing."""
    (tmp_path / "choosy_module.py").write_text("raise ModuleNotFoundError('needs torch 9')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        MissingExtraError, match=r"choosy_module cannot be imported \(needs torch 9"
    ):
        import_extra("choosy_module", "report")
