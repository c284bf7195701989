"""The camera in its child process: the folder's order, faults of files, and children that hang, die or lie."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import resource
import select
import signal
import struct
import subprocess
import sys
import textwrap
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hal.child_camera import ChildCamera, MemfdShot
from hal.errors import CameraError, CameraHung
from hal.interfaces import Occasion, TimeQuality
from hal.probes.holders import holders
from sim.camera import grey_jpeg
from sim.jpegs import progressive

PATIENCE_S = 60.0  # for what must happen
OCCASION = Occasion(1, None, TimeQuality.UNSET)
NAMES = ("a.jpg", "b.jpg", "c.jpg")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    for name in NAMES:
        (made / name).write_bytes(grey_jpeg(random.Random(name), 3000))
    return made


@pytest.fixture
def camera(folder: Path) -> Iterator[ChildCamera]:
    made = ChildCamera("folder", folder=folder, size=(640, 480), quality=85)
    yield made
    made.close()


def whole(shot: MemfdShot) -> bytes:
    data = shot.read(0, shot.size_bytes)
    shot.close()
    return data


def names(camera: ChildCamera, folder: Path, count: int) -> list[str]:
    """Which of the folder's files the next shots are, by their bytes."""
    known = {path.read_bytes(): path.name for path in folder.glob("*.jpg") if path.is_file()}
    return [known[whole(camera.capture(PATIENCE_S, OCCASION))] for _ in range(count)]


def gone(pidfd: int) -> bool:
    """Whether the process ended within our patience."""
    return bool(select.select([pidfd], [], [], PATIENCE_S)[0])


def pidfd_of(camera: ChildCamera) -> int:
    assert camera.child_pid is not None
    return os.pidfd_open(camera.child_pid)


# The folder.


def test_shots_are_the_files_in_name_order_round_and_round_unaltered(camera: ChildCamera, folder: Path) -> None:
    assert names(camera, folder, 7) == [*NAMES, *NAMES, "a.jpg"]


def test_each_start_of_the_unit_begins_with_the_first(camera: ChildCamera, folder: Path) -> None:
    assert names(camera, folder, 2) == ["a.jpg", "b.jpg"]
    again = ChildCamera("folder", folder=folder, size=(640, 480), quality=85)
    assert names(again, folder, 1) == ["a.jpg"]
    again.close()


def test_only_visible_regular_jpg_files_are_pictures(camera: ChildCamera, folder: Path) -> None:
    (folder / ".hidden.jpg").write_bytes(b"x")
    (folder / "a.txt").write_bytes(b"x")
    (folder / "b.JPG").write_bytes(b"x")
    (folder / "aa.jpg").mkdir()
    os.mkfifo(folder / "ab.jpg")
    assert names(camera, folder, 4) == [*NAMES, "a.jpg"]


def test_files_put_in_and_taken_out_count_from_the_next_shot_on(camera: ChildCamera, folder: Path) -> None:
    assert names(camera, folder, 1) == ["a.jpg"]
    (folder / "aa.jpg").write_bytes(grey_jpeg(random.Random(5), 4000))
    (folder / "b.jpg").unlink()
    assert names(camera, folder, 3) == ["aa.jpg", "c.jpg", "a.jpg"]


def test_names_that_are_no_text_are_taken_and_told(camera: ChildCamera, folder: Path) -> None:
    odd = os.fsencode(folder) + b"/b\xff\n.jpg"
    with open(odd, "wb") as file:
        file.write(b"no jpeg")
    assert names(camera, folder, 2) == ["a.jpg", "b.jpg"]
    with pytest.raises(CameraError, match="not a JPEG") as caught:
        camera.capture(PATIENCE_S, OCCASION)
    str(caught.value).encode()
    assert names(camera, folder, 1) == ["c.jpg"]


