"""A smoke test of the Raspberry Pi's processor: `python -m sim.board.arm64`.

Debian trixie's Python for aarch64 runs in qemu's user-mode emulation, with the wheels that pip takes there. It imports
the unit and the shell around it, and does what sim/board/arm64_smoke.py says. Not seen there: any device.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from firmware.errors import Refused
from sim.board import recipe
from sim.board.image import PYTHON, alone, call, debian, needs

QEMU = "qemu-aarch64-static"
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
PACKAGES = ("python3", "ca-certificates")
SOURCES = ("crcmod >= 1.7, < 2",)  # no wheel: its C extension is of this machine and not found there
SMOKE = Path(__file__).with_name("arm64_smoke.py")
SMOKE_S = 1800.0  # takes a minute of one processor; there may be others that want it


def main() -> int:
    """0 if the software runs there."""
    try:
        needs({QEMU: "qemu-user-static"})
        with alone("arm64-" + recipe.hash_of([recipe.SUITE, *PACKAGES, "", *recipe.needs_of_the_unit()])) as directory:
            if not (directory / "made").exists():
                _make(directory / "root", directory / "site", directory / "log")
                (directory / "made").touch()
        return _run(directory)
    except Refused as error:
        print(error, file=sys.stderr)
        return 2


def _make(root: Path, site: Path, log: Path) -> None:
    debian(PACKAGES, [], log, root=root, architecture="arm64")  # of what is only unpacked no hook is run
    (root / "lib").symlink_to("usr/lib")  # where the loader is looked for
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(site)]
    wheel = [*pip, "--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp"]
    wheel += [word for platform in PLATFORMS for word in ("--platform", platform)]
    call([*wheel, *recipe.needs_of_the_unit()], log)
    call([*pip, "--no-deps", "--no-binary=:all:", *SOURCES], log)


def _run(directory: Path) -> int:
    root = directory / "root"
    environment = {
        "PYTHONPATH": f"{recipe.ROOT}:{directory / 'site'}",
        "PYTHONPYCACHEPREFIX": str(directory / "compiled"),
    }
    words = [QEMU, "-L", str(root), str(root / "usr" / "bin" / f"python{PYTHON}"), str(SMOKE)]
    return subprocess.run(words, env=os.environ | environment, timeout=SMOKE_S, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
