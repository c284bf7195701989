"""Makes the virtual board's card image, as sim/board/recipe.py says, once for each recipe, outside the tree.

The mirror is that of this machine's apt, the index that of this machine's pip. Neither is written into the image.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from firmware.errors import Refused
from sim.board import recipe

PYTHON = "3.13"  # trixie's
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
PROGRAMS = {"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "e2fsck": "e2fsprogs"}  # and their packages
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def cache() -> Path:
    """Where images and kernels are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "dandelion-board"


@contextmanager
def alone(name: str) -> Iterator[Path]:
    """The cache's directory of that name, while nobody else makes anything in it."""
    directory = cache() / name
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield directory


def image() -> Path:
    """The root file system of a board, ext4: made now, in some minutes, if it is not there. Never write to it."""
    with alone(recipe.key()) as directory:
        made = directory / "root.ext4"
        if not made.exists():
            print(f"making the virtual board's card image in {directory}, some minutes", file=sys.stderr, flush=True)
            _make(directory, made)
        return made


def wheels() -> Path:
    """The directory of wheels that image() was made with, for an installer inside a board, which has no network."""
    image()
    return cache() / recipe.key() / "wheels"


def needs(programs: dict[str, str]) -> None:
    """Refused where one of these programs is missing on this machine."""
    missing = sorted({package for program, package in programs.items() if shutil.which(program, path=_path()) is None})
    if missing:
        raise Refused("the virtual board cannot be made here", can=f"install {', '.join(missing)}")


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def call(words: Sequence[str], log: Path, **more: str) -> None:
    """Run this to its end. Refused, with the end of what it said, if it fails."""
    with log.open("ab") as said:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=_env(more), check=False)
    if done.returncode:
        tail = "".join(log.read_text(errors="replace").splitlines(keepends=True)[-20:])
        raise Refused(f"{words[0]} ended with {done.returncode}:\n{tail}", can=f"read {log}")


def _env(more: dict[str, str]) -> dict[str, str]:
    return os.environ | {"PATH": _path()} | more


def mirror() -> str:
    """The URI of the Debian archive that this machine's apt asks first."""
    form = "$(RELEASE)|$(COMPONENT)|$(REPO_URI)"
    asked = ["apt-get", "indextargets", "--no-release-info", "--format", form, "Created-By: Packages"]
    targets = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    for target in targets:
        release, component, uri = target.split("|")
        if component == "main" and "-" not in release:  # no updates, no security
            return uri
    raise Refused("this machine's apt names no Debian archive")


def _make(directory: Path, made: Path) -> None:
    found = directory / "wheels"
    download(found, directory / "pip.log")
    log = directory / "log"
    new = made.with_suffix(".new")
    hooks = [
        f"cp -r '{found}' \"$1\"/wheels && cp -r '{recipe.FILES}' \"$1\"/files",
        f'chroot "$1" sh /files/make-root.sh {recipe.VENV} {recipe.MACHINE_ID}',
        'rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*',
        # by another way to the same root, on which /proc and the like are not mounted
        f"bare=$(mktemp -d) && mount --bind \"$1\" $bare && truncate --size {recipe.IMAGE_BYTES} '{new}' "
        f"&& mke2fs -q -F -t ext4 -L root -d $bare '{new}' && umount $bare && rmdir $bare",
    ]
    debian(recipe.PACKAGES, hooks, log)
    new.rename(made)


def debian(
    packages: Sequence[str], hooks: Sequence[str], log: Path, *, root: Path | None = None, architecture: str = ""
) -> None:
    """Install these, and what they need, into a new root; run these shell commands with it as $1; remove it.

    root: make it there, and leave it. architecture: another one than this machine's, of which nothing is run.
    """
    needs(PROGRAMS)
    words = ["mmdebstrap", f"--include={','.join(packages)}", f"--keyring={KEYRING}"]
    words += ["--aptopt=Acquire::Check-Valid-Until false", "--aptopt=Apt::Install-Recommends false"]
    words += [f"--architectures={architecture}", "--variant=extract"] if architecture else ["--variant=apt"]
    words += [f"--customize-hook={hook}" for hook in hooks]
    target = (
        ["--format=null", recipe.SUITE, "/dev/null"]
        if root is None
        else ["--format=directory", recipe.SUITE, str(root)]
    )
    log.write_text("")
    call([*words, *target, mirror()], log)


def download(directory: Path, log: Path) -> None:
    """Wheels for the board's Python, and the sources of what has none."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(directory)]
    wheel = [*pip, "--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp"]
    wheel += [word for platform in PLATFORMS for word in ("--platform", platform)]
    call([*wheel, *recipe.WITH_NEEDS, *recipe.needs_of_the_unit()], log)
    call([*wheel, "--no-deps", *recipe.WITHOUT_NEEDS], log)
    call([*pip, "--no-deps", "--no-binary=:all:", *recipe.SOURCES], log, PYPI="1")
