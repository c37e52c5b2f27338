"""Text networks of sentence-transformers, small ones that it saved itself."""

from __future__ import annotations

import json
import os
import shutil
import sys

import numpy as np
import pytest
from tests.encoders.lazy import lazy

from intertwine.encoders.registry import open_encoder
from intertwine.errors import FileFormatError, InputError, MissingExtraError

huggingface_hub = lazy("huggingface_hub")
torch = lazy("torch")
load_file = lazy("safetensors.torch", "load_file")
SentenceTransformer = lazy("sentence_transformers", "SentenceTransformer")
Dense = lazy("sentence_transformers.base.modules", "Dense")
Normalize = lazy("sentence_transformers.base.modules", "Normalize")
Transformer = lazy("sentence_transformers.base.modules", "Transformer")
Pooling = lazy("sentence_transformers.sentence_transformer.modules", "Pooling")
StaticEmbedding = lazy("sentence_transformers.sentence_transformer.modules", "StaticEmbedding")
WeightedLayerPooling = lazy(
    "sentence_transformers.sentence_transformer.modules", "WeightedLayerPooling"
)
Tokenizer = lazy("tokenizers", "Tokenizer")
WordLevel = lazy("tokenizers.models", "WordLevel")
Whitespace = lazy("tokenizers.pre_tokenizers", "Whitespace")
BertConfig = lazy("transformers", "BertConfig")
BertModel = lazy("transformers", "BertModel")
BertTokenizerFast = lazy("transformers", "BertTokenizerFast")

WORDS = ["a", "cat", "dog", "sleeps", "runs", "on", "the", "red", "blue", "sofa", ":", "query"]
rng = np.random.default_rng(0)
TEXTS = [" ".join(rng.choice(WORDS, size=n)) for n in rng.integers(1, 12, size=70)]
PROMPTS = {"query": "query : ", "blue": "the blue "}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the folder of a small network of 20 tokens at most that normalises."""
    folder = tmp_path_factory.mktemp("texts")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=20,
    )
    BertModel(config).save_pretrained(folder / "bert")
    transformer = Transformer(str(folder / "bert"))
    model = SentenceTransformer(
        modules=[transformer, Pooling(32, "mean"), Normalize()], prompts=PROMPTS, device="cpu"
    )
    model.save(str(folder / "tiny"), create_model_card=False)
    return folder / "tiny"


@pytest.fixture
def copied(made, tmp_path):
    """Return a copy of the folder, to be changed."""
    return shutil.copytree(made, tmp_path / "copy")


def change(file, **values):
    """Change a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def own(folder, texts, **options):
    """Return the library's own embeddings."""
    model = SentenceTransformer(str(folder), device="cpu")
    return model.encode(texts, show_progress_bar=False, **options)


