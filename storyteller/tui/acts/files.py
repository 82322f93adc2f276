"""The file: saving, opening, and leaving without losing a word."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from storyteller.errors import DocumentError
from storyteller.manuscript.access import explain
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.load import load
from storyteller.manuscript.save import CannotEncode, ChangedOnDisk
from storyteller.paths import journal_dir
from storyteller.text import display_line
from storyteller.tui.acts.act import Act
from storyteller.tui.session import DocumentSession

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from storyteller.tui.room import Room

_HOW: Final = {
    "modified": "it was changed by another program",
    "deleted": "it was deleted or moved",
    "created": "another program made a file of this name",
}


async def save(room: Room) -> bool:
    """Save; asks for a name where there is none, and what to do where the file changed. Whether it is saved."""
    if room.session.path is None or room.session.read_only is not None:
        return await save_as(room)
    return await _write(room, None)


async def autosave(room: Room) -> None:
    """Save by itself what has a name and was changed here only; whatever stands in the way is for Ctrl+S to ask about."""
    session, text = room.session, room.page.exact_text
    if room.document_closed or session.path is None or session.read_only is not None or not session.dirty:
        return
    try:
        await session.save(text, room.page.cursor_location)
    except DocumentError as error:
        room.say(str(error), alarm=True)
    else:
        room.saved(text, (), quietly=True)


async def save_as(room: Room) -> bool:
    """Save under another name, which becomes the document's. Whether it is saved."""
    from storyteller.tui.dialogs.entry import Entry

    session = room.session
    suggestion = _suggested_name(session)
    shown = display_line(str(suggestion))
    written = await room.asked(
        Entry(
            "Save as",
            text=session.read_only or "Where should this page be kept?",
            value=shown,
            check=partial(_check_new_name, session),
        )
    )
    if written is None:
        return False
    # What was shown stands for the true name, which may hold characters that cannot be shown.
    return await _write(room, suggestion if written == shown else _path(written))


async def open_file(room: Room) -> None:
    """Open another document in place of this one."""
    from storyteller.tui.dialogs.entry import Entry

    folder = room.session.path.parent if room.session.path else _working_folder()
    written = await room.asked(
        Entry(
            "Open",
            text="Which file? A new one is made when it is saved.",
            value=f"{folder}/",
            check=_check_source,
        )
    )
    if written is not None and await may_leave(room):
        await _go_to(room, _path(written))


async def new_file(room: Room) -> None:
    """A new page in place of this one."""
    if await may_leave(room):
        await _go_to(room, None)


async def leave(room: Room) -> None:
    """End the program."""
    if await may_leave(room):
        room.leave_document()
        room.app.exit()


async def may_leave(room: Room) -> bool:
    """Whether the document may be closed: it is saved, or the writer wants it thrown away."""
    from storyteller.tui.dialogs.choice import Answer, Choice

    if not room.session.dirty:
        return True
    answer = await room.asked(
        Choice(
            f"{room.session.name} has changes that are not saved",
            "",
            [
                Answer("save", "s", "save them"),
                Answer("discard", "d", "throw them away"),
                Answer("later", "k", "keep them for next time"),
            ],
            leave="stay",
        )
    )
    if answer == "save":
        return await save(room) and await may_leave(room)  # more may have been typed while it was written
    room.keep_on_leaving = answer == "later" and _kept_for_next_time(room)
    return answer == "discard" or room.keep_on_leaving


def _kept_for_next_time(room: Room) -> bool:
    """Whether what is not saved lies in the journal; says so where it does not."""
    if room.secure():
        return True
    room.say(
        f"The changes cannot be kept for next time: {journal_dir()} does not take them. "
        "Save them, or throw them away.",
        alarm=True,
    )
    return False


async def changed_on_disk(room: Room, state: str) -> bool:
    """The file is not what was loaded: ask what shall happen. Whether the page and the file agree afterwards."""
    from storyteller.tui.dialogs.choice import Answer, Choice

    session = room.session
    name = session.name
    if state == "deleted":
        answer = await room.asked(
            Choice(
                f"{name} is gone",
                "It was deleted or moved since it was opened. The page is untouched.",
                [
                    Answer("overwrite", "s", "save it again where it was"),
                    Answer("save_as", "a", "save it somewhere else"),
                ],
                leave="leave it for now",
            )
        )
    else:
        answer = await _compared(room, state)
    match answer:
        case "overwrite":
            return await _write(room, None, overwrite=True)
        case "reload":
            room.show_text(await session.reload())
            room.say(f"{name} is as it stands on disk now.")
            return True
        case "save_as":
            return await save_as(room)
    return False


async def _compared(room: Room, state: str) -> str | None:
    import asyncio

    from storyteller.tui.dialogs.choice import Answer
    from storyteller.tui.dialogs.compare import Compare, differences

    session = room.session
    if session.path is None:
        return None
    on_disk = await asyncio.to_thread(load, session.path)
    rows = await asyncio.to_thread(differences, on_disk.text, room.page.exact_text)
    return await room.asked(
        Compare(
            f"{session.name} is not what it was",
            f"Since it was opened {_HOW[state]}.",
            [
                Answer("overwrite", "o", "overwrite it with the page"),
                Answer("reload", "r", "take what is on disk; what is on the page is given up"),
                Answer("save_as", "a", "save the page somewhere else"),
            ],
            rows=rows,
            old_name="on disk",
            new_name="on the page",
            leave="leave both as they are",
        )
    )


