"""The roster: no bytes are taken for one that its admin has not signed; its secret is for its units alone."""

import hashlib
import hmac
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st
from roster_scene import ADMIN, ADMIN_PUBLIC, PRIVATE, PUBLIC, SECRET, UNITS, key, roster_of, signed

from firmware.errors import BadRoster
from firmware.pictures import MAX_UNIT
from firmware.roster import (
    MAX_ACTING,
    MAX_EPOCH,
    MAX_ROSTER_BYTES,
    MAX_ROWS,
    MIN_ROSTER_BYTES,
    Acting,
    Roster,
    Row,
    admin_public_of,
    make_roster,
    network_of,
    public_of,
    words_of,
)

ROSTER = roster_of()
HEAD, ROW = 45, 82  # bytes before the rows, and of each

# ---------------------------------------------------------------- what is made


def test_a_roster_says_what_it_was_made_of():
    assert ROSTER.epoch == 7
    assert ROSTER.network == network_of(ADMIN_PUBLIC) == hashlib.blake2b(ADMIN_PUBLIC, digest_size=32).digest()[:8]
    assert [(row.unit, row.public) for row in ROSTER.rows] == [(unit, PUBLIC[unit]) for unit in UNITS]
    assert ROSTER.acting == (Acting(2, 7), Acting(3, 0))
    assert Roster.decode(ROSTER.encoded, ADMIN_PUBLIC) == ROSTER


def test_the_bytes_are_those_of_the_document():
    rows = b"".join(struct.pack(">H32s48s", row.unit, row.public, row.wrapped) for row in ROSTER.rows)
    head = struct.pack(">B8sH32sH", 1, ROSTER.network, 7, public_of(key("ephemeral")), 3)
    assert ROSTER.encoded[:-64] == head + rows + struct.pack(">HHHHH", 2, 2, 7, 3, 0)
    assert signed(ROSTER.encoded[:-64]) == ROSTER.encoded
    assert (
        hashlib.sha256(ROSTER.encoded).hexdigest() == "d697f1c2cb009b78a933f081510db7d02d2ba7e5d4ccaaf709373b8dcfeb5e5a"
    )


def test_the_order_of_what_is_given_is_no_matter():
    assert roster_of(UNITS[::-1], acting=(Acting(3, 0), Acting(2, 7))) == ROSTER


@pytest.mark.parametrize("unit", UNITS)
def test_each_unit_finds_the_secret_and_its_row(unit):
    assert ROSTER.secret_for(unit, PRIVATE[unit]) == SECRET
    found = ROSTER.find(unit)
    assert found is not None
    assert (found.unit, found.public) == (unit, PUBLIC[unit])


@pytest.mark.parametrize("unit", [0, 2, 8, 65_533, 65_535])
def test_who_has_no_row_is_not_found(unit):
    assert ROSTER.find(unit) is None
    with pytest.raises(BadRoster, match="not in the roster of epoch 7"):
        ROSTER.secret_for(unit, PRIVATE[7])


def test_the_secret_is_wrapped_as_the_document_says():
    """HKDF by hand (RFC 5869): each part of salt and info in its place."""
    for row in ROSTER.rows:
        shared = X25519PrivateKey.from_private_bytes(key("ephemeral")).exchange(
            X25519PublicKey.from_public_bytes(row.public)
        )
        extracted = hmac.digest(ROSTER.ephemeral + row.public, shared, "sha256")
        info = b"dandelion network secret" + ROSTER.network + struct.pack(">HH", 7, row.unit)
        expanded = hmac.digest(extracted, info + b"\x01", "sha256")
        assert ChaCha20Poly1305(expanded).decrypt(bytes(12), row.wrapped, b"") == SECRET


def test_a_network_without_units_has_a_roster():
    empty = roster_of((), acting=(Acting(9, 0),))
    assert empty.rows == ()
    assert Roster.decode(empty.encoded, ADMIN_PUBLIC) == empty


def test_no_secret_shows():
    assert SECRET.hex() not in ROSTER.encoded.hex()
    assert repr(ROSTER.encoded) not in repr(ROSTER)


# ---------------------------------------------------------------- what is refused


def refuses(data: bytes, says: str = "", *, admin: bytes = ADMIN_PUBLIC) -> None:
    with pytest.raises(BadRoster, match=says or None):
        Roster.decode(data, admin)


