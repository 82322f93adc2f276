"""Searches: continuations chosen by looking for the best one instead of by chance."""

from storyteller.engine.search.beam import Continuation, beam_search
from storyteller.engine.search.contrastive import contrastive_search

__all__ = ["Continuation", "beam_search", "contrastive_search"]
