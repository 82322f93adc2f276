"""What of a manuscript the writer wrote, sentence by sentence, as far as provenance tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storyteller.manuscript.segments import next_sentence

if TYPE_CHECKING:
    from storyteller.manuscript.provenance import Provenance


def own_words(text: str, provenance: Provenance) -> str:
    r"""`text` without what the model wrote and the writer left unchanged; its line ends become `\n`.

    A sentence, or a line that ends without one, goes whole where a part of it is the model's: half a sentence joined
    to another half would be a text that nobody wrote. A paragraph whose beginning goes still begins where it did.
    """
    plain = text.replace("\r\n", " \n").replace("\r", "\n")  # as long as before: spans are counted in it
    models = [span for span in provenance.spans() if span.origin == "accepted"]
    kept: list[str] = []
    start = following = 0
    gap = ""  # before the sentence: its own, or that of a paragraph that lost its beginning
    while start < len(plain):
        end = next_sentence(plain, start)
        sentence = plain[start:end].lstrip()
        begins = end - len(sentence)
        own_gap = plain[start:begins]
        gap = own_gap if "\n" in own_gap or "\n" not in gap else gap
        while following < len(models) and models[following].end <= begins:
            following += 1
        if following == len(models) or models[following].start >= end:
            kept += gap, sentence
            gap = ""
        start = end
    return "".join(kept)