def test_every_flipped_bit_is_found():
    for bit in range(8 * len(ROSTER.encoded)):
        damaged = bytearray(ROSTER.encoded)
        damaged[bit // 8] ^= 1 << bit % 8
        refuses(bytes(damaged))


def test_every_truncation_and_anything_behind_is_found():
    for size_bytes in range(len(ROSTER.encoded)):
        refuses(ROSTER.encoded[:size_bytes])
    refuses(ROSTER.encoded + b"\0")


@given(st.binary(max_size=MAX_ROSTER_BYTES + 8))
@settings(derandomize=True, max_examples=300, deadline=None)
def test_chance_makes_no_roster(data):
    refuses(data)


@given(st.binary(max_size=600), st.integers(0, 300))
@settings(derandomize=True, max_examples=500, deadline=None)
def test_whatever_is_signed_is_refused_or_is_the_one_encoding_of_itself(data, at):
    """The signature keeps strangers out; what stands behind it must not rely on that."""
    body = ROSTER.encoded[:-64]
    for forged in (signed(data), signed(body[:at] + data + body[at + len(data) :])):
        try:
            found = Roster.decode(forged, ADMIN_PUBLIC)
        except BadRoster:
            continue
        rows = b"".join(struct.pack(">H32s48s", row.unit, row.public, row.wrapped) for row in found.rows)
        acting = b"".join(struct.pack(">HH", one.gone, one.by) for one in found.acting)
        head = struct.pack(">B8sH32sH", 1, found.network, found.epoch, found.ephemeral, len(found.rows))
        assert forged[:-64] == head + rows + struct.pack(">H", len(found.acting)) + acting


def body_of(*, version=1, network=ROSTER.network, epoch=7, rows=ROSTER.rows, acting=((2, 7), (3, 0)), **counts):
    """A body with what the arguments say in place of what is right; counts: told ones."""
    head = struct.pack(">B8sH32sH", version, network, epoch, ROSTER.ephemeral, counts.get("row_count", len(rows)))
    told = b"".join(struct.pack(">H32s48s", row.unit, row.public, row.wrapped) for row in rows)
    pairs = b"".join(struct.pack(">HH", *pair) for pair in acting)
    return head + told + struct.pack(">H", counts.get("acting_count", len(acting))) + pairs


def numbered(*units):
    """Rows under these numbers, each with another key."""
    made = roster_of((), acting=(), more={unit: PUBLIC[other] for unit, other in zip((1, 2, 3), UNITS, strict=True)})
    return [Row(unit, row.public, row.wrapped) for unit, row in zip(units, made.rows, strict=True)]


def test_the_body_made_by_hand_is_the_right_one():
    assert signed(body_of()) == ROSTER.encoded


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (body_of(version=2), "format 2"),
        (body_of(version=0), "format 0"),
        (body_of(network=bytes(8)), "another network"),
        (body_of(epoch=0), "epoch 0"),
        (body_of(rows=numbered(1, 3, 2), acting=()), "ascend"),
        (body_of(rows=numbered(1, 2, 2), acting=()), "ascend"),
        (body_of(rows=numbered(0, 1, 2), acting=()), "ascend"),
        (body_of(rows=numbered(1, 2, 65_535), acting=()), "ascend"),
        (body_of(rows=[*ROSTER.rows[:2], Row(9, PUBLIC[7], bytes(48))]), "one key"),
        (body_of(acting=((3, 0), (2, 7))), "ascend"),
        (body_of(acting=((2, 7), (2, 0))), "ascend"),
        (body_of(acting=((0, 7),)), "ascend"),
        (body_of(acting=((65_535, 7),)), "ascend"),
        (body_of(acting=((2, 8),)), "acts for another and is not"),
        (body_of(acting=((2, 2),)), "acts for another and is not"),
        (body_of(acting=((7, 1),)), "in the roster and gone"),
        (body_of() + b"\0", "longer or shorter"),
        (body_of()[:-1], "longer or shorter"),
        (body_of(acting_count=1), "longer or shorter"),
        (body_of(acting_count=3), "longer or shorter"),
        (body_of(acting_count=65_535), "longer or shorter"),
        (body_of(row_count=2), "longer or shorter"),
        (body_of(row_count=4), "ends within its rows"),
        (body_of(row_count=65_535), "ends within its rows"),
    ],
)
def test_what_the_admin_has_signed_must_be_right_too(body, says):
    refuses(signed(body), says)


few = st.lists(st.integers(0, 5), max_size=4)


@given(few, few, few)
@settings(derandomize=True, max_examples=500, deadline=None)
def test_exactly_the_lists_that_can_be_are_taken(units, gone, by):
    rows = [Row(unit, bytes([index]) * 32, bytes(48)) for index, unit in enumerate(units)]
    acting = list(zip(gone, by, strict=False))
    gone = [pair[0] for pair in acting]
    can_be = all(numbers == sorted({*numbers} - {0}) for numbers in (units, gone))
    can_be &= not {*units} & {*gone} and {pair[1] for pair in acting} <= {0, *units}
    data = signed(body_of(rows=rows, acting=acting))
    if can_be:
        assert [row.unit for row in Roster.decode(data, ADMIN_PUBLIC).rows] == units
    else:
        refuses(data)


def test_nothing_is_believed_before_the_signature():
    """The same errors unsigned: only the first two are looked at."""
    for body in (body_of(network=bytes(8)), body_of(epoch=0), body_of(row_count=65_535), body_of(acting=((7, 1),))):
        refuses(body + bytes(64), "not signed")


def test_a_roster_of_another_admin_is_refused():
    refuses(roster_of(admin=key("another")).encoded, "not signed")
    refuses(ROSTER.encoded, "not signed", admin=admin_public_of(key("another")))


