"""Translate between text and Morse code."""

CODE = {
    "A": ".-", "B": "-...", "C": "-.-.", "D": "-..", "E": ".", "F": "..-.",
    "G": "--.", "H": "....", "I": "..", "J": ".---", "K": "-.-", "L": ".-..",
    "M": "--", "N": "-.", "O": "---", "P": ".--.", "Q": "--.-", "R": ".-.",
    "S": "...", "T": "-", "U": "..-", "V": "...-", "W": ".--", "X": "-..-",
    "Y": "-.--", "Z": "--..", "0": "-----", "1": ".----", "2": "..---",
    "3": "...--", "4": "....-", "5": ".....", "6": "-....", "7": "--...",
    "8": "---..", "9": "----.",
}
LETTERS = {signal: letter for letter, signal in CODE.items()}


def to_morse(text: str) -> str:
    """Return the text in Morse code, with " / " between words.

    Characters that have no code are left out.

    >>> to_morse("Send help!")
    '... . -. -.. / .... . .-.. .--.'
    """
    words = text.upper().split()
    signals = (" ".join(CODE[c] for c in word if c in CODE) for word in words)
    return " / ".join(signals)


def from_morse(signals: str) -> str:
    """Return the text of a message in Morse code.

    >>> from_morse("... . -. -.. / .... . .-.. .--.")
    'SEND HELP'
    """
    words = signals.split("/")
    return " ".join("".join(LETTERS[s] for s in word.split()) for word in words)
