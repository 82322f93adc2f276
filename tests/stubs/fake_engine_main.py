"""The engine's real process round a scripted core: what the client's tests start in place of the server."""

from __future__ import annotations

from storyteller.engine.server import serve
from tests.stubs.fake_core import FakeCore

if __name__ == "__main__":
    serve(FakeCore)
