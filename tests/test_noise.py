"""The handshake says byte for byte what the published test vector says (the one of cacophony, which snow uses too)."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from firmware.errors import WrongSeal
from firmware.noise import MESSAGE_BYTES, NAME, Handshake, private_key, public_bytes

VECTOR = json.loads((Path(__file__).parent / "vectors" / "noise_kkpsk0.json").read_text())
MESSAGES = [(bytes.fromhex(one["payload"]), bytes.fromhex(one["ciphertext"])) for one in VECTOR["messages"]]


def of_vector(who: str) -> Handshake:
    return Handshake(
        initiator=who == "init",
        prologue=bytes.fromhex(VECTOR[f"{who}_prologue"]),
        psk=bytes.fromhex(VECTOR[f"{who}_psks"][0]),
        static=private_key(bytes.fromhex(VECTOR[f"{who}_static"])),
        remote=bytes.fromhex(VECTOR[f"{who}_remote_static"]),
        ephemeral=bytes.fromhex(VECTOR[f"{who}_ephemeral"]),
    )


def made(rng: random.Random, **changed: object) -> tuple[Handshake, Handshake]:
    """Two sides that fit; changed: what the responder thinks otherwise."""
    one, two = private_key(rng.randbytes(32)), private_key(rng.randbytes(32))
    common = {"prologue": b"who, and to whom", "psk": rng.randbytes(32)}
    initiator = Handshake(initiator=True, static=one, remote=public_bytes(two), ephemeral=rng.randbytes(32), **common)
    theirs = {"static": two, "remote": public_bytes(one), "ephemeral": rng.randbytes(32), **common, **changed}
    return initiator, Handshake(initiator=False, **theirs)


def test_the_vector_is_of_this_protocol():
    assert VECTOR["protocol_name"].encode() == NAME


def test_the_published_vector_is_met_in_both_directions():
    one, two = of_vector("init"), of_vector("resp")
    (first, first_sealed), (second, second_sealed), *transport = MESSAGES
    assert one.write(first) == first_sealed
    assert two.read(first_sealed) == first
    assert two.write(second) == second_sealed
    assert one.read(second_sealed) == second
    assert one.hash.hex() == two.hash.hex() == VECTOR["handshake_hash"]
    sending, receiving = one.keys()
    assert two.keys() == (receiving, sending)
    for index, (payload, sealed) in enumerate(transport):
        key, nonce = (sending, receiving)[index % 2], bytes(4) + (index // 2).to_bytes(8, "little")
        assert ChaCha20Poly1305(key).encrypt(nonce, payload, None) == sealed


def test_both_messages_take_96_bytes():
    one, two = made(random.Random(1))
    first = one.write()
    two.read(first)
    assert len(first) == len(two.write()) == MESSAGE_BYTES == 48


@pytest.mark.parametrize("index", range(8 * MESSAGE_BYTES))
def test_no_changed_bit_passes_and_the_right_message_is_taken_afterwards(index: int):
    one, two = made(random.Random(2))
    first = one.write()
    changed = bytearray(first)
    changed[index // 8] ^= 1 << index % 8
    with pytest.raises(WrongSeal):
        two.read(bytes(changed))
    assert two.read(first) == b""
    second = two.write()
    changed = bytearray(second)
    changed[index // 8] ^= 1 << index % 8
    with pytest.raises(WrongSeal):
        one.read(bytes(changed))
    assert one.read(second) == b""
    assert one.keys() == two.keys()[::-1]


@pytest.mark.parametrize(
    "changed",
    [{"prologue": b"else"}, {"psk": bytes(32)}, {"remote": public_bytes(private_key(bytes(31) + b"x"))}],
    ids=["prologue", "psk", "who it is"],
)
def test_who_means_another_unit_or_has_another_secret_is_not_understood(changed: dict[str, object]):
    one, two = made(random.Random(3), **changed)
    with pytest.raises(WrongSeal):
        two.read(one.write())


def test_who_has_the_public_keys_and_the_secret_but_no_private_key_is_not_understood():
    rng = random.Random(4)
    two, psk = private_key(rng.randbytes(32)), rng.randbytes(32)
    real, thief = private_key(rng.randbytes(32)), private_key(rng.randbytes(32))

    def side(static: object, remote: bytes, *, initiator: bool) -> Handshake:
        return Handshake(
            initiator=initiator, prologue=b"", psk=psk, static=static, remote=remote, ephemeral=rng.randbytes(32)
        )

    with pytest.raises(WrongSeal):
        side(two, public_bytes(real), initiator=False).read(side(thief, public_bytes(two), initiator=True).write())


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31)], ids=["zero", "one"])
def test_a_point_that_gives_the_secret_away_is_refused(point: bytes):
    _, two = made(random.Random(5))
    with pytest.raises(WrongSeal):
        two.read(point + bytes(16))


@pytest.mark.parametrize("size", range(MESSAGE_BYTES))
def test_whatever_is_too_short_is_refused(size: int):
    _, two = made(random.Random(6))
    with pytest.raises(WrongSeal):
        two.read(bytes(size))
