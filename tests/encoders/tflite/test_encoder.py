"""TensorFlow Lite encoders: the split found by itself, against the network's own output."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from intertwine.encoders.registry import open_encoder
from intertwine.encoders.tflite.graph import TfliteGraph
from intertwine.errors import FileFormatError, InputError

RNG = np.random.default_rng(0)
K, D = 4, 12
W = RNG.standard_normal((K, D)).astype(np.float32)
B = RNG.standard_normal(K).astype(np.float32)
IMAGES = RNG.integers(0, 256, (5, 2, 2, 3), dtype=np.uint8)
FLAT = np.int32([1, D])


def own_output(path, inputs):
    """Return what the file itself says of inputs as it stores them, dequantised."""
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    start, end = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for value in inputs:
        interpreter.set_tensor(start["index"], value.reshape(start["shape"]).astype(start["dtype"]))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(end["index"]).reshape(-1).astype(np.float64))
    scale, zero = end["quantization"]
    return (np.array(rows) - zero) * (scale or 1)


@pytest.fixture
def floating(tflite_file):
    """Return a function that starts a float network: an image flattened to 12 features."""

    def start():
        file = tflite_file().tensor("image", (1, 2, 2, 3)).constant("flat_shape", FLAT)
        file.tensor("flat", (1, D)).tensor("logits", (1, K))
        return file.operator("RESHAPE", "image flat_shape", "flat")

    return start


@pytest.fixture
def classifier(tmp_path, floating):
    """Return a float network with a softmax after its fully connected layer."""
    file = floating().constant("w", W / 255).constant("b", B).tensor("out", (1, K))
    file.operator("FULLY_CONNECTED", "flat w b", "logits", "FullyConnectedOptions")
    file.operator("SOFTMAX", "logits", "out", "SoftmaxOptions", beta=1.0)
    return file.save(tmp_path / "net.tflite", "image", "out")


def softmax(logits):
    """Return the softmax of rows."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


