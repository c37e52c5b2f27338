"""Folders of networks, given or fetched by name."""

from __future__ import annotations

import pytest
from tests.encoders.lazy import lazy

from intertwine.encoders.hub.model_folder import attempt, model_folder
from intertwine.encoders.uri import EncoderUri
from intertwine.errors import InputError

huggingface_hub = lazy("huggingface_hub")
logging = lazy("transformers.utils.logging")

NEEDS = ("config.json", "model.safetensors")


@pytest.fixture
def folder(tmp_path):
    """Return a folder with what is needed."""
    for name in NEEDS:
        (tmp_path / name).touch()
    return tmp_path


def opened(path, *, named=False, **options):
    """Return the folder that a URI means."""
    uri = EncoderUri("hf", str(path), named=named)
    return model_folder(uri, extra="transformers", needs=NEEDS, **options)


def test_folder(folder):
    """A folder is itself."""
    assert opened(folder) == folder


def test_parts(folder):
    """Weights may be in several files with an index."""
    (folder / "model.safetensors").rename(folder / "model.safetensors.index.json")
    assert opened(folder) == folder


def test_file(folder):
    """A file is no folder."""
    with pytest.raises(InputError, match=r"is a file, expected a folder of config\.json, model"):
        opened(folder / "config.json")


def test_absent_file(folder):
    """A file that the folder lacks is named."""
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"holds no model\.safetensors, expected a folder of"):
        opened(folder)


@pytest.mark.parametrize(
    ("name", "asked"), [("someone/net", "someone/net"), ("net", "sentence-transformers/net")]
)
def test_fetched(folder, monkeypatch, name, asked):
    """A name is fetched, neither pickles nor code with it."""
    calls = []

    def fetch(repository, *, allow_patterns):
        calls.append((repository, allow_patterns))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert opened(name, named=True, owner="sentence-transformers") == folder
    assert calls == [(asked, ["*.json", "*.safetensors", "*.txt", "*.model"])]


def test_cannot_be_fetched(monkeypatch):
    """Offline, one line names the repository and what to put where."""

    def fetch(*_, **__):
        msg = "no route\nto host"
        raise OSError(msg)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    with pytest.raises(InputError) as caught:
        opened("someone/net", named=True, takes=("tokenizer.json",))
    assert str(caught.value) == (
        "encoder hf:someone/net: no such folder here, and repository someone/net cannot be fetched "
        "(OSError); put its config.json, model.safetensors, tokenizer.json in a folder and open "
        "hf:FOLDER"
    )


def test_attempt():
    """A failure is told in its first line, and transformers speaks again afterwards."""

    def fail():
        assert logging.get_verbosity() == logging.ERROR
        assert not logging.is_progress_bar_enabled()
        msg = "bad\nvery bad"
        raise OSError(msg)

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    with pytest.raises(InputError, match=r"encoder hf:n: cannot be read \(OSError: bad\)$"):
        attempt(EncoderUri("hf", "n"), fail)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_attempt_import():
    """Where a class cannot be imported, the reason underneath is told."""

    def fail():
        msg = "operator is missing"
        raise ModuleNotFoundError from RuntimeError(msg)

    with pytest.raises(InputError, match=r"cannot be read \(RuntimeError: operator is missing\)$"):
        attempt(EncoderUri("hf", "n"), fail)
