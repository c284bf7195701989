"""What the virtual board's card image is made of: packages, wheels and the few files of its own; and its key."""

from __future__ import annotations

import configparser
import hashlib
from collections.abc import Sequence
from pathlib import Path

SUITE = "trixie"
ROOT = Path(__file__).parent.parent.parent
FILES = Path(__file__).parent / "files"  # what goes into the image, and the script that puts it there
IMAGE_BYTES = 2_000_000_000  # the root file system; 1.1 GB of it are used
MACHINE_ID = "0123456789abcdef0123456789abcdef"  # any will do; without one, the first boot spends 15 s on presets
VENV = "/opt/v"  # in the image; its Python runs the checkout, the system's what is installed there

# What a Raspberry Pi OS has, or apt gives there: systemd and udev, Python, libcamera with its Python bindings, and what
# picamera2 imports of the system's.
PACKAGES = (
    *("ca-certificates", "systemd-sysv", "udev", "dbus", "kmod", "passwd", "procps", "e2fsprogs", "dmsetup"),
    "dosfstools",
    *("python3", "python3-venv", "python3-pip", "gpiod"),
    *("python3-libcamera", "libcamera-tools", "libcamera-ipa"),
    *("python3-prctl", "python3-piexif", "python3-av", "python3-numpy", "python3-pil", "python3-libarchive-c"),
    "python3-jsonschema",
    # what the software's own package depends on: the installer in a board has no network
    *("python3-serial", "python3-crcmod", "python3-transitions", "python3-cryptography", "python3-mnemonic"),
    "python3-rich",
    *("gcc", "libc6-dev", "python3-dev", "swig"),  # there is no wheel of lgpio for Python 3.13; crcmod's C extension
)
# Wheels for Python 3.13 that come with what they need of others.
WITH_NEEDS = ("setuptools >= 77", "wheel", "pytest >= 8", "pytest-timeout >= 2.3", "hypothesis >= 6.100")
# Those whose needs are the system's packages above.
WITHOUT_NEEDS = ("picamera2 == 0.3.38", "simplejpeg", "videodev2", "tqdm", "OpenEXR", "rpi-lgpio >= 0.6")
# Compiled in the image. lgpio: an older one than that is an empty wheel, which pip prefers where it may.
SOURCES = ("crcmod >= 1.7, < 2", "lgpio >= 0.2.2", "pidng >= 4.0.9")


def needs_of_the_unit() -> list[str]:
    """What setup.cfg says that the software needs, but for what is compiled."""
    setup = configparser.ConfigParser()
    setup.read_string((ROOT / "setup.cfg").read_text(encoding="utf-8"))
    lines = setup["options"]["install_requires"].splitlines()
    return [line for line in lines if line and not line.startswith("crcmod")]


def key() -> str:
    """Another one whenever anything that goes into the image changes."""
    parts = [SUITE, str(IMAGE_BYTES), MACHINE_ID, *PACKAGES, "", *WITH_NEEDS, "", *WITHOUT_NEEDS, "", *SOURCES]
    return hash_of([*parts, "", *needs_of_the_unit()], *(path.read_bytes() for path in sorted(FILES.iterdir())))


def hash_of(parts: Sequence[str], *contents: bytes) -> str:
    """For a directory of the cache: other parts or contents, another name."""
    return hashlib.sha256(b"\0".join([*(part.encode() for part in parts), *contents])).hexdigest()[:16]
