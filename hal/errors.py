"""The root of every error of this project, and the branch "the hardware failed".

DandelionError                  carries what happened, what the unit did about it, what a person can do
├── HardwareError (OSError)     the machine failed us; here
│   ├── CardError               the SD card: read, write or sync failed
│   │   ├── CardFull            no room on the file system (ENOSPC); nothing was changed
│   │   └── CardReadOnly        the card no longer takes writes (EROFS)
│   ├── RadioError              the port is missing, was unplugged, or does not take what we write
│   │   └── PortBusy            another process holds the port
│   ├── CameraError             no picture: absent, busy, or its folder cannot be read
│   │   └── CameraHung (TimeoutError)   it did not answer; its child process was killed
│   └── PinError                a button, motion sensor or LED: no library, no permission, or the pin is taken
├── PeerError (ValueError)      another unit broke the protocol; firmware/errors.py
└── MisuseError (ValueError)    we were misused: wrong config, wrong command; firmware/errors.py
"""


class DandelionError(Exception):
    """Root of all errors raised on purpose.

    what: what happened. did: what the unit did about it. can: what the reader can do. Each a clause without
    a full stop; did and can may be empty.
    """

    def __init__(self, what: str, *, did: str = "", can: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.did = did
        self.can = can

    def __str__(self) -> str:
        return "; ".join(part for part in (self.what, self.did, self.can) if part)


class HardwareError(DandelionError, OSError):
    """The machine failed; the unit goes on with what is left."""


class CardError(HardwareError):
    """A read, write or sync of the card failed (EIO and the like)."""


class CardFull(CardError):
    """The file system has no room (ENOSPC); whatever was begun has been undone."""


class CardReadOnly(CardError):
    """The card takes no writes (EROFS): worn out, locked, or remounted after errors."""


class RadioError(HardwareError):
    """The port is missing, was unplugged, or does not take what we write."""


class PortBusy(RadioError):
    """Another process holds the port."""


class CameraError(HardwareError):
    """The camera gave no picture."""


class CameraHung(CameraError, TimeoutError):
    """The camera did not answer in time; its child process was killed and is started anew at the next shot."""


class PinError(HardwareError):
    """The pin of a button, a motion sensor or an LED cannot be used."""
