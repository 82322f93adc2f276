"""Bindings that the screens show in their own hint lines, each with an id for the writer's key map."""

from __future__ import annotations

from textual.binding import Binding


def quiet_binding(keys: str, action: str, does: str, name: str, *, priority: bool = False) -> Binding:
    """`keys` do `action`, which the help calls `does` and the key map `name`; no footer shows it."""
    return Binding(keys, action, does, show=False, priority=priority, id=name)
