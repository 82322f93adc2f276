"""The room: the Textual app. Never imports torch."""

import os

# A key waits for the next frame: at Textual's 60 a second that is up to 17 ms of the 33 it may take. Frames
# without a change cost nothing.
os.environ.setdefault("TEXTUAL_FPS", "120")
