"""What extraction costs beside the networks themselves, and what memory it takes.

Run `python benchmarks/extract.py --images FOLDER --encoder URI …`; it writes
`benchmarks/results/extract.json`. Three questions:

- `four`: all encoders in one pass, reading, decoding, resizing and writing included, against the sum
  of their forward times on preprocessed tensors in memory, each the shorter of two: our runner, and
  the bare library with every core.
- `nothing`: an encoder that does nothing against a bare Pillow loop that decodes and resizes on a
  pool of as many threads.
- `memory`: the peak of a process that extracts generated images, a few and many.

The first two are timed in turn, several times over, and the median of the ratios of neighbours
stands, so that other work on the machine weighs on both sides alike.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from PIL import Image

from intertwine.encoders.registry import open_encoder, parse_uri
from intertwine.inputs.images.decode import decode, resize
from intertwine.inputs.images.listing import list_images
from intertwine.parallel.threads import available_cores
from intertwine.passes.extract.extract import extract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from intertwine.encoders.encoder import Encoder

RESULTS = Path(__file__).parent / "results" / "extract.json"
BATCH = 32
# Written to a file and opened as python: encoders.
TORCH = '''"""A torch network with random weights: as many products per image as a ResNet-18."""

import torch


def block(a, b, stride):
    return torch.nn.Sequential(
        torch.nn.Conv2d(a, b, 3, stride, 1), torch.nn.BatchNorm2d(b), torch.nn.ReLU(),
        torch.nn.Conv2d(b, b, 3, 1, 1), torch.nn.BatchNorm2d(b), torch.nn.ReLU(),
    )


def make():
    torch.manual_seed(0)
    widths = [(3, 64, 4), (64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2),
              (256, 256, 1), (256, 512, 2), (512, 512, 1)]
    return torch.nn.Sequential(
        *(block(*width) for width in widths), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
'''
NOTHING = '''"""An encoder that does nothing."""

import numpy as np

from intertwine.encoders.encoder import Encoder
from intertwine.encoders.preprocessing import Preprocessing


def make():
    return Encoder(
        name="nothing", uri="", dim=4, preprocessing=Preprocessing((224, 224), dtype="uint8"),
        head=None, weights_sha256="0", split="none", parameters=0,
        run=lambda batch: np.zeros((len(batch), 4), np.float32),
    )
'''


class Clock:
    """Wall and processor seconds of a block."""

    def __enter__(self) -> Self:
        """Start."""
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu


def medians(trials: list[dict[str, Any]]) -> dict[str, float]:
    """Return the medians of the ratios."""
    keys = ("ratio", "cpu_ratio")
    return {f"{key}_median": statistics.median(trial[key] for trial in trials) for key in keys}


# -- four encoders in one pass ----------------------------------------------------------------


def bare(uri: str) -> Callable[[np.ndarray], object]:
    """Return a network's forward by its library alone, with every core."""
    parsed, cores = parse_uri(uri), available_cores()
    if parsed.scheme == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(parsed.path)
        feed = session.get_inputs()[0].name
        fixed = session.get_inputs()[0].shape[0]
        size = fixed if isinstance(fixed, int) else BATCH
        return lambda batch: [
            session.run(None, {feed: batch[i : i + size]}) for i in range(0, len(batch), size)
        ]
    if parsed.scheme == "tflite":
        from ai_edge_litert.interpreter import Interpreter

        network = Interpreter(parsed.path, num_threads=cores)
        network.allocate_tensors()
        given, made = network.get_input_details()[0], network.get_output_details()[0]

        def run(batch: np.ndarray) -> None:
            for image in batch.astype(given["dtype"], copy=False):
                network.set_tensor(given["index"], image[None])
                network.invoke()
                network.get_tensor(made["index"])

        return run
    import torch

    torch.set_num_threads(cores)
    space: dict[str, Any] = {}
    exec(Path(parsed.path).read_text(), space)  # noqa: S102 - the file this script wrote
    module = space["make"]().eval()

    def forward(batch: np.ndarray) -> None:
        with torch.inference_mode():
            module(torch.from_numpy(batch))

    return forward


def forward_seconds(run: Callable[[Any], object], batches: Iterable[np.ndarray]) -> Clock:
    """Time a network on preprocessed batches, without the preprocessing."""
    total = Clock()
    total.wall = total.cpu = 0.0
    for batch in batches:
        with Clock() as clock:
            run(batch)
        total.wall, total.cpu = total.wall + clock.wall, total.cpu + clock.cpu
    return total


def preprocessed(encoder: Encoder, pixels: np.ndarray) -> Iterable[np.ndarray]:
    """Yield what a network reads of images in memory, batch by batch."""
    for start in range(0, len(pixels), BATCH):
        yield encoder.preprocessing.apply(pixels[start : start + BATCH])


