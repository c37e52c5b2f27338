"""The face of an image: box and five points by MTCNN, or by a stated rule where it finds none.

Zhang, Zhang, Li & Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional
Networks" (IEEE Signal Processing Letters, 2016), as the package mtcnn-runtime implements it.
"""

from __future__ import annotations

import importlib.util
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import MissingExtraError
from intertwine.extras import import_extra
from intertwine.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from PIL.Image import Image

    from intertwine.numerics.arrays import Array

PACKAGE = "mtcnn-runtime"
# Smallest face looked for: this many pixels, or this share of a large image's shorter side, which
# bounds the memory of the first stage.
MIN_PIXELS = 20.0
MIN_SHARE = 1 / 50
# Scores that a face must exceed in the three stages. The second row is the one retry: the stages
# that only propose are lowered, the one that decides is not.
THRESHOLDS = ((0.6, 0.7, 0.7), (0.3, 0.4, 0.7))
# Left eye, right eye, nose, left and right corner of the mouth, as the image shows them, for
# 112×112. Deng, Guo, Xue & Zafeiriou, "ArcFace" (CVPR 2019), to four decimals.
TEMPLATE_SIZE = 112
TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)


@dataclass(frozen=True)
class Face:
    """One face of an image, in its pixels, (0, 0) the upper left one.

    `box` is (left, top, right, bottom), and may reach beyond the image; `points` are x and y of
    left eye, right eye, nose, left and right corner of the mouth; `found` is the number of faces
    that the detector found in the image, 0 where box and points are those of the rule for images
    without one.
    """

    box: tuple[float, ...]
    points: tuple[float, ...]
    found: int = 1


class FaceDetector:
    """MTCNN on the CPU, one thread a call; several threads may share one detector.

    Of several faces it chooses the one of largest area − 2 · (squared distance of its centre from
    the image's), the rule of FaceNet's alignment. An image where nothing is found is searched once
    more with lower thresholds of the first two stages; if nothing is found again, the face is that
    of `no_face`.
    """

    def __init__(self) -> None:
        _module()
        # Faces that were found before images were turned upright are looked for again.
        self.name = f"{PACKAGE} {metadata.version(PACKAGE)} upright"
        self._failures = (ValueError, import_extra("cv2", "faces").error)
        self._network = _single_threaded().MTCNN()

    def detect(self, image: Image) -> Face:
        """Return the face of a Pillow image in mode RGB."""
        pixels = np.ascontiguousarray(np.asarray(image)[..., ::-1])
        for thresholds in THRESHOLDS:
            boxes, points = self._search(pixels, thresholds)
            if len(boxes):
                best = choose(boxes, image.size)
                # The package returns all x, then all y.
                pairs = points[best].reshape(2, 5).T
                return Face(_floats(boxes[best, :4]), _floats(pairs), len(boxes))
        return no_face(image.size)

    def _search(self, pixels: Array, thresholds: tuple[float, ...]) -> tuple[Array, Array]:
        """Return boxes (k, 5), the score last, and points (k, 10)."""
        smallest = max(MIN_PIXELS, min(pixels.shape[:2]) * MIN_SHARE)
        try:
            boxes, points = self._network.detect(pixels, smallest, list(thresholds))
        except self._failures:
            # So the package ends when its first stage finds nothing.
            boxes, points = [], []
        return np.reshape(boxes, (-1, 5)).astype(float), np.reshape(points, (-1, 10)).astype(float)


@contextmanager
def face_detector() -> Iterator[FaceDetector]:
    """Yield a detector; in this context OpenCV, too, uses one thread a call."""
    _module()
    cv2 = import_extra("cv2", "faces")
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield FaceDetector()
    finally:
        cv2.setNumThreads(before)


def choose(boxes: Array, size: tuple[int, int]) -> int:
    """Return which of several faces is the image's: large and near the middle.

    Boxes are (k, ≥ 4): left, top, right, bottom; `size` is width and height of the image. The
    result is the argmax of area − 2 · ‖centre of the box − centre of the image‖², the first among
    ties.
    """
    low, high = boxes[:, :2], boxes[:, 2:4]
    away = (low + high) / 2 - np.asarray(size) / 2
    return int(np.argmax(np.prod(high - low, axis=1) - 2 * (away**2).sum(axis=1)))


def no_face(size: tuple[int, int]) -> Face:
    """Return the face of an image, (width, height), without one: a centred square.

    Its side is half the image's shorter side. The five points are the ArcFace template's, placed in
    that square, so that an aligned crop is the square itself.
    """
    side = min(size) / 2
    corner = (np.asarray(size) - side) / 2
    # A template's pixel (0, 0) has its centre half a pixel inside.
    points = corner + (TEMPLATE + 0.5) * side / TEMPLATE_SIZE - 0.5
    return Face(_floats([corner, corner + side]), _floats(points), found=0)


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in np.ravel(values))


def _module() -> ModuleType:
    try:
        return import_extra("mtcnnruntime.detector", "faces")
    except MissingExtraError:
        raise
    except ImportError as error:
        raise MissingExtraError(
            f"OpenCV cannot be loaded ({one_line(error)}); on a machine without a screen run: "
            "pip install --force-reinstall opencv-python-headless"
        ) from error


def _single_threaded() -> Any:
    """Return a copy of the package's module whose sessions use one thread.

    The package opens its sessions with a thread a core and has no option for it, which would occupy
    the cores of the threads that call it; a copy leaves the module unchanged for others.
    """
    spec = importlib.util.find_spec("mtcnnruntime.detector")
    assert spec is not None  # noqa: S101 - imported before
    assert spec.loader is not None  # noqa: S101
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.onnxruntime = SimpleNamespace(InferenceSession=_session)
    # It prints a word for a box outside the image, but standard output belongs to the command.
    module.print = lambda *_: None
    return module


def _session(path: str, providers: list[str]) -> Any:
    onnxruntime = import_extra("onnxruntime", "faces")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Each image has its own pyramid of sizes, and the arena would keep memory for all of them.
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(path, options, providers=providers)
