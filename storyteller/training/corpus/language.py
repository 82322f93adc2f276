"""A guess at the language of a corpus, by its script and its commonest words; no guess where neither tells."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

UNKNOWN: Final = "unknown"

_SCRIPTS: Final = {
    "Latin": "A-Za-z\u00c0-\u024f",
    "Han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "kana": "\u3040-\u30ff",
    "hangul": "\uac00-\ud7af",
    "Cyrillic": "\u0400-\u04ff",
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Arabic": "\u0600-\u06ff",
    "Hebrew": "\u0590-\u05ff",
    "Devanagari": "\u0900-\u097f",
    "Thai": "\u0e00-\u0e7f",
}
_COUNTED: Final = {name: re.compile(f"[{characters}]") for name, characters in _SCRIPTS.items()}
_ONE_SCRIPT: Final = {
    "Han": "Chinese",
    "hangul": "Korean",
    "Greek": "Greek",
    "Hebrew": "Hebrew",
    "Thai": "Thai",
}
# Scripts of many languages are named, not guessed at.
_MANY: Final = {
    "Cyrillic": "a language in Cyrillic",
    "Arabic": "a language in Arabic script",
    "Devanagari": "a language in Devanagari",
}
_COMMON: Final = {
    "English": "the and of to in that it was he with his for had not but you they at she which from her this",
    "German": "der die und das nicht ein ist zu den mit sich auf dem eine er sie auch von ich war wie aber im",
    "French": "le la les et des un une que est dans pas il elle pour qui du ce ne au avec sur je vous mais",
    "Spanish": "el la los las y que de un una en no se por con su lo del es para al como pero más muy",
    "Italian": "il la di che non un una è per con si del della le gli ma come lo mi nel sono era più",
    "Portuguese": "o a os que não um uma de e do da em para com se por no na mas ao como foi ele muito",
    "Dutch": "de het een en van niet dat ik is zijn op te met hij voor maar ook er haar die was naar",
    "Swedish": "och att det som en på är av för med den till inte han jag var ett om hade så men",
    "Polish": "i w nie się na że do to jest z jak ale po był o co tak za od jego tylko przez",
    "Latin": "et in est non cum ad ut quod sed qui ex per quae si esse enim nec atque eius hoc",
}
_STOP_WORDS: Final = {language: frozenset(words.split()) for language, words in _COMMON.items()}
_PIECE: Final = 2000  # characters looked at in a piece
_ENOUGH: Final = 400_000  # characters looked at in all
_WORD: Final = re.compile(r"[^\W\d_]+")


def guess_language(texts: Iterable[str]) -> str:
    """The language's English name, its script, or `UNKNOWN`; by the beginnings of pieces spread over the corpus."""
    sample = _sample(list(texts))
    scripts = {name: len(found.findall(sample)) for name, found in _COUNTED.items()}
    letters = sum(scripts.values())
    if letters < 20:
        return UNKNOWN
    if scripts["kana"] > 0.1 * letters and scripts["kana"] + scripts["Han"] > 0.6 * letters:
        return "Japanese"
    script = max(scripts, key=lambda name: scripts[name])
    if scripts[script] < 0.6 * letters:
        return UNKNOWN
    if script != "Latin":
        return _ONE_SCRIPT.get(script) or _MANY.get(script, UNKNOWN)
    return _by_common_words(sample)


def _sample(texts: list[str]) -> str:
    step = max(1, len(texts) * _PIECE // _ENOUGH)
    return "\n".join(text[:_PIECE] for text in texts[::step])


def _by_common_words(sample: str) -> str:
    counts = Counter(_WORD.findall(sample.lower()))
    total = sum(counts.values())
    shares = sorted(
        (
            (sum(counts[word] for word in common) / total, language)
            for language, common in _STOP_WORDS.items()
        ),
        reverse=True,
    )
    (best, language), (second, _) = shares[:2]
    return language if best >= 0.08 and best >= 1.25 * second else UNKNOWN
