"""The shell commands, one function each."""