class TestFloat:
    def test_head_equals_network(self, classifier):
        """The head of the features gives what the network's softmax is taken of."""
        encoder = open_encoder(f"tflite:{classifier}", threads=2)
        features = encoder.encode(IMAGES)
        np.testing.assert_array_equal(features, IMAGES.reshape(5, D))
        got = softmax(encoder.head.logits(features))
        np.testing.assert_allclose(got, own_output(classifier, IMAGES), atol=1e-5)
        assert encoder.parameters == K * D + K

    def test_preprocessing(self, classifier):
        """Channel order, mean and std are applied before the network."""
        encoder = open_encoder(f"tflite:{classifier}?channels=bgr&mean=127.5&std=127.5")
        want = (IMAGES[..., ::-1].reshape(5, D) - 127.5) / 127.5
        np.testing.assert_allclose(encoder.encode(IMAGES), want, atol=1e-6)

    def test_convolution(self, tmp_path, tflite_file):
        """A 1×1 convolution over one position is a head."""
        file = tflite_file().tensor("image", (1, 1, 1, 3)).tensor("out", (1, 1, 1, K))
        file.constant("w", W[:, :3].reshape(K, 1, 1, 3)).constant("b", B)
        options = {"strideW": 1, "strideH": 1}
        file.operator("CONV_2D", "image w b", "out", "Conv2DOptions", **options)
        path = file.save(tmp_path / "net.tflite", "image", "out")
        encoder = open_encoder(f"tflite:{path}")
        images = IMAGES[:, :1, :1]
        got = encoder.head.logits(encoder.encode(images))
        np.testing.assert_allclose(got, own_output(path, images), rtol=1e-5)

    def test_fully_connected_over_positions(self, tmp_path, tflite_file):
        """A fully connected layer that reads a map of positions reads it as one vector."""
        file = tflite_file().tensor("image", (1, 2, 2, 3)).tensor("out", (1, K))
        file.constant("w", W)
        file.operator("FULLY_CONNECTED", "image w none", "out", "FullyConnectedOptions")
        path = file.save(tmp_path / "net.tflite", "image", "out")
        encoder = open_encoder(f"tflite:{path}")
        got = encoder.head.logits(encoder.encode(IMAGES))
        np.testing.assert_allclose(got, own_output(path, IMAGES), rtol=1e-4)

    def test_half_precision_weights(self, tmp_path, floating):
        """Weights stored in half precision are read through their DEQUANTIZE."""
        file = floating().constant("h", W.astype(np.float16)).tensor("w", W.shape)
        file.operator("DEQUANTIZE", "h", "w")
        file.operator("FULLY_CONNECTED", "flat w none", "logits", "FullyConnectedOptions")
        path = file.save(tmp_path / "net.tflite", "image", "logits")
        head = open_encoder(f"tflite:{path}").head
        np.testing.assert_array_equal(head.weight, W.astype(np.float16))

    def test_head_none(self, classifier):
        """With head=none the features are the output, or the tensor that layer names."""
        encoder = open_encoder(f"tflite:{classifier}?head=none")
        assert encoder.head is None
        np.testing.assert_allclose(
            encoder.encode(IMAGES), own_output(classifier, IMAGES), atol=1e-6
        )
        assert open_encoder(f"tflite:{classifier}?head=none&layer=flat").dim == D

    def test_layer(self, classifier):
        """A layer is named by the tensor it makes."""
        assert open_encoder(f"tflite:{classifier}?layer=logits").dim == D

    def test_background(self, classifier):
        """A background class dropped leaves the other rows of the head."""
        head = open_encoder(f"tflite:{classifier}?background=drop").head
        np.testing.assert_array_equal(head.weight, W[1:] / np.float32(255))
        np.testing.assert_array_equal(head.bias, B[1:])

    def test_threads_do_not_matter(self, classifier):
        """One thread or three: the same bytes, rows in order."""
        one, three = (
            open_encoder(f"tflite:{classifier}", threads=k).encode(IMAGES) for k in (1, 3)
        )
        np.testing.assert_array_equal(one, three)

    def test_no_warning(self, classifier):
        """Opening and encoding warn of nothing."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            open_encoder(f"tflite:{classifier}").encode(IMAGES)


@pytest.fixture(params=["int8", "uint8"])
def quantised(request, tmp_path, tflite_file):
    """Return an 8-bit network, its integer weights and bias, and the real ones these mean."""
    kind = request.param
    zero = {"int8": -128, "uint8": 0}[kind]
    per_channel = kind == "int8"
    scale = RNG.uniform(0.01, 0.02, K) if per_channel else np.array([0.015])
    weight_zero = 0 if per_channel else 120
    low, high = (-127, 128) if per_channel else (0, 256)
    q = RNG.integers(low, high, (K, D)).astype(kind)
    bias = RNG.integers(-2000, 2000, K, dtype=np.int32)
    image_scale = 1 / 255
    file = tflite_file()
    file.tensor("image", (1, 2, 2, 3), kind, scale=image_scale, zero=zero)
    file.constant("flat_shape", FLAT).tensor("flat", (1, D), kind, scale=image_scale, zero=zero)
    file.constant("w", q, scale=scale, zero=weight_zero)
    file.constant("b", bias, scale=scale * image_scale)
    file.tensor("logits", (1, K), kind, scale=0.2, zero=zero + 128)
    file.operator("RESHAPE", "image flat_shape", "flat")
    file.operator("FULLY_CONNECTED", "flat w b", "logits", "FullyConnectedOptions")
    path = file.save(tmp_path / "net.tflite", "image", "logits")
    real = (q.astype(np.float64) - weight_zero) * np.reshape(scale, (-1, 1))
    return path, real, bias * scale * image_scale, zero


class TestQuantised:
    def test_dequantised(self, quantised):
        """Weights, bias and features are the real numbers that the integers stand for."""
        path, weight, bias, _ = quantised
        encoder = open_encoder(f"tflite:{path}")
        np.testing.assert_allclose(encoder.head.weight, weight, rtol=1e-5)
        np.testing.assert_allclose(encoder.head.bias, bias, rtol=1e-5)
        np.testing.assert_allclose(encoder.encode(IMAGES), IMAGES.reshape(5, D) / 255, atol=1e-6)
        assert encoder.preprocessing.dtype == "uint8"

    def test_head_equals_network(self, quantised):
        """The head of the features is the network's own output to half a step of its 8 bits."""
        path, _, _, zero = quantised
        encoder = open_encoder(f"tflite:{path}")
        own = own_output(path, IMAGES.astype(np.int16) + zero)
        assert np.abs(encoder.head.logits(encoder.encode(IMAGES)) - own).max() < 0.11

    def test_given_preprocessing(self, quantised):
        """Mean and scale, when given, are applied and stored at the input's own scale."""
        path = quantised[0]
        encoder = open_encoder(f"tflite:{path}?scale=1/510&mean=.1")
        want = np.clip(IMAGES.reshape(5, D) / 510 - 0.1, 0, 1)
        np.testing.assert_allclose(encoder.encode(IMAGES), want, atol=0.5 / 255 + 1e-6)

    def test_random_weights(self, quantised):
        """The untrained control of such a file is refused with where to get one."""
        with pytest.raises(InputError, match="use an onnx: network for the untrained control"):
            open_encoder(f"tflite:{quantised[0]}?weights=random:0")


