"""storyteller: the writing room for people who write in a terminal."""

__version__ = "0.1.0"
