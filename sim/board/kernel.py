"""The virtual board's kernel: user-mode Linux, given, kept, or built from Debian's source.

$DANDELION_BOARD_KERNEL names one that is there, xz or not: one that kernel-config.sh has made elsewhere.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import sys
from pathlib import Path

from sim.board.image import alone, debian

GIVEN = "DANDELION_BOARD_KERNEL"
SOURCE = "linux-source-6.12"  # trixie's
PACKAGES = (SOURCE, "bc", "bison", "flex", "gcc", "libc6-dev", "make", "xz-utils")
SCRIPT = Path(__file__).with_name("kernel-config.sh")


def kernel() -> Path:
    """The kernel, an executable file; built now, in a quarter of an hour, if there is none."""
    given = os.environ.get(GIVEN)
    content = Path(given).read_bytes() if given else SCRIPT.read_bytes() + SOURCE.encode()
    with alone("kernel-" + hashlib.sha256(content).hexdigest()[:16]) as directory:
        made = directory / "linux"
        if not made.exists():
            new = made.with_suffix(".new")
            if given:
                new.write_bytes(lzma.decompress(content) if given.endswith(".xz") else content)
            else:
                print(f"building the virtual board's kernel in {directory}, a while", file=sys.stderr, flush=True)
                _build(new, directory / "log")
            new.chmod(0o755)
            new.rename(made)
        return made


def _build(new: Path, log: Path) -> None:
    hooks = [
        f'mkdir "$1"/source && tar -C "$1"/source --strip-components=1 -xf "$1"/usr/src/{SOURCE}.tar.xz',
        f'cp \'{SCRIPT}\' "$1"/build && chroot "$1" sh /build /source',
        f"cp \"$1\"/source/linux '{new}'",
    ]
    debian(PACKAGES, hooks, log)
