"""The engine's process: what the client and the server share, on either side of the pipe. No torch."""
