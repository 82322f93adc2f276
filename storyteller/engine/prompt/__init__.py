"""Text to tokens and back: what the model is shown, and what may be shown of what it writes."""