class TestHeadFile:
    def test_linear(self, tmp_path, floating, tflite_file):
        """A head in a second file reads the output of the first."""
        first = floating().save(tmp_path / "net.tflite", "image", "flat")
        file = tflite_file().tensor("in", (1, 1, 1, D)).constant("w", W).constant("b", B)
        file.tensor("logits", (1, K))
        file.operator("FULLY_CONNECTED", "in w b", "logits", "FullyConnectedOptions")
        second = file.save(tmp_path / "head.tflite", "in", "logits")
        encoder = open_encoder(f"tflite:{first}?head={second}")
        np.testing.assert_array_equal(encoder.encode(IMAGES), IMAGES.reshape(5, D))
        np.testing.assert_array_equal(encoder.head.weight, W)
        assert encoder.parameters == K * D + K

    def test_layers_before_the_last(self, tmp_path, floating, tflite_file):
        """Layers of the head file before its last linear one become part of the encoder."""
        first = floating().save(tmp_path / "net.tflite", "image", "flat")
        v = RNG.standard_normal((3, K)).astype(np.float32)
        file = tflite_file().tensor("in", (1, D)).constant("w", W / 255).constant("v", v)
        file.tensor("hidden", (1, K)).tensor("logits", (1, 3))
        relu = {"fusedActivationFunction": 1}
        file.operator("FULLY_CONNECTED", "in w none", "hidden", "FullyConnectedOptions", **relu)
        file.operator("FULLY_CONNECTED", "hidden v none", "logits", "FullyConnectedOptions")
        second = file.save(tmp_path / "head.tflite", "in", "logits")
        encoder = open_encoder(f"tflite:{first}?head={second}")
        want = np.maximum(IMAGES.reshape(5, D) @ W.T / 255, 0)
        np.testing.assert_allclose(encoder.encode(IMAGES), want, atol=1e-4)
        np.testing.assert_array_equal(encoder.head.weight, v)

    def test_absent(self, classifier):
        """A head that is neither none nor a file is refused."""
        with pytest.raises(InputError, match=r"expected none or a \.tflite file"):
            open_encoder(f"tflite:{classifier}?head=absent.tflite")

    def test_another_size(self, classifier, tmp_path, tflite_file):
        """A head file that reads another number of values is refused."""
        file = tflite_file().tensor("in", (1, 7)).constant("w", W[:, :7]).tensor("out", (1, K))
        file.operator("FULLY_CONNECTED", "in w none", "out", "FullyConnectedOptions")
        path = file.save(tmp_path / "head.tflite", "in", "out")
        with pytest.raises(InputError, match=r"reads \(1, 7\), but .* gives \(1, 4\)"):
            open_encoder(f"tflite:{classifier}?head={path}")


