"""Text and tokens of one model: prompts in, completions out, and the end of a completion."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from mmst.core.errors import PromptError

if TYPE_CHECKING:
    from mmst.inference.sequences import ActiveSequence

HEADS = 64
"""Beginnings of prompts whose tokens are kept."""
LEAD = 4
"""Prompt tokens that are decoded before a completion, because a token's text may depend on those before it."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_CLEAN = "take the problem out, or mend its text"


class Tokens:
    """A tokenizer with the tokens that end a text."""

    def __init__(self, tokenizer: Any, ends: frozenset[int]) -> None:
        self.tokenizer, self.end_tokens = tokenizer, ends
        self.pieces: dict[int, str] = {}
        self.heads: dict[str, list[int]] = {}

    def prompt(self, text: str, context: int, about: str = "") -> list[int]:
        """The ids of a prompt, with the tokenizer's own start token, once.

        `PromptError` if there are none, or if the model's context has no room for a completion.
        """
        bos = self.tokenizer.bos_token
        if not text.isascii() and _SURROGATE.search(text):
            raise PromptError("the prompt contains half of a surrogate pair", value=text, remedy=_CLEAN)
        ids: list[int] = self.tokenizer(text, add_special_tokens=not (bos and text.startswith(bos)))["input_ids"]
        subject = f"the prompt of {about}" if about else "the prompt"
        if not ids:
            raise PromptError(f"{subject} has no tokens", value=text, remedy="ask something")
        if len(ids) >= context:
            raise PromptError(
                f"{subject} has {len(ids)} tokens and the model's context holds {context}",
                value=text,
                remedy="leave out this problem, use fewer shots (prompt.shots), or a model with a longer context",
            )
        return ids

    def head(self, text: str, ids: list[int]) -> int:
        """How many tokens of a prompt, `ids`, are those of `text`, with which it and others begin."""
        if not text:
            return 0
        if text not in self.heads:
            if len(self.heads) == HEADS:
                self.heads.clear()
            self.heads[text] = self.prompt(text, 1 << 62)
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(self.heads[text], ids, strict=False))
        return sum(1 for _ in same)

    def bare(self, text: str) -> list[int]:
        """The ids of a text without anything that the tokenizer adds."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def text(self, prompt: list[int], tokens: list[int]) -> str:
        """The text of `tokens` after `prompt`, without special tokens."""
        lead = prompt[-LEAD:]
        before, whole = self._decode(lead), self._decode(lead + tokens)
        return whole[len(before) :] if whole.startswith(before) else self._decode(tokens)

    def offsets(self, prompt: list[int], tokens: list[int]) -> list[int]:
        """The position at which each of `tokens` begins in their text, in characters."""
        offsets, at, known = [], 0, prompt[-LEAD:] + tokens
        for i in range(min(LEAD, len(prompt)), len(known)):
            offsets.append(at)
            lead = known[max(0, i - LEAD) : i]
            at += len(self._decode([*lead, known[i]])) - len(self._decode(lead))
        return offsets

    def ends(self, row: ActiveSequence) -> bool:
        """Whether `row` ends with its newest token; if so, its text and finish are set."""
        token, stop = row.tokens[-1], row.request.stop
        if token in self.end_tokens:
            row.finish = "stop"
        elif len(row.tokens) >= row.budget:
            row.finish = "length"
        elif not (stop and self._may_stop(token, stop) and self._tail_stops(row)):
            return False
        text = self.text(row.prompt, row.tokens)
        found = [at for s in stop if (at := text.find(s)) >= 0]
        if not (row.finish or found):
            return False
        row.text, row.finish = (text[: min(found)], "stop") if found else (text, row.finish)
        return True

    def _tail_stops(self, row: ActiveSequence) -> bool:
        """Whether a stop string is in the last few tokens: decoding all of a long text is slow."""
        tail = row.tokens[-(max(len(s.encode()) for s in row.request.stop) + LEAD) :]
        text = self.text(row.prompt, tail)
        return any(s in text for s in row.request.stop)

    def _may_stop(self, token: int, stop: tuple[str, ...]) -> bool:
        """Whether a stop string can end within this token: this rules out nearly all tokens."""
        piece = self.pieces.get(token)
        if piece is None:  # kept by the token alone, so that the vocabulary bounds what is kept, whatever clients ask
            piece = self.pieces[token] = self._decode([token])
        return "�" in piece or any(s[-1] == " " or s[-1] in piece for s in stop)

    def _decode(self, tokens: list[int]) -> str:
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text
