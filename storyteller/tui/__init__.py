"""The room: the Textual app. Never imports torch."""
