"""Config and credential from the boot partition: taken in once, whole or not at all, and told beside them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from unprivileged import NOBODY

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
        self.key = self._key(network, 7, "north-gate")
        self.other_key = self._key(network, 8, "south-pond")

    def _key(self, network: Path, unit: int, name: str) -> bytes:
        enrol(network, unit, name, network / f"{unit}.credential")
        return (network / f"{unit}.credential").read_bytes()

    def is_unit_7(self) -> None:
        """Config and credential of unit 7 are taken in."""
        self.put(key=self.key)
        take_in(self.root)
        assert not (self.place / "unit.credential.before").exists()

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


def test_a_credential_alone_makes_a_board_no_other_unit(pi):
    pi.is_unit_7()
    pi.put(config=None, key=pi.other_key)
    take_in(pi.root)
    assert "that of unit 8, and this board is unit 7" in pi.errors()
    assert "put a dandelion.toml with unit.id = 8 beside it" in pi.errors()
    assert (pi.place / "unit.credential").read_bytes() == pi.key
    assert (pi.boot / CREDENTIAL).read_bytes() == pi.other_key


def test_a_config_alone_makes_a_board_no_other_unit(pi):
    pi.is_unit_7()
    pi.put(config=TEXT.replace("7", "8"))
    take_in(pi.root)
    assert "has unit.id = 8, and this board has the credential of unit 7" in pi.errors()
    assert "put the dandelion.credential of unit 8 beside it" in pi.errors()
    assert (pi.place / "config.toml").read_text() == TEXT
    assert sorted(path.name for path in pi.place.iterdir()) == ["config.toml", "unit.credential"]


def test_a_config_that_needs_no_credential_may_be_of_any_unit(pi):
    pi.is_unit_7()
    text = TEXT.replace("7", "8") + "[security]\ninsecure = true\n"
    pi.put(config=text)
    take_in(pi.root)
    assert (pi.place / "config.toml").read_text() == text


def test_both_together_make_it_another_unit_and_the_key_before_is_kept_as_private_as_it_was(pi):
    pi.is_unit_7()
    if os.geteuid() == 0:
        os.chown(pi.place / "unit.credential", NOBODY, NOBODY)
    pi.put(config=TEXT.replace("7", "8"), key=pi.other_key)
    take_in(pi.root)
    assert credential.read(pi.place / "unit.credential").unit == 8
    before = pi.place / "unit.credential.before"
    assert before.read_bytes() == pi.key
    assert stat.S_IMODE(before.stat().st_mode) == 0o600
    assert before.stat().st_uid == (NOBODY if os.geteuid() == 0 else os.geteuid())


@pytest.mark.parametrize("last", ["unit.credential", "config.toml"])
def test_a_cut_in_the_midst_costs_nothing_of_what_was_there_before(pi, last):
    """Before the boot partition knows of it: the next start takes the same in once more."""
    pi.is_unit_7()
    config = TEXT.replace("7", "8")
    pi.put(config=config, key=pi.other_key)
    take_in(pi.root)
    if last == "unit.credential":
        (pi.place / "config.toml.before").rename(pi.place / "config.toml")
    pi.put(config=config, key=pi.other_key if last == "unit.credential" else None)
    assert "taken in" in take_in(pi.root)[0]
    assert (pi.place / "unit.credential.before").read_bytes() == pi.key
    assert (pi.place / "config.toml.before").read_text() == TEXT


def test_a_credential_alone_of_the_same_unit_is_taken_in_and_so_is_one_where_no_config_can_be_read(pi):
    pi.is_unit_7()
    pi.put(config=None, key=pi.key + b"# again\n")
    take_in(pi.root)
    assert (pi.place / "unit.credential").read_bytes() == pi.key + b"# again\n"
    assert (pi.place / "unit.credential.before").read_bytes() == pi.key
    (pi.place / "config.toml").write_text("[unit")
    pi.put(config=None, key=pi.other_key)
    take_in(pi.root)
    assert credential.read(pi.place / "unit.credential").unit == 8


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
