"""Feature sets made for tests: networks over one latent cause, and the folders that hold them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from tests.commands import command, files_below, installed, intertwine, study_folders, undrawn
from tests.studies.closed_set.closed_set_result import build_report
from tests.torchvision_operators import declare_operators

from intertwine.spaces import Head

declare_operators()

# Fixtures of commands, which tests of every room use.
__all__ = ["command", "files_below", "installed", "intertwine", "study_folders", "undrawn"]


# The files that take longest, in either set of tests: they come first, so that no process is alone
# with one at the end.
LONG = (
    "docs/test_blocks.py",
    "docs/test_notebooks.py",
    "cli/test_wheel.py",
    "encoders/keras/test_applications.py",
    "encoders/torch/test_torchvision.py",
    "encoders/torch/test_timm_heads.py",
    "test_fuzz.py",
    "passes/moments/test_killed.py",
    "passes/extract/test_killed.py",
    "passes/test_apply_formats.py",
    "stores/lancedb/test_switch.py",
    "encoders/tfhub/test_encoder.py",
    "stores/qdrant/test_server.py",
    "passes/migrate/test_live.py",
    "passes/migrate/test_live_lancedb.py",
    "passes/migrate/test_files_live.py",
    "cli/test_memory.py",
    "studies/similarity/test_command.py",
    "studies/open_set/test_command.py",
    "studies/plan/test_command.py",
    "studies/plan/test_study.py",
    "studies/closed_set/test_report.py",
    "studies/closed_set/test_study.py",
    "studies/linkage/test_command.py",
    "studies/open_set/test_study.py",
    "studies/similarity/test_study.py",
    "studies/closed_set/test_command.py",
    "cli/test_bad_input.py",
    "studies/plan/test_report.py",
    "stores/pgvector/test_types.py",
)


def pytest_collection_modifyitems(items):
    """Move the tests of long files to the front, and mark as slow what is not named as quick."""
    for item in items:
        for mark in item.iter_markers("quick"):
            case = getattr(item, "callspec", None)
            if not {item.originalname, case and case.id} & set(mark.args):
                item.add_marker("slow")
    place = {Path(__file__).parent / name: at for at, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path, len(LONG)))


def save_folder(folder: Path, features, *, heads=None, labels=None, ids=None) -> Path:
    """Write a plain feature-set folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in features.items():
        np.save(folder / f"{name}.npy", array)
    for name, head in (heads or {}).items():
        head.save(folder / f"{name}.head.safetensors")
    if labels is not None:
        np.save(folder / "labels.npy", labels)
    if ids is not None:
        (folder / "ids.txt").write_text("".join(f"{value}\n" for value in ids))
    return folder


@dataclass
class Networks:
    """Networks that see one latent cause through ReLU layers of their own, with fitted heads."""

    dims: dict[str, int]
    n_classes: int = 10
    latent: int = 24
    noise: float = 0.7
    dead: int = 0
    head_rank: int | None = None
    dtype: type = np.float32
    seed: int = 0
    heads: dict[str, Head] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.seed, 1])
        self.centres = 1.2 * rng.standard_normal((self.n_classes, self.latent))
        self.layers = {
            name: rng.standard_normal((self.latent, dim)) / np.sqrt(self.latent)
            for name, dim in self.dims.items()
        }
        self.shifts = {name: rng.uniform(-0.5, 1.0, dim) for name, dim in self.dims.items()}
        features, labels = self.rows(600, seed=10**6)
        self.heads = {name: self._head(array, labels) for name, array in features.items()}

    def rows(self, n: int, seed: int):
        """Return the features of n fresh rows by space, and their labels."""
        rng = np.random.default_rng([self.seed, 2, seed])
        labels = rng.integers(self.n_classes, size=n)
        cause = self.centres[labels] + rng.standard_normal((n, self.latent))
        features = {}
        for name, layer in self.layers.items():
            own = self.noise * rng.standard_normal((n, self.dims[name]))
            array = np.maximum(cause @ layer + self.shifts[name] + own, 0)
            array[:, : self.dead] = 0
            features[name] = array.astype(self.dtype)
        return features, labels

    def _head(self, features, labels) -> Head:
        """Return a classifier by least squares on one-hot labels, cut to a rank where asked."""
        x = np.column_stack([features.astype(np.float64), np.ones(len(features))])
        onehot = np.eye(self.n_classes)[labels]
        solved = np.linalg.solve(x.T @ x + 5 * np.eye(x.shape[1]), x.T @ onehot).T
        weight, bias = 6 * solved[:, :-1], 6 * solved[:, -1]
        if self.head_rank is not None:
            u, s, vt = np.linalg.svd(weight, full_matrices=False)
            weight = (u[:, : self.head_rank] * s[: self.head_rank]) @ vt[: self.head_rank]
        return Head(weight, bias)

    def save(self, folder: Path, n: int, seed: int, *, prefix: str | None = None):
        """Write n rows as a folder, with ids where a prefix is given; return what was written."""
        features, labels = self.rows(n, seed)
        ids = None if prefix is None else [f"{prefix}{row}" for row in range(n)]
        save_folder(folder, features, heads=self.heads, labels=labels, ids=ids)
        return features, labels


@pytest.fixture(scope="session")
def networks():
    """Return the class that makes networks."""
    return Networks


@pytest.fixture(scope="session")
def write_folder():
    """Return the function that writes a plain feature-set folder."""
    return save_folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data beside the checkout; skip where it is absent."""
    folder = Path(__file__).parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs the real data, expected at {folder}")
        pytest.skip(f"no real data at {folder}")
    return folder


def save_network(path: Path, *, seed: int = 0, width: int = 6, n_classes: int = 4) -> Path:
    """Write a tiny ONNX classifier of 8×8 images: Conv, Relu, GlobalAveragePool, Flatten, Gemm."""
    from onnx import TensorProto, helper, numpy_helper, save

    rng = np.random.default_rng(seed)
    weights = {
        "conv.weight": rng.standard_normal((width, 3, 3, 3)) / 300,
        "conv.bias": rng.standard_normal(width),
        "fc.weight": rng.standard_normal((n_classes, width)),
        "fc.bias": rng.standard_normal(n_classes),
    }
    nodes = [
        helper.make_node("Conv", ["image", "conv.weight", "conv.bias"], ["conv"]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["features"]),
        helper.make_node("Gemm", ["features", "fc.weight", "fc.bias"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", n_classes])],
        [numpy_helper.from_array(v.astype(np.float32), name) for name, v in weights.items()],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def save_images(folder: Path, n: int, *, seed: int = 0, labels: bool = True) -> Path:
    """Write n small random PNG files, and labels.txt unless told otherwise."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{row:04d}.png" for row in range(n)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)).save(folder / name)
    if labels:
        lines = "".join(f"{name} {row % 4}\n" for row, name in enumerate(names))
        (folder / "labels.txt").write_text(lines)
    return folder


@pytest.fixture(scope="session")
def write_network():
    """Return the function that writes a tiny ONNX classifier."""
    return save_network


@pytest.fixture(scope="session")
def write_images():
    """Return the function that writes a folder of small images."""
    return save_images


@pytest.fixture(scope="session")
def make_report():
    """Return the function that builds a closed-set report."""
    return build_report
