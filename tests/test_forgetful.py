"""The card that forgets: a cut leaves what was synced, and of the rest any part; the mount does what it is asked."""

import errno
import mmap
import os
import random

import pytest

from sim import power
from sim.forgetful import ROOT, Files, Marked, followed
from sim.fuse import Faults

WHY_NOT = power.why_not()
mounts = pytest.mark.skipif(bool(WHY_NOT), reason=f"no card of our own can be mounted: {WHY_NOT}")
OLD, NEW = b"o" * 2000, b"n" * 2000


def a_card():
    log = []
    return Files(1_000_000, log.append), log


def written(*, synced):
    """a/f with OLD on the medium, then NEW."""
    files, log = a_card()
    directory = files.make(ROOT, "a", is_directory=True)
    node = files.make(directory, "f", is_directory=False)
    files.write(node, 0, OLD)
    files.sync(node)
    files.sync_names(directory)
    files.sync_names(ROOT)
    files.write(node, 0, NEW)
    if synced:
        files.sync(node)
    return files, log, directory, node


def left(log, **options):
    return followed(log).cut(**options)


def test_bytes_that_were_not_synced_are_gone():
    assert left(written(synced=False)[1]) == {"a": None, "a/f": OLD}
    assert left(written(synced=True)[1]) == {"a": None, "a/f": NEW}
    assert left(written(synced=False)[1], share=1.0) == {"a": None, "a/f": NEW}


def test_by_chance_a_file_is_torn_between_sectors():
    found = left(written(synced=False)[1], chance=random.Random(1), share=0.5)["a/f"]
    assert found not in (OLD, NEW)
    assert all(len(set(found[start : start + 512])) == 1 for start in range(0, 2000, 512))


def test_an_fsync_that_failed_takes_what_was_written_before_with_it():
    files, log, _, node = written(synced=False)
    files.drop(node)
    files.sync(node)
    assert left(log, share=1.0) == {"a": None, "a/f": OLD}


def test_a_name_is_there_once_its_directory_was_synced():
    files, log, directory, _ = written(synced=True)
    node = files.make(directory, "g", is_directory=False)
    files.sync(node)
    assert "a/g" not in left(log)
    files.sync_names(directory)
    assert left(log)["a/g"] == b""
    files.remove(directory, "g", is_directory=False)
    assert "a/g" in left(log)
    files.sync_names(directory)
    assert "a/g" not in left(log)


def test_a_rename_is_cut_with_the_old_name_the_new_one_or_both_and_never_none():
    files, log, directory, _ = written(synced=True)
    files.move(directory, "f", ROOT, "f")
    assert left(log) == {"a": None, "a/f": NEW}
    seen = {tuple(left(log, chance=random.Random(seed), share=0.5)) for seed in range(30)}
    assert seen == {("a", "a/f"), ("a", "a/f", "f"), ("a", "f")}
    assert left([*log, *synced_names(directory)]) == {"a": None, "f": NEW}
    assert left([*log, *synced_names(ROOT)]) == {"a": None, "a/f": NEW, "f": NEW}


def synced_names(directory):
    files, log = a_card()
    files.sync_names(directory)
    return log


def test_what_is_left_is_the_same_card_again():
    image = left(written(synced=True)[1])
    log = []
    Files.of(image, 1_000_000, log.append)
    assert left(log) == image


# ---------------------------------------------------------------- the mount


def run(program, **options):
    recording = power.run(program, **options)
    assert not recording.error, recording.error
    return recording


@mounts
def test_a_program_sees_a_file_system():
    def program(top):
        (top / "a").mkdir()
        (top / "a" / "f").write_bytes(OLD * 200)
        os.rename(top / "a" / "f", top / "g")
        assert [path.name for path in sorted(top.rglob("*"))] == ["a", "g"]
        with open(top / "g", "r+b") as file:
            os.unlink(top / "g")
            assert file.read() == OLD * 200
        for number in range(500):
            (top / f"{number:03d}-{'x' * 200}").touch()
        assert len(os.listdir(top)) == 501
        assert os.statvfs(top).f_blocks * os.statvfs(top).f_frsize == power.SIZE_BYTES // 4096 * 4096

    run(program)


@mounts
def test_mapped_memory_is_shared_and_written_back():
    """As SQLite's -shm needs it."""

    def program(top):
        (top / "f").write_bytes(bytes(8192))
        with open(top / "f", "r+b") as one, open(top / "f", "r+b") as two:
            first, second = mmap.mmap(one.fileno(), 8192), mmap.mmap(two.fileno(), 8192)
            first[5000:5003] = b"abc"
            assert second[5000:5003] == b"abc"
            first.flush()

    assert left(run(program).log, share=1.0)["f"][5000:5003] == b"abc"


@mounts
def test_faults_come_at_the_call_that_they_are_for():
    def program(top):
        file = os.open(top / "f", os.O_CREAT | os.O_RDWR)  # 1
        for number in range(4):  # 2 to 5
            try:
                os.pwrite(file, b"x", number)
                os.setxattr(top, "user.mark", b"done")
            except OSError as error:
                os.setxattr(top, "user.mark", errno.errorcode[error.errno].encode())

    def marks(**faults):
        log = run(program, faults=Faults(**faults)).log
        return [change.data.decode() for change in log if isinstance(change, Marked)]

    assert marks(at={3: errno.EIO}) == ["done", "EIO", "done", "done"]
    assert marks(at={3: errno.ENOSPC}, lasting=True) == ["done", "ENOSPC", "ENOSPC", "ENOSPC"]


@mounts
def test_a_full_card_takes_no_more():
    def program(top):
        with pytest.raises(OSError, match="No space"):
            (top / "f").write_bytes(bytes(200_000))

    run(program, size_bytes=100_000)


@mounts
def test_the_program_ends_with_the_power():
    def program(top):
        for number in range(10):
            (top / str(number)).touch()

    cut = power.run(program, faults=Faults(cut_after=4))
    assert cut.cut
    assert sorted(left(cut.log, share=1.0)) == ["0", "1", "2", "3"]


@mounts
def test_what_goes_wrong_in_a_program_is_told():
    assert "ZeroDivisionError" in power.run(lambda _top: 1 // 0).error
