"""The engine: a local GPT-2 that continues text. Importing this package loads nothing heavy."""
