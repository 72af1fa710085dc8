"""Text to vector (contract 6.1): deterministic, unit length, closer for shared words."""

import os
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from somabrain.embedding import DIM, EmptyText, embed, from_bytes, to_bytes, words

from tests.service.programs import PYTHONPATH

TEXTS = ("red apples", "Größe und Gewicht", "日本語 の テキスト", "42", "a" * 5000, "one two three " * 50)
# The vectors of these texts are stored: this number changes only together with a migration that embeds them anew.
KNOWN = "6bb886f9f945d4ef7585804fa4b0b2ca4c06505e80c8ced9eeef5824c487cfb9"
PROGRAM = """
import sys
from hashlib import sha256
from somabrain.embedding import embed, to_bytes
print(sha256(b"".join(to_bytes(embed(text)) for text in sys.argv[1:])).hexdigest())
"""


def digest() -> str:
    return sha256(b"".join(to_bytes(embed(text)) for text in TEXTS)).hexdigest()


def cosine(a: str, b: str) -> float:
    return float(embed(a) @ embed(b))


@given(st.text())
def test_a_text_has_a_unit_vector_or_is_refused(text: str) -> None:
    if not words(text):
        with pytest.raises(EmptyText, match="empty text"):
            embed(text)
    else:
        vector = embed(text)
        assert vector.shape == (DIM,)
        assert float(np.linalg.norm(vector.astype(np.float64))) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("text", ["", "   ", "_", "!?…", "👋", "\n\t"])
def test_a_text_without_letter_or_digit_is_refused(text: str) -> None:
    with pytest.raises(EmptyText, match="empty text"):
        embed(text)


@given(st.text(min_size=1).filter(words))
def test_space_and_punctuation_around_a_text_do_not_count(text: str) -> None:
    assert embed(f"  {text} \n!").tolist() == embed(text).tolist()


@pytest.mark.parametrize("hash_seed", ["1", "4242"])
def test_another_process_finds_the_same_vectors(hash_seed: str) -> None:
    env = {**os.environ, "PYTHONPATH": PYTHONPATH, "PYTHONHASHSEED": hash_seed}
    told = subprocess.run([sys.executable, "-c", PROGRAM, *TEXTS], env=env, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == digest()


def test_another_machine_found_the_same_vectors() -> None:
    assert digest() == KNOWN


@pytest.mark.parametrize(
    ("one", "near", "far"),
    [
        ("copper kettle", "the copper pot", "wooden ladder"),
        ("water the garden", "garden hose", "file a tax return"),
        ("größe", "Größe 42", "weiß"),
        ("日本 語", "日本", "中国"),
    ],
)
def test_texts_that_share_words_are_closer(one: str, near: str, far: str) -> None:
    assert cosine(one, near) > cosine(one, far) + 0.1
    assert cosine(one, one) == pytest.approx(1.0, abs=1e-6)


def test_of_many_pairs_without_a_common_word_none_is_as_close_as_one_with() -> None:
    texts = [f"alpha{i} beta{i * 7}" for i in range(60)]
    apart = max(cosine(a, b) for i, a in enumerate(texts) for b in texts[:i])
    assert apart < cosine("copper kettle", "copper pot") < 1.0


@given(st.text(min_size=1).filter(words))
def test_a_vector_survives_being_stored(text: str) -> None:
    assert from_bytes(to_bytes(embed(text))).tolist() == embed(text).tolist()
