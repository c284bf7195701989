"""The two branches of the error tree that the firmware adds to hal.errors (the whole tree is drawn there).

PeerError (ValueError)          another unit broke the protocol: the packet is counted and thrown away
├── DamagedPacket               truncated, too long, or fields that cannot be
├── UnknownVersion              a protocol version or message kind of the future
├── ForeignSession              sealed for another boot or session
├── WrongSeal                   of somebody without the right key, or changed on the way
├── Unproved                    of a start that does not answer: perhaps a recording
├── Replayed                    what was heard before, or is from before the sender's last start
├── NewerEpoch                  of a roster that this unit has not yet
├── OlderEpoch                  of one that has been replaced
├── Flooded                     of a unit that asks for more than its share
├── ClonedUnit                  another unit sends under our own unit number
└── BadRoster                   a roster that the admin of this network has not made, or not for us
MisuseError (ValueError)        we were misused: exit status 2 at the command line
├── ConfigError                 a key or value of the config file, or a file that it takes to have a credential
└── WrongArgument               an argument of a command
Refused                         a command that is right but cannot be done now: exit status 1
├── UnitRuns                    another process holds the lock of this runtime_dir
└── NobodyRuns (ConnectionError)   no unit holds the control socket
"""

from hal.errors import DandelionError


class PeerError(DandelionError, ValueError):
    """Another unit sent what the protocol does not allow."""


class DamagedPacket(PeerError):
    """Truncated, too long, or with field values that cannot be."""


class UnknownVersion(PeerError):
    """A protocol version or message kind that this software does not speak."""


class ForeignSession(PeerError):
    """A frame for another session: of a peer's or our own earlier boot.

    source: the unit that the frame names as its sender; it is answered by a beacon that asks for one (HANDOVER §5).
    """

    def __init__(self, what: str, *, source: int) -> None:
        super().__init__(what, did="the frame was thrown away")
        self.source = source


class WrongSeal(PeerError):
    """A frame whose seal is not right: of somebody without the key, of another network, or changed on the way.

    source: the unit that it names as its sender, where there is a session with that; else None.
    """

    def __init__(self, what: str, *, source: int | None = None) -> None:
        super().__init__(what, did="the frame was thrown away")
        self.source = source


class Unproved(PeerError):
    """A unit was introduced by a beacon and answers no handshake: it does not hear us, or is not there any more."""


class Replayed(PeerError):
    """A frame that was heard before, or one from before the last start of whoever sent it."""


class _OtherEpoch(PeerError):
    """A frame of another roster; source: the unit that it names as its sender. Nothing of it is proved."""

    def __init__(self, what: str, *, source: int, epoch: int) -> None:
        super().__init__(what, did="the frame was thrown away")
        self.source = source
        self.epoch = epoch


class NewerEpoch(_OtherEpoch):
    """Of a roster that this unit has not yet: the sender is asked for it."""


class OlderEpoch(_OtherEpoch):
    """Of a roster that has been replaced: a beacon tells the sender so."""


class Flooded(PeerError):
    """A message of a unit that has said more than the line carries answers for (firmware/quotas.py)."""


class ClonedUnit(PeerError):
    """A frame under our own unit number that we cannot have sent: an alarm (HANDOVER R11).

    The unit goes on sending until a handshake has shown that there is another one; without credentials it always does,
    for anybody could silence it with one frame.
    """


class BadRoster(PeerError):
    """Not signed by the admin of this network, not as rosters are written, or with no secret that our key opens."""


class MisuseError(DandelionError, ValueError):
    """Wrong usage or config; nothing was begun."""


class ConfigError(MisuseError):
    """A key or value of the config file is wrong; the text names the key, the value and what is allowed.

    Also of a credential or an admin's folder: damaged, or open to others. No text of these has a value that is secret.
    """


class WrongArgument(MisuseError):
    """An argument of a command is wrong."""


class Refused(DandelionError):
    """What was asked for is allowed but cannot be done now; says why and what can be done."""


class UnitRuns(Refused):
    """A unit runs here already, or whoever else holds the lock of this runtime_dir."""


class NobodyRuns(Refused, ConnectionError):
    """No unit holds the control socket; some commands can do without, some start a unit for their time."""
