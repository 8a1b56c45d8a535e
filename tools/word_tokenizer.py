"""The tokenizer of a model for problems that people wrote: words, and one token per whole number.

A number beyond `NUMBERS`, or with a decimal point, is spelled out digit by digit behind its longest
known beginning (WordPiece: `1500` is `150 ##0`). A word that is not in the vocabulary becomes the
unknown word. Letters are lower case; what a solution consists of comes back as it was but for that.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

PAD, END, UNKNOWN = "<|pad|>", "<|end|>", "<|word|>"
NUMBERS = 400
"""Whole numbers up to this one are single tokens."""
LEAST = 2
"""A word that is seen less often is an unknown one: so the model learns to do with such."""
FIXED = "\n question text python the answer is print ( ) + - * / = . : ? ,".split(" ") + list("abcdefgh")
_PIECE = r"\d+(?:\.\d+)?|[^\W\d_]+|\n|\S"


def build(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer for the words of `texts`; the same for the same texts."""
    words = Counter(word for text in texts for word in pieces(text) if not word[0].isdigit())
    numbers = [*map(str, range(NUMBERS + 1)), "##.", *(f"##{digit}" for digit in range(10))]
    known = sorted(word for word, count in words.items() if count >= LEAST)
    vocabulary = {t: i for i, t in enumerate(dict.fromkeys([PAD, END, UNKNOWN, *FIXED, *numbers, *known]))}
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[^\S\n]+"), behavior="removed"),
            pre_tokenizers.Split(Regex(_PIECE), behavior="isolated"),
        ]
    )
    joined = decoders.WordPiece(prefix="##", cleanup=False)
    tokenizer.decoder = decoders.Sequence([joined, decoders.Fuse(), decoders.Replace(Regex(" ?\n ?"), "\n")])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def pieces(text: str) -> list[str]:
    """The words, numbers and signs of a text, in lower case."""
    return re.findall(_PIECE, text.lower())
