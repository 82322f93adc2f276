"""What may be on a disk when the power fails: a model fed with the record of a `FaultyDisk`.

Pessimistic: bytes are only sure once their file was synced, names once their folder was; what is not sure may be
there in full, half, or not at all, and each name for itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.stubs.faulty_disk import Call


@dataclass(frozen=True)
class _NameChange:
    """A name given to a file, taken from it, or moved on to another, in one step."""

    file: int
    gone: Path | None
    given: Path | None


@dataclass
class _State:
    names: dict[Path, int] = field(default_factory=dict)
    sure_names: dict[Path, int] = field(default_factory=dict)
    pending: list[_NameChange] = field(default_factory=list)
    data: dict[int, bytes] = field(default_factory=dict)
    sure_data: dict[int, bytes] = field(default_factory=dict)

    def apply(self, call: Call) -> None:
        match call.name:
            case "create":
                file = len(self.data)
                self.data[file] = self.sure_data[file] = b""
                self._rename(_NameChange(file, None, call.path))
            case "write":
                file = self.names[call.path]
                old = self.data[file].ljust(call.offset, b"\0")
                self.data[file] = old[: call.offset] + call.data + old[call.offset + len(call.data) :]
            case "truncate":
                file = self.names[call.path]
                self.data[file] = self.data[file][: call.offset].ljust(call.offset, b"\0")
            case "fsync":
                file = self.names[call.path]
                self.sure_data[file] = self.data[file]
            case "fsync folder":
                for change in self.pending:
                    _take_effect(change, self.sure_names)
                self.pending.clear()
            case "replace":
                self._rename(_NameChange(self.names[call.path], call.path, call.target))
            case "unlink":
                self._rename(_NameChange(self.names[call.path], call.path, None))
            case _:
                pass

    def _rename(self, change: _NameChange) -> None:
        self.pending.append(change)
        _take_effect(change, self.names)

    def worlds(self) -> Iterator[dict[Path, bytes]]:
        for chosen in product((False, True), repeat=len(self.pending)):
            names = dict(self.sure_names)
            for change, happened in zip(self.pending, chosen, strict=True):
                if happened:
                    _take_effect(change, names)
            choices = [[(path, content) for content in self._contents(file)] for path, file in names.items()]
            for world in product(*choices):
                yield dict(world)

    def _contents(self, file: int) -> set[bytes]:
        sure, new = self.sure_data[file], self.data[file]
        half = len(new) // 2
        return {sure, new, new[:half] + sure[half:], sure[: len(sure) // 2] + new[len(sure) // 2 :]}


def _take_effect(change: _NameChange, names: dict[Path, int]) -> None:
    if change.gone is not None and names.get(change.gone) == change.file:
        del names[change.gone]
    if change.given is not None:
        names[change.given] = change.file


def after_power_loss(
    before: dict[Path, bytes], calls: Sequence[Call]
) -> Iterator[tuple[int, dict[Path, bytes]]]:
    """Every disk that may be found, with the number of calls that had returned when the power went."""
    state = _State()
    for file, (path, content) in enumerate(before.items()):
        state.names[path] = state.sure_names[path] = file
        state.data[file] = state.sure_data[file] = content
    for done in range(len(calls) + 1):
        yield from ((done, world) for world in state.worlds())
        if done < len(calls):
            state.apply(calls[done])
