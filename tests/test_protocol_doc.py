"""docs/protocol.md says what the code does: field tables, kinds, examples."""

from __future__ import annotations

import hmac
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from protocol_examples import ADMIN, BEACON, EPHEMERAL, EXAMPLES, HOLD, PICTURE, PRIVATE, PUBLIC, SECRET, WHERE

from firmware import handshakes, link, rosters, seal, sealing, sessions
from firmware.fields import Rows
from firmware.message import PICTURE as PICTURE_FIELDS
from firmware.messages import KINDS, Accept, GetWhy, Part, RefuseGet, RefuseWhy
from firmware.messages_network import INTRODUCTION_BYTES, MAX_ROSTER_PART_BYTES
from firmware.messages_readout import INVENTORY_ROW
from firmware.messages_records import RECORD, TOMBSTONE
from firmware.noise import Handshake, private_key
from firmware.roster import Roster, admin_public_of

TEXT = (Path(__file__).parent.parent / "docs" / "protocol.md").read_text(encoding="utf-8")
GROUPS: dict[str, Rows] = {
    "picture": PICTURE_FIELDS.rows,
    "row": INVENTORY_ROW.rows,
    "tombstone": TOMBSTONE.rows,
    "record": RECORD.rows,
}
TOLD = {
    title: bytes.fromhex(data)
    for title, data in re.findall(r"^([^\n]+):\n\n```hex\n(.*?)```", TEXT, re.MULTILINE | re.DOTALL)
}