class TestFeatures:
    def test_own(self, made):
        """Features are the library's own embeddings, of length 1 as the network makes them."""
        encoder = open_encoder(f"st:{made}")
        got = encoder.encode(TEXTS)
        np.testing.assert_allclose(got, own(made, TEXTS), atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, rtol=1e-6)
        assert (got.dtype, encoder.reads, encoder.head) == (np.float32, "texts", None)
        assert (encoder.name, encoder.dim) == ("tiny", 32)

    def test_repeatable(self, made):
        """Two extractions are equal to the bit, and the network stays in eval mode."""
        encoder = open_encoder(f"st:{made}")
        first = encoder.encode(TEXTS)
        np.testing.assert_array_equal(first, encoder.encode(TEXTS))
        np.testing.assert_array_equal(first, open_encoder(f"st:{made}").encode(TEXTS))
        assert not any(part.training for part in encoder.run.model.modules())

    @pytest.mark.slow
    def test_order(self, made):
        """Each text gets its own embedding, whatever else is in its batch."""
        encoder = open_encoder(f"st:{made}")
        together = encoder.encode(TEXTS)
        alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
        np.testing.assert_allclose(together, alone, atol=1e-6)

    def test_threads(self, made):
        """The network has as many threads as asked, and the rest of the process keeps its own."""
        before, seen = torch.get_num_threads(), []
        encoder = open_encoder(f"st:{made}", threads=3)
        encoder.run.model.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
        encoder.encode(TEXTS[:1])
        assert (seen, torch.get_num_threads()) == ([3], before)

    def test_bfloat16(self, made):
        """In bfloat16 the embeddings are near, and of another space."""
        encoder, low = (open_encoder(f"st:{made}", precision=p) for p in ("float32", "bfloat16"))
        full, half = encoder.encode(TEXTS), low.encode(TEXTS)
        assert 1e-5 < np.abs(full - half).max() < 0.05
        assert encoder.fingerprint != low.fingerprint

    def test_quiet(self, made, capfd, monkeypatch):
        """Nothing is printed, and later forks draw no warning of the tokenizers."""
        monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
        open_encoder(f"st:{made}").encode(TEXTS)
        assert capfd.readouterr() == ("", "")
        assert os.environ["TOKENIZERS_PARALLELISM"] == "false"

    def test_cannot_run(self, made):
        """A network that fails says why."""
        encoder = open_encoder(f"st:{made}")
        encoder.run.model.max_seq_length = 40
        with pytest.raises(InputError, match=r"encoder st:.*torch cannot run it"):
            encoder.encode(["cat " * 40])


class TestPrompt:
    @pytest.mark.quick("the red -the red ", "None-")
    @pytest.mark.parametrize(
        ("option", "prompt"),
        [("the red ", "the red "), ("query", "query : "), ("none", ""), (None, "")],
    )
    def test_prompt(self, made, option, prompt):
        """A prompt is a text, the name of one of the network's, or none."""
        encoder = open_encoder(f"st:{made}" + (f"?prompt={option}" if option else ""))
        assert encoder.preprocessing.prompt == prompt
        want = own(made, [prompt + text for text in TEXTS])
        np.testing.assert_allclose(encoder.encode(TEXTS), want, atol=1e-6)

    def test_default(self, copied):
        """The network's default prompt holds unless another, or none, is asked for."""
        change(copied / "config_sentence_transformers.json", default_prompt_name="blue")
        encoder, bare = (open_encoder(f"st:{copied}{end}") for end in ("", "?prompt=none"))
        assert encoder.preprocessing.prompt == "the blue "
        np.testing.assert_allclose(encoder.encode(TEXTS), own(copied, TEXTS), atol=1e-6)
        np.testing.assert_allclose(bare.encode(TEXTS), own(copied, TEXTS, prompt=""), atol=1e-6)
        assert encoder.fingerprint != bare.fingerprint

    def test_left_out_of_the_mean(self, copied):
        """A network whose mean leaves the prompt's tokens out does so here too."""
        change(copied / "1_Pooling" / "config.json", include_prompt=False)
        got = open_encoder(f"st:{copied}?prompt=query").encode(TEXTS)
        np.testing.assert_allclose(got, own(copied, TEXTS, prompt_name="query"), atol=1e-6)
        assert np.abs(got - own(copied, [PROMPTS["query"] + text for text in TEXTS])).max() > 1e-3


