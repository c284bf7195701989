"""What the tests of commands share: units that answer at a control socket as told."""

import hashlib
import sys
from pathlib import Path

from control_server import serving

ID, OTHER = "00001-3fa7-00000042", "00002-0001-00000007"
FILE = bytes(range(256)) * 300
SHA256 = hashlib.sha256(FILE).digest()
COMMAND = (sys.executable, "-c", "import sys; from firmware.cli import main; sys.exit(main())")


def unit(place: Path, handler):
    """A unit that answers at the place's control socket."""
    return serving(place / "run" / "control.sock", handler)


class Recorder:
    """Answers every command with one row, and keeps the requests."""

    def __init__(self, row):
        self.row = row
        self.requests = []

    async def __call__(self, request, reply):
        self.requests.append(request)
        await reply.note("one moment")
        await reply.row(self.row)


def sends(file: bytes = FILE, sha256: bytes | None = SHA256, part_bytes: int = 10_000):
    """A handler of `get` that delivers this file, from what the command has on."""

    async def handler(request, reply):
        begins = request["have_bytes"]
        told = {"picture": request["picture"], "size_bytes": len(FILE), "sha256": sha256, "from_unit": 2}
        await reply.picture(**told, offset=begins)
        for offset in range(begins, len(file), part_bytes):
            await reply.data(offset, file[offset : offset + part_bytes])
        await reply.row({"picture": request["picture"], "air_bytes": 99_000})

    return handler
