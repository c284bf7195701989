"""`get`: what is written, what never is, and what stays after a failure."""

import asyncio
import fcntl
import json
import os
import resource
import subprocess

import pytest
from commands import COMMAND, FILE, ID, OTHER, SHA256, Recorder, sends, unit

from firmware import cli
from firmware.errors import Refused


def test_get_writes_the_file_and_tells_where(place, capsys):
    with unit(place, sends()):
        assert cli.main(["get", ID, "-o", str(place / "a" / "b"), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    target = place / "a" / "b" / f"{ID}.jpg"
    assert row.pop("seconds") >= 0
    assert row == {
        "picture": ID,
        "path": str(target),
        "size_bytes": len(FILE),
        "sha256": SHA256.hex(),
        "from_unit": 2,
        "air_bytes": 99_000,
        "already_there": False,
    }
    assert target.read_bytes() == FILE
    assert os.listdir(target.parent) == [target.name]


def test_get_asks_with_preview_and_timeout_and_names_the_file_so(place, capsys):
    target = place / "out" / f"{ID}.preview.jpg"

    async def handler(request, reply):
        asked = {"verb": "get", "picture": ID, "preview": True, "timeout_s": 7.0, "have_bytes": 0, "for_unit": 1}
        assert request == {**asked, "have_sha256": SHA256.hex() if target.exists() else None}
        await sends(sha256=None)(request, reply)

    with unit(place, handler):
        assert cli.main(["get", ID, "-o", str(place / "out"), "--preview", "--timeout", "7", "--json"]) == 0
        assert cli.main(["get", ID, "-o", str(place / "out"), "--preview", "--timeout", "7", "--json"]) == 0
    assert target.read_bytes() == FILE
    assert {json.loads(line)["sha256"] for line in capsys.readouterr().out.splitlines()} == {SHA256.hex()}


def test_get_of_bytes_that_are_there_transfers_nothing(place, capsys):
    delivered = []

    async def handler(request, reply):
        await reply.picture(picture=ID, size_bytes=len(FILE), sha256=SHA256, from_unit=2)
        await asyncio.Event().wait()  # only the client's closing ends this
        delivered.append(request)

    (place / "out").mkdir()
    (place / "out" / f"{ID}.jpg").write_bytes(FILE)
    with unit(place, handler):
        assert cli.main(["get", ID, "-o", str(place / "out"), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["sha256"], row["already_there"], row["air_bytes"]) == (SHA256.hex(), True, 0)
    with unit(place, handler):
        assert cli.main(["get", ID, "-o", str(place / "out")]) == 0
    assert capsys.readouterr().out == f"{place / 'out' / ID}.jpg  76.8 kB, already there\n"
    assert delivered == []
    assert os.listdir(place / "out") == [f"{ID}.jpg"]


@pytest.mark.parametrize("sha256", [SHA256, None])
def test_get_never_writes_over_other_bytes(place, capsys, sha256):
    (place / "out").mkdir()
    (place / "out" / f"{ID}.jpg").write_bytes(b"mine")
    with unit(place, sends(sha256=sha256)):
        assert cli.main(["get", ID, "-o", str(place / "out")]) == 1
    assert "with other bytes" in capsys.readouterr().err
    assert (place / "out" / f"{ID}.jpg").read_bytes() == b"mine"
    assert os.listdir(place / "out") == [f"{ID}.jpg"]


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (sends(FILE[:-1] + b"x"), "digest is wrong"),
        (sends(FILE[:-1]), "bytes are missing"),
        (sends(FILE + b"x"), "more than it announced"),
        (Recorder({}), "sent no file"),
    ],
)
def test_get_of_wrong_bytes_leaves_nothing(place, capsys, handler, says):
    with unit(place, handler):
        assert cli.main(["get", ID, "-o", str(place / "out")]) == 1
    told = capsys.readouterr()
    assert says in told.err
    assert told.out == ""
    assert os.listdir(place / "out") == []


def test_get_begins_anew_when_another_holder_is_tried(place):
    async def handler(request, reply):
        await reply.picture(picture=ID, size_bytes=len(FILE) + 9, sha256=bytes(32), from_unit=3)
        await reply.data(0, b"damaged")
        await reply.note("unit 3 has it damaged, trying unit 2")
        await sends()(request, reply)

    with unit(place, handler):
        assert cli.main(["get", ID, "-o", str(place / "out")]) == 0
    assert (place / "out" / f"{ID}.jpg").read_bytes() == FILE


def test_get_counts_only_what_came_since_it_began_anew(place, capsys):
    async def handler(request, reply):
        await sends(sha256=None)(request, reply)
        await sends(FILE[:-10_000], None)(request, reply)

    with unit(place, handler):
        assert cli.main(["get", ID, "-o", str(place / "out")]) == 1
    assert "bytes are missing" in capsys.readouterr().err


def test_get_goes_on_with_the_others_after_a_failure(place, capsys):
    async def handler(request, reply):
        if request["picture"] == OTHER:
            raise Refused("no unit knows it")
        await sends()(request, reply)

    with unit(place, handler):
        assert cli.main(["get", OTHER, ID, "-o", str(place / "out"), "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["picture"] == ID
    assert "no unit knows it" in told.err
    assert os.listdir(place / "out") == [f"{ID}.jpg"]


def left_behind(place, data):
    """A .part of an earlier command."""
    (place / "out").mkdir(exist_ok=True)
    part = place / "out" / f"{ID}.jpg.part"
    part.write_bytes(data)
    return part


def asked_for(handler):
    """The handler, and how much of a beginning each request said that it has."""
    have = []

    async def noting(request, reply):
        have.append(request["have_bytes"])
        await handler(request, reply)

    return noting, have


def test_get_goes_on_where_a_killed_command_stopped(place, capsys):
    left_behind(place, FILE[:30_000])
    handler, have = asked_for(sends())
    with unit(place, handler):
        assert cli.main(["get", ID, "-o", str(place / "out"), "--json"]) == 0
    assert have == [30_000]
    assert (place / "out" / f"{ID}.jpg").read_bytes() == FILE
    assert os.listdir(place / "out") == [f"{ID}.jpg"]
    assert json.loads(capsys.readouterr().out)["size_bytes"] == len(FILE)


def test_get_fetches_all_of_it_where_what_was_left_is_wrong(place, capsys):
    left_behind(place, FILE[:29_999] + b"x")
    handler, have = asked_for(sends())
    with unit(place, handler):
        assert cli.main(["get", ID, "-o", str(place / "out")]) == 0
    assert have == [30_000, 0]
    assert (place / "out" / f"{ID}.jpg").read_bytes() == FILE
    assert "all of it is fetched again" in capsys.readouterr().err


def test_get_takes_no_more_of_what_was_left_than_the_unit_says(place):
    async def handler(request, reply):
        await sends()({**request, "have_bytes": 0}, reply)

    left_behind(place, b"old" * 100_000)
    with unit(place, handler):
        assert cli.main(["get", ID, "-o", str(place / "out")]) == 0
    assert (place / "out" / f"{ID}.jpg").read_bytes() == FILE


def test_what_has_come_stays_when_the_unit_gives_up(place, capsys):
    async def handler(_request, reply):
        await reply.picture(picture=ID, size_bytes=len(FILE), sha256=SHA256, from_unit=2)
        await reply.data(0, FILE[:20_000])
        raise Refused("unit 2 stopped in the middle")

    with unit(place, handler):
        assert cli.main(["get", ID, "-o", str(place / "out")]) == 1
    assert "the 20000 bytes that have come stay" in capsys.readouterr().err
    assert (place / "out" / f"{ID}.jpg.part").read_bytes() == FILE[:20_000]
    with unit(place, sends()):
        assert cli.main(["get", ID, "-o", str(place / "out")]) == 0
    assert os.listdir(place / "out") == [f"{ID}.jpg"]


def test_what_came_from_one_holder_is_gone_on_with_from_another(place):
    async def handler(request, reply):
        await reply.picture(picture=ID, size_bytes=len(FILE), sha256=SHA256, from_unit=3)
        await reply.data(0, FILE[:20_000])
        await sends()({**request, "have_bytes": 20_000}, reply)

    with unit(place, handler):
        assert cli.main(["get", ID, "-o", str(place / "out")]) == 0
    assert (place / "out" / f"{ID}.jpg").read_bytes() == FILE


def test_get_of_bytes_out_of_order_leaves_nothing(place, capsys):
    async def handler(_request, reply):
        await reply.picture(picture=ID, size_bytes=len(FILE), sha256=SHA256, from_unit=2)
        await reply.data(10_000, FILE[10_000:])

    with unit(place, handler):
        assert cli.main(["get", ID, "-o", str(place / "out")]) == 1
    assert "out of order" in capsys.readouterr().err
    assert os.listdir(place / "out") == []


def test_get_of_bytes_that_leave_a_gap_leaves_nothing(place, capsys):
    async def handler(request, reply):
        await sends()({**request, "have_bytes": 10_000}, reply)

    with unit(place, handler):
        assert cli.main(["get", ID, "-o", str(place / "out")]) == 1
    assert "left out bytes" in capsys.readouterr().err
    assert os.listdir(place / "out") == []


def test_a_killed_get_leaves_its_part_and_the_next_one_ends_it(place):
    """With a real process, killed while the unit is sending."""

    async def handler(_request, reply):
        await reply.picture(picture=ID, size_bytes=len(FILE), sha256=SHA256, from_unit=2)
        await reply.data(0, FILE[:40_000])
        await asyncio.Event().wait()  # until the client is gone

    part = place / "out" / f"{ID}.jpg.part"
    with unit(place, handler):
        command = [*COMMAND, "get", ID, "-o", str(place / "out")]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
            assert "50%" in child.stderr.readline()  # said once it is written
            child.kill()
    assert part.read_bytes() == FILE[:40_000]
    handler, have = asked_for(sends())
    with unit(place, handler):
        assert cli.main(["get", ID, "-o", str(place / "out")]) == 0
    assert have == [40_000]
    assert (place / "out" / f"{ID}.jpg").read_bytes() == FILE


def test_get_leaves_a_part_alone_that_another_command_writes(place, capsys):
    (place / "out").mkdir()
    part = place / "out" / f"{ID}.jpg.part"
    with part.open("wb") as other, unit(place, sends()):
        fcntl.flock(other, fcntl.LOCK_EX)
        assert cli.main(["get", ID, "-o", str(place / "out")]) == 1
        assert part.exists()
    assert "another command is writing" in capsys.readouterr().err


def test_get_into_a_place_that_is_no_directory_says_so(place, capsys):
    (place / "file").touch()
    with unit(place, sends()):
        assert cli.main(["get", ID, "-o", str(place / "file" / "out")]) == 1
    assert "cannot be used" in capsys.readouterr().err


def test_get_onto_a_full_file_system_says_so(place, capsys):
    async def handler(_request, reply):
        await reply.picture(picture=ID, size_bytes=64_000_000, sha256=SHA256, from_unit=2)

    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, old[1]))  # "File too large" stands for any refusal to write
    try:
        with unit(place, handler):
            assert cli.main(["get", ID, "-o", str(place / "out")]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert "cannot be used: File too large" in capsys.readouterr().err
    assert os.listdir(place / "out") == []
