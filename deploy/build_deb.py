"""Builds the Debian package of this checkout: `python -m deploy.build_deb -o DIR`, with nothing but dpkg-deb.

The same checkout gives the same bytes. Nothing of ours is compiled: crcmod's extension comes with its own package.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from firmware import VERSION

SOURCE = Path(__file__).resolve().parent.parent
DEBIAN = SOURCE / "deploy" / "debian"
LIBRARY = "usr/lib/dandelion"
PACKAGES = ("deploy", "firmware", "hal", "sim")
NOT_INSTALLED = {"build_deb.py"}
PROGRAMS = {"usr/bin/dandelion": "firmware.cli", "usr/sbin/dandelion-setup": "deploy.setup_board"}
DOCUMENTS = "usr/share/doc/dandelion"
PLACES = {  # from deploy/ to where it belongs
    "systemd/dandelion.service": "usr/lib/systemd/system/dandelion.service",
    "systemd/dandelion-take-in.service": "usr/lib/systemd/system/dandelion-take-in.service",
    "systemd/system.conf": "usr/lib/systemd/system.conf.d/dandelion.conf",
    "systemd/journald.conf": "usr/lib/systemd/journald.conf.d/dandelion.conf",
    "systemd/sysusers.conf": "usr/lib/sysusers.d/dandelion.conf",
    "systemd/udev.rules": "usr/lib/udev/rules.d/61-dandelion.rules",
    "config.example.toml": "usr/share/dandelion/config.example.toml",
    "debian/copyright": f"{DOCUMENTS}/copyright",
}
SCRIPTS = ("postinst", "prerm", "postrm")
EMPTY_DIRECTORIES = ("etc/dandelion",)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints where the package is."""
    parser = argparse.ArgumentParser(description="Build the Debian package of this checkout.")
    parser.add_argument("-o", dest="directory", type=Path, default=SOURCE / "build", metavar="DIR")
    print(build(parser.parse_args(argv).directory))
    return 0


def build(directory: Path) -> Path:
    """The package, in this directory, which is made if it is not there."""
    directory.mkdir(parents=True, exist_ok=True)
    changed_at = _changed_at()
    package = directory / f"dandelion_{VERSION}_all.deb"
    with tempfile.TemporaryDirectory(prefix="dandelion-deb-") as scratch:
        tree = Path(scratch) / "tree"
        _lay(tree, changed_at)
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(tree), str(package)],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(changed_at)},
        )
    return package


def _changed_at() -> int:
    """Unix time of the newest change; where there is no git, of the changelog."""
    words = ["git", "-C", str(SOURCE), "log", "-1", "--format=%ct"]
    try:
        return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return int((SOURCE / "CHANGELOG.md").stat().st_mtime)


# ---------------------------------------------------------------- the tree


def _lay(tree: Path, changed_at: int) -> None:
    for name in PACKAGES:
        for path in sorted((SOURCE / name).rglob("*")):
            if _is_installed(path):
                _put(path.read_bytes(), tree / LIBRARY / path.relative_to(SOURCE))
    for place, module in PROGRAMS.items():
        text = (SOURCE / "deploy" / "program").read_text(encoding="utf-8")
        _put(text.replace("@MODULE@", module).encode(), tree / place, mode=0o755)
    for name, place in PLACES.items():
        _put((SOURCE / "deploy" / name).read_bytes(), tree / place)
    for path in (
        *sorted((SOURCE / "docs").glob("*.md")),
        *sorted((SOURCE / "docs").glob("*.svg")),
        SOURCE / "README.md",
    ):
        _put(path.read_bytes(), tree / DOCUMENTS / path.name)
    for path in sorted(DEBIAN.glob("*.[18]")):
        _put(_packed(path.read_bytes()), tree / f"usr/share/man/man{path.suffix[1:]}" / f"{path.name}.gz")
    _put(_packed(_changelog(changed_at)), tree / DOCUMENTS / "changelog.gz")
    for name in EMPTY_DIRECTORIES:
        _make_directory(tree / name)
    control = (DEBIAN / "control").read_text(encoding="utf-8")
    size_kib = sum(-(-path.stat().st_size // 1024) for path in tree.rglob("*") if path.is_file())
    control = control.replace("@VERSION@", VERSION).replace("@SIZE@", str(size_kib))
    _put(_md5sums(tree), tree / "DEBIAN" / "md5sums")
    _put(control.encode(), tree / "DEBIAN" / "control")
    for name in SCRIPTS:
        _put((DEBIAN / name).read_bytes(), tree / "DEBIAN" / name, mode=0o755)


def _is_installed(path: Path) -> bool:
    """Programs and the data beside them."""
    wanted = path.suffix in (".py", ".jpg") or path.name == "py.typed"
    return wanted and path.is_file() and path.name not in NOT_INSTALLED


def _put(data: bytes, path: Path, *, mode: int = 0o644) -> None:
    _make_directory(path.parent)
    path.write_bytes(data)
    path.chmod(mode)


def _make_directory(path: Path) -> None:
    """With the usual mode, whatever the umask is."""
    if not path.is_dir():
        _make_directory(path.parent)
        path.mkdir()
        path.chmod(0o755)


def _packed(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)


def _md5sums(tree: Path) -> bytes:
    """For `dpkg --verify`."""
    files = [path for path in sorted(tree.rglob("*")) if path.is_file()]
    sums = [hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() for path in files]
    return "".join(f"{one}  {path.relative_to(tree)}\n" for one, path in zip(sums, files, strict=True)).encode()


def _changelog(changed_at: int) -> bytes:
    """What Debian wants to know; what has changed stands in CHANGELOG.md."""
    day = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(changed_at))
    maintainer = next(
        line.removeprefix("Maintainer: ")
        for line in (DEBIAN / "control").read_text(encoding="utf-8").splitlines()
        if line.startswith("Maintainer: ")
    )
    return f"""\
dandelion ({VERSION}) stable; urgency=medium

  * Version {VERSION}; CHANGELOG.md of the project says what has changed.

 -- {maintainer}  {day}
""".encode()


if __name__ == "__main__":
    if shutil.which("dpkg-deb") is None:
        sys.exit("there is no dpkg-deb here: the package is built on Debian and its like")
    sys.exit(main())
