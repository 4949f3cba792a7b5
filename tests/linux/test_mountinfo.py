"""Mounts are read from the kernel's text, and the right ones are chosen for a root that is the machine's."""

from __future__ import annotations

import pytest

from seamark.linux.mountinfo import (
    MountPoint,
    is_below,
    parse_mountinfo,
    select_hidden,
    select_program_mounts,
)

TEXT = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 254:1 / /usr rw,relatime shared:3 master:1 - ext4 /dev/vdb ro
41 27 0:40 /snap/x /mnt/with\\040space rw - tmpfs tmpfs rw,size=4k
42 40 7:0 / /usr/share/doc ro - squashfs /dev/loop0 ro
43 27 254:3 / /home rw - xfs /dev/vdc rw
44 27 0:50 / /opt/mem rw - tmpfs tmpfs rw
not a mount
"""


def test_fields_before_and_after_the_separator() -> None:
    mounts = parse_mountinfo(TEXT)
    assert mounts[0] == MountPoint("/proc", "proc", "/", "rw")
    assert mounts[2] == MountPoint("/usr", "ext4", "/", "ro")
    assert mounts[3] == MountPoint("/mnt/with space", "tmpfs", "/snap/x", "rw,size=4k")
    assert len(mounts) == 7


def test_program_mounts_are_disks_below_program_directories() -> None:
    assert select_program_mounts(parse_mountinfo(TEXT)) == ("/usr", "/usr/share/doc")


@pytest.mark.parametrize(
    ("path", "hidden"),
    [("/home/me/venv", True), ("/homes/me", False), ("/usr", True), ("/srv/app", False), ("/mnt/with space/x", True)],
)
def test_a_path_on_another_mount_is_hidden(path: str, hidden: bool) -> None:
    assert (select_hidden((path,), parse_mountinfo(TEXT)) == (path,)) is hidden


@pytest.mark.parametrize(
    ("path", "directory", "below"),
    [("/a", "/a", True), ("/a/b", "/a", True), ("/ab", "/a", False), ("/a", "/", True), ("/a", "/a/b", False)],
)
def test_below(path: str, directory: str, below: bool) -> None:
    assert is_below(path, directory) is below
