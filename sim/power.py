"""A program run on a card that the power may leave at any call: everything it does to the card, as a log.

The card is a real mount (fuse.py over forgetful.py) in a mount namespace of its own, so that it is gone with its
processes however they end. `run` starts two: one that answers the kernel, and below it the program.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import select
import signal
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import field
from multiprocessing.connection import Connection
from pathlib import Path

from hal.light_dataclass import dataclass
from sim.forgetful import Change, Files, Image
from sim.fuse import MARK, Faults, Kernel, PowerGone

SIZE_BYTES = 64_000_000  # of the card; the floor of HANDOVER §1 leaves 47 MB of it
_NEW_NAMESPACE, _NEW_USER = 0x0002_0000, 0x1000_0000  # CLONE_NEWNS, CLONE_NEWUSER of <linux/sched.h>
_DUMPABLE = 4  # PR_SET_DUMPABLE of <linux/prctl.h>
_PRIVATE = 0x4000 | 0x4_0000  # MS_REC | MS_PRIVATE of <linux/mount.h>
_CAREFUL = 2 | 4  # MS_NOSUID | MS_NODEV
Program = Callable[[Path], None]
"""What is run; its argument is the top directory of the card."""
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True)
class Recording:
    """What a run has left. calls: those that count; error: how the program failed, empty if it did not; cut: the power
    went before it had ended; start: changes of the log that only lay out what was there before."""

    log: list[Change] = field(default_factory=list)
    start: int = 0
    calls: int = 0
    error: str = ""
    cut: bool = False


def mark(top: Path, data: bytes) -> None:
    """To be called by the program: note in the log that it is so far."""
    os.setxattr(top, MARK, data)


def run(
    program: Program,
    *,
    image: Image | None = None,
    faults: Faults | None = None,
    size_bytes: int = SIZE_BYTES,
) -> Recording:
    """Run it in a process of its own, with the mount as its argument. image: what is on the card before.

    Raises OSError where this machine allows no such mount: see why_not().
    """
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as top:
        server = context.Process(
            target=_serve, args=(there, Path(top), program, image or {}, faults or Faults(), size_bytes)
        )
        server.start()
        there.close()
        result: object = None
        with contextlib.suppress(EOFError):
            result = here.recv()
        server.join()
    if isinstance(result, OSError):
        raise result
    assert isinstance(result, Recording), "the process that answers the kernel has failed"  # its trace is on stderr
    return result


def why_not() -> str:
    """Why no card can be mounted here, for a person; empty where it can."""
    if not os.path.exists("/dev/fuse"):
        return "this machine has no /dev/fuse (the kernel was built without FUSE, or the container hides it)"
    try:
        run(lambda top: (top / "a").mkdir())
    except OSError as error:
        return f"this kernel does not let us mount a file system of our own: {error}"
    return ""


def _serve(result: Connection, top: Path, program: Program, image: Image, faults: Faults, size_bytes: int) -> None:
    recording = Recording()
    try:
        descriptor = _mount(top)
    except OSError as error:
        result.send(error)
        return
    kernel = Kernel(Files.of(image, size_bytes, recording.log.append), faults)
    recording.start = len(recording.log)
    failure = Path(tempfile.mkstemp()[1])
    process, ended = _start(program, top, failure, descriptor)
    try:
        while _is_asked(descriptor, ended):
            kernel.serve(descriptor)
    except PowerGone:
        recording.cut = True
        os.kill(process, signal.SIGKILL)
    os.close(descriptor)  # ends whatever still waits for an answer
    os.waitpid(process, 0)
    recording.calls = kernel.calls
    recording.error = failure.read_text()
    failure.unlink()
    result.send(recording)


def _start(program: Program, top: Path, failure: Path, descriptor: int) -> tuple[int, int]:
    """The program's process, and a descriptor that ends with it."""
    ended, alive = os.pipe()
    process = os.fork()
    if process:
        os.close(alive)
        return process, ended
    os.close(descriptor)
    os.close(ended)
    try:
        program(top)
    except BaseException:  # noqa: BLE001 - it is told to whoever started the run
        failure.write_text(traceback.format_exc())
    os._exit(0)


def _is_asked(descriptor: int, ended: int) -> bool:
    """Wait; False once the program has ended and nothing is left to be answered."""
    ready, _, _ = select.select([descriptor, ended], [], [])
    if descriptor in ready:
        return True
    return bool(select.select([descriptor], [], [], 0)[0])


def _mount(top: Path) -> int:
    """Make a mount that only this process and those that it starts see; the descriptor that the kernel asks through."""
    user, group = os.getuid(), os.getgid()
    if _libc.unshare(_NEW_NAMESPACE):
        _check(_libc.unshare(_NEW_USER | _NEW_NAMESPACE), "unshare")
        _libc.prctl(_DUMPABLE, 1)  # else these files are root's: a test before may have run a command that keeps keys
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with contextlib.suppress(FileNotFoundError):
                Path(f"/proc/self/{name}").write_text(text)
    _check(_libc.mount(b"none", b"/", None, ctypes.c_ulong(_PRIVATE), None), "mount --make-rprivate /")
    descriptor = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={descriptor},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}".encode()
    _check(_libc.mount(b"card", bytes(top), b"fuse", ctypes.c_ulong(_CAREFUL), options), "mount -t fuse")
    return descriptor


def _check(result: int, doing: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{doing}: {os.strerror(number)}")
