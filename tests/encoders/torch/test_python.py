"""Encoders from a Python file: the user's network, run the same way every time."""

from __future__ import annotations

import sys
from textwrap import dedent

import numpy as np
import pytest
from tests.encoders.lazy import lazy

from intertwine.encoders.registry import open_encoder
from intertwine.errors import InputError

torch = lazy("torch")

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

    def classifier():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.ReLU(), nn.Linear(6, 4))
"""
ENCODER = """
    import numpy as np
    from intertwine.encoders.encoder import Encoder
    from intertwine.encoders.preprocessing import Preprocessing

    def make():
        return Encoder(
            name="own", uri="own", dim=3, preprocessing=Preprocessing((8, 8)), head=None,
            weights_sha256="0" * 64, split="output", parameters=0,
            run=lambda batch: batch.mean((1, 2)),
        )
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


class TestInstalled:
    @pytest.fixture
    def installed(self, write, tmp_path, monkeypatch):
        """Return the name of a module that can be imported."""
        write(name="net_of_a_user.py")
        monkeypatch.syspath_prepend(tmp_path)
        yield "net_of_a_user"
        sys.modules.pop("net_of_a_user", None)

    def test_features(self, installed, write):
        """A function of an installed module makes the same encoder as one of a file."""
        encoder = open_encoder(f"python:{installed}:wide?crop=8&weights=random:0")
        again = open_encoder(
            write(name="net_of_a_user.py", options="crop=8&function=wide&weights=random:0")
        )
        assert encoder.name == "net_of_a_user-wide"
        assert encoder.fingerprint == again.fingerprint
        np.testing.assert_array_equal(encoder.encode(IMAGES), again.encode(IMAGES))
        assert open_encoder(encoder.uri).fingerprint == encoder.fingerprint

    @pytest.mark.parametrize(
        ("uri", "message"),
        [
            ("python:no_such_file.py?crop=8", r"expected a FILE\.py that is there, or module:func"),
            ("python:absent.py:make?crop=8", r"expected a FILE\.py that is there, or module:func"),
            ("python:net_of_a_user?crop=8", r"expected a FILE\.py that is there, or module:func"),
            ("python:net_of_a_user:make?function=wide", "expected a FILE"),
            ("python:no_such_module:make?crop=8", r"failed \(ModuleNotFoundError: No module named"),
            ("python:net_of_a_user:other?crop=8", "has no function other"),
        ],
    )
    @pytest.mark.usefixtures("installed")
    def test_refused(self, uri, message):
        """A name that leads to no function is refused with the reason."""
        with pytest.raises(InputError, match=message):
            open_encoder(uri)


class TestHead:
    def test_auto(self, write):
        """With head=auto the last layer is split off, and gives the network's own output."""
        split = open_encoder(write(options="crop=8&function=classifier&head=auto"))
        whole = open_encoder(write(options="crop=8&function=classifier"))
        assert (split.dim, split.split, whole.dim, whole.head) == (6, "3", 4, None)
        logits = split.head.logits(split.encode(IMAGES))
        np.testing.assert_allclose(logits, whole.encode(IMAGES), rtol=1e-4)
        assert split.uri.endswith("?crop=8&function=classifier&head=auto")

    def test_layer(self, write):
        """A named layer gives the features."""
        encoder = open_encoder(write(options="crop=8&function=classifier&layer=2"))
        assert (encoder.dim, encoder.head) == (6, None)
        assert encoder.encode(IMAGES).min() == 0

    def test_no_head(self, write):
        """Where there is no linear head, head=auto says so."""
        with pytest.raises(InputError, match="has no linear head"):
            open_encoder(write(options="crop=8&head=auto"))


class TestRandom:
    def test_seed(self, write):
        """Fresh weights follow the seed alone."""
        first, again, other = (
            open_encoder(write(options=f"crop=8&weights=random:{seed}")) for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(first.encode(IMAGES), again.encode(IMAGES))
        assert first.fingerprint == again.fingerprint != other.fingerprint
        assert first.fingerprint != open_encoder(write()).fingerprint

    def test_cannot_redraw(self, write):
        """A layer that cannot start afresh is named."""
        code = """
            import torch
            from torch import nn

            class Scale(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.by = nn.Parameter(torch.ones(1))

                def forward(self, x):
                    return self.by * x.flatten(1)

            make = Scale
        """
        with pytest.raises(InputError, match="cannot redraw Scale, which has no reset_parameters"):
            open_encoder(write(code, options="crop=8&weights=random:0"))

    def test_file(self, write):
        """Weights are the function's own affair, so a file of them is refused."""
        with pytest.raises(InputError, match=r"got weights=w\.pt, expected weights=random:SEED"):
            open_encoder(write(options="crop=8&weights=w.pt"))


class TestEncoder:
    def test_as_it_is(self, write):
        """An Encoder that the function made is used as it is, under the URI's name."""
        encoder = open_encoder(write(ENCODER, options="name=mine"))
        assert (encoder.name, encoder.dim) == ("mine", 3)
        np.testing.assert_allclose(encoder.encode(IMAGES), IMAGES.mean((1, 2)), rtol=1e-5)
        assert open_encoder(encoder.uri).fingerprint == encoder.fingerprint

    def test_options(self, write):
        """Options that it would ignore are refused."""
        with pytest.raises(InputError, match="got crop, mean, but the function made an Encoder"):
            open_encoder(write(ENCODER, options="mean=0&crop=8"))

    def test_random(self, write):
        """It has no weights to draw afresh."""
        with pytest.raises(InputError, match="got weights=random of an Encoder, expected a torch"):
            open_encoder(write(ENCODER, options="weights=random:0"))

    def test_precision(self, write):
        """How it runs is its own affair."""
        with pytest.raises(InputError, match="got device cpu and precision bfloat16"):
            open_encoder(write(ENCODER, options="name=mine"), precision="bfloat16")


def test_head_of_another_dimension(write):
    """An Encoder whose head reads other features than it makes is refused."""
    code = ENCODER.replace("head=None", "head=Head(np.ones((2, 5)), np.zeros(2))").replace(
        "import numpy as np", "import numpy as np\n    from intertwine.spaces import Head"
    )
    with pytest.raises(InputError, match="an Encoder of dimension 3, but its head reads 5"):
        open_encoder(write(code, options="name=own"))
