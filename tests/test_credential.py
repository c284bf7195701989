"""The credential file: whole or an error for people, for its owner alone, and never shown."""

import base64
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from roster_scene import ADMIN, ADMIN_PUBLIC, PRIVATE, PUBLIC, key, roster_of
from unprivileged import nobody

from firmware import credential, private_files
from firmware.credential import MAX_CREDENTIAL_BYTES, Credential
from firmware.errors import ConfigError, Refused, WrongArgument
from firmware.pictures import MAX_UNIT
from firmware.roster import MAX_ACTING, MAX_ROSTER_BYTES, MAX_ROWS, Acting, admin_public_of, public_of

MADE = Credential("field", 7, "unit-7", PRIVATE[7], ADMIN_PUBLIC, roster_of())
ENCODED = MADE.encode()
PRIVATE_TEXT = base64.b64encode(MADE.private).decode()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "unit.credential"


def write(path: Path, made: Credential) -> None:
    """The two steps by which enrol() writes one, without the network's folder between them."""
    part = credential.part_of(path)
    private_files.prepare(part, made.encode())
    private_files.place(part, path)


def shows_no_secret(text: str) -> None:
    assert PRIVATE_TEXT not in text
    assert repr(MADE.private) not in text
    assert MADE.private.hex() not in text


def refused(data: bytes, says: str = "") -> None:
    """With an error that shows nothing of the key, in any of the errors behind it either."""
    with pytest.raises(ConfigError) as caught:
        Credential.decode(data)
    assert says in str(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        shows_no_secret(f"{error!r} {error} {vars(error)}")
        error = error.__cause__ or error.__context__


# ---------------------------------------------------------------- the file


def test_what_is_written_is_read(file):
    write(file, MADE)
    assert credential.read(file) == MADE
    assert os.listdir(file.parent) == [file.name]


def test_it_is_text_that_says_first_that_it_is_secret():
    first, *rest = ENCODED.decode().splitlines()
    assert first.startswith("# SECRET: the key of unit 7 (unit-7) in the network field.")
    assert "unit = 7" in rest
    assert 'name = "unit-7"' in rest
    assert f'private_key = "{PRIVATE_TEXT}"' in rest


def test_the_longest_one_is_read(file):
    units = {unit: public_of(key(f"many {unit}")) for unit in range(1, MAX_ROWS + 1)}
    acting = [Acting(MAX_UNIT - number, 1) for number in range(MAX_ACTING)]
    roster = roster_of((), epoch=65_535, acting=acting, more=units)
    assert len(roster.encoded) == MAX_ROSTER_BYTES
    longest = Credential("n" * 32, 256, "n" * 12, key("many 256"), ADMIN_PUBLIC, roster)
    assert len(longest.encode()) <= MAX_CREDENTIAL_BYTES
    write(file, longest)
    assert credential.read(file) == longest


def test_no_repr_shows_the_key():
    shows_no_secret(repr(MADE))
    shows_no_secret(str(MADE))


def test_one_that_does_not_fit_its_roster_is_not_made():
    for unit, private in ((7, PRIVATE[1]), (8, PRIVATE[8])):
        with pytest.raises(AssertionError):
            Credential("field", unit, "unit-7", private, ADMIN_PUBLIC, MADE.roster)


# ---------------------------------------------------------------- who may read it


def test_it_is_its_owners_alone_whatever_the_umask(file):
    before = os.umask(0)
    try:
        write(file, MADE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o777])
def test_one_that_is_open_to_others_is_not_used(file, mode):
    write(file, MADE)
    file.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        credential.read(file)
    assert f"{file} is open to others than its owner (mode {mode:04o})" in caught.value.what
    assert f"chmod 600 {file}" in caught.value.can


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_one_for_its_owner_alone_is(file, mode):
    write(file, MADE)
    file.chmod(mode)
    assert credential.read(file) == MADE


def test_one_that_belongs_to_somebody_else_is_an_error_in_words(public):
    file = public / "unit.credential"
    write(file, MADE)
    if os.geteuid() != 0:
        file.chmod(0)
    with nobody(), pytest.raises(ConfigError, match="cannot be read: Permission denied; give the command as the user"):
        credential.read(file)


def test_what_is_no_file_is_an_error_in_words(file):
    with pytest.raises(ConfigError, match="is not there"):
        credential.read(file)
    with pytest.raises(ConfigError, match="Is a directory"):
        credential.read(file.parent)
    os.mkfifo(file, 0o600)
    with pytest.raises(ConfigError, match="is not a file"):
        credential.read(file)


def test_one_that_is_too_long_is_another_file(file):
    file.write_bytes(ENCODED + b"#" * (MAX_CREDENTIAL_BYTES + 1 - len(ENCODED)))
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="longer than"):
        credential.read(file)


# ---------------------------------------------------------------- damage


def test_a_damaged_one_is_named_with_its_path(file):
    file.write_bytes(b"no")
    file.chmod(0o600)
    with pytest.raises(ConfigError, match=f"{file}: not a credential, or damaged: .*; copy it anew"):
        credential.read(file)


def test_every_truncation_is_found():
    for size_bytes in range(len(ENCODED) - 1):  # the last byte ends the last line
        refused(ENCODED[:size_bytes])