@pytest.mark.parametrize("size", [2, 4])
def test_fixed_batch(tmp_path, tflite_file, size):
    """A file for several images at a time is given one as often."""
    file = tflite_file().tensor("image", (size, 2, 2, 3)).tensor("out", (size, K))
    file.constant("flat_shape", np.int32([size, D])).tensor("flat", (size, D)).constant("w", W)
    file.operator("RESHAPE", "image flat_shape", "flat")
    file.operator("FULLY_CONNECTED", "flat w none", "out", "FullyConnectedOptions")
    path = file.save(tmp_path / "net.tflite", "image", "out")
    encoder = open_encoder(f"tflite:{path}")
    features = encoder.encode(IMAGES)
    np.testing.assert_array_equal(features, IMAGES.reshape(5, D))
    np.testing.assert_allclose(encoder.head.logits(features), features @ W.T, rtol=1e-4)


class TestOutputs:
    """A head is that of the output taken, and makes it."""

    @pytest.fixture
    def chained(self, tmp_path, floating):
        """Return a network whose first output is an embedding of which its second makes classes."""
        v = RNG.standard_normal((3, K)).astype(np.float32)
        file = floating().constant("w", W).constant("v", v).tensor("classes", (1, 3))
        file.operator("FULLY_CONNECTED", "flat w none", "logits", "FullyConnectedOptions")
        file.operator("FULLY_CONNECTED", "logits v none", "classes", "FullyConnectedOptions")
        return file.save(tmp_path / "net.tflite", "image", "logits classes")

    def test_embedding_first(self, chained):
        """Which of the two are the classes is asked, and the answer is followed."""
        with pytest.raises(InputError, match="give output=logits or output=classes"):
            open_encoder(f"tflite:{chained}")
        assert open_encoder(f"tflite:{chained}?output=classes").head.n_classes == 3
        assert open_encoder(f"tflite:{chained}?output=logits").dim == D
        assert open_encoder(f"tflite:{chained}?output=classes&head=none").dim == 3
        with pytest.raises(InputError, match="no output x; it has logits, classes"):
            open_encoder(f"tflite:{chained}?output=x")

    def test_two_heads(self, tmp_path, floating):
        """Of two heads side by side the first is taken, and a note says so."""
        file = floating().constant("w", W).constant("v", W[:3]).tensor("r", (1, D))
        file.tensor("aux", (1, 3)).operator("RELU", "flat", "r")
        file.operator("FULLY_CONNECTED", "flat w none", "logits", "FullyConnectedOptions")
        file.operator("FULLY_CONNECTED", "r v none", "aux", "FullyConnectedOptions")
        path = file.save(tmp_path / "net.tflite", "image", "logits aux")
        encoder = open_encoder(f"tflite:{path}")
        assert encoder.head.n_classes == K
        assert "first output, logits (4 values); aux (3 values) has another" in encoder.notes[0]
        assert open_encoder(f"tflite:{path}?output=aux").notes == ()

    def test_scores_by_pairs(self, tmp_path, floating):
        """Scores over parts of the logits are not scores of the classes."""
        file = floating().constant("w", W / 255).constant("pairs", np.int32([2, 2]))
        file.tensor("p", (2, 2)).tensor("out", (2, 2))
        file.operator("FULLY_CONNECTED", "flat w none", "logits", "FullyConnectedOptions")
        file.operator("RESHAPE", "logits pairs", "p")
        file.operator("SOFTMAX", "p", "out", "SoftmaxOptions", beta=1.0)
        path = file.save(tmp_path / "net.tflite", "image", "out")
        with pytest.raises(InputError, match="does not make the network's own output"):
            open_encoder(f"tflite:{path}")

    def test_softmax_with_beta(self, tmp_path, floating):
        """A softmax may sharpen, which leaves the logits as they are."""
        file = floating().constant("w", W / 2550).tensor("out", (1, K))
        file.operator("FULLY_CONNECTED", "flat w none", "logits", "FullyConnectedOptions")
        file.operator("SOFTMAX", "logits", "out", "SoftmaxOptions", beta=3.0)
        path = file.save(tmp_path / "net.tflite", "image", "out")
        np.testing.assert_array_equal(open_encoder(f"tflite:{path}").head.weight, W / 2550)

    def test_compared(self, classifier, monkeypatch):
        """A head that is read wrongly is refused."""
        right = TfliteGraph.biases

        def wrong(self, node):
            (bias,) = right(self, node)
            return [bias + np.abs(bias).max()]

        monkeypatch.setattr(TfliteGraph, "biases", wrong)
        with pytest.raises(InputError, match="does not make the network's own output"):
            open_encoder(f"tflite:{classifier}")
        with pytest.raises(InputError, match="does not make the network's own output"):
            open_encoder(f"tflite:{classifier}?layer=logits")