@pytest.mark.parametrize("spoil", ["empty", "missing", "not a directory"])
def test_a_folder_without_pictures_is_told_and_heals(tmp_path: Path, spoil: str) -> None:
    folder = tmp_path / "later"
    if spoil == "empty":
        folder.mkdir()
    if spoil == "not a directory":
        folder.write_bytes(b"")
    camera = ChildCamera("folder", folder=folder, size=(640, 480), quality=85)
    for attempt in (camera.open, lambda: camera.capture(PATIENCE_S, OCCASION), camera.open):
        with pytest.raises(CameraError, match=str(folder)) as caught:
            attempt()
        assert caught.value.did
        assert caught.value.can
    if spoil == "not a directory":
        folder.unlink()
    folder.mkdir(exist_ok=True)
    (folder / "x.jpg").write_bytes(grey_jpeg(random.Random(1), 500))
    camera.open()
    assert names(camera, folder, 2) == ["x.jpg", "x.jpg"]
    camera.close()


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"GIF89a" + bytes(100)])
def test_a_file_that_is_no_jpeg_is_named_and_the_next_shot_goes_on(
    camera: ChildCamera, folder: Path, content: bytes
) -> None:
    (folder / "b.jpg").write_bytes(content)
    assert names(camera, folder, 1) == ["a.jpg"]
    child = camera.child_pid
    with pytest.raises(CameraError, match=r"b\.jpg is not a JPEG"):
        camera.capture(PATIENCE_S, OCCASION)
    assert names(camera, folder, 2) == ["c.jpg", "a.jpg"]
    assert camera.child_pid == child


def test_a_file_that_is_too_long_is_refused(camera: ChildCamera, folder: Path) -> None:
    with open(folder / "a.jpg", "r+b") as file:
        file.truncate(65_000_000)
    with pytest.raises(CameraError, match="longer than 64 MB"):
        camera.capture(PATIENCE_S, OCCASION)
    assert names(camera, folder, 1) == ["b.jpg"]