def four(images: Path, uris: list[str], rows: int, repeats: int, folder: Path) -> dict[str, Any]:
    """Compare one pass of all encoders with their pure forward times."""
    listed = list_images(images).rows(0, rows)
    encoders = [open_encoder(uri) for uri in uris]
    runners = [
        (encoder, encoder.run, bare(uri)) for encoder, uri in zip(encoders, uris, strict=True)
    ]
    pixels = {}
    for encoder in encoders:
        key = encoder.preprocessing.resize_key
        if key not in pixels:
            pixels[key] = np.stack([resize(decode(listed.open(r)), *key[:3]) for r in range(rows)])
    trials = []
    for repeat in range(repeats):
        forward: dict[str, Any] = {}
        for encoder, ours, library in runners:
            own = pixels[encoder.preprocessing.resize_key]
            times = [forward_seconds(run, preprocessed(encoder, own)) for run in (ours, library)]
            best = min(times, key=lambda clock: clock.wall)
            forward[encoder.name] = {
                "ours_s": times[0].wall, "bare_s": times[1].wall,
                "best_s": best.wall, "best_cpu_s": best.cpu,
            }  # fmt: skip
        with Clock() as whole:
            done = extract(images, uris, folder / f"four{repeat}", rows=(0, rows))
        assert done["extracted"] == rows  # noqa: S101
        best_s = sum(entry["best_s"] for entry in forward.values())
        best_cpu_s = sum(entry["best_cpu_s"] for entry in forward.values())
        # By the rate: neither side includes opening the networks.
        trial = {
            "forward": forward, "forward_s": best_s, "forward_cpu_s": best_cpu_s,
            "pass_s": rows / done["rate"], "whole_s": whole.wall, "whole_cpu_s": whole.cpu,
            "ratio": rows / done["rate"] / best_s,
            # Opening the networks included; other work on the machine weighs less on this one.
            "cpu_ratio": whole.cpu / best_cpu_s,
        }  # fmt: skip
        trials.append(trial)
        print(f"four encoders, trial {repeat + 1}: {trial['ratio']:.3f}", flush=True)
    return {"rows": rows, **medians(trials), "trials": trials}


# -- an encoder that does nothing -------------------------------------------------------------


def pillow_loop(files: list[Path], cores: int) -> None:
    """Decode and resize, and nothing else."""

    def pixels(file: Path) -> np.ndarray:
        with Image.open(file) as image:
            whole = image.convert("RGB")
        return np.asarray(whole.resize((224, 224), Image.Resampling.BILINEAR))

    with ThreadPoolExecutor(cores) as pool:
        for start in range(0, len(files), 8 * BATCH):
            list(pool.map(pixels, files[start : start + 8 * BATCH]))


def nothing(images: Path, rows: int, repeats: int, folder: Path) -> dict[str, Any]:
    """Compare extraction by an encoder that does nothing with a bare Pillow loop."""
    file = folder / "nothing.py"
    file.write_text(NOTHING)
    listed = list_images(images).rows(0, rows)
    files = [Path(str(listed.open(row))) for row in range(rows)]
    trials = []
    for repeat in range(repeats):
        with Clock() as loop:
            pillow_loop(files, available_cores())
        with Clock() as own:
            done = extract(images, [f"python:{file}"], folder / f"nothing{repeat}", rows=(0, rows))
        trials.append(
            {
                "pillow_a_second": rows / loop.wall,
                "pillow_cpu_s": loop.cpu,
                "extract_a_second": done["rate"],
                "extract_cpu_s": own.cpu,
                "ratio": done["rate"] / (rows / loop.wall),
                "cpu_ratio": loop.cpu / own.cpu,
            }
        )
        print(f"nothing, trial {repeat + 1}: {trials[-1]}", flush=True)
    return {"rows": rows, **medians(trials), "trials": trials}


# -- memory -----------------------------------------------------------------------------------


def generate(folder: Path, count: int) -> Path:
    """Write small JPEGs: sixteen files under any number of names."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for kind in range(16):
        own = folder / f"{kind:06d}.jpg"
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(own)
    for row in range(16, count):
        os.link(folder / f"{row % 16:06d}.jpg", folder / f"{row:06d}.jpg")
    return folder


def memory(counts: list[int], folder: Path) -> dict[str, Any]:
    """Return the peak memory of processes that extract generated images, by their number."""
    file, found = folder / "nothing.py", {}
    file.write_text(NOTHING)
    for count in counts:
        images = generate(folder / f"images{count}", count)
        command = [
            sys.executable,
            __file__,
            "--child",
            str(images),
            str(file),
            str(folder / f"set{count}"),
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[str(count)] = json.loads(done.stdout)
        print(f"memory, {count} images: {found[str(count)]}", flush=True)
    return found


def child(images: str, file: str, out: str) -> None:
    """Extract in a separate process and print its peaks of memory."""

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    before = peak()
    listed = list_images(images)
    listing = peak() - before
    del listed
    summary = extract(images, [f"python:{file}"], out)
    found = {"peak_mib": peak(), "imports_mib": before, "listing_mib": listing}
    print(json.dumps({**found, "seconds": summary["seconds"], "rate": summary["rate"]}))


def main() -> None:
    """Measure and write."""
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="a folder of images")
    parser.add_argument("--encoder", action="append", default=[], help="a URI; repeatable")
    parser.add_argument("--only", choices=["four", "nothing", "memory"], action="append")
    for name, default in (("rows", 640), ("many", 4000), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--generated", type=int, nargs="+", default=[10_000, 100_000])
    given = parser.parse_args()
    wanted = given.only or ["four", "nothing", "memory"]
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found["cores"] = available_cores()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network = folder / "convolutions.py"
        network.write_text(TORCH)
        uris = [*given.encoder, f"python:{network}?crop=224&scale=0.0039"]
        if "four" in wanted:
            found["four"] = four(given.images, uris, given.rows, given.repeats, folder)
        if "nothing" in wanted:
            found["nothing"] = nothing(given.images, given.many, given.repeats, folder)
        if "memory" in wanted:
            found["memory"] = memory(given.generated, folder)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
