"""What zoos share: names that are not there, and hubs that are out of reach."""

from __future__ import annotations

import re
import socket

import pytest

from intertwine.encoders.torch.zoo import brief_hub, cannot_fetch, import_zoo, unknown_name
from intertwine.encoders.uri import EncoderUri
from intertwine.errors import InputError, MissingExtraError

URI = EncoderUri("timm", "resnet5", named=True)


def test_library_that_does_not_fit(tmp_path, monkeypatch):
    """A library that is there and cannot be imported is one line that says why and what to do."""
    (tmp_path / "unfit_zoo.py").write_text("raise RuntimeError('operator nms does\\nnot exist')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"unfit_zoo cannot be imported \(operator nms does not e"):
        import_zoo(URI, "unfit_zoo", "vision")
    with pytest.raises(MissingExtraError, match=r"pip install 'intertwine\[vision\]'"):
        import_zoo(URI, "absent_zoo", "vision")


def test_unknown_name():
    """A wrong name is answered with those like it, and says so when there are none."""
    assert str(unknown_name(URI, ["resnet50", "vit", "resnet56"])) == (
        "encoder timm:resnet5: timm has no network resnet5; did you mean resnet56, resnet50?"
    )
    assert str(unknown_name(URI, ["vit"])).endswith("resnet5; no name is like it")


def test_cannot_fetch():
    """The error names the file and the way out, and no address."""
    message = str(cannot_fetch(URI, "a.safetensors", OSError("no route to example.org")))
    assert re.search(r"weights, a\.safetensors, .*\(OSError\); .* give weights=FILE$", message)
    assert "example.org" not in message


@pytest.fixture
def constants(monkeypatch):
    """Return the hub library's constants, no proxy set."""
    from huggingface_hub import constants

    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return constants


class TestBriefHub:
    def test_out_of_reach(self, constants, monkeypatch):
        """A hub that does not answer is not asked again and again, and only within."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
        with brief_hub("vision"):
            assert constants.HF_HUB_OFFLINE
        assert not constants.HF_HUB_OFFLINE

    def test_within_reach(self, constants, monkeypatch):
        """A hub that answers is asked."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
            with brief_hub("vision"):
                assert not constants.HF_HUB_OFFLINE

    def test_user_is_offline(self, constants, monkeypatch):
        """Whoever says that they are offline stays so, without a try."""
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr(constants, "ENDPOINT", "not even an address")
        with brief_hub("vision"):
            assert constants.HF_HUB_OFFLINE
        assert constants.HF_HUB_OFFLINE

    def test_proxy(self, constants, monkeypatch):
        """Behind a proxy only the proxy knows, so the hub is asked."""
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
        with brief_hub("vision"):
            assert not constants.HF_HUB_OFFLINE