def test_a_jpeg_that_cannot_be_decoded_is_delivered_without_a_preview(
    camera: ChildCamera, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    half = (folder / "a.jpg").read_bytes()[:2000]
    (folder / "a.jpg").write_bytes(half)
    shot = camera.capture(PATIENCE_S, OCCASION)
    assert shot.preview == b""
    assert shot.sha256 == hashlib.sha256(half).digest()
    assert whole(shot) == half
    assert capfd.readouterr() == ("", "")


# Pictures that do harm.


def png(size: tuple[int, int]) -> bytes:
    """The head of one of this size: enough for a decoder to make room for its pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


BOMBS = {
    "more pixels than there is memory": progressive((60_000, 60_000), scans=1),
    "more colours than there is memory": progressive((9999, 9999), components=4, scans=1),
    "garbage behind its first bytes": b"\xff\xd8\xff" + random.Random(1).randbytes(100_000),
    "nothing but markers": b"\xff\xd8" + b"\xff\xda\x00\x02" * 100_000,
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_picture_that_does_harm_is_delivered_and_the_child_goes_on(
    camera: ChildCamera, folder: Path, kind: str
) -> None:
    (folder / "a.jpg").write_bytes(BOMBS[kind])
    shot = camera.capture(PATIENCE_S, OCCASION)
    child = camera.child_pid
    assert shot.preview == b""
    assert whole(shot) == BOMBS[kind]
    assert names(camera, folder, 2) == ["b.jpg", "c.jpg"]
    assert camera.child_pid == child


def test_a_bomb_of_another_kind_is_refused(camera: ChildCamera, folder: Path) -> None:
    (folder / "a.jpg").write_bytes(png((60_000, 60_000)))
    with pytest.raises(CameraError, match=r"a\.jpg is not a JPEG"):
        camera.capture(PATIENCE_S, OCCASION)
    assert names(camera, folder, 1) == ["b.jpg"]


PREVIEWS = """\
import io, os, resource, signal, sys
from hal import camera_child
from hal.jpeg import make_preview
from sim.camera import GREY_JPEG
from sim.jpegs import progressive
{before}
print(len(camera_child.preview_of(io.BytesIO({picture}), {max_s})), flush=True)
camera_child.make_preview = make_preview
print(len(camera_child.preview_of(io.BytesIO(GREY_JPEG))) > 0, flush=True)
"""
DEADLY = {
    "would take a minute": ("", "progressive((9999, 9999), scans=2000)", 0.2),
    "ends the decoder": ("camera_child.make_preview = lambda _: os.kill(os.getpid(), signal.SIGSEGV)", "b''", 60),
    "raises what nobody expects": ("camera_child.make_preview = lambda _: sys.exit(3)", "b''", 60),
}


def previews(before: str, picture: str, max_s: float) -> list[str]:
    """What the two previews of such a process are: how long the first, whether there is one of a good picture next."""
    program = PREVIEWS.format(before=before, picture=picture, max_s=max_s)
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, text=True)
    return done.stdout.split()


@pytest.mark.parametrize("kind", DEADLY)
def test_a_picture_whose_decoding_hangs_or_dies_has_no_preview_and_the_next_has_one(kind: str) -> None:
    assert previews(*DEADLY[kind]) == ["0", "True"]


def test_where_no_process_can_be_made_there_is_no_preview() -> None:
    limit = "resource.setrlimit(resource.RLIMIT_NPROC, (0, 0)); os.getuid() or os.setuid(65534)"
    assert previews(limit, "GREY_JPEG", 60) == ["0", "False"]


# The pattern.


def test_no_two_patterns_are_alike_over_starts_of_the_unit() -> None:
    digests = set()
    for _ in range(2):
        camera = ChildCamera("pattern", folder=None, size=(160, 120), quality=85)
        digests |= {hashlib.sha256(whole(camera.capture(PATIENCE_S, OCCASION))).digest() for _ in range(3)}
        camera.close()
    assert len(digests) == 6


# Hanging, dying and lying children.


def test_a_hanging_child_is_killed_and_the_next_one_goes_on_in_the_folder(camera: ChildCamera, folder: Path) -> None:
    assert names(camera, folder, 1) == ["a.jpg"]
    child = pidfd_of(camera)
    signal.pidfd_send_signal(child, signal.SIGSTOP)
    with pytest.raises(CameraHung, match=r"did not answer within 0\.1 s"):
        camera.capture(0.1, OCCASION)
    assert gone(child)
    os.close(child)
    assert names(camera, folder, 2) == ["b.jpg", "c.jpg"]


def test_a_child_that_dies_between_shots_is_not_missed(camera: ChildCamera, folder: Path) -> None:
    assert names(camera, folder, 2) == ["a.jpg", "b.jpg"]
    child = pidfd_of(camera)
    signal.pidfd_send_signal(child, signal.SIGKILL)
    assert gone(child)
    os.close(child)
    assert names(camera, folder, 2) == ["c.jpg", "a.jpg"]


PREAMBLE = """\
#!{python}
import fcntl, os, signal, socket, sys
from hal.camera_line import *
line = socket.socket(fileno=int(sys.argv[4]))  # after -P -m hal.camera_child
line.send(encode(Ready("")))
line.recv(MESSAGE_MAX_BYTES)
line.send(encode(Chosen("a.jpg")))
memory = os.memfd_create("picture", os.MFD_ALLOW_SEALING)
os.write(memory, b"12345")
taken = Taken(size_bytes=5, sha256="00" * 32, id_at=NO_FIELD, preview=b"")
"""

WRONG_CHILDREN = {
    "dies with a message": ("print('lens fell off', file=sys.stderr); sys.exit(7)", "exit status 7: lens fell off"),
    "dies of a signal": ("os.kill(os.getpid(), signal.SIGKILL)", "signal 9"),
    "talks nonsense": ("line.send(b'cheese'); signal.pause()", "wrong answer"),
    "greets again": ("line.send(encode(Ready(''))); signal.pause()", "wrong answer"),
    "gives no descriptor": ("line.send(encode(taken)); signal.pause()", "wrong answer"),
    "has no field where it says": (
        "os.ftruncate(memory, 99); fcntl.fcntl(memory, fcntl.F_ADD_SEALS, SEALS); "
        "bent = Taken(size_bytes=99, sha256='00' * 32, id_at=3, preview=b''); "
        "socket.send_fds(line, [encode(bent)], [memory]); signal.pause()",
        "wrong answer",
    ),
    "does not seal": ("socket.send_fds(line, [encode(taken)], [memory]); signal.pause()", "wrong answer"),
}


@pytest.mark.parametrize("fault", WRONG_CHILDREN)
def test_a_wrong_child_is_told_and_replaced(
    camera: ChildCamera, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    deed, told = WRONG_CHILDREN[fault]
    program = tmp_path / "child"
    program.write_text(PREAMBLE.format(python=sys.executable) + deed)
    program.chmod(0o700)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(program))
        camera.open()
        with pytest.raises(CameraError, match=told):
            camera.capture(PATIENCE_S, OCCASION)
    assert camera.child_pid is None
    assert names(camera, folder, 1) == ["b.jpg"]  # a.jpg was chosen before it went wrong


@pytest.mark.parametrize(
    ("executable", "told"), [("/bin/false", "exit status 1"), ("/nowhere/python", "cannot be started")]
)
def test_a_child_that_cannot_start_is_told(
    camera: ChildCamera, folder: Path, monkeypatch: pytest.MonkeyPatch, executable: str, told: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", executable)
        for attempt in (camera.open, lambda: camera.capture(PATIENCE_S, OCCASION)):
            with pytest.raises(CameraError, match=told):
                attempt()
    assert names(camera, folder, 1) == ["a.jpg"]


def test_where_no_descriptor_is_left_no_child_starts_and_that_is_told(camera: ChildCamera, folder: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(os.listdir("/proc/self/fd"))
    for free in range(4):
        resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + free, before[1]))
        try:
            with pytest.raises(CameraError, match="cannot be started: Too many open files"):
                camera.open()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert len(os.listdir("/proc/self/fd")) == in_use
    assert names(camera, folder, 1) == ["a.jpg"]


def test_a_link_in_a_circle_is_no_picture(camera: ChildCamera, folder: Path) -> None:
    (folder / "aa.jpg").symlink_to("aa.jpg")
    (folder / "ab.jpg").symlink_to("nowhere")
    assert names(camera, folder, 4) == ["a.jpg", "b.jpg", "c.jpg", "a.jpg"]


def test_close_ends_a_hanging_capture_of_another_thread(camera: ChildCamera) -> None:
    camera.open()
    child = pidfd_of(camera)
    signal.pidfd_send_signal(child, signal.SIGSTOP)
    raised: list[CameraError] = []

    def capture() -> None:
        try:
            camera.capture(PATIENCE_S, OCCASION)
        except CameraError as error:
            raised.append(error)

    thread = threading.Thread(target=capture)
    thread.start()
    camera.close()
    thread.join(PATIENCE_S / 2)
    assert [error.what for error in raised] == ["the camera was closed"]
    assert gone(child)
    os.close(child)


# What the child keeps to and leaves behind.


def run(program: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE)


def assert_ended_by_its_alarm(program: str) -> None:
    child = run(program)
    ended = os.pidfd_open(child.pid)
    try:
        assert gone(ended)
        assert child.wait() == -signal.SIGALRM
    finally:
        child.kill()
        os.close(ended)
        assert child.stdout is not None
        child.stdout.close()


def test_a_killed_parent_takes_its_child_along() -> None:
    parent = run(
        """
        from hal.child_camera import ChildCamera
        camera = ChildCamera("pattern", folder=None, size=(160, 120), quality=85)
        camera.open()
        print(camera.child_pid, flush=True)
        input()
        """
    )
    assert parent.stdout is not None
    child = os.pidfd_open(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(child)
    os.close(child)


def test_a_capture_that_hangs_without_a_parent_is_ended_by_its_alarm() -> None:
    assert_ended_by_its_alarm(
        """
        import socket, threading
        from hal.camera_child import serve
        from hal.camera_line import encode, request_of
        from hal.interfaces import Occasion, TimeQuality

        class Stuck:
            note = ""
            def choose(self, request):
                return "x"
            def take(self, name, request, into):
                threading.Event().wait()

        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.send(encode(request_of(1, "", 0.0, Occasion(1, None, TimeQuality.UNSET))))
        serve(theirs, Stuck())
        """
    )


def test_a_camera_that_hangs_while_it_is_given_back_is_ended_though_nobody_is_left_to_do_so() -> None:
    assert_ended_by_its_alarm(
        """
        import socket, threading
        from hal import camera_child

        class Stuck:
            note = ""
            def choose(self, request):
                return "x"
            def close(self):
                threading.Event().wait()

        camera_child.GIVE_BACK_MAX_S = 0.05
        camera_child._source = lambda words: Stuck()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.close()
        camera_child.main([str(theirs.detach()), "pattern", "1", "1", "1", "1"])
        """
    )


def test_the_daemon_side_does_not_import_pillow() -> None:
    child = run("import sys, hal.child_camera; sys.exit('PIL' in sys.modules)")
    assert child.wait(PATIENCE_S) == 0
    assert child.stdout is not None
    child.stdout.close()


def test_a_package_hal_in_the_current_directory_is_not_taken_for_ours(
    camera: ChildCamera, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hal.py").write_text("raise SystemExit('wrong hal')")
    monkeypatch.chdir(tmp_path)
    assert names(camera, folder, 1) == ["a.jpg"]


def test_a_relative_folder_is_that_of_the_start(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    camera = ChildCamera("folder", folder=Path("folder"), size=(640, 480), quality=85)
    monkeypatch.chdir("/")
    assert names(camera, folder, 1) == ["a.jpg"]
    camera.close()


def test_no_descriptor_is_left_behind(camera: ChildCamera, folder: Path) -> None:
    def descriptors() -> set[str]:
        return set(os.listdir("/proc/self/fd"))

    before = descriptors()
    for _ in range(3):
        names(camera, folder, 5)
        (folder / "b.jpg").write_bytes(b"no jpeg")
        with pytest.raises(CameraError):
            names(camera, folder, 3)
        (folder / "b.jpg").write_bytes(grey_jpeg(random.Random(5), 3000))
        camera.close()
        camera.open()
    camera.close()
    assert descriptors() == before


def test_nobody_can_alter_a_shot(camera: ChildCamera) -> None:
    shot = camera.capture(PATIENCE_S, OCCASION)
    data = shot.read(0, shot.size_bytes)
    for name in os.listdir("/proc/self/fd"):
        if shot_is_behind(int(name)):
            break
    else:
        pytest.fail("no memfd found")
    attempts: tuple[Callable[[int], object], ...] = (
        lambda memory: os.pwrite(memory, b"x", 0),
        lambda memory: os.ftruncate(memory, 0),
        lambda memory: fcntl.fcntl(memory, fcntl.F_ADD_SEALS, 0),
    )
    with open(f"/proc/self/fd/{name}", "r+b", buffering=0) as memory:
        for attempt in attempts:
            with pytest.raises(OSError, match="not permitted"):
                attempt(memory.fileno())
    assert whole(shot) == data


def shot_is_behind(descriptor: int) -> bool:
    try:
        return "memfd:picture" in os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:
        return False  # that of the listing itself


# The board's camera: what is told where it cannot be used. With the real library: contract/test_picamera2.py.


FAILING = """\
#!{python}
import socket, sys
from hal.camera_line import *
from hal.errors import CameraError
line = socket.socket(fileno=int(sys.argv[4]))
open({starts!r}, "a").write("x")
line.send(encode({greeting}))
while packet := line.recv(MESSAGE_MAX_BYTES):
    line.send(encode(Chosen("")))
    line.send(encode(Failed(what="it shook", did="", can="")))
"""


@dataclass
class Board:
    """A camera of the driver picamera2 whose child is such a program; how often that was started, and its clock."""

    camera: ChildCamera
    starts: Path
    now: float = 0.0

    @property
    def started(self) -> int:
        return len(self.starts.read_text())


@pytest.fixture
def board(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    program, starts = tmp_path / "child", tmp_path / "starts"
    starts.touch()
    text = FAILING.format(python=sys.executable, starts=str(starts), greeting=request.param)
    program.write_text(text)
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    camera = ChildCamera("picamera2", folder=None, size=(640, 480), quality=85, clock=lambda: board.now)
    board = Board(camera, starts)
    yield board
    camera.close()


@pytest.mark.parametrize("board", ['Failed(what="busy", did="", can="")'], indirect=True)
def test_a_camera_that_cannot_be_opened_is_left_alone_for_a_while_and_told_meanwhile(board: Board) -> None:
    started = []
    for board.now in (0.0, 0.9, 1.0, 2.9, 3.0, 7.9, 8.0, 17.9, 18.0, 27.9, 28.0):
        for attempt in (lambda: board.camera.capture(PATIENCE_S, OCCASION), board.camera.open):
            with pytest.raises(CameraError, match="busy"):
                attempt()
        started.append(board.started)
    assert started == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6]  # after 1, 2, 5 s, and then each 10
    assert board.camera.child_pid is None


@pytest.mark.parametrize("board", ['Ready("another size")'], indirect=True)
def test_a_camera_that_has_failed_begins_anew_with_the_next_shot(board: Board) -> None:
    board.camera.open()
    assert board.camera.note == "another size"
    for number in (1, 2):
        with pytest.raises(CameraError, match="it shook"):
            board.camera.capture(PATIENCE_S, OCCASION)
        assert board.camera.child_pid is None
        assert board.started == number


def test_without_picamera2_it_is_told_how_to_install_it() -> None:
    camera = ChildCamera("picamera2", folder=None, size=(640, 480), quality=85)
    with pytest.raises(CameraError, match="picamera2 cannot be imported") as caught:
        camera.open()
    assert "--system-site-packages" in caught.value.can
    assert camera.child_pid is None


def test_the_process_that_holds_the_camera_is_named(tmp_path: Path) -> None:
    devices = [tmp_path / "media0", tmp_path / "media1"]
    for device in devices:
        device.touch()
    assert holders([*map(str, devices), str(tmp_path / "gone")]) == ()
    program = f"""
        import fcntl, sys
        device = open({str(devices[1])!r}, "r+b")
        fcntl.lockf(device, fcntl.LOCK_EX)  # as libcamera does
        print("locked", flush=True)
        sys.stdin.read()
    """
    words = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        name = Path(f"/proc/{other.pid}/comm").read_text().strip()
        (found,) = holders([*map(str, devices)])
        assert str(found) == f"{name} (pid {other.pid})"
        other.communicate()
    assert holders([*map(str, devices)]) == ()
