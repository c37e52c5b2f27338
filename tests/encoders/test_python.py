"""Encoders from a Python file: the user's network, run the same way every time."""

from __future__ import annotations

import sys
from textwrap import dedent

import numpy as np
import pytest
import torch

from intertwine.encoders.registry import open_encoder
from intertwine.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
NETWORK = """
    import torch
    from torch import nn

    def make():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Dropout(), nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )

    def wide():
        return nn.Sequential(nn.Flatten(), nn.Linear(192, 9))
"""


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a Python file and returns the URI of it."""

    def run(code=NETWORK, name="net.py", options="crop=8"):
        (tmp_path / name).write_text(dedent(code))
        return f"python:{tmp_path / name}?{options}"

    return run


def test_features(write):
    """The module that the function makes is run in eval mode, and stays in it."""
    encoder = open_encoder(write())
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(3, 6, 3)
    batch = torch.tensor(IMAGES.astype(np.float32)).permute(0, 3, 1, 2)
    want = conv(batch).mean((2, 3)).detach().numpy() / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(encoder.encode(IMAGES), want, rtol=1e-4)
    assert not any(part.training for part in encoder.run.module.modules())


def test_repeatable(write):
    """Two extractions are equal to the bit, and change no statistic of the network."""
    encoder = open_encoder(write())
    before = {name: value.clone() for name, value in encoder.run.module.state_dict().items()}
    first, again = encoder.encode(IMAGES), encoder.encode(IMAGES)
    np.testing.assert_array_equal(first, again)
    after = encoder.run.module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_named_function(write):
    """The option function chooses what to call."""
    assert open_encoder(write(options="crop=8&function=wide")).dim == 9


def test_imports_beside(write):
    """The file may import what lies beside it, and only it: the search path is restored."""
    write(name="beside_the_network.py")
    before = list(sys.path)
    assert open_encoder(write("from beside_the_network import make", name="net2.py")).dim == 6
    assert sys.path == before


def test_fingerprint(write):
    """The fingerprint follows the weights and the code."""
    prints = [open_encoder(write()).fingerprint for _ in range(2)]
    other = open_encoder(write(NETWORK.replace("seed(0)", "seed(1)"))).fingerprint
    assert prints[0] == prints[1] != other


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1", "has no function make; name one with function=NAME"),
        ("make = 1", "has no function make"),
        ("def make(): return 1", r"make\(\) gave a int, expected a torch.nn.Module"),
        ("def make(: pass", r"it failed \(SyntaxError: "),
        ("import no_such_module", r"it failed \(ModuleNotFoundError: No module named"),
        ("def make(): raise OSError('no weights')", r"it failed \(OSError: no weights\)"),
    ],
)
def test_bad_file(write, code, message):
    """A file that makes no network is refused with the reason."""
    with pytest.raises(InputError, match=message):
        open_encoder(write(code))


def test_not_python(write):
    """A file of another kind is not run."""
    with pytest.raises(InputError, match=r"not a Python file, expected a name that ends in \.py"):
        open_encoder(write(name="net.txt"))


def test_size_is_needed(write):
    """The input size must be said."""
    with pytest.raises(InputError, match="leaves its input size open; give it with crop=224"):
        open_encoder(write(options="mean=0"))


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        ("nn.functional.dropout(x.flatten(1), 0.5, True)", "two runs on one image differ"),
        ("self.train()(x)", "goes back to training mode"),
    ],
)
def test_not_repeatable(write, forward, message):
    """A network that is not the same function every time is refused."""
    code = f"""
        from torch import nn

        class Net(nn.Module):
            def forward(self, x):
                return {forward}

            def train(self, mode=True):
                super().train(mode)
                return nn.Flatten() if mode else self

        make = Net
    """
    with pytest.raises(InputError, match=message):
        open_encoder(write(code))
