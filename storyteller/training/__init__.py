"""A genre learned: texts become documents, documents tokens, tokens an adapter."""