def test_every_flipped_bit_is_found_where_it_matters():
    """Comment and names are for people, and signed by nobody."""
    for bit in range(8 * len(ENCODED)):
        damaged = bytearray(ENCODED)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = Credential.decode(bytes(damaged))
        except ConfigError:
            continue
        same = (found.unit, public_of(found.private), found.admin_public, found.roster)  # X25519 ignores five bits
        assert same == (MADE.unit, PUBLIC[7], MADE.admin_public, MADE.roster), bit


@given(st.binary(max_size=3000) | st.text(max_size=300).map(str.encode))
@settings(derandomize=True, max_examples=300, deadline=None)
def test_chance_makes_no_credential(data):
    refused(data)


LINES = {line.split(" =")[0]: line for line in ENCODED.decode().splitlines() if not line.startswith("#")}
OTHER = base64.b64encode(key("other")).decode()


def with_lines(**lines: str) -> bytes:
    return "\n".join(f"{key} = {lines[key]}" if key in lines else line for key, line in LINES.items()).encode()


def test_the_lines_by_hand_are_the_right_ones():
    assert Credential.decode(with_lines()) == MADE


@pytest.mark.parametrize("key", LINES)
def test_every_line_is_needed(key):
    refused("\n".join(line for name, line in LINES.items() if name != key).encode(), "not the keys that belong there")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ({"unit": "0"}, "unit: out of range"),
        ({"unit": "65535"}, "unit: out of range"),
        ({"unit": '"7"'}, "unit: not a whole number"),
        ({"unit": "true"}, "unit: not a whole number"),
        ({"name": '"Unit 7"'}, "name: not a name"),
        ({"network": '"a\\"b"'}, "network: not a name of a network"),
        ({"network": '""'}, "network: not a name of a network"),
        ({"private_key": "7"}, "private_key: not 32 bytes in base64"),
        ({"private_key": f'"{PRIVATE_TEXT[:-4]}"'}, "private_key: not 32 bytes in base64"),
        ({"private_key": f'"{PRIVATE_TEXT} "'}, "private_key: not 32 bytes in base64"),
        ({"private_key": f'"ä{PRIVATE_TEXT}"'}, "private_key: not 32 bytes in base64"),
        ({"private_key": f'"{OTHER}"'}, "the private key is not that of unit 7 in the roster"),
        ({"unit": "1"}, "the private key is not that of unit 1 in the roster"),
        ({"unit": "8"}, "unit 8 is not in the roster of epoch 7"),
        ({"admin_key": f'"{OTHER}"'}, "not signed by the admin"),
        ({"roster": '""'}, "no roster"),
        ({"roster": "[1]"}, "roster: not bytes in base64"),
        ({"name": '"unit-7"\nmore = 1'}, "not the keys that belong there"),
        ({"private_key": f'"{PRIVATE_TEXT}\\z"'}, "not the keys that belong there"),
        ({"private_key": f'"{PRIVATE_TEXT}"\nprivate_key = "{PRIVATE_TEXT}"'}, "not the keys that belong there"),
        ({"private_key": "[" * 5000}, "not the keys that belong there"),
    ],
)
def test_what_is_wrong_is_said_without_what_is_secret(lines, says):
    refused(with_lines(**lines), says)


def test_text_that_is_none_shows_nothing_either():
    refused(ENCODED.replace(b"field", b"\xff"), "not the keys that belong there")


def test_a_secret_that_was_wrapped_for_nobody_is_found():
    """Signed by the admin, the right key, and no secret in it."""
    encoded = bytearray(MADE.roster.encoded)
    encoded[45 + 82 + 34] ^= 1  # in the second row
    body = bytes(encoded[:-64])
    signature = Ed25519PrivateKey.from_private_bytes(ADMIN).sign(b"dandelion roster 1" + body)
    told = base64.b64encode(body + signature).decode()
    refused(with_lines(roster=f'"{told}"'), "the key of unit 7 does not open its row")


def test_another_networks_admin_is_none():
    told = base64.b64encode(admin_public_of(key("another"))).decode()
    refused(with_lines(admin_key=f'"{told}"'), "not signed by the admin")


# ---------------------------------------------------------------- names that are taken


@pytest.mark.parametrize("what", ["file", "link", "directory"])
def test_nothing_is_overwritten(file, what):
    match what:
        case "file":
            file.write_text("mine")
        case "link":
            file.symlink_to("nowhere")
        case "directory":
            file.mkdir()
    before = file.lstat()
    with pytest.raises(Refused, match="is there already; it was left as it is"):
        write(file, MADE)
    assert file.lstat() == before
    assert sorted(os.listdir(file.parent)) == [file.name, credential.part_of(file).name]


def test_an_empty_file_is_no_other(file):
    """A cut may leave one, and it says nothing."""
    file.touch()
    write(file, MADE)
    assert credential.read(file) == MADE


def test_an_unfinished_one_gives_way(file):
    credential.part_of(file).write_text("# SECR")
    write(file, MADE)
    assert os.listdir(file.parent) == [file.name]


def test_where_no_file_can_be_is_said(tmp_path):
    with pytest.raises(Refused, match="cannot be written: No such file or directory"):
        write(tmp_path / "none" / "unit.credential", MADE)
    with pytest.raises(WrongArgument, match="is not a name of a file"):
        write(Path("/"), MADE)
