"""The admin's folder: each change is an epoch with a new secret, keys are where they belong, errors are for people."""

import fcntl
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from roster_scene import key
from unprivileged import nobody

from firmware import credential, network, network_folder
from firmware.errors import BadRoster, ConfigError, Refused, WrongArgument
from firmware.network_folder import ADMIN_KEY, NETWORK, Member, Network
from firmware.roster import MAX_ACTING, MAX_EPOCH, MAX_ROWS, Acting, network_of, public_of


@pytest.fixture
def folder(tmp_path):
    """Of a network with unit 1, north, and unit 2, south."""
    made = tmp_path / "net"
    network.create(made, "field")
    network.enrol(made, unit=1, name="north", file=tmp_path / "1")
    network.enrol(made, unit=2, name="south", file=tmp_path / "2")
    return made


def secret_of(found: Network, file: Path) -> bytes:
    """What the unit with this credential has of the network's newest roster."""
    has = credential.read(file)
    return found.roster.secret_for(has.unit, has.private)


def save(folder: Path, found: Network) -> None:
    (folder / NETWORK).write_bytes(network_folder.encode(found))


def state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---------------------------------------------------------------- create


def test_a_new_network_has_a_key_an_epoch_and_no_units(tmp_path):
    made = network.create(tmp_path / "net")
    assert (made.name, made.members, made.roster.epoch, made.roster.rows) == ("net", (), 1, ())
    admin = load_pem_private_key((tmp_path / "net" / ADMIN_KEY).read_bytes(), None)
    assert isinstance(admin, Ed25519PrivateKey)
    assert made.roster.network == network_of(admin.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    assert network.show(tmp_path / "net") == made


def test_two_networks_have_nothing_in_common(tmp_path):
    one, two = (network.create(tmp_path / name) for name in ("one", "two"))
    assert one.roster.network != two.roster.network
    assert one.roster.ephemeral != two.roster.ephemeral


def test_folder_and_files_are_their_owners_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        (tmp_path / "there").mkdir(0o777)
        for name in ("new", "there"):
            network.create(tmp_path / name)
            network.enrol(tmp_path / name, unit=1, name="north", file=tmp_path / f"{name}-1")
    finally:
        os.umask(before)
    for name in ("new", "there"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700
        files = [*(tmp_path / name).iterdir(), tmp_path / f"{name}-1"]
        assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in files} == {
            ADMIN_KEY: 0o600,
            NETWORK: 0o600,
            f"{name}-1": 0o600,
        }


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    for name in ("d", "a", "c", "b"):
        (tmp_path / name).touch()
    tmp_path.chmod(0o750)
    with pytest.raises(Refused, match="is not empty: a, b, c, …; it was left as it is"):
        network.create(tmp_path, "field")
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c", "d"]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750


def test_a_second_create_changes_nothing(folder):
    before = state(folder)
    with pytest.raises(Refused, match=r"is not empty: admin\.key, network\.json"):
        network.create(folder)
    assert state(folder) == before


@pytest.mark.parametrize("name", ["", "a b", "ä", "a" * 33, 'a"', "a\n"])
def test_a_name_that_cannot_be_is_refused(tmp_path, name):
    with pytest.raises(WrongArgument, match="--name; allowed: 1 to 32 of"):
        network.create(tmp_path / "net", name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("given", [".", "link", "../field"])
def test_the_name_is_that_of_the_folder_however_it_is_called(tmp_path, monkeypatch, given):
    (tmp_path / "field").mkdir()
    monkeypatch.chdir(tmp_path / "field")
    if given == "link":
        (tmp_path / "link").symlink_to("field")
        given = "../link"
    assert network.create(Path(given)).name == "field"


def test_where_no_folder_can_be_is_said(tmp_path, public):
    with pytest.raises(Refused, match="cannot be written: No such file or directory"):
        network.create(tmp_path / "none" / "net")
    (tmp_path / "file").touch()
    with pytest.raises(WrongArgument, match="is not the folder of a network: Not a directory"):
        network.create(tmp_path / "file")
    public.chmod(0o500)
    with nobody(), pytest.raises(Refused, match="cannot be written: Permission denied"):
        network.create(public / "net")


# ---------------------------------------------------------------- enrol


def test_a_credential_has_what_the_unit_needs(folder, tmp_path):
    made = network.show(folder)
    has = credential.read(tmp_path / "2")
    assert (has.network, has.unit, has.name) == ("field", 2, "south")
    assert network_of(has.admin_public) == made.roster.network
    assert has.roster == made.roster
    assert made.members == (
        Member(1, "north", public_of(credential.read(tmp_path / "1").private), 2),
        Member(2, "south", public_of(has.private), 3),
    )
    assert secret_of(made, tmp_path / "1") == secret_of(made, tmp_path / "2")


def test_the_key_is_in_the_credential_and_nowhere_else(folder, tmp_path):
    has = credential.read(tmp_path / "1")
    secrets = [has.private, has.roster.secret_for(1, has.private), secret_of(network.show(folder), tmp_path / "1")]
    found = b"".join(path.read_bytes() for path in folder.iterdir())
    for secret in secrets:
        for text in (secret, network_folder._text(secret).encode().rstrip(b"="), secret.hex().encode()):
            assert text not in found


def test_a_unit_or_name_that_is_in_must_be_revoked_first(folder, tmp_path):
    before = state(folder)
    for unit, name, which in ((1, "other", 1), (3, "south", 2)):
        with pytest.raises(Refused, match=f"is in the network since epoch .*net revoke DIR --unit {which}` first"):
            network.enrol(folder, unit=unit, name=name, file=tmp_path / "new")
    assert state(folder) == before
    assert not (tmp_path / "new").exists()


def test_a_revoked_unit_can_be_enrolled_anew_with_another_key(folder, tmp_path):
    old = credential.read(tmp_path / "1")
    network.revoke(folder, 1)
    made = network.enrol(folder, unit=1, name="north", file=tmp_path / "new")
    assert [(one.unit, one.since_epoch, one.until_epoch) for one in made.members] == [
        (1, 2, 3),
        (1, 5, None),
        (2, 3, None),
    ]
    with pytest.raises(BadRoster):
        made.roster.secret_for(1, old.private)
    assert secret_of(made, tmp_path / "new") == secret_of(made, tmp_path / "2")


@pytest.mark.parametrize("what", ["file", "link", "directory", "empty"])
def test_a_file_that_is_there_is_left_alone(folder, tmp_path, what):
    file, before = tmp_path / "new", state(folder)
    match what:
        case "file":
            file.write_text("mine")
        case "link":
            file.symlink_to("nowhere")
        case "directory":
            file.mkdir()
        case "empty":
            file.touch()
    there = file.lstat()
    with pytest.raises(Refused, match="is there already; it was left as it is"):
        network.enrol(folder, unit=3, name="east", file=file)
    assert (file.lstat(), state(folder)) == (there, before)
    assert not credential.part_of(file).exists()


def test_where_no_credential_can_be_written_nothing_changes(folder, tmp_path):
    before = state(folder)
    with pytest.raises(Refused, match="cannot be written: No such file or directory"):
        network.enrol(folder, unit=3, name="east", file=tmp_path / "none" / "new")
    with pytest.raises(WrongArgument, match="is not a name of a file"):
        network.enrol(folder, unit=3, name="east", file=Path("."))
    assert state(folder) == before


def test_where_the_network_cannot_be_written_no_credential_is_left(folder, tmp_path):
    (folder / "network.json.new").mkdir()
    with pytest.raises(Refused, match=r"network\.json\.new cannot be written"):
        network.enrol(folder, unit=3, name="east", file=tmp_path / "new")
    assert sorted(os.listdir(tmp_path)) == ["1", "2", "net"]
    assert network.show(folder).find(3) is None


def test_a_full_network_takes_no_more(folder, tmp_path):
    admin, made = network_folder.load(folder)
    rows = [Member(unit, f"u-{unit}", public_of(key(f"many {unit}")), 3) for unit in range(1, MAX_ROWS + 1)]
    save(folder, Network(made.name, tuple(rows), network._roster(admin, 3, rows, ())))
    with pytest.raises(Refused, match="has 256 units"):
        network.enrol(folder, unit=300, name="east", file=tmp_path / "new")
    network.revoke(folder, 5)
    assert network.enrol(folder, unit=300, name="east", file=tmp_path / "new").find(300) is not None


# ---------------------------------------------------------------- enrolments that were cut


def cut_after_the_commit(folder: Path, tmp_path: Path) -> credential.Credential:
    """Unit 3 is in, its credential still has the other name; what it is."""
    network.enrol(folder, unit=3, name="east", file=tmp_path / "new")
    (tmp_path / "new").rename(tmp_path / "new.unfinished")
    return credential.read(tmp_path / "new.unfinished")


@pytest.mark.parametrize("there", ["nothing", "empty", "the same"])
def test_the_same_command_finishes_what_was_cut_after_the_commit(folder, tmp_path, there):
    has = cut_after_the_commit(folder, tmp_path)
    if there == "empty":
        (tmp_path / "new").touch(0o600)
    elif there == "the same":
        (tmp_path / "new").write_bytes(has.encode())
    before = state(folder)
    made = network.enrol(folder, unit=3, name="east", file=tmp_path / "new")
    assert made.find(3) == network.show(folder).find(3)
    assert credential.read(tmp_path / "new") == has
    assert not (tmp_path / "new.unfinished").exists()
    assert state(folder) == before


def test_it_does_so_after_other_changes_too(folder, tmp_path):
    has = cut_after_the_commit(folder, tmp_path)
    network.rotate(folder)
    made = network.enrol(folder, unit=3, name="east", file=tmp_path / "new")
    assert credential.read(tmp_path / "new") == has
    assert secret_of(made, tmp_path / "new") == secret_of(made, tmp_path / "1")


def test_a_file_that_has_come_meanwhile_is_left_alone(folder, tmp_path):
    has = cut_after_the_commit(folder, tmp_path)
    (tmp_path / "new").write_text("mine")
    with pytest.raises(Refused) as caught:
        network.enrol(folder, unit=3, name="east", file=tmp_path / "new")
    assert f"its credential is {tmp_path / 'new.unfinished'} if that is there" in caught.value.did
    assert f"move away what else is at {tmp_path / 'new'}; the same command again" in caught.value.can
    assert (tmp_path / "new").read_text() == "mine"
    (tmp_path / "new").unlink()
    network.enrol(folder, unit=3, name="east", file=tmp_path / "new")
    assert credential.read(tmp_path / "new") == has


def test_what_was_cut_before_the_commit_is_begun_anew(folder, tmp_path):
    before = (folder / NETWORK).read_bytes()
    has = cut_after_the_commit(folder, tmp_path)
    (folder / NETWORK).write_bytes(before)
    network.enrol(folder, unit=3, name="east", file=tmp_path / "new")
    assert credential.read(tmp_path / "new").private != has.private
    assert not (tmp_path / "new.unfinished").exists()


def test_what_was_cut_while_it_was_written_is_begun_anew(folder, tmp_path):
    (tmp_path / "new.unfinished").write_text("# SECR")
    network.enrol(folder, unit=3, name="east", file=tmp_path / "new")
    assert credential.read(tmp_path / "new").unit == 3
    assert not (tmp_path / "new.unfinished").exists()


def test_a_unit_that_was_revoked_meanwhile_is_enrolled_anew(folder, tmp_path):
    has = cut_after_the_commit(folder, tmp_path)
    network.revoke(folder, 3)
    network.enrol(folder, unit=3, name="east", file=tmp_path / "new")
    assert credential.read(tmp_path / "new").private != has.private


def test_the_key_of_an_earlier_enrolment_does_not_come_back(folder, tmp_path):
    cut_after_the_commit(folder, tmp_path)
    network.revoke(folder, 3)
    network.enrol(folder, unit=3, name="east", file=tmp_path / "newer")
    with pytest.raises(Refused, match="net revoke DIR --unit 3` first"):
        network.enrol(folder, unit=3, name="east", file=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_another_units_unfinished_credential_is_kept(folder, tmp_path):
    has = cut_after_the_commit(folder, tmp_path)
    before = state(folder)
    network.create(tmp_path / "other")
    for where, unit, name in ((folder, 4, "east"), (folder, 3, "west"), (tmp_path / "other", 3, "east")):
        with pytest.raises(Refused, match=r"new\.unfinished is the credential of unit 3 \(east\) in the network field"):
            network.enrol(where, unit=unit, name=name, file=tmp_path / "new")
    assert credential.read(tmp_path / "new.unfinished") == has
    assert state(folder) == before


# ---------------------------------------------------------------- revoke, rotate


def test_a_revoked_unit_has_no_row_and_finds_no_secret(folder, tmp_path):
    made = network.revoke(folder, 1)
    assert made == network.show(folder)
    assert made.find(1) is None
    assert [(one.unit, one.until_epoch) for one in made.members] == [(1, 3), (2, None)]
    assert made.roster.find(1) is None
    for row in made.roster.rows:
        with pytest.raises(BadRoster):
            made.roster.secret_for(row.unit, credential.read(tmp_path / "1").private)


def test_every_change_is_an_epoch_with_another_secret(folder, tmp_path):
    changes = [
        lambda: network.rotate(folder),
        lambda: network.enrol(folder, unit=3, name="east", file=tmp_path / "3"),
        lambda: network.revoke(folder, 1),
        lambda: network.rotate(folder),
    ]
    found = [network.show(folder), *(change() for change in changes)]
    assert [one.roster.epoch for one in found] == [3, 4, 5, 6, 7]
    assert len({one.roster.ephemeral for one in found}) == 5
    assert len({secret_of(one, tmp_path / "2") for one in found}) == 5


@pytest.mark.parametrize("unit", [3, 65_534])
def test_who_is_not_in_cannot_be_revoked(folder, unit):
    before = state(folder)
    with pytest.raises(Refused, match=f"unit {unit} is not in the network"):
        network.revoke(folder, unit)
    assert state(folder) == before


def test_who_was_revoked_cannot_be_again(folder):
    network.revoke(folder, 1)
    with pytest.raises(Refused, match="unit 1 is not in the network"):
        network.revoke(folder, 1)


def with_acting(folder: Path, *acting: Acting) -> None:
    admin, made = network_folder.load(folder)
    save(folder, replace(made, roster=network._roster(admin, made.roster.epoch, made.present, acting)))


def test_who_acts_for_whom_goes_from_epoch_to_epoch(folder, tmp_path):
    with_acting(folder, Acting(8, 1), Acting(9, 0))
    assert network.rotate(folder).roster.acting == (Acting(8, 1), Acting(9, 0))
    assert network.enrol(folder, unit=3, name="east", file=tmp_path / "3").roster.acting == (Acting(8, 1), Acting(9, 0))
    assert network.revoke(folder, 2).roster.acting == (Acting(8, 1), Acting(9, 0))
    assert network.revoke(folder, 1).roster.acting == (Acting(9, 0),)


def test_who_is_gone_for_good_does_not_come_back(folder, tmp_path):
    with_acting(folder, Acting(8, 1))
    with pytest.raises(Refused, match="unit 8 is gone for good"):
        network.enrol(folder, unit=8, name="east", file=tmp_path / "new")


# ---------------------------------------------------------------- units that are gone for good


@pytest.fixture
def gone(folder, tmp_path):
    """Unit 7, east, was in the network of folder from epoch 4 to 4; epoch 5."""
    network.enrol(folder, unit=7, name="east", file=tmp_path / "7")
    network.revoke(folder, 7)
    return 7


def test_who_is_adopted_has_one_that_acts_for_it_from_the_next_epoch_on(folder, gone, tmp_path):
    before = network.show(folder)
    made = network.adopt(folder, gone, 2)
    assert made == network.show(folder)
    assert made.roster.acting == (Acting(7, 2),)
    assert made.roster.epoch == before.roster.epoch + 1
    assert made.members == before.members
    assert secret_of(made, tmp_path / "1") == secret_of(made, tmp_path / "2") != secret_of(before, tmp_path / "2")


def test_for_who_is_released_nobody_acts_from_the_next_epoch_on(folder, gone):
    made = network.release(folder, gone)
    assert made == network.show(folder)
    assert (made.roster.acting, made.roster.epoch) == ((Acting(7, 0),), 6)


def test_the_last_word_about_a_unit_counts_and_others_stay(folder, gone):
    with_acting(folder, Acting(6, 1), Acting(8, 0))
    changes = [
        (lambda: network.adopt(folder, gone, 2), 2),
        (lambda: network.adopt(folder, gone, 1), 1),
        (lambda: network.release(folder, gone), 0),
        (lambda: network.adopt(folder, gone, 2), 2),
    ]
    for epoch, (change, by) in enumerate(changes, 6):
        made = change()
        assert (made.roster.epoch, made.roster.acting) == (epoch, (Acting(6, 1), Acting(7, by), Acting(8, 0)))


@pytest.mark.parametrize("acting", [Acting(7, 2), Acting(7, 0)])
def test_what_is_so_already_costs_no_epoch(folder, gone, acting):
    with_acting(folder, acting)
    before, made = state(folder), network.show(folder)
    again = network.adopt(folder, gone, acting.by) if acting.by else network.release(folder, gone)
    assert again == made
    assert state(folder) == before


@pytest.mark.parametrize(
    "change", [lambda folder: network.adopt(folder, 1, 2), lambda folder: network.release(folder, 1)]
)
def test_who_is_in_must_be_revoked_before_it_is_said_to_be_gone(folder, change):
    before = state(folder)
    with pytest.raises(
        Refused, match=r"unit 1 \(north\) is in the network since epoch 2; nothing was changed"
    ) as caught:
        change(folder)
    assert caught.value.can == "`dandelion net revoke DIR --unit 1` first, if it is gone for good"
    assert state(folder) == before
    network.revoke(folder, 1)
    assert change(folder).roster.acting[0].gone == 1


def test_who_acts_must_be_in_and_another_one(folder, gone, tmp_path):
    network.enrol(folder, unit=3, name="west", file=tmp_path / "3")
    network.revoke(folder, 3)
    before = state(folder)
    for by in (3, 4):
        with pytest.raises(Refused, match=f"unit {by} is not in the network.*net show DIR` lists those that are"):
            network.adopt(folder, gone, by)
    for unit in (gone, 1):
        with pytest.raises(WrongArgument, match=f"unit {unit} cannot act for itself.*--by"):
            network.adopt(folder, unit, unit)
    assert state(folder) == before


@pytest.mark.parametrize(
    "change", [lambda folder: network.adopt(folder, 9, 2), lambda folder: network.release(folder, 9)]
)
def test_who_never_was_in_is_not_gone(folder, tmp_path, change):
    before = state(folder)
    with pytest.raises(
        Refused, match=r"no unit 9 that was in the network; nothing was changed.*enrol it and revoke it"
    ):
        change(folder)
    assert state(folder) == before
    network.enrol(folder, unit=9, name="east", file=tmp_path / "9")
    network.revoke(folder, 9)
    assert change(folder).roster.acting[0].gone == 9


def test_who_is_gone_and_was_forgotten_can_be_spoken_of_again(folder):
    with_acting(folder, Acting(9, 1))
    assert network.adopt(folder, 9, 2).roster.acting == (Acting(9, 2),)
    assert network.release(folder, 9).roster.acting == (Acting(9, 0),)


def test_a_full_roster_speaks_of_no_more_that_are_gone(folder, gone):
    with_acting(folder, *(Acting(unit, 1) for unit in range(100, 100 + MAX_ACTING)))
    before = state(folder)
    for change in (lambda: network.adopt(folder, gone, 1), lambda: network.release(folder, gone)):
        with pytest.raises(Refused, match=r"speaks of 256 units that are gone .*; nothing was changed; make a new"):
            change()
    assert state(folder) == before
    made = network.adopt(folder, 100, 2)
    assert (len(made.roster.acting), made.roster.acting[0]) == (MAX_ACTING, Acting(100, 2))


# ---------------------------------------------------------------- limits


def test_after_the_last_epoch_there_is_none(folder, tmp_path):
    admin, made = network_folder.load(folder)
    save(folder, replace(made, roster=network._roster(admin, MAX_EPOCH - 1, made.present, ())))
    assert network.rotate(folder).roster.epoch == MAX_EPOCH
    with_acting(folder, Acting(9, 1))
    before = state(folder)
    for change in (
        lambda: network.rotate(folder),
        lambda: network.revoke(folder, 1),
        lambda: network.adopt(folder, 9, 2),
        lambda: network.release(folder, 9),
        lambda: network.enrol(folder, unit=3, name="east", file=tmp_path / "new"),
    ):
        with pytest.raises(Refused, match="all its 65535 epochs; make a new one"):
            change()
    assert state(folder) == before
    assert sorted(os.listdir(tmp_path)) == ["1", "2", "net"]


def test_those_revoked_longest_ago_are_forgotten(folder):
    admin, made = network_folder.load(folder)
    public = key("of no use")
    revoked = [Member(9, "old", public, epoch, epoch) for epoch in range(10, 10 + network_folder.MAX_REVOKED)]
    roster = network._roster(admin, 5000, made.present, ())
    save(folder, Network(made.name, (*made.members, *revoked), roster))
    found = network.revoke(folder, 2)
    assert found == network.show(folder)
    assert len([one for one in found.members if one.until_epoch is not None]) == network_folder.MAX_REVOKED
    assert not [one for one in found.members if one.until_epoch == 10]
    assert [one for one in found.members if one.until_epoch == 5000]


# ---------------------------------------------------------------- what the folder must be

CHANGES = {
    "show": network.show,
    "rotate": network.rotate,
    "revoke": lambda folder: network.revoke(folder, 1),
    "adopt": lambda folder: network.adopt(folder, 9, 1),
    "release": lambda folder: network.release(folder, 9),
    "enrol": lambda folder: network.enrol(folder, unit=3, name="east", file=folder.parent / "new"),
}
every_command = pytest.mark.parametrize("command", CHANGES.values(), ids=CHANGES)


@every_command
def test_a_folder_that_is_no_network_is_said_to_be_none(tmp_path, command):
    for folder, says in ((tmp_path / "none", "No such file"), (tmp_path, r"there is no network\.json in it")):
        with pytest.raises(WrongArgument, match=f"is not the folder of a network: {says}.*net create DIR` makes one"):
            command(folder)


@every_command
@pytest.mark.parametrize("name", [".", ADMIN_KEY, NETWORK])
@pytest.mark.parametrize("others", [0o040, 0o010, 0o004])
def test_what_is_open_to_others_is_not_used(folder, command, name, others):
    before, path = state(folder), folder / name
    path.chmod(stat.S_IMODE(path.stat().st_mode) | others)
    with pytest.raises(ConfigError, match=f"{path} is open to others than its owner .*chmod [67]00"):
        command(folder)
    assert state(folder) == before


@every_command
def test_only_one_command_at_a_time_changes_a_network(folder, command):
    with_acting(folder, Acting(9, 2))
    before = state(folder)
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    if command is CHANGES["show"]:
        command(folder)
    else:
        with pytest.raises(Refused, match=r"another command is at work in .*; nothing was changed; let it end"):
            command(folder)
    assert state(folder) == before
    os.close(descriptor)
    command(folder)
    assert (state(folder) == before) == (command is CHANGES["show"])


@every_command
def test_a_folder_of_somebody_else_is_an_error_in_words(public, command):
    network.create(public / "net")
    network.enrol(public / "net", unit=1, name="north", file=public / "1")
    if os.geteuid() != 0:
        (public / "net").chmod(0)
    with nobody(), pytest.raises(WrongArgument, match="Permission denied"):
        command(public / "net")


def damaged(folder: Path, name: str, data: bytes, says: str) -> None:
    (folder / name).write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        network.show(folder)
    assert str(folder / name) in caught.value.what
    assert says in caught.value.what
    assert "restore the folder from a copy" in caught.value.can


def test_every_truncation_of_the_network_is_found(folder):
    whole = (folder / NETWORK).read_bytes()
    for size_bytes in range(len(whole) - 1):  # the last byte ends the last line
        damaged(folder, NETWORK, whole[:size_bytes], "is damaged: ")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda found: found.update(epoch=2), "not what its roster says"),
        (lambda found: found.update(network="00" * 8), "not what its roster says"),
        (lambda found: found["units"].pop(), "not what its roster says"),
        (lambda found: found["units"].reverse(), "not what its roster says"),
        (lambda found: found["units"][0].update(until_epoch=2), "not what its roster says"),
        (lambda found: found["units"][0].update(unit=3), "not what its roster says"),
        (lambda found: found["units"][0].update(name="south"), "not what its roster says"),
        (lambda found: found["units"][0].update(public=found["units"][1]["public"]), "not what its roster says"),
        (lambda found: found["units"][0].update(public="AA=="), "units: public: not 32 bytes in base64"),
        (lambda found: found["units"][0].update(more=1), "units: not the keys that belong there"),
        (lambda found: found["units"][0].update(until_epoch="x"), "units: until_epoch: not a whole number"),
        (lambda found: found.update(units={}), "units: no list"),
        (lambda found: found.update(units=found["units"] * 800), "units: no list, or one too long"),
        (lambda found: found.update(format=2), "format: out of range"),
        (lambda found: found.update(roster="AAAA"), "3 bytes are no roster"),
        (lambda found: found.update(name='"'), "name: not a name of a network"),
        (lambda found: found.pop("name"), "not the keys that belong there"),
    ],
)
def test_a_network_that_cannot_be_is_found(folder, change, says):
    found = json.loads((folder / NETWORK).read_bytes())
    change(found)
    damaged(folder, NETWORK, json.dumps(found).encode(), says)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"1", b"[" * 100_000])