def section(title: str) -> str:
    """What stands under the heading of the fourth level that begins so."""
    found = re.search(rf"^#### {title}\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/protocol.md has no heading '#### {title}'"
    return found[1]


def table(text: str) -> list[tuple[str, str]]:
    """First and second column of the table of fields."""
    rows = [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in text.splitlines() if line[:1] == "|"]
    return [(row[0], row[1]) for row in rows[2:]]


def heading(kind: int) -> str:
    message = KINDS[kind]
    words = re.findall("[A-Z][a-z]*", message.__name__)
    return f"{'_'.join(words).upper()}, kind {kind}" + (", also to everyone" if message.BROADCAST else "")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_table_of_a_message_is_its_layout(kind: int) -> None:
    assert table(section(heading(kind))) == [(name, codec.text) for name, codec in KINDS[kind].LAYOUT]


@pytest.mark.parametrize("group", GROUPS)
def test_the_table_of_a_group_is_its_layout(group: str) -> None:
    assert table(section(group)) == [(name, codec.text) for name, codec in GROUPS[group]]


def test_the_document_has_no_other_messages() -> None:
    assert set(re.findall(r"^#### (.*)$", TEXT, re.MULTILINE)) == {heading(kind) for kind in KINDS} | set(GROUPS)


def test_it_says_which_messages_have_an_introduction_and_which_are_not_sealed() -> None:
    introducing = [heading(kind).partition(",")[0] for kind in KINDS if KINDS[kind].CLEAR_BYTES]
    unsealed = [heading(kind).partition(",")[0] for kind in KINDS if not KINDS[kind].SEALED]
    assert {KINDS[kind].CLEAR_BYTES for kind in KINDS} == {0, INTRODUCTION_BYTES}
    assert f"| +{INTRODUCTION_BYTES}, in {', '.join(introducing[:-1])} and {introducing[-1]} |" in TEXT
    assert f"| {', '.join(unsealed)} | not at all" in TEXT


@pytest.mark.parametrize("why", [*RefuseWhy, *GetWhy], ids=repr)
def test_every_reason_is_listed_with_its_number(why: RefuseWhy | GetWhy) -> None:
    message = RefuseGet if isinstance(why, GetWhy) else next(one for one in KINDS.values() if one.__name__ == "Refuse")
    assert f"{why.value} {why.name}" in section(heading(message.KIND))


def test_the_examples_are_what_the_code_makes() -> None:
    assert TOLD == EXAMPLES


# ---------------------------------------------------------------- the examples, made without the code that made them


def ccm(key: str, title: str, clear_bytes: int = 0) -> bytes:
    """The body of an example by the key of another one, as §3 tells; clear_bytes: of the header beyond six."""
    packet, at = TOLD[title], 6 + clear_bytes
    nonce = bytes(10) + packet[at : at + 3]
    return AESCCM(TOLD[key], tag_length=8).decrypt(nonce, packet[at + 3 :], packet[:at])


def expanded(secret: bytes, label: bytes) -> bytes:
    return hmac.digest(secret, label + b"\x01", "sha256")[:16]


def test_the_broadcast_keys_are_made_as_it_says_and_open_what_everyone_is_told() -> None:
    for unit, start in ((1, "00013fa711223344"), (2, "00025ab055667788")):
        made = expanded(SECRET, b"dandelion broadcast" + bytes.fromhex(start))
        assert TOLD[f"Broadcast key of unit {unit}"] == made
    body = ccm("Broadcast key of unit 1", "BEACON of unit 1 to everyone, a packet", 8)
    assert TOLD["BEACON of unit 1 to everyone, a packet"][6:14] + body == BEACON.encode()
    assert ccm("Broadcast key of unit 1", "WHERE of unit 1 to everyone, a packet") == WHERE.encode()


def test_the_handshake_is_made_as_it_says() -> None:
    key = "Broadcast key of unit {}"
    hello, welcome = (
        b"".join(ccm(key.format(unit), f"{name}, {piece} piece", 9) for piece in ("first", "second"))
        for unit, name in ((2, "HELLO of unit 2 to unit 1"), (1, "WELCOME of unit 1 to unit 2"))
    )
    assert hello[:4] == bytes.fromhex("11223344")
    prologue = b"dandelion 1" + bytes.fromhex("00025ab055667788" + "000111223344" + "0003")
    assert TOLD["Prologue of the handshake"] == prologue
    two, one = (
        Handshake(
            initiator=unit == 2,
            prologue=prologue,
            psk=SECRET,
            static=private_key(PRIVATE[unit]),
            remote=PUBLIC[3 - unit],
            ephemeral=EPHEMERAL[unit],
        )
        for unit in (2, 1)
    )
    assert two.write() == hello[4:]
    assert one.read(hello[4:]) == b""
    assert one.write() == welcome
    assert two.read(welcome) == b""
    assert two.hash == one.hash == TOLD["Noise's hash after WELCOME"]
    keys = TOLD["Noise's first key, from unit 2 to unit 1"], TOLD["Noise's second key, from unit 1 to unit 2"]
    assert two.keys() == keys
    assert one.keys() == keys[::-1]
    for secret, way in zip(keys, ("from unit 2 to unit 1", "from unit 1 to unit 2"), strict=True):
        assert expanded(secret, b"dandelion") == TOLD[f"Key {way}, all but PART"]
        assert expanded(secret, b"dandelion part") == TOLD[f"Key {way}, PART"]


def test_the_keys_of_the_session_open_what_is_said_in_it() -> None:
    to_one, to_two = "Key from unit 2 to unit 1, all but PART", "Key from unit 1 to unit 2, all but PART"
    assert ccm(to_one, "READY of unit 2 to unit 1, a packet") == b""
    assert ccm(to_two, "HOLD of unit 1 to unit 2, a packet") == HOLD.encode()
    part = ccm("Key from unit 1 to unit 2, PART", "PART of unit 1 to unit 2, a packet")
    assert Part.decode(part) == Part(5, 4096, b"\xff\xd8\x00\x00\xff")
    accept = ccm(to_one, "ACCEPT of unit 2 to unit 1 with an airtime of 1234 ms, a packet", 2)
    assert Accept.decode(accept).id == PICTURE
    report = [ccm(to_one, f"REPORT of unit 2 to unit 1, {piece} piece", 1) for piece in ("first", "second")]
    assert len(report[0]) == 64 - 20
    assert KINDS[21].decode(b"".join(report))


def test_the_roster_is_one_of_the_network_and_the_part_is_some_of_it() -> None:
    roster = Roster.decode(TOLD["The roster"], admin_public_of(ADMIN))
    assert [roster.secret_for(unit, PRIVATE[unit]) for unit in (1, 2)] == [SECRET, SECRET]
    part = TOLD["ROSTER_PART of unit 1 to unit 2, first of four pieces"]
    assert part[7:13] == bytes.fromhex("0003") + len(TOLD["The roster"]).to_bytes(2, "big") + bytes(2)
    assert TOLD["The roster"].startswith(part[13:])


# ---------------------------------------------------------------- limits


def waits(first_s: float, count: int) -> str:
    """So many, each twice as long as the one before."""
    told = [f"{first_s * 2**number:.0f}" for number in range(count)]
    return f"{', '.join(told[:-1])} and {told[-1]}"


@pytest.mark.parametrize(
    "sentence",
    [
        f"version ({link.VERSION})",
        f"{link.MIN_MTU_BYTES} bytes at least",
        f"({seal.MAX_PEERS} of them)",
        f"those that it left ({seal.MAX_LEFT_BOOTS})",
        f"1 … {seal.EARLIER_BOOTS} below",
        f"not complete after {link.ASSEMBLY_AGE_S:.0f} s",
        f"beyond {link.MAX_ASSEMBLIES_PER_PEER} messages of one peer or {link.MAX_ASSEMBLIES} in all",
        f"with a tag of {sealing.TAG_BYTES} bytes",
        f"at most 2^{sealing.MOST_FRAMES.bit_length() - 1} frames",
        f"less than {sealing.WINDOW} below the highest",
        f"the last {sessions.MAX_STARTS} starts of each unit",
        f"{sessions.REKEY_AFTER_S / 3600:.0f} h old, or 2^{sessions.REKEY_AFTER_FRAMES.bit_length() - 1} frames",
        f"(up to {handshakes.MAX_PARKED} messages wait",
        f"in its session for {handshakes.WRONG_FOR_S:.0f} s",
        f"sealed anew, after {waits(handshakes.FIRST_TRY_S, handshakes.MAX_TRIES - 1)} s, each ± 25 %",
        f"and again after {waits(rosters.AGAIN_S, rosters.MAX_TRIES - 1)} s",
        f"and {rosters.MAX_STRANGERS} sources that it does not",
        f"left alone for {rosters.REST_S:.0f} s, twice as long each time up to a day",
        f"up to {rosters.ANSWERS_AT_ONCE} times without a pause and then {rosters.ANSWERS_PER_S:.0f} times a second",
        f"fits a message, {MAX_ROSTER_PART_BYTES} bytes at most",
    ],
)
def test_the_limits_are_those_of_the_code(sentence: str) -> None:
    assert sentence in " ".join(TEXT.split())
