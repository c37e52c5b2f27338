"""The two crops that face networks read."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.optimize import least_squares

from intertwine.inputs.images.decode import decode
from intertwine.inputs.images.faces.crops import aligned_crop, box_crop, crop_face, similarity
from intertwine.inputs.images.faces.detection import TEMPLATE, Face, FaceDetector, no_face

RNG = np.random.default_rng(0)
NOISE = Image.fromarray(RNG.integers(0, 256, (90, 120, 3), dtype=np.uint8))


def smooth(width, height):
    """Return an image whose red is x / 2 and green y / 2, at each pixel's centre."""
    x, y = np.meshgrid(np.arange(width) / 2, np.arange(height) / 2)
    return Image.fromarray(np.stack([x, y, 0 * x], axis=-1).round().astype(np.uint8))


class TestSimilarity:
    def test_least_squares(self):
        """It equals a general minimiser over angle, scale and shift, also where a mirror fits."""
        for mirrored in (1, -1):
            source = RNG.normal(size=(5, 2)) * [30, 30 * mirrored]
            target = TEMPLATE + RNG.normal(size=(5, 2))

            def residual(p, source=source, target=target):
                turn = np.array([[p[0], -p[1]], [p[1], p[0]]])
                return (source @ turn.T + p[2:] - target).ravel()

            a, b, *shift = least_squares(residual, [1, 0, 0, 0]).x
            got = similarity(source, target)
            np.testing.assert_allclose(got[:, :2], [[a, -b], [b, a]], atol=1e-5)
            np.testing.assert_allclose(got[:, 2], shift, atol=1e-4)

    def test_exact(self):
        """Points that are a similarity of others give it back."""
        angle, scale, shift = 0.7, 2.5, np.array([3.0, -8.0])
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        got = similarity(TEMPLATE, TEMPLATE @ turn.T + shift)
        np.testing.assert_allclose(got, np.column_stack([turn, shift]), atol=1e-9)

    def test_no_reflection(self):
        """Mirrored points are not answered by a mirror."""
        assert np.linalg.det(similarity(TEMPLATE * [-1, 1], TEMPLATE)[:, :2]) > 0

    def test_one_point(self):
        """Points all in one place give a finite transform."""
        got = similarity(np.full((5, 2), 7.0), TEMPLATE)
        np.testing.assert_allclose(got, np.column_stack([np.zeros((2, 2)), TEMPLATE.mean(axis=0)]))


