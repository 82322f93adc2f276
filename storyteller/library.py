"""The library: one SQLite file, private to its owner, for takes, provenance and feedback.

A library that cannot be used is moved aside under a dated name and never deleted, changed or read around.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote

from storyteller.disk import sync_directory
from storyteller.errors import LibraryError
from storyteller.migrations import MIGRATIONS
from storyteller.paths import private_dir
from storyteller.uuid7 import uuid7

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from storyteller.migrations import Migration

FileId: TypeAlias = tuple[int, int]  # device and inode
APPLICATION_ID: Final = 0x53746F72  # "Stor", in the file's header
PATIENCE_S: Final = 10.0  # how long to wait for another process that holds the library
_SIDE_FILES: Final = ("-journal", "-wal", "-shm")
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_CHECKED_UP_TO: Final = 64 * 1024 * 1024  # bytes; a whole-file check of more would keep others waiting


class LibrarySetAside(LibraryError):  # noqa: N818 - it says what happened
    """The library could not be used as it was and now lies beside its place. The next `connect` starts a new one."""

    title = "The library was set aside"

    def __init__(self, message: str, moved_to: Path) -> None:
        super().__init__(message)
        self.moved_to = moved_to


def connect(path: Path, *, patience_s: float = PATIENCE_S) -> sqlite3.Connection:
    """Open the library at `path`, at the newest schema; a missing one is made: 0600, in a directory of 0700.

    The connection is in autocommit mode, names its columns, belongs to this thread, and waits `patience_s`
    for other processes. Writes go through `transaction`.

    Raises:
        LibrarySetAside: what was there is damaged, not a library, or of a newer version; it has been moved.
        LibraryError: it cannot be made, read or locked.
    """
    for _ in range(2):  # another instance may set aside what it finds between our two steps
        connection = connect_existing(path, patience_s=patience_s)
        if connection is not None:
            return connection
        with _trouble(path):
            _create(path)
    message = f"{path} vanishes as soon as it is made. Look at what else writes to {path.parent}."
    raise LibraryError(message)


def connect_existing(path: Path, *, patience_s: float = PATIENCE_S) -> sqlite3.Connection | None:
    """As `connect`, but None where there is no library: nothing is made."""
    with _trouble(path):
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode):
            message = f"{path} is not a file. Move it away, and a new library will be started."
            raise LibraryError(message)
        if found.st_mode & 0o077:
            path.chmod(0o600)
        if found.st_size == 0:
            raise _set_aside(path, _file_id(found), "is empty")
        return _open(path, found, patience_s)


def _open(path: Path, found: os.stat_result, patience_s: float) -> sqlite3.Connection:
    try:
        with _closed_on_failure(_fit_connection(path, patience_s)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            migrate(connection)
            return connection
    except _Unfit as unfit:
        raise _set_aside(path, _file_id(found), str(unfit)) from None
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        if is_damage(error):
            raise _set_aside(path, _file_id(found), "is damaged") from error
        raise


def _fit_connection(path: Path, patience_s: float) -> sqlite3.Connection:
    """A connection to what is certainly a library, of some version."""
    try:
        with _closed_on_failure(_raw_connection(path, patience_s)) as connection:
            with _snapshot(connection):
                problem = _unfit(connection, path)
            if problem is not None:
                raise _Unfit(problem)
            return connection
    except sqlite3.OperationalError as error:
        # These statements have no faults of their own: where SQLite finds one, it found it in the file.
        if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
            raise _Unfit("is damaged") from error
        raise


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Let the body see one state of the file: another instance that migrates meanwhile would look like damage."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        with suppress(sqlite3.Error):  # what is damaged may have ended it
            connection.execute("ROLLBACK")


class _Unfit(Exception):  # noqa: N818 - never leaves this module
    """This database cannot be our library, and why."""


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the schema up to date. A step is one transaction: killed in the middle, it never happened."""
    while _version(connection) < len(migrations):
        with transaction(connection):
            version = _version(connection)  # again under the lock: another instance may have been quicker
            for statement in migrations[version] if version < len(migrations) else ():
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {min(version + 1, len(migrations))}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Take the write lock, run the body, commit; on any exception roll back and raise it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk may have rolled back already
            connection.execute("ROLLBACK")
        raise


def is_damage(error: Exception) -> bool:
    """Whether SQLite says that the file itself is broken, not that it could not be reached."""
    if isinstance(error, UnicodeDecodeError):
        return True  # its complaint quotes bytes of a broken schema, which the Python module cannot pass on
    code = getattr(error, "sqlite_errorcode", None)  # absent on errors of the Python module itself
    return code is not None and code & 0xFF in _DAMAGE


def set_aside_damaged(path: Path, opened: FileId) -> LibrarySetAside:
    """Move a library found damaged while in use; the connection to it is to be closed first.

    Raises:
        LibraryError: it cannot be moved, or is no longer the file that was `opened`.
    """
    with _trouble(path):
        return _set_aside(path, opened, "is damaged")