class TestLength:
    def test_cut(self, made):
        """Tokens beyond the limit change nothing."""
        encoder = open_encoder(f"st:{made}?max_tokens=5")
        assert encoder.preprocessing.max_tokens == 5
        got = encoder.encode(["the red cat sleeps", "the red cat runs on the sofa"])
        np.testing.assert_allclose(got[0], got[1], atol=1e-6)
        whole = open_encoder(f"st:{made}")
        assert whole.preprocessing.max_tokens == 20
        assert whole.fingerprint != encoder.fingerprint

    @pytest.mark.parametrize("value", ["2", "many", "-1"])
    def test_refused(self, made, value):
        """A limit is a whole number with room for a token."""
        with pytest.raises(InputError, match=f"got max_tokens={value}, expected a whole number"):
            open_encoder(f"st:{made}?max_tokens={value}")

    def test_table_of_words(self, tmp_path):
        """A table of word vectors, which has no limit of tokens, is a network like others."""
        tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))  # noqa: S106
        tokenizer.pre_tokenizer = Whitespace()
        table = np.array([[0, 0], [1, 2], [3, 4]], np.float32)
        module = StaticEmbedding(tokenizer, embedding_weights=table)
        SentenceTransformer(modules=[module], device="cpu").save(str(tmp_path / "words"))
        encoder = open_encoder(f"st:{tmp_path / 'words'}")
        assert json.loads(json.dumps(encoder.preprocessing.to_json(), allow_nan=False))
        np.testing.assert_allclose(
            encoder.run(["a b b", "a"]), [[7 / 3, 10 / 3], [1, 2]], rtol=1e-6
        )
        with pytest.raises(InputError, match="of a network that has such a limit"):
            open_encoder(f"st:{tmp_path / 'words'}?max_tokens=5")

    def test_too_long(self, made):
        """A limit that the network cannot take shows when it is opened."""
        with pytest.raises(InputError, match="torch cannot run it"):
            open_encoder(f"st:{made}?max_tokens=21")


class TestWeights:
    def test_random(self, made):
        """Fresh weights follow the seed alone, and every one of them is fresh."""
        first, again, other = (
            open_encoder(f"st:{made}?weights=random:{seed}") for seed in (1, 1, 2)
        )
        assert first.fingerprint == again.fingerprint != other.fingerprint
        before = load_file(made / "model.safetensors")
        after = first.run.model[0].model.state_dict()
        same = [name for name, weight in before.items() if torch.equal(weight, after[name])]
        # These start the same in every network.
        assert all(".bias" in name or "LayerNorm" in name for name in same)

    def test_random_dense(self, made, tmp_path):
        """A layer after the pooling is redrawn too."""
        model = SentenceTransformer(str(made), device="cpu")
        model.append(Dense(32, 8))
        model.save(str(tmp_path / "dense"), create_model_card=False)
        one, two = (
            open_encoder(f"st:{tmp_path / 'dense'}?weights=random:{seed}") for seed in (1, 2)
        )
        weights = [encoder.run.model[3].linear.weight for encoder in (one, two)]
        assert not torch.equal(*weights)
        assert one.dim == 8

    def test_random_is_refused(self, made, tmp_path):
        """A part that cannot be redrawn is named."""
        model = SentenceTransformer(str(made), device="cpu")
        model.append(WeightedLayerPooling(32, num_hidden_layers=2))
        model.save(str(tmp_path / "net"), create_model_card=False)
        with pytest.raises(InputError, match="cannot redraw WeightedLayerPooling, which has no re"):
            open_encoder(f"st:{tmp_path / 'net'}?weights=random:0")

    def test_pooling_is_in_the_fingerprint(self, made, copied):
        """The same weights pooled in another way are another space."""
        assert open_encoder(f"st:{copied}").space.fingerprint == (
            open_encoder(f"st:{made}").space.fingerprint
        )
        settings = json.loads((copied / "1_Pooling" / "config.json").read_text())
        settings = {key: value for key, value in settings.items() if "pooling_mode" not in key}
        (copied / "1_Pooling" / "config.json").write_text(
            json.dumps(settings | {"pooling_mode": "cls"})
        )
        assert open_encoder(f"st:{copied}").fingerprint != open_encoder(f"st:{made}").fingerprint

    def test_pickle(self, copied):
        """A pickle in place of the safetensors file is not read."""
        torch.save(load_file(copied / "model.safetensors"), copied / "pytorch_model.bin")
        (copied / "model.safetensors").unlink()
        with pytest.raises(InputError, match=r"cannot be read \(OSError: "):
            open_encoder(f"st:{copied}")