class TestErrors:
    def test_two_inputs(self, tmp_path, floating):
        """A network of two inputs is none of images, in these words."""
        file = floating().constant("w", W).tensor("other", (1, 2))
        file.operator("FULLY_CONNECTED", "flat w none", "logits", "FullyConnectedOptions")
        path = file.save(tmp_path / "net.tflite", "image other", "logits")
        with pytest.raises(InputError, match=r"got inputs image, other, expected one, the im"):
            open_encoder(f"tflite:{path}")

    @pytest.mark.parametrize("kind", ["RELU", "TANH"])
    def test_something_after_the_head(self, kind, tmp_path, floating):
        """A function that is not harmless after the last linear layer is named."""
        file = floating().constant("w", W).tensor("out", (1, K))
        file.operator("FULLY_CONNECTED", "flat w none", "logits", "FullyConnectedOptions")
        file.operator(kind, "logits", "out")
        path = file.save(tmp_path / "net.tflite", "image", "out")
        with pytest.raises(InputError, match=f"{kind} stands between .* give head=none"):
            open_encoder(f"tflite:{path}")

    def test_no_linear_layer(self, tmp_path, floating):
        """A network without a linear layer is told to use head=none."""
        path = floating().save(tmp_path / "net.tflite", "image", "flat")
        with pytest.raises(InputError, match="no fully connected layer or 1×1 convolution"):
            open_encoder(f"tflite:{path}")
        assert open_encoder(f"tflite:{path}?head=none").dim == D

    def test_activation_inside_the_layer(self, tmp_path, floating):
        """A layer with an activation inside is no head."""
        file = floating().constant("w", W)
        relu = {"fusedActivationFunction": 1}
        file.operator("FULLY_CONNECTED", "flat w none", "logits", "FullyConnectedOptions", **relu)
        path = file.save(tmp_path / "net.tflite", "image", "logits")
        with pytest.raises(InputError, match="layer logits is no plain fully connected layer"):
            open_encoder(f"tflite:{path}")

    def test_wide_convolution(self, tmp_path, tflite_file):
        """A convolution over more than one position is no head."""
        file = tflite_file().tensor("image", (1, 2, 2, 3)).tensor("out", (1, 1, 1, K))
        file.constant("w", W.reshape(K, 2, 2, 3))
        options = {"strideW": 1, "strideH": 1, "padding": 1}
        file.constant("b", B).operator("CONV_2D", "image w b", "out", "Conv2DOptions", **options)
        path = file.save(tmp_path / "net.tflite", "image", "out")
        with pytest.raises(InputError, match="no plain fully connected layer"):
            open_encoder(f"tflite:{path}")

    def test_computed_bias(self, tmp_path, floating):
        """A bias that is computed from the image is no bias."""
        file = floating().constant("w", W).constant("v", W).tensor("b", (1, K))
        file.operator("FULLY_CONNECTED", "flat v none", "b", "FullyConnectedOptions")
        file.operator("FULLY_CONNECTED", "flat w b", "logits", "FullyConnectedOptions")
        path = file.save(tmp_path / "net.tflite", "image", "logits")
        with pytest.raises(InputError, match=r"logits is no plain .* constant weights and biases"):
            open_encoder(f"tflite:{path}")

    def test_unknown_layer(self, classifier):
        """A tensor that is not there is answered with those that linear layers make."""
        with pytest.raises(InputError, match="no layer 'x'; its last linear layers are logits"):
            open_encoder(f"tflite:{classifier}?layer=x")

    def test_layer_of_another_type(self, classifier):
        """A layer that is not linear is no head."""
        with pytest.raises(
            InputError, match="layer flat is a RESHAPE, expected FULLY_CONNECTED, CONV_2D"
        ):
            open_encoder(f"tflite:{classifier}?layer=flat")

    @pytest.mark.parametrize(
        ("shape", "dtype"),
        [((1, 12), "float32"), ((1, 2, 2, 4), "float32"), ((1, 2, 2, 3), "int32")],
    )
    def test_no_image_input(self, tmp_path, tflite_file, shape, dtype):
        """An input that cannot be images is refused."""
        file = tflite_file().tensor("image", shape, dtype).constant("s", FLAT)
        file.tensor("out", (1, D), dtype).operator("RESHAPE", "image s", "out")
        path = file.save(tmp_path / "net.tflite", "image", "out")
        with pytest.raises(InputError, match=r"expected one of images \(1, h, w, 3\)"):
            open_encoder(f"tflite:{path}?head=none")

    def test_crop(self, classifier):
        """Another input size than the file's is refused."""
        with pytest.raises(InputError, match="got crop=224x224, but the network's input is 2x2"):
            open_encoder(f"tflite:{classifier}?crop=224")

    @pytest.mark.parametrize("data", [b"", b"not a network", bytes(4) + b"TFL3" + bytes(50)])
    def test_no_network(self, tmp_path, data):
        """A file of other bytes is no TensorFlow Lite file."""
        path = tmp_path / "net.tflite"
        path.write_bytes(data)
        with pytest.raises(FileFormatError, match="TensorFlow Lite file"):
            open_encoder(f"tflite:{path}")

    def test_truncated(self, classifier):
        """Cut anywhere, a file is refused and nothing crashes."""
        whole = classifier.read_bytes()
        for size in range(8, len(whole) - 4, 23):
            classifier.write_bytes(whole[:size])
            with pytest.raises(FileFormatError, match="cut short or altered"):
                open_encoder(f"tflite:{classifier}")

    def test_unreadable(self, tmp_path):
        """A file that cannot be read is named with the reason."""
        with pytest.raises(FileFormatError, match="is a folder, expected a file"):
            TfliteGraph(tmp_path, "net")

    def test_unread_type(self, tmp_path, floating):
        """Weights of a type that is not read are refused by the type's name."""
        file = floating().constant("w", W.astype(np.float64))
        file.operator("FULLY_CONNECTED", "flat w none", "logits", "FullyConnectedOptions")
        path = file.save(tmp_path / "net.tflite", "image", "logits")
        with pytest.raises(InputError, match="tensor w has unread type FLOAT64"):
            open_encoder(f"tflite:{path}")

    def test_operator_that_does_not_load(self, tmp_path, floating):
        """A graph that LiteRT refuses is reported as its file's fault."""
        file = floating().constant("w", W[:, :5])
        file.operator("FULLY_CONNECTED", "flat w none", "logits", "FullyConnectedOptions")
        path = file.save(tmp_path / "net.tflite", "image", "logits")
        with pytest.raises(FileFormatError, match="LiteRT cannot load it"):
            open_encoder(f"tflite:{path}?head=none")

    def test_weights_of_another_size(self, tmp_path, floating):
        """Weights of more or fewer bytes than their shape has are damage, in one line."""
        file = floating().tensor("w", (K, D), data=W[:, :3])
        file.operator("FULLY_CONNECTED", "flat w none", "logits", "FullyConnectedOptions")
        path = file.save(tmp_path / "net.tflite", "image", "logits")
        with pytest.raises(FileFormatError, match="damaged, expected a TensorFlow Lite network"):
            open_encoder(f"tflite:{path}")

    def test_second_file_is_named(self, tmp_path, classifier, tflite_file):
        """Where the head is a file of its own, damage in either names both."""
        file = tflite_file().tensor("read", (1, K)).tensor("out", (1, 3))
        file.tensor("w", (3, K), data=W[:3, :3])
        file.operator("FULLY_CONNECTED", "read w none", "out", "FullyConnectedOptions")
        head = file.save(tmp_path / "head.tflite", "read", "out")
        with pytest.raises(FileFormatError, match=rf"net\.tflite or {head}: damaged"):
            open_encoder(f"tflite:{classifier}?head={head}")

    def test_circle(self, tmp_path, tflite_file):
        """A tensor that is made of itself is refused, and nothing goes round for ever."""
        file = tflite_file().tensor("image", (1, 2, 2, 3)).constant("flat_shape", FLAT)
        file.tensor("one", FLAT).tensor("two", FLAT)
        file.operator("RESHAPE", "one flat_shape", "two")
        file.operator("RESHAPE", "two flat_shape", "one")
        path = file.save(tmp_path / "net.tflite", "image", "two")
        with pytest.raises(InputError, match="is made of itself"):
            open_encoder(f"tflite:{path}")

    def test_reason_on_one_line(self, tmp_path, floating):
        """What LiteRT says on several lines is told on one."""
        file = floating().constant("w", W[:, :5])
        file.operator("FULLY_CONNECTED", "flat w none", "logits", "FullyConnectedOptions")
        path = file.save(tmp_path / "net.tflite", "image", "logits")
        with pytest.raises(FileFormatError, match="LiteRT cannot load it") as told:
            open_encoder(f"tflite:{path}?head=none")
        assert "\n" not in str(told.value)

    def test_network_that_does_not_run(self, tmp_path, tflite_file):
        """A graph that LiteRT loads and does not run is refused with its reason."""
        file = tflite_file().tensor("image", (1, 2, 2, 3)).tensor("out", (1, K))
        file.tensor("w", (K, D))
        file.operator("FULLY_CONNECTED", "image w none", "out", "FullyConnectedOptions")
        path = file.save(tmp_path / "net.tflite", "image", "out")
        with pytest.raises(InputError, match="LiteRT cannot run it"):
            open_encoder(f"tflite:{path}?head=none")