def test_what_is_no_json_is_found(folder, data):
    damaged(folder, NETWORK, data, "not the keys that belong there")


def pem(made, encryption=None) -> bytes:
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def test_an_admin_key_that_is_none_is_found(folder):
    right = (folder / ADMIN_KEY).read_bytes()
    admin = load_pem_private_key(right, None)
    for wrong in (
        b"",
        b"\xff" * 100,
        right[:60],
        pem(admin, BestAvailableEncryption(b"x")),
        pem(generate_private_key(SECP256R1())),
    ):
        damaged(folder, ADMIN_KEY, wrong, "is not a private Ed25519 key")


def test_another_networks_admin_key_is_found(folder, tmp_path):
    network.create(tmp_path / "other")
    (folder / ADMIN_KEY).write_bytes((tmp_path / "other" / ADMIN_KEY).read_bytes())
    with pytest.raises(ConfigError, match="is damaged: the roster is not signed by the admin of this network"):
        network.rotate(folder)


def test_a_lost_admin_key_is_missed(folder):
    (folder / ADMIN_KEY).unlink()
    with pytest.raises(ConfigError, match=r"admin\.key is not there; nothing was changed; restore the folder"):
        network.rotate(folder)


def test_a_lost_network_file_is_not_taken_for_a_folder_to_fill(folder):
    """Its admin's key is there still: a copy of the rest may be, too."""
    (folder / NETWORK).unlink()
    with pytest.raises(WrongArgument, match=r"there is no network\.json in it; if it was one, restore it"):
        network.rotate(folder)