class TestFolder:
    def test_name(self, made, monkeypatch):
        """A name without an owner is one of sentence-transformers' own networks."""
        asked = []
        monkeypatch.setattr(
            huggingface_hub,
            "snapshot_download",
            lambda name, **_: asked.append(name) or str(made),
        )
        encoder = open_encoder("st:all-tiny")
        assert (encoder.name, asked) == ("all-tiny", ["sentence-transformers/all-tiny"])
        assert encoder.fingerprint == open_encoder(f"st:{made}").fingerprint

    def test_missing_extra(self, made, monkeypatch):
        """Without the library, the error is the pip line of its extra."""
        monkeypatch.setitem(sys.modules, "sentence_transformers", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'intertwine\[texts\]'"):
            open_encoder(f"st:{made}")

    def test_no_modules(self, copied):
        """A folder that does not say how tokens become one vector is refused."""
        (copied / "modules.json").unlink()
        with pytest.raises(InputError, match=r"holds no modules\.json"):
            open_encoder(f"st:{copied}")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (
                '[{"type": "own.Module", "path": ""}]',
                r"names own\.Module, expected modules of sent",
            ),
            ("{}", "names no modules, expected"),
        ],
    )
    def test_foreign_modules(self, copied, content, message):
        """Code that a folder brings is not run."""
        (copied / "modules.json").write_text(content)
        (copied / "own.py").write_text("raise SystemExit")
        with pytest.raises(InputError, match=message):
            open_encoder(f"st:{copied}")

    def test_no_json(self, copied):
        """A list of modules that is no JSON is named."""
        (copied / "modules.json").write_text("[")
        with pytest.raises(FileFormatError, match=r"modules\.json: cannot be read as JSON"):
            open_encoder(f"st:{copied}")

    def test_image_options(self, made):
        """Options of images are not ignored."""
        with pytest.raises(InputError, match="unknown option 'mean'; st knows max_tokens, name"):
            open_encoder(f"st:{made}?mean=0&crop=8")

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (["x"], r"modules\.json: \[0\] is 'x', expected an object"),
            ([{"idx": 0}], r"modules\.json: holds no 'type' in \[0\]"),
            ([{"idx": 0, "type": 5}], r"modules\.json: \[0\]\.type is 5, expected a text"),
        ],
    )
    def test_damaged_modules(self, copied, value, message):
        """A list of modules that are none is refused, naming the first."""
        (copied / "modules.json").write_text(json.dumps(value))
        with pytest.raises(FileFormatError, match=message):
            open_encoder(f"st:{copied}")

    @pytest.mark.parametrize("kept", [slice(1), slice(1, None)])
    def test_modules_left_out(self, copied, kept):
        """Modules that do not make one embedding of texts are refused in one line."""
        file = copied / "modules.json"
        file.write_text(json.dumps(json.loads(file.read_text())[kept]))
        with pytest.raises(InputError, match="torch cannot run it") as told:
            open_encoder(f"st:{copied}")
        assert "\n" not in str(told.value)

    def test_half_a_character_in_a_name(self, copied):
        """A module's name of half a character, as JSON can spell it, is a name like others."""
        file = copied / "modules.json"
        modules = json.loads(file.read_text())
        modules[0]["name"] = "\ud800"
        file.write_text(json.dumps(modules))
        assert open_encoder(f"st:{copied}").dim == 32

    def test_nothing_is_printed(self, copied, capfd):
        """What a tokenizer's own code would print of its file stays off standard output."""
        file = copied / "tokenizer.json"
        tokenizer = json.loads(file.read_text())
        tokenizer["added_tokens"][0]["\x1b[31m"] = True
        file.write_text(json.dumps(tokenizer))
        open_encoder(f"st:{copied}")
        assert capfd.readouterr().out == ""
