"""The language guess: right where script or common words tell, silent where they do not."""

from __future__ import annotations

import pytest

from storyteller.training.corpus.language import UNKNOWN, guess_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (
            "He lit the lamp at four, and the fog ate the light as bread eats milk, and that was it.",
            "English",
        ),
        ("Der Wärter zündete die Lampe an, und der Nebel fraß das Licht, wie man es nicht kennt.", "German"),
        (
            "Le gardien alluma la lampe à quatre heures, et la brume ne laissa pas un rayon pour elle.",
            "French",
        ),
        ("El guardián encendió la lámpara a las cuatro y la niebla se comió la luz como el pan.", "Spanish"),
        ("牀前看月光，疑是地上霜。舉頭望山月，低頭思故鄉。", "Chinese"),
        ("月が出て、海は静かに鐘を鳴らしていた。誰も来なかった。", "Japanese"),
        ("등대지기는 네 시에 등을 켰고 안개가 그 빛을 먹어 버렸다.", "Korean"),
        ("Смотритель зажёг лампу в четыре, и туман съел свет.", "a language in Cyrillic"),
        ("Colorless xylem quorum zephyr brillig slithy toves gyre gimble wabe", UNKNOWN),
        ("1 2 3 + - 42 !?", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_the_guess(text: str, language: str) -> None:
    assert guess_language([text]) == language