def test_a_signature_for_something_else_does_not_fit():
    body = ROSTER.encoded[:-64]
    refuses(body + Ed25519PrivateKey.from_private_bytes(ADMIN).sign(body), "not signed")


def test_the_longest_roster_is_read_and_one_row_more_is_not():
    members = {unit: public_of(key(f"many {unit}")) for unit in range(1, MAX_ROWS + 2)}
    acting = [Acting(MAX_UNIT - number, 1) for number in range(MAX_ACTING)]
    most = dict(list(members.items())[:MAX_ROWS])
    longest = roster_of((), epoch=MAX_EPOCH, acting=acting, more=most)
    assert len(longest.encoded) == MAX_ROSTER_BYTES == 22_127
    assert len(roster_of((), acting=()).encoded) == MIN_ROSTER_BYTES == 111
    assert (len(longest.rows), len(longest.acting)) == (MAX_ROWS, MAX_ACTING)
    body = longest.encoded[:-64]
    one_row = struct.pack(">H32s48s", MAX_ROWS + 1, members[MAX_ROWS + 1], bytes(48))
    end = HEAD + MAX_ROWS * ROW
    more_rows = body[:43] + struct.pack(">H", MAX_ROWS + 1) + body[HEAD:end] + one_row + bytes(2)
    refuses(signed(more_rows), "ends within its rows")
    more_acting = struct.pack(">H", MAX_ACTING + 1) + struct.pack(">HH", MAX_UNIT - MAX_ACTING, 0) + body[end + 2 :]
    refuses(signed(body[:43] + bytes(2) + more_acting), "longer or shorter")


# ---------------------------------------------------------------- keys


def test_another_units_key_does_not_find_the_secret():
    for unit in UNITS:
        for other in {*PRIVATE} - {unit}:
            with pytest.raises(BadRoster, match=f"the key of unit {unit} does not open its row"):
                ROSTER.secret_for(unit, PRIVATE[other])


def test_a_row_opens_in_its_place_and_epoch_only():
    """Signed or not, a wrapped secret that was moved is not taken for one of now."""
    first, second, third = ROSTER.rows
    moved = Row(first.unit, first.public, second.wrapped)
    another_unit = Row(2, first.public, first.wrapped)
    for body, unit in ((body_of(rows=[moved, second, third]), 1), (body_of(rows=[another_unit], acting=()), 2)):
        with pytest.raises(BadRoster, match="does not open"):
            Roster.decode(signed(body), ADMIN_PUBLIC).secret_for(unit, PRIVATE[1])
    later = Roster.decode(signed(body_of(epoch=8)), ADMIN_PUBLIC)
    with pytest.raises(BadRoster, match="does not open"):
        later.secret_for(1, PRIVATE[1])


LOW_ORDER = [  # all that share one secret with everybody (RFC 7748 §6.1; the list is that of cr.yp.to/ecdh.html)
    bytes(32),
    b"\1" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]


@pytest.mark.parametrize("public", LOW_ORDER, ids=lambda public: public.hex()[:4])
def test_a_key_with_which_nothing_is_secret_is_refused(public):
    body = body_of()
    forged = Roster.decode(signed(body[:11] + public + body[43:]), ADMIN_PUBLIC)
    with pytest.raises(BadRoster, match="nothing can be kept secret"):
        forged.secret_for(1, PRIVATE[1])
    with pytest.raises(BadRoster, match="nothing can be kept secret"):
        roster_of((), acting=(), more={5: public})


@pytest.mark.parametrize("unit", [0, 65_535])
def test_the_admins_side_makes_none_that_would_be_refused(unit):
    with pytest.raises(BadRoster, match="ascend"):
        roster_of((), acting=(), more={unit: PUBLIC[8]})


@pytest.mark.parametrize(
    "wrong",
    [{"epoch": 0}, {"epoch": 65_536}, {"secret": bytes(31)}, {"members": dict.fromkeys(range(1, 258), PUBLIC[8])}],
)
def test_what_cannot_be_is_not_tried(wrong):
    right = {"admin_private": ADMIN, "epoch": 7, "members": {}, "secret": SECRET, "ephemeral_private": key("e")}
    with pytest.raises(AssertionError):
        make_roster(**{**right, **wrong})


# ---------------------------------------------------------------- words


def test_the_words_of_a_key_stay_the_same():
    assert words_of(7, PUBLIC[7]) == "cotton six ridge truth glory rough"


def test_words_are_the_first_66_bits_of_the_digest():
    from mnemonic import Mnemonic

    listed = Mnemonic("english").wordlist
    digest = hashlib.blake2b(b"dandelion words" + struct.pack(">H", 7) + PUBLIC[7], digest_size=32).digest()
    bits = "".join(f"{listed.index(word):011b}" for word in words_of(7, PUBLIC[7]).split())
    assert f"{int.from_bytes(digest, 'big'):0256b}".startswith(bits)
    assert len(bits) == 66


def test_another_unit_or_key_has_other_words():
    assert len({words_of(unit, PUBLIC[other]) for unit in UNITS for other in UNITS}) == 9
