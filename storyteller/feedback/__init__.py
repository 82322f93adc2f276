"""The log of what was offered and what became of it, and the data sets made from it."""
