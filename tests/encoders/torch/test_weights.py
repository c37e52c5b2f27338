"""Weights of torch modules: nothing unpickled, nothing missing, nothing unknown."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
from tests.encoders.lazy import Lazy, lazy

from intertwine.encoders.torch.weights import load_strict, read_state
from intertwine.errors import FileFormatError, MissingExtraError
from intertwine.storage.files import write_tensors

torch = lazy("torch")
save_file = lazy("safetensors.torch", "save_file")
nn = lazy("torch.nn")


def _net():
    """Return the class, once torch is imported."""

    class Net(nn.Module):
        """A small network."""

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 6, 3)
            self.bn = nn.BatchNorm2d(6)

    return Net


Net = Lazy(_net)


@pytest.fixture
def state():
    """Return weights for the network."""
    return Net().state_dict()


class TestStrict:
    def test_classifier_is_left_out(self, state):
        """Weights of a classifier that the scheme does not use are allowed, if it says so."""
        extended = {**state, "logits.weight": torch.zeros(2, 6)}
        load_strict(Net(), extended, where="n", dropped=("logits.",))
        with pytest.raises(FileFormatError, match=r"0 weights missing, 1 weight unknown \(logits"):
            load_strict(Net(), extended, where="n")

    def test_counter_may_be_absent(self, state):
        """The count of training batches is not needed."""
        without = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
        load_strict(Net(), without, where="n")

    def test_missing(self, state):
        """Weights that are missing are counted and the first are named."""
        with pytest.raises(
            FileFormatError,
            match=r"encoder n: holds another architecture: 5 weights missing "
            r"\(conv\.bias, bn\.weight, bn\.bias, …\), 0 weights unknown",
        ):
            load_strict(Net(), {"conv.weight": state["conv.weight"]}, where="encoder n")

    def test_shape(self, state):
        """A weight of another shape is named with both shapes."""
        wrong = {**state, "bn.bias": torch.zeros(7)}
        with pytest.raises(FileFormatError, match=r"bn.bias has shape \(7,\), expected \(6,\)"):
            load_strict(Net(), wrong, where="n")


class TestFiles:
    @pytest.mark.parametrize("name", ["net.safetensors", "net.pt"])
    def test_read(self, name, state, tmp_path):
        """Named tensors come back as they were written, from either kind of file."""
        path = tmp_path / name
        save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
        got = read_state(path)
        assert all(torch.equal(got[name], value) for name, value in state.items())

    def test_half_precision(self, state):
        """Weights stored in half precision are used in single."""
        net = Net()
        half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
        load_strict(net, half, where="n")
        assert net.conv.weight.dtype == torch.float32
        assert torch.equal(net.conv.weight, half["conv.weight"].float())

    def test_own_file_is_checked(self, tmp_path):
        """In a file that this program wrote, one altered byte is found."""
        path = tmp_path / "net.safetensors"
        write_tensors(path, {"w": np.ones(4, np.float32)}, kind="weights", header={})
        assert torch.equal(read_state(path)["w"], torch.ones(4))
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        with pytest.raises(FileFormatError, match="its checksum does not match"):
            read_state(path)

    @pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
    @pytest.mark.parametrize("data", [b"", b"neither", bytes(100)])
    def test_no_weights(self, name, data, tmp_path):
        """Other bytes are no weights."""
        (tmp_path / name).write_bytes(data)
        with pytest.raises(FileFormatError, match=r"cannot be read as weights|not a file of torch"):
            read_state(tmp_path / name)

    def test_nothing_is_unpickled(self, tmp_path):
        """A pickle that would run something is refused and not run."""
        evil = tmp_path / "evil.pt"
        trace = tmp_path / "trace"

        class Evil:
            def __reduce__(self):
                return (exec, (f"open({str(trace)!r}, 'w')",))

        torch.save({"w": Evil()}, evil)
        with pytest.raises(FileFormatError, match="nothing else is unpickled; save its state_dict"):
            read_state(evil)
        evil.write_bytes(pickle.dumps(Evil()))
        with pytest.raises(FileFormatError, match=r"unpickled|cannot be read"):
            read_state(evil)
        assert not trace.exists()

    @pytest.mark.parametrize("value", [[1], {"epoch": 3}])
    def test_no_state(self, value, tmp_path):
        """A file of something else than named tensors is no state_dict."""
        torch.save(value, tmp_path / "a.pt")
        with pytest.raises(FileFormatError, match="holds no plain state_dict"):
            read_state(tmp_path / "a.pt")

    def test_missing_extra(self, tmp_path, monkeypatch):
        """Without torch, the error is the pip line."""
        monkeypatch.setitem(sys.modules, "torch", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'intertwine\[vision\]'"):
            read_state(tmp_path / "a.pt")
