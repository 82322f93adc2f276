"""What a file is besides its text outlives a save."""

from __future__ import annotations

import os
import stat
import struct
import sys
from typing import TYPE_CHECKING

import pytest

from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.load import load
from storyteller.manuscript.save import save
from tests.stubs.confined import run_as_plain_user
from tests.stubs.folders import names_in, open_folder

if TYPE_CHECKING:
    from pathlib import Path

_AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
_ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Python reaches attributes on Linux only")
# user::rw-, user:1234:r--, group::r--, mask::r--, other::---  as linux/posix_acl_xattr.h lays it out
_ACCESS_LIST = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, permissions, who)
    for tag, permissions, who in (
        (1, 6, -1 % 2**32),
        (2, 4, 1234),
        (4, 4, -1 % 2**32),
        (16, 4, -1 % 2**32),
        (32, 0, -1 % 2**32),
    )
)


def _novel(folder: Path) -> Path:
    path = folder / "novel.md"
    path.write_text("old")
    return path


def _save_new(path: Path) -> None:
    inode = path.stat().st_ino
    save(path, "new", UTF8, expected=load(path).fingerprint)
    assert path.read_text() == "new"
    assert path.stat().st_ino != inode, "written in place: this test is about replacing"


# safety 14
@pytest.mark.parametrize("mode", [0o640, 0o600, 0o755, 0o2750, 0o4755, 0o1644])
def test_14_the_mode_is_kept_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    path = _novel(tmp_path)
    path.chmod(mode)
    mask = os.umask(0o077)
    try:
        _save_new(path)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == mode


# safety 14
@_AS_ROOT
def test_14_a_foreign_owner_is_kept_with_setgid(tmp_path: Path) -> None:
    path = _novel(tmp_path)
    os.chown(path, 1234, 5678)
    path.chmod(0o2750)
    _save_new(path)
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 5678, 0o2750)


# safety 14
@_AS_ROOT
def test_14_the_group_of_a_setgid_folder_does_not_override_the_file_s(tmp_path: Path) -> None:
    os.chown(tmp_path, -1, 4321)
    path = _novel(tmp_path)
    os.chown(path, -1, 5678)
    tmp_path.chmod(0o2755)
    _save_new(path)
    assert path.stat().st_gid == 5678
    save(tmp_path / "new.md", "new", UTF8, expected=None)
    assert (tmp_path / "new.md").stat().st_gid == 4321


# safety 14
@_ON_LINUX
def test_14_extended_attributes_are_kept(tmp_path: Path) -> None:
    path = _novel(tmp_path)
    _set_or_skip(path, "user.mood", b"sombre\0")
    _set_or_skip(path, "user.empty", b"")
    _save_new(path)
    assert os.getxattr(path, "user.mood") == b"sombre\0"
    assert os.getxattr(path, "user.empty") == b""


# safety 14
@_ON_LINUX
def test_14_an_access_list_is_kept(tmp_path: Path) -> None:
    path = _novel(tmp_path)
    _set_or_skip(path, "system.posix_acl_access", _ACCESS_LIST)
    before = path.stat().st_mode
    _save_new(path)
    assert os.getxattr(path, "system.posix_acl_access") == _ACCESS_LIST
    assert path.stat().st_mode == before


# safety 14
@_ON_LINUX
def test_14_a_folder_s_default_list_is_not_forced_on_an_old_file_but_serves_a_new_one(tmp_path: Path) -> None:
    path = _novel(tmp_path)
    path.chmod(0o640)
    _set_or_skip(tmp_path, "system.posix_acl_default", _ACCESS_LIST)
    _save_new(path)
    assert "system.posix_acl_access" not in os.listxattr(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    save(tmp_path / "new.md", "new", UTF8, expected=None)
    assert "system.posix_acl_access" in os.listxattr(tmp_path / "new.md")


_SAVE = """
path = Path(sys.argv[1])
before = path.stat()
save(path, "new", UTF8, expected=load(path).fingerprint)
after = path.stat()
print((before.st_ino, before.st_uid, before.st_gid, before.st_mode) == (after.st_ino, after.st_uid, after.st_gid, after.st_mode))
"""
_IMPORTS = """
import sys
from pathlib import Path
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.load import load
from storyteller.manuscript.save import save
"""


# safety 14
@_AS_ROOT
@pytest.mark.parametrize("what", ["owner", "attribute"])
def test_14_what_cannot_be_given_to_a_new_file_stays_on_the_old_one(what: str) -> None:
    with open_folder() as folder:
        path = _novel(folder)
        path.chmod(0o666)
        if what == "owner":
            os.chown(path, 1234, 5678)
        else:
            os.chown(path, 65534, 65534)
            # cap_chown=p, revision 2: an attribute that only root may set
            _set_or_skip(path, "security.capability", struct.pack("<5I", 0x02000000, 1, 0, 0, 0))
        assert run_as_plain_user(_IMPORTS, _SAVE, path) == "True\n"
        assert path.read_text() == "new"
        assert names_in(folder) == ["novel.md"]


def _set_or_skip(path: Path, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        pytest.skip(f"this file system has no {name}: {error.strerror}")