MODELS = {
    "mobilenet_v1": (
        "mobilenet_v1_1.0_224_quant_embedding_extractor.tflite",
        "mobilenet_quant_v1_224_head_layers.tflite",
        1024,
        4222057,
    ),
    "mobilenet_v2": ("tf2_mobilenet_v2_1.0_224_ptq.tflite", None, 1280, 3489097),
    "mobilenet_v3": ("mobilenet_v3_large_minimalistic_224_quant.tflite", None, 1280, 3913369),
}


def own_logits(path, images):
    """Return what a file's last linear layer puts out, as real numbers, and the step of its 8 bits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        interpreter = Interpreter(str(path), experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    linear = ("FULLY_CONNECTED", "CONV_2D")
    layer = [o for o in interpreter._get_ops_details() if o["op_name"] in linear][-1]
    image = interpreter.get_input_details()[0]
    outputs = []
    for pixels in images:
        low = np.iinfo(image["dtype"]).min
        stored = (pixels + low).astype(image["dtype"]).reshape(image["shape"])
        interpreter.set_tensor(image["index"], stored)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(layer["outputs"][0]).reshape(-1))
    details = interpreter.get_tensor_details()
    step, zero = next(d for d in details if d["index"] == layer["outputs"][0])["quantization"]
    return (np.stack(outputs).astype(float) - zero) * step, step


@pytest.mark.quick("mobilenet_v3")
@pytest.mark.parametrize("name", MODELS)
def test_real_network(name, shared_data):
    """Real MobileNets split at their features, and the head gives their own logits, unrounded."""
    from PIL import Image

    file, head_file, dim, parameters = MODELS[name]
    models, photos = shared_data / "models", shared_data / "imagenet-val"
    extra = f"?head={models / head_file}" if head_file else ""
    encoder = open_encoder(f"tflite:{models / file}{extra}")
    assert (encoder.dim, encoder.head.n_classes, encoder.parameters) == (dim, 1001, parameters)
    names = [line.split()[0] for line in (photos / "labels.txt").read_text().splitlines()[:40]]
    images = np.stack([np.asarray(Image.open(photos / n).resize((224, 224))) for n in names])
    features = encoder.encode(images)
    inputs = images.astype(np.int16)
    if head_file is not None:
        scale, zero = Interpreter(str(models / file)).get_output_details()[0]["quantization"]
        inputs = np.rint(features / scale + zero).astype(np.int16)
    own, step = own_logits(models / (head_file or file), inputs)
    # Their own are rounded to a step of 8 bits, and cut off where 8 bits end.
    got = np.clip(encoder.head.logits(features), own.min(), own.max())
    assert np.abs(got - own).max() <= step / 2 + 1e-4 * np.abs(own).max()
