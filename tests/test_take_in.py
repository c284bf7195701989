"""Config and credential from the boot partition: taken in once, whole or not at all, and told beside them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from deploy.take_in import CONFIG, CREDENTIAL, ERRORS, take_in
from firmware import credential
from sim.fleet_config import enrol

TEXT = '[unit]\nid = 7\n[camera]\ndriver = "none"\n'


class Pi:
    """A board's files, with a credential of unit 7."""

    def __init__(self, root: Path) -> None:
        self.root, self.boot, self.place = root, root / "boot" / "firmware", root / "etc" / "dandelion"
        self.boot.mkdir(parents=True)
        (root / "proc" / "self").mkdir(parents=True)
        network = root / "network"
        network.mkdir()
        enrol(network, 7, "north-gate", network / "unit.credential")
        self.key = (network / "unit.credential").read_bytes()

    def put(self, *, config: str | None = TEXT, key: bytes | None = None) -> None:
        if config is not None:
            (self.boot / CONFIG).write_text(config)
        if key is not None:
            (self.boot / CREDENTIAL).write_bytes(key)

    def mounts(self, *lines: str, words: str = "") -> None:
        """What the kernel shows. lines: {} is the root; words: its command line."""
        text = "".join(f"{line.format(self.shown(self.root))}\n" for line in lines)
        (self.root / "proc" / "self" / "mountinfo").write_text(text)
        (self.root / "proc" / "cmdline").write_text(words)

    def shown(self, path: Path) -> str:
        """As in mountinfo."""
        return str(path).replace(" ", "\\040")

    def errors(self) -> str:
        return (self.boot / ERRORS).read_text()


@pytest.fixture
def pi(tmp_path: Path) -> Pi:
    return Pi(tmp_path)


def test_both_are_taken_in_and_the_key_is_gone_from_the_boot_partition(pi):
    pi.put(key=pi.key)
    take_in(pi.root)
    assert (pi.place / "config.toml").read_text() == TEXT
    assert credential.read(pi.place / "unit.credential").unit == 7
    assert stat.S_IMODE((pi.place / "unit.credential").stat().st_mode) == 0o600
    assert [path.name for path in pi.boot.iterdir()] == [f"{CONFIG}.taken"]


def test_it_happens_once(pi):
    pi.put(key=pi.key)
    take_in(pi.root)
    (pi.place / "config.toml").write_text("changed since")
    assert take_in(pi.root) == []
    assert (pi.place / "config.toml").read_text() == "changed since"


def test_a_new_config_keeps_the_one_before_it_beside_it(pi):
    pi.place.mkdir(parents=True)
    (pi.place / "config.toml").write_text("old")
    pi.put()
    take_in(pi.root)
    assert (pi.place / "config.toml").read_text() == TEXT
    assert (pi.place / "config.toml.before").read_text() == "old"


@pytest.mark.parametrize(
    ("config", "key", "told"),
    [
        ('[unit]\nid = 7\n[camera]\ndrver = "none"\n', None, "drver"),
        (TEXT.replace("7", "8"), None, "unit 7, and dandelion.toml has unit.id = 8"),
        (TEXT, b"no credential", "not a credential, or damaged"),
        (TEXT, b"\xff\x00", "not a credential, or damaged"),
    ],
)
def test_what_is_wrong_is_told_beside_it_and_nothing_is_taken_in(pi, config, key, told):
    pi.put(config=config, key=key or pi.key)
    take_in(pi.root)
    assert told in pi.errors()
    assert sorted(path.name for path in pi.boot.iterdir()) == sorted([CREDENTIAL, ERRORS, CONFIG])
    assert list(pi.place.iterdir()) == []


def test_the_errors_go_once_it_was_put_right(pi):
    pi.put(config="[unit")
    take_in(pi.root)
    assert CONFIG in pi.errors()
    pi.put()
    take_in(pi.root)
    assert not (pi.boot / ERRORS).exists()


ROOT, OVERLAY = "30 1 179:2 / {} rw - ext4 /dev/mmcblk0p2 rw", "31 30 0:40 / {} rw - overlay overlay rw,lowerdir=/lower"


@pytest.mark.parametrize("name", ["root", "a root"])
@pytest.mark.parametrize(
    ("line", "more", "words"),
    [
        (OVERLAY + ",upperdir=/upper/data", "", "boot=overlay"),
        (OVERLAY + ",upperdir=/rw/data", "32 30 0:41 / /rw rw - tmpfs tmpfs rw", ""),
        (OVERLAY, "", ""),  # it does not show where that goes
        ("31 30 0:40 / {} rw - tmpfs tmpfs rw", "", ""),
    ],
)
def test_a_root_that_forgets_takes_no_key_away(tmp_path, name, line, more, words):
    pi = Pi(tmp_path / name)
    pi.put(key=pi.key)
    pi.mounts(ROOT, line, more, words=words)
    take_in(pi.root)
    assert "overlay" in pi.errors()
    assert (pi.boot / CREDENTIAL).read_bytes() == pi.key
    pi.mounts(ROOT, line, more, f"33 31 179:3 / {pi.shown(pi.place)} rw - ext4 /dev/mmcblk0p3 rw", words=words)
    take_in(pi.root)
    assert credential.read(pi.place / "unit.credential").unit == 7


def test_an_overlay_that_writes_to_a_disk_forgets_nothing(pi):
    pi.put(key=pi.key)
    pi.mounts(ROOT, OVERLAY + ",upperdir=/disk/data", "32 30 179:3 / /disk rw - ext4 /dev/mmcblk0p3 rw")
    take_in(pi.root)
    assert credential.read(pi.place / "unit.credential").unit == 7


def test_where_nothing_was_put_nothing_happens(pi):
    assert take_in(pi.root) == []
    assert not pi.place.exists()
