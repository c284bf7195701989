"""Messages by which units get to know one another: beacons, names, handshakes of sessions, and the roster."""

from __future__ import annotations

from firmware.fields import Flag, Letters, Moment, Raw, Rest, Scaled, Unsigned
from firmware.message import QUALITY, SECONDS, Message
from hal.interfaces import TimeQuality
from hal.light_dataclass import dataclass

NOISE_BYTES = 32 + 16
"""Of one message of the handshake: an ephemeral key and a tag (firmware/noise.py)."""
MAX_ROSTER_PART_BYTES = 1024
"""Of a roster in one message: whoever sends so much to who asks keeps a line of 9600 baud busy for a second."""

UNIX_S = Moment(4, 1, "s")
CARD, BOOT, EPOCH = Unsigned(2), Unsigned(4), Unsigned(2)
INTRODUCTION = (("card", CARD), ("boot", BOOT), ("epoch", EPOCH))
"""The first fields of what a unit may say to those who do not know it yet. They stand in the clear: with them the
key of whatever it says to everyone is made."""
INTRODUCTION_BYTES = sum(codec.max_bytes for _, codec in INTRODUCTION)


@dataclass(frozen=True, slots=True)
class Beacon(Message):
    """I am here. room_bytes is told in kB, rounded down; unix_s in whole seconds."""

    KIND = 1
    BROADCAST = True
    CLEAR_BYTES = INTRODUCTION_BYTES
    card: int  # card number of its new pictures
    boot: int
    epoch: int  # of the roster it knows; 0 without one
    room_bytes: int  # what it would take from others now
    queue: int  # own pictures that still lack copies
    link: int  # quality of what it hears, 0 none .. 255 best
    interval_s: int  # until its next beacon
    answer_wanted: bool  # please beacon at once
    hosting: bool  # False: a temporary unit, or one that takes nothing
    unix_s: float | None
    quality: TimeQuality
    LAYOUT = (
        *INTRODUCTION,
        ("room_bytes", Scaled(4, 1000, "kB")),
        ("queue", Scaled(1, 1, "pictures")),
        ("link", Unsigned(1)),
        ("interval_s", SECONDS),
        ("answer_wanted", Flag()),
        ("hosting", Flag()),
        ("unix_s", UNIX_S),
        ("quality", QUALITY),
    )


@dataclass(frozen=True, slots=True)
class NameAsk(Message):
    """What is your name, and what time is it?"""

    KIND = 2
    LAYOUT = ()


@dataclass(frozen=True, slots=True)
class Name(Message):
    """The answer. Time is told here too: a beacon may be one of long ago, said again."""

    KIND = 3
    name: str
    unix_s: float | None
    quality: TimeQuality
    LAYOUT = (("name", Letters()), ("unix_s", UNIX_S), ("quality", QUALITY))


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """The first message of a handshake; peer_boot: of the unit it is for, as its beacon has told."""

    KIND = 4
    CLEAR_BYTES = INTRODUCTION_BYTES
    card: int
    boot: int
    epoch: int
    peer_boot: int
    noise: bytes
    LAYOUT = (*INTRODUCTION, ("peer_boot", BOOT), ("noise", Raw(NOISE_BYTES)))


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    """The second, and last."""

    KIND = 5
    CLEAR_BYTES = INTRODUCTION_BYTES
    card: int
    boot: int
    epoch: int
    noise: bytes
    LAYOUT = (*INTRODUCTION, ("noise", Raw(NOISE_BYTES)))


@dataclass(frozen=True, slots=True)
class Ready(Message):
    """The first word under a new session, so that the other unit begins with it, too."""

    KIND = 6
    LAYOUT = ()


@dataclass(frozen=True, slots=True)
class RosterAsk(Message):
    """Give me the roster of a higher epoch than this one, which I have; from this byte on."""

    KIND = 7
    SEALED = False
    epoch: int
    at: int
    LAYOUT = (("epoch", EPOCH), ("at", Unsigned(2)))


@dataclass(frozen=True, slots=True)
class RosterPart(Message):
    """Some of a roster: the answer."""

    KIND = 8
    SEALED = False
    epoch: int
    whole_bytes: int
    at: int
    data: bytes
    LAYOUT = (
        ("epoch", EPOCH),
        ("whole_bytes", Unsigned(2)),
        ("at", Unsigned(2)),
        ("data", Rest(MAX_ROSTER_PART_BYTES)),
    )
    FIXED_BYTES = 6
