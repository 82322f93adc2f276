"""The library file: how it is made, migrated, and set aside."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from storyteller import library
from storyteller.errors import LibraryError
from storyteller.library import (
    LibrarySetAside,
    connect,
    connect_existing,
    migrate,
    set_aside_files,
    transaction,
)
from storyteller.migrations import MIGRATIONS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "library.db"


def schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
    return [(row["name"], row["sql"]) for row in rows]


def old_library(path: Path, version: int) -> sqlite3.Connection:
    """A library as an earlier program left it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA application_id = {library.APPLICATION_ID}")
    migrate(connection, MIGRATIONS[:version])
    return connection


def put_generation(connection: sqlite3.Connection, seed: str) -> None:
    connection.execute(
        "INSERT INTO generation (id, session, ts, document, document_hash, revision, genre, cursor, model, model_hash,"
        " adapters, settings, seed, prompt, prompt_ids, prompt_id_bytes, prompt_truncated, capped)"
        " VALUES ('g', 's', 0, x'', '', 0, x'', 0, x'', '', '[]', '{}', ?, x'', x'', 2, 0, 0)",
        (seed,),
    )
    for index in range(2):
        connection.execute(
            'INSERT INTO take (id, generation, "index", text, ids, id_bytes, capped, shown, shown_ms)'
            " VALUES (?, 'g', ?, x'', x'', 2, 0, 1, 0)",
            (f"t{index}", index),
        )


def test_a_new_library_is_private_and_strict_about_the_disk(path: Path) -> None:
    connection = connect(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    wanted = {
        "journal_mode": "delete",
        "synchronous": 2,
        "secure_delete": 1,
        "foreign_keys": 1,
        "temp_store": 2,
    }
    assert {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted} == wanted
    assert connection.execute("PRAGMA busy_timeout").fetchone()[0] == 10_000
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["library.db"]


def test_opening_what_is_not_there_makes_nothing(path: Path) -> None:
    assert connect_existing(path) is None
    assert not path.parent.exists()


def test_a_library_readable_by_others_is_closed_to_them(path: Path) -> None:
    connect(path).close()
    path.chmod(0o644)
    connect(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_failed_transaction_leaves_nothing(path: Path) -> None:
    connection = connect(path)

    def insert_and_fail() -> None:
        with transaction(connection):
            connection.execute("INSERT INTO tombstone (hash, ts) VALUES ('h', 0)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        insert_and_fail()
    assert not connection.in_transaction
    assert connection.execute("SELECT count(*) FROM tombstone").fetchone()[0] == 0


def test_any_older_library_gets_the_newest_schema(path: Path, tmp_path: Path) -> None:
    """safety 66"""
    newest = schema(connect(tmp_path / "new" / "library.db"))
    for version in range(len(MIGRATIONS)):
        old = path.with_name(f"v{version}.db")
        old_library(old, version).close()
        assert schema(connect(old)) == newest


def test_takes_from_before_they_had_seeds_get_theirs(path: Path) -> None:
    old = old_library(path, 1)
    put_generation(old, "41")
    old.close()
    connection = connect(path)
    assert [tuple(row) for row in connection.execute("SELECT id, seed FROM take ORDER BY id")] == [
        ("t0", "41"),
        ("t1", "42"),
    ]


def test_a_migration_by_another_program_in_the_middle_of_the_check_is_no_damage(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one has to wait: the check sees the file as it was or as it comes to be, never half and half."""
    old_library(path, 0).close()
    read_columns = library._columns
    other = threading.Thread(target=lambda: connect(path).close())

    def another_program_then_columns(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
        if other.ident is None:
            other.start()
            other.join(0.3)  # enough to be done, if nothing held it up
        return read_columns(connection)

    monkeypatch.setattr(library, "_columns", another_program_then_columns)
    connect(path).close()
    other.join()
    assert not set_aside_files(path)


def test_two_programs_migrating_at_once_migrate_once(path: Path) -> None:
    old_library(path, 0).close()
    failures: list[BaseException] = []

    def open_it() -> None:
        try:
            connect(path).close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert connect(path).execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)


def test_a_bad_step_changes_nothing(path: Path) -> None:
    connection = old_library(path, 1)
    before = schema(connection)
    broken = (*MIGRATIONS[:1], ("CREATE TABLE half (x)", "THIS IS NO SQL"))
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, broken)
    assert schema(connection) == before
    assert connection.execute("PRAGMA user_version").fetchone()[0] == 1


def test_setting_aside_takes_the_journal_along(path: Path) -> None:
    """A journal left behind would be played back into the library that comes after."""
    path.parent.mkdir()
    path.touch()
    journal = path.with_name("library.db-journal")
    journal.write_bytes(b"leftover")
    with pytest.raises(LibrarySetAside) as caught:
        connect(path)
    aside = caught.value.moved_to
    assert aside.read_bytes() == b""
    assert aside.with_name(f"{aside.name}-journal").read_bytes() == b"leftover"
    assert not path.exists()
    assert not journal.exists()
    assert library.set_aside_files(path) == [aside, aside.with_name(f"{aside.name}-journal")]
    connect(path).close()


def test_what_is_set_aside_twice_in_a_second_is_kept_twice(path: Path) -> None:
    path.parent.mkdir()
    moved = set()
    for number in range(3):
        path.write_bytes(b"broken %d" % number)
        with pytest.raises(LibrarySetAside) as caught:
            connect(path)
        moved.add(caught.value.moved_to)
    assert sorted(file.read_bytes() for file in moved) == [b"broken 0", b"broken 1", b"broken 2"]


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_what_is_no_file_is_left_alone(path: Path, kind: str) -> None:
    path.parent.mkdir()
    if kind == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(LibraryError, match="not a file") as caught:
        connect(path)
    assert not isinstance(caught.value, LibrarySetAside)
    assert path.exists()


def test_a_library_someone_put_into_wal_mode_comes_back_from_it(path: Path) -> None:
    connection = connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("INSERT INTO tombstone (hash, ts) VALUES ('h', 0)")
    connection.close()
    connection = connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
    assert connection.execute("SELECT count(*) FROM tombstone").fetchone()[0] == 1


def test_a_name_of_any_bytes_will_do(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/d\xff ?%41#/lib \xfe.db"))
    connect(path).close()
    assert path.is_file()
