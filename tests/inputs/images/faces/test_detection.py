"""Where the face of an image is."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from intertwine.errors import MissingExtraError
from intertwine.inputs.images.decode import decode
from intertwine.inputs.images.faces import detection as module
from intertwine.inputs.images.faces.detection import (
    TEMPLATE,
    FaceDetector,
    choose,
    face_detector,
    no_face,
)


@pytest.fixture(scope="module")
def detector():
    """Return one detector for all tests."""
    return FaceDetector()


@pytest.fixture(scope="module")
def portraits(shared_data):
    """Return a few real images with a face."""
    files = sorted((shared_data / "lfw" / "images").glob("*.jpg"))[::1500]
    return [decode(file) for file in files]


def same_place(a, b, tolerance):
    """Say whether two faces have their five points within some pixels."""
    return np.abs(np.subtract(a.points, b.points)).max() < tolerance


class TestRealImages:
    def test_faces(self, detector, portraits):
        """In a portrait the box encloses the points, and eyes stand above nose above mouth."""
        for image in portraits:
            face = detector.detect(image)
            left, top, right, bottom = face.box
            x, y = np.reshape(face.points, (5, 2)).T
            assert face.found >= 1
            assert left < x.min() < x.max() < right
            assert top < y.min() < y.max() < bottom
            assert x[0] < x[1]
            assert x[3] < x[4]
            assert max(y[:2]) < y[2] < min(y[3:])

    def test_moves_with_the_image(self, detector, portraits):
        """Shifted inside a larger black image, a face is found at the shifted place."""
        face = detector.detect(portraits[0])
        larger = Image.new("RGB", (400, 360))
        larger.paste(portraits[0], (90, 40))
        moved = detector.detect(larger)
        back = np.reshape(moved.points, (5, 2)) - [90, 40]
        np.testing.assert_allclose(back.ravel(), face.points, atol=4)

    def test_grey(self, detector, portraits):
        """In a grey image the same face is found within a few pixels."""
        for image in portraits[:2]:
            grey = image.convert("L").convert("RGB")
            assert same_place(detector.detect(grey), detector.detect(image), 6)

    def test_at_the_border(self, detector, portraits):
        """A face cut by the image's edge is found, its box allowed to reach beyond."""
        whole = detector.detect(portraits[0])
        left = round((whole.box[0] + whole.points[0]) / 2)
        cut = detector.detect(portraits[0].crop((left, 0, *portraits[0].size)))
        assert cut.found == 1
        moved = np.reshape(cut.points, (5, 2)) + np.array([left, 0])
        np.testing.assert_allclose(moved, np.reshape(whole.points, (5, 2)), atol=12)

    def test_nearest_to_the_middle(self, detector, portraits):
        """Of two faces of one size, the one nearer to the middle is taken."""
        size = portraits[0].width
        both = Image.new("RGB", (3 * size, size))
        both.paste(portraits[0], (size, 0))
        both.paste(portraits[0], (0, 0))
        face = detector.detect(both)
        assert face.found == 2
        assert size < face.box[0] < face.box[2] < 2 * size

    def test_second_search(self, detector, shared_data, monkeypatch):
        """A face that the first thresholds miss is found by the retry, and by nothing less."""
        image = decode(sorted((shared_data / "lfw" / "images").glob("*.jpg"))[2962])
        assert detector.detect(image).found == 1
        monkeypatch.setattr(module, "THRESHOLDS", module.THRESHOLDS[:1])
        assert detector.detect(image).found == 0

    def test_shared_by_threads(self, detector, portraits):
        """Threads that share a detector get what one thread gets, to the last bit."""
        alone = [detector.detect(image) for image in portraits]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(detector.detect, portraits * 4))
        assert together == alone * 4


class TestNoFace:
    @pytest.mark.parametrize("size", [(8, 8), (1, 1), (300, 2), (40, 30), (160, 120)])
    def test_nothing_to_find(self, detector, size):
        """Blank images, even tiny and very flat ones, get the stated rule and no error."""
        for colour in ("black", "white"):
            image = Image.new("RGB", size, colour)
            assert detector.detect(image) == no_face(size)

    def test_noise(self, detector):
        """In noise there is no face."""
        noise = np.random.default_rng(0).integers(0, 256, (120, 150, 3), dtype=np.uint8)
        assert detector.detect(Image.fromarray(noise)).found == 0

    def test_rule(self):
        """The rule takes the centred square of half the shorter side, the template's points in it."""
        face = no_face((300, 200))
        assert face.box == (100, 50, 200, 150)
        assert face.found == 0
        points = (np.reshape(face.points, (5, 2)) + 0.5 - [100, 50]) / 100 * 112 - 0.5
        np.testing.assert_allclose(points, TEMPLATE, atol=1e-9)

    def test_a_network_that_fails(self, detector, monkeypatch):
        """Where the package ends in OpenCV's own error, there is no face, and no error."""
        import cv2

        def fail(*_):
            raise cv2.error

        monkeypatch.setattr(detector._network, "detect", fail)
        assert detector.detect(Image.new("RGB", (50, 50))).found == 0


class TestChoose:
    def test_formula(self):
        """The largest area − 2 · squared distance wins, as a plain loop finds it."""
        rng = np.random.default_rng(0)
        for _ in range(50):
            low = rng.uniform(-10, 150, (6, 2))
            boxes = np.column_stack([low, low + rng.uniform(5, 90, (6, 2)), rng.random(6)])
            values = []
            for left, top, right, bottom, _score in boxes:
                away = ((left + right) / 2 - 120) ** 2 + ((top + bottom) / 2 - 80) ** 2
                values.append((right - left) * (bottom - top) - 2 * away)
            assert choose(boxes, (240, 160)) == values.index(max(values))


class TestThreads:
    def test_sessions(self, detector):
        """The detector's sessions keep to one thread; the package's own module is left alone."""
        import mtcnnruntime.detector
        import onnxruntime

        network = vars(detector._network)
        sessions = [value[0] for name, value in network.items() if name.endswith("net")]
        assert len(sessions) == 3
        for session in sessions:
            options = session.get_session_options()
            assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
        assert mtcnnruntime.detector.onnxruntime is onnxruntime

    def test_opencv(self):
        """OpenCV keeps to one thread in the block and has its own number afterwards."""
        import cv2

        before = cv2.getNumThreads()
        with face_detector() as detector:
            assert cv2.getNumThreads() == 1
            assert detector.name.startswith("mtcnn-runtime ")
        assert cv2.getNumThreads() == before

    def test_nothing_printed(self, capsys):
        """The package's own word for a box outside the image stays off standard output."""
        copy = module._single_threaded()
        image = np.zeros((20, 20, 3), np.uint8)
        copy.get_image_boxes(np.array([[30.0, 30.0, 40.0, 40.0, 1.0]]), image)
        assert capsys.readouterr().out == ""


class TestErrors:
    def test_not_installed(self, monkeypatch):
        """Without the package the error is the pip line."""
        monkeypatch.setitem(sys.modules, "mtcnnruntime.detector", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'intertwine\[faces\]'"):
            FaceDetector()

    def test_opencv_without_a_screen(self, monkeypatch):
        """An OpenCV that lacks the system's graphics libraries says which build does not."""

        def fail(*_):
            message = "libGL.so.1: cannot open shared object file"
            raise ImportError(message)

        monkeypatch.setattr(module, "import_extra", fail)
        with (
            pytest.raises(MissingExtraError, match=r"libGL\.so\.1.*opencv-python-headless"),
            face_detector(),
        ):
            pass
