"""What the searches ask of a model with a cache, and what the samplers ask of a tokenizer: two protocols.

The engine's model fits `Decoder`; so does a naive one of the tests that recomputes everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class TextTokenizer(Protocol):
    """Byte-level tokens. `token_bytes` of every id joined is the text, in UTF-8."""

    def __hash__(self) -> int:
        """What is looked up in a vocabulary is kept by tokenizer; identity will do."""
        ...

    @property
    def eos(self) -> int:
        """The id that ends a document."""
        ...

    @property
    def vocab_size(self) -> int:
        """Ids are 0 to `vocab_size - 1`."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of `text`; special tokens spelt out in it are encoded as the plain text they are."""
        ...

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The bytes of `ids`, which need not be whole UTF-8 characters."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """The bytes of one id; a special token has none."""
        ...


class Decoder(Protocol):
    """A model and its cache, stepping `lanes` continuations of one prompt together.

    All logits and hidden states are float32 and belong to the caller until the next call: a search
    that needs them longer clones them. The number of lanes is constant from one `prefill` to the next.
    """

    @property
    def window(self) -> int:
        """Positions: the prompt and everything decoded after it may not exceed it."""
        ...

    @property
    def eos(self) -> int:
        """The id that ends a document."""
        ...

    def prefill(self, ids: Sequence[int], lanes: int, *, keep_hidden: bool = False) -> Tensor:
        """Show `ids` (at least one, at most `window`) to the model and copy its cache to `lanes` lanes.

        With `keep_hidden`, `prompt_hidden` answers for every position of `ids`, so none of them may be
        served from an earlier request's cache unless its hidden state was kept too.

        Returns:
            (vocab,) logits of the token after `ids`.
        """
        ...

    def decode(self, tokens: Sequence[int]) -> Tensor:
        """Append one token to every lane.

        Returns:
            (lanes, vocab) logits of the token after it.
        """
        ...

    def reorder(self, parents: Sequence[int]) -> None:
        """Lane i becomes a copy of what lane `parents[i]` was; `len(parents)` is the number of lanes."""
        ...

    def hidden(self) -> Tensor:
        """(lanes, d): the hidden states, after the final layer norm, of the tokens of the last `decode`."""
        ...

    def prompt_hidden(self) -> Tensor:
        """(positions, d): the same for every position of the prompt, after `prefill(..., keep_hidden=True)`."""
        ...