async def _write(room: Room, path: Path | None, *, overwrite: bool = False) -> bool:
    session = room.session
    text = room.page.exact_text
    moving = path is not None and not session.is_at(path)
    try:
        notes = await session.save(text, room.page.cursor_location, path=path, overwrite=overwrite)
    except ChangedOnDisk as error:
        if path is not None and moving:
            return await _replace(room, path)
        return await changed_on_disk(room, error.change)
    except CannotEncode as error:
        return await _as_utf8(room, error, path, overwrite=overwrite)
    except DocumentError as error:
        room.say(str(error), alarm=True)
        return False
    room.saved(text, notes)
    if moving and session.owner is not None:
        room.say(
            f"{session.name} is open in another storyteller too. "
            "Two that write to one file overwrite each other.",
            alarm=True,
        )
    return True


async def _replace(room: Room, path: Path) -> bool:
    from storyteller.tui.dialogs.choice import Answer, Choice

    answer = await room.asked(
        Choice(
            f"There is a file {display_line(path.name)} already",
            str(path),
            [
                Answer("replace", "r", "replace it with this page"),
                Answer("save_as", "a", "choose another name"),
            ],
            leave="do not save",
        )
    )
    if answer == "replace":
        return await _write(room, path, overwrite=True)
    return await save_as(room) if answer == "save_as" else False


async def _as_utf8(room: Room, error: CannotEncode, path: Path | None, *, overwrite: bool) -> bool:
    from storyteller.tui.dialogs.choice import Answer, Choice

    if not error.utf8_fits:
        room.say(str(error), alarm=True)
        return False
    answer = await room.asked(
        Choice(
            error.title, error.message, [Answer("utf8", "u", "save the file as UTF-8")], leave="do not save"
        )
    )
    if answer != "utf8":
        return False
    room.session.encoding = UTF8
    return await _write(room, path, overwrite=overwrite)


async def _go_to(room: Room, path: Path | None) -> None:
    if path is not None:
        load(path)  # what cannot be opened is said before the present document is let go of
    room.leave_document()  # first: it may be the same file, which its lock would tell us is taken
    try:
        session = DocumentSession.open(path)
    except DocumentError as error:  # it went away between the two looks
        session = DocumentSession.open(None)
        session.remarks.append(error.message)
    if session.path is None:
        session.recoveries = []  # an empty page was asked for, not an old one
    room.storyteller.open_room(session)


def _path(written: str) -> Path:
    """What was written, as a path.

    Raises:
        DocumentError: it begins with `~` and a name that nobody has here.
    """
    try:
        return Path(written.strip()).expanduser()
    except RuntimeError as error:
        name = display_line(written.strip().partition("/")[0])
        raise DocumentError(
            f"There is nobody called {name} here. Write ./{name} for a file of that name."
        ) from error


def _is_folder(path: Path) -> bool:
    """Whether there is a folder at `path`.

    Raises:
        DocumentError: that cannot be found out.
    """
    try:
        return path.is_dir()
    except OSError as error:
        raise DocumentError(explain(error, path)) from error


def _working_folder() -> Path:
    """The folder one works in; the home folder where that is gone, or the root for whoever has none."""
    for folder in (Path.cwd, Path.home):
        with suppress(OSError, RuntimeError):
            return folder()
    return Path("/")


def _suggested_name(session: DocumentSession) -> Path:
    path = session.path
    if path is None:
        return _working_folder() / "untitled.md"
    return path.with_stem(f"{path.stem} copy") if session.left_to_owner else path


def _check_new_name(session: DocumentSession, written: str) -> None:
    """As `_check_target`; also refuse the file itself where another program writes it and it is only read here."""
    _check_target(written)
    own = session.path
    if (
        own is not None
        and session.left_to_owner
        and os.path.realpath(_path(written)) == os.path.realpath(own)
    ):
        raise DocumentError(f"{session.name} is open in another storyteller. Choose another name.")


def _check_target(written: str) -> None:
    """Refuse what cannot be a file's name before anything is written.

    Raises:
        DocumentError: it says why.
    """
    path = _path(written)
    if not written.strip() or written.strip().endswith("/"):
        raise DocumentError("Write the name of a file.")
    if _is_folder(path):
        raise DocumentError(f"{path} is a folder. Add a name for the file.")
    try:
        folder = path.absolute().parent
    except OSError as error:  # the working folder is gone
        raise DocumentError(explain(error, path)) from error
    if not _is_folder(folder):
        raise DocumentError(f"There is no folder {folder}. Choose one that is there.")


def _check_source(written: str) -> None:
    _check_target(written)
    load(_path(written))


def _in_turn(work: Callable[[Room], Awaitable[object]]) -> Callable[[Room], Awaitable[None]]:
    """As `work`, after what was begun before it: whoever quits right behind a save is not asked whether to save."""

    async def wait(room: Room) -> None:
        await room.turns.take(work.__name__, lambda: work(room))

    return wait


FILE_ACTS: Final = (
    Act("file.save", "Save", _in_turn(save), "ctrl+s"),
    Act("file.save_as", "Save under another name", _in_turn(save_as), "f12"),
    Act("file.open", "Open another file", _in_turn(open_file), "ctrl+o"),
    Act("file.new", "New page", _in_turn(new_file), "ctrl+n"),
    Act("app.quit", "Quit", _in_turn(leave), "ctrl+q", about="Asks first when something is not saved."),
)