class TestAligned:
    def test_template_in_place(self):
        """A face whose points are the template's is its own crop."""
        image = NOISE.crop((0, 0, 112, 112))
        got = aligned_crop(image, tuple(TEMPLATE.ravel()), 112)
        np.testing.assert_allclose(got, np.asarray(image), atol=1)

    @pytest.mark.parametrize("size", [112, 224])
    def test_points_land_on_the_template(self, size):
        """Each pixel of the crop shows the place of the image that the similarity sends there."""
        image = smooth(400, 300)
        angle = 0.3
        turn = 1.4 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = TEMPLATE @ turn.T + [130, 60]
        got = aligned_crop(image, tuple(points.ravel()), size).astype(float) * 2
        for place in ([20, 30], [56, 56], [90, 70]):
            x, y = np.multiply(place, size // 112)
            want = turn @ place + [130, 60]
            np.testing.assert_allclose(got[y, x, :2], want, atol=2.5)

    def test_like_opencv(self):
        """It equals OpenCV's warp by the same transform up to that one's coarser arithmetic."""
        import cv2

        image = smooth(200, 200)
        points = TEMPLATE * 0.9 + [30, 25]
        want = cv2.warpAffine(np.asarray(image), similarity(points, TEMPLATE), (112, 112))
        got = aligned_crop(image, tuple(points.ravel()), 112)
        assert np.abs(got.astype(int) - want.astype(int)).max() <= 1

    def test_large_faces_are_averaged(self):
        """A fine checkerboard under a large face becomes grey and no pattern of its own."""
        board = np.indices((896, 896)).sum(axis=0) % 2 * 255
        image = Image.fromarray(np.repeat(board[..., None], 3, axis=2).astype(np.uint8))
        got = aligned_crop(image, tuple((TEMPLATE * 8).ravel()), 112)
        assert abs(got.astype(int) - 127).max() <= 1

    def test_outside_is_black(self):
        """What lies outside the image is black."""
        white = Image.new("RGB", (60, 60), "white")
        got = aligned_crop(white, tuple((TEMPLATE - 56).ravel()), 112)
        assert got[:50, :50].max() == 0
        assert got[60:110, 60:110].min() == 255

    @pytest.mark.parametrize("place", [0.0, 1e7])
    def test_impossible_points(self, place):
        """Points in one place, wherever, give a crop and no error."""
        assert aligned_crop(NOISE, (place,) * 10, 112).shape == (112, 112, 3)

    def test_rule_without_a_face(self):
        """Where there is no face the aligned crop is the centred square of half the side."""
        image = smooth(448, 224)
        got = aligned_crop(image, no_face(image.size).points, 112)
        want = np.asarray(image.crop((168, 56, 280, 168)))
        assert np.abs(got.astype(int) - want.astype(int)).max() <= 1


class TestBox:
    def test_margin(self):
        """At size s a box of width w grows by margin · w / (s − margin), cut to whole pixels."""
        got = box_crop(NOISE, (30.0, 20.0, 94.0, 68.0), (160, 160), 32)
        # 32 · 64 / 128 = 16 across and 32 · 48 / 128 = 12 down, half on each side.
        want = NOISE.crop((22, 14, 102, 74)).resize((160, 160), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(got, np.asarray(want))

    def test_border(self):
        """A box that reaches beyond the image is cut at its edges."""
        got = box_crop(NOISE, (-20.0, 60.5, 40.9, 130.0), (32, 24), 0, "nearest")
        want = NOISE.crop((0, 60, 40, 90)).resize((24, 32), Image.Resampling.NEAREST)
        np.testing.assert_array_equal(got, np.asarray(want))

    @pytest.mark.parametrize("box", [(500.0, 500, 600, 600), (-9, -9, -5, -5), (5, 5, 5, 5)])
    def test_empty(self, box):
        """A box outside or without area gives at least one pixel of the image."""
        assert box_crop(NOISE, box, (16, 16), 4).shape == (16, 16, 3)

    def test_tiny_image(self):
        """An image of one pixel gives a crop."""
        image = Image.new("RGB", (1, 1), (9, 8, 7))
        got = box_crop(image, no_face((1, 1)).box, (16, 16), 4)
        np.testing.assert_array_equal(got, np.broadcast_to([9, 8, 7], (16, 16, 3)))


class TestCropFace:
    def test_by_name(self):
        """The option's words choose the crop."""
        face = Face((30, 20, 94, 68), tuple(TEMPLATE.ravel()))
        np.testing.assert_array_equal(
            crop_face(NOISE, face, (40, 40), "box:8", "bicubic"),
            box_crop(NOISE, face.box, (40, 40), 8, "bicubic"),
        )
        np.testing.assert_array_equal(
            crop_face(NOISE, face, (56, 56), "arcface", "nearest"),
            aligned_crop(NOISE, face.points, 56, "nearest"),
        )

    def test_real_face(self, shared_data):
        """A real face, aligned and searched again, has its points on the template."""
        detector = FaceDetector()
        for file in sorted((shared_data / "lfw" / "images").glob("*.jpg"))[::2000]:
            image = decode(file)
            crop = crop_face(image, detector.detect(image), (224, 224), "arcface")
            again = detector.detect(Image.fromarray(np.pad(crop, ((60, 60), (60, 60), (0, 0)))))
            np.testing.assert_allclose(np.reshape(again.points, (5, 2)) - 60, TEMPLATE * 2, atol=16)