def file_at(path: Path) -> FileId | None:
    """What makes the file at `path` this file and not another under its name; None: there is none.

    Raises:
        LibraryError: it cannot be told.
    """
    with _trouble(path):
        try:
            return _file_id(path.stat())
        except FileNotFoundError:
            return None


def set_aside_files(path: Path) -> list[Path]:
    """Every file that was once set aside from `path`, oldest first, and leftovers of making it."""
    if not path.parent.is_dir():
        return []
    prefixes = (f"{path.name}.set-aside-", f"{path.name}.new-")
    return sorted(entry for entry in path.parent.iterdir() if entry.name.startswith(prefixes))


def _create(path: Path) -> None:
    """Make a whole library under another name, then give it its own: nobody ever sees half of one."""
    private_dir(path.parent)
    draft = path.with_name(f"{path.name}.new-{uuid7()}")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        draft.chmod(0o600)
        connection = _raw_connection(draft, PATIENCE_S)
        try:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            migrate(connection)
        finally:
            connection.close()
        _give_name(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(path.parent)


def _give_name(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)  # unlike a rename, a link never replaces what another instance made meanwhile
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        if not path.exists():
            draft.rename(path)


def _raw_connection(path: Path, patience_s: float) -> sqlite3.Connection:
    """A connection that makes no file and leaves no text behind: not in free pages, not in temporary files."""
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?mode=rw", uri=True, timeout=patience_s, isolation_level=None
    )
    connection.row_factory = sqlite3.Row
    connection.text_factory = _text  # a turned bit in an id must not stop the reading of everything
    with _closed_on_failure(connection):
        for setting in (
            "synchronous = FULL",
            "secure_delete = ON",
            "foreign_keys = ON",
            "temp_store = MEMORY",
            "trusted_schema = OFF",
        ):
            connection.execute(f"PRAGMA {setting}")
    return connection


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


@contextmanager
def _closed_on_failure(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


def _unfit(connection: sqlite3.Connection, path: Path) -> str | None:
    """Why this database cannot be our library, or None."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        return "is not a library of storyteller"
    if _version(connection) > len(MIGRATIONS):
        return "was written by a newer storyteller"
    if not _as_migrated(connection):
        return "is damaged"
    (pages,), (page_size,) = (
        connection.execute(f"PRAGMA {fact}").fetchone() for fact in ("page_count", "page_size")
    )
    if path.stat().st_size < pages * page_size:
        return "is damaged"  # SQLite itself takes the missing end of a last page for zeros
    if pages * page_size <= _CHECKED_UP_TO:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            return "is damaged"
    return None


def _as_migrated(connection: sqlite3.Connection) -> bool:
    """Whether the tables and columns are those that the migrations up to its version make."""
    model = sqlite3.connect(":memory:", isolation_level=None)
    try:
        migrate(model, MIGRATIONS[: _version(connection)])
        (encoding,) = connection.execute("PRAGMA encoding").fetchone()
        return bool(encoding == "UTF-8" and _columns(connection) == _columns(model))
    finally:
        model.close()


def _columns(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    found = connection.execute(
        "SELECT tables.name, columns.name, columns.type"
        " FROM sqlite_schema AS tables JOIN pragma_table_info(tables.name) AS columns"
        " WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%'"
    )
    return {(row[0], row[1], row[2]) for row in found}


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _file_id(found: os.stat_result) -> FileId:
    return found.st_dev, found.st_ino


def _set_aside(path: Path, opened: FileId, problem: str) -> LibrarySetAside:
    if _file_id(path.stat()) != opened:
        message = f"{path} was replaced while it was being opened. Try again."
        raise LibraryError(message)
    moved_to = _free_name(path)
    # The journal goes first: left behind, it would be played back into the library that takes this one's place.
    for suffix in _SIDE_FILES:
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(moved_to.with_name(moved_to.name + suffix))
    path.rename(moved_to)
    return LibrarySetAside(
        f"The library {path} {problem}. It was moved to {moved_to}; a new one starts when it is needed, "
        "and your manuscripts are not affected.",
        moved_to,
    )


def _free_name(path: Path) -> Path:
    dated = f"{path.name}.set-aside-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    candidate, count = path.with_name(dated), 1
    while candidate.exists():
        count += 1
        candidate = path.with_name(f"{dated}-{count}")
    return candidate


@contextmanager
def _trouble(path: Path) -> Iterator[None]:
    """What SQLite and the file system complain of, as a `LibraryError` that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        message = f"{path} cannot be opened ({error}). Check the disk and the directory's permissions."
        raise LibraryError(message) from error
    except OSError as error:
        message = f"{path} cannot be used ({error.strerror or error}). Check the disk and the directory's permissions."
        raise LibraryError(message) from error
