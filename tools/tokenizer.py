"""The shipped model's tokenizer: one token per number and per word of the generated problems.

Any other text falls apart into its bytes, so every text goes through and comes back unchanged.
With one token per number, a small model can learn arithmetic (with digits it could not).
"""

from __future__ import annotations

import re

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mmst.datasets.generated import MAIN, MOST, NAMES, RELATED, THINGS

PAD, END = "<|pad|>", "<|end|>"
NUMBERS = 200
"""Numbers up to this one are single tokens."""
LINE_STARTS = ("Question", "Text", "Python", "So", "The", "print", "a", "b", "c", "d")
SOLUTION = ": \n . , ? + - * / // = ( ) So The answer is a b c d print"
_PIECE = r" ?[^\W\d_]+| ?\d+| ?[^\s\w]+|\s"
"""Words, numbers and signs, each with the space before it; a line break stands alone."""


def build() -> PreTrainedTokenizerFast:
    """The tokenizer, always the same."""
    assert MOST <= NUMBERS
    to_byte_char = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)

    def spelled(text: str) -> str:
        return "".join(piece for piece, _ in to_byte_char.pre_tokenize_str(text))

    single = sorted(pre_tokenizers.ByteLevel.alphabet())
    whole = [spelled(piece) for piece in pieces()]
    vocabulary = {t: i for i, t in enumerate(dict.fromkeys([PAD, END, *single, *whole]))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    split = pre_tokenizers.Split(Regex(_PIECE), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, to_byte_char])
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def pieces() -> list[str]:
    """Everything but single bytes that is one token, in a fixed order."""
    stories = re.sub(r"\{\w\}", " ", " ".join(f.story for f in MAIN + RELATED))
    words = re.findall(r"[^\W\d_]+|[^\s\w\[\]|]", stories)
    found = {f" {word}" for word in [*words, *NAMES.split(), *THINGS.split(), *SOLUTION.split()]}
    numbers = [f" {n}" for n in range(NUMBERS + 1)]
    return [*numbers, *sorted(found), *LINE_STARTS]
