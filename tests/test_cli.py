"""The command line against a unit on its control socket: usage, exit statuses, every output."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from importlib import metadata

import pytest
from commands import COMMAND, ID, OTHER, SHA256, Recorder, sends, unit
from control_server import WAIT_S

from firmware import cli, verbs
from firmware.errors import Refused, WrongArgument

# ---------------------------------------------------------------- usage and config


DECISION = {
    "text": "kept: no room",
    "inputs": {"card": {"room_bytes": 5}, "neighbours": [{"unit": 2, "silent": True}]},
}


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "VERB"),
        (["fly"], "fly"),
        (["list", "--jsn"], "--jsn"),
        (["--json", "list"], "VERB"),
        (["whereis"], "PICTURE"),
        (["whereis", "cat.jpg"], "not a picture id"),
        (["get", ID], "-o"),
        (["get", ID, "-o", "x", "--timeout", "0"], "seconds above 0"),
        (["get", ID, "-o", "x", "--timeout", "nan"], "seconds above 0"),
        (["copy", ID], "--to"),
        (["copy", ID, "--to", "North"], "no unit"),
        (["list", "--unit", "0"], "1 to 65534"),
        (["shoot", "-n", "0"], "no count"),
        (["list", "--since", "yesterday"], "is not a time"),
    ],
)
def test_wrong_usage_is_2_and_says_what_is_allowed(capsys, arguments, says):
    assert cli.main(arguments) == 2
    told = capsys.readouterr()
    assert says in told.err
    assert told.out == ""


def test_the_version_is_that_of_the_package(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"dandelion {metadata.version('dandelion')}\n"


def test_help_is_0_and_names_every_verb(capsys):
    assert cli.main(["--help"]) == 0
    told = capsys.readouterr().out
    for verb in (*verbs.VERBS, "net", "sim", "bench"):
        assert f"\n    {verb} " in told, verb


@pytest.mark.parametrize("verb", ["run", "status", "list", "units", "fsck", "shoot"])
def test_a_wrong_config_is_2_and_names_the_key(place, capsys, verb):
    (place / "config.toml").write_text('[card]\ncapacity = "x"\n')
    assert cli.main([verb]) == 2
    assert "card.capacity = 'x'" in capsys.readouterr().err
    assert cli.main([verb, "--config", str(place / "none.toml")]) == 2
    told = capsys.readouterr().err
    assert "none.toml: there is no such config file" in told
    assert "those of a simulated fleet are gone once it has ended, unless it was started with --dir" in told


def test_without_a_name_the_config_is_the_one_in_etc(place, monkeypatch, capsys):
    monkeypatch.setenv("DANDELION_CONFIG", "")
    monkeypatch.setattr(cli, "DEFAULT_CONFIG", str(place / "elsewhere.toml"))
    assert cli.main(["list"]) == 2
    assert "elsewhere.toml" in capsys.readouterr().err


# ---------------------------------------------------------------- live verbs


@pytest.mark.parametrize(
    ("arguments", "request_"),
    [
        (["shoot"], {"priority": False, "count": 1}),
        (["shoot", "--priority", "-n", "3"], {"priority": True, "count": 3}),
        (["list"], {"unit": None, "since_s": None}),
        (["list", "--unit", "2", "--since", "2026-07-14"], {"unit": 2, "since_s": 1783987200.0}),
        (["list", "--unit", "south"], {"unit": "south", "since_s": None}),
        (["whereis", ID], {"picture": ID, "verify": False}),
        (["whereis", ID, "--verify"], {"picture": ID, "verify": True}),
        (["copy", ID, "--to", "2"], {"picture": ID, "to": "2", "timeout_s": 60.0}),
        (["copy", ID, "--to", "south", "--timeout", "5"], {"picture": ID, "to": "south", "timeout_s": 5.0}),
        (["drop", ID], {"picture": ID}),
        (["delete", ID], {"picture": ID}),
        (["units"], {}),
        (["status"], {}),
        (["explain", ID], {"picture": ID}),
        (["log"], {"follow": False}),
        (["log", "--follow"], {"follow": True}),
    ],
)
def test_a_verb_asks_the_unit_and_prints_its_rows(place, capsys, arguments, request_):
    row = {"picture": ID, "unit": 2, "text": "sentence"}
    recorder = Recorder(row)
    with unit(place, recorder):
        assert cli.main([*arguments, "--json"]) == 0
        told = capsys.readouterr()
        assert [json.loads(line) for line in told.out.splitlines()] == [row]
        assert told.err == "one moment\n"
        assert cli.main(arguments) == 0
    assert recorder.requests == [{"verb": arguments[0], **request_, "for_unit": 1}] * 2
    told = capsys.readouterr().out
    assert any(word in told for word in (ID, "2", "sentence"))


PLAIN = [
    (
        ["list"],
        {
            "picture": ID,
            "origin": 1,
            "taken_at": "2026-07-14T10:00:30Z",
            "taken_at_quality": "synced",
            "size_bytes": 200_000,
            "local": False,
            "copies": [{"unit": 2, "state": "verified"}, {"unit": 3, "state": "suspect"}],
        },
        f"{ID}   2026-07-14T10:00:30Z  200.0 kB  away  2 verified, 3 suspect\n",
    ),
    (  # this unit is 1
        ["list"],
        {"picture": OTHER, "origin": 2, "taken_at": None, "size_bytes": 200_000, "local": False, "copies": []},
        f"{OTHER}   -                     200.0 kB  away  holders not known here\n",
    ),
    (
        ["list"],
        {
            "picture": ID,
            "origin": 1,
            "taken_at": "1970-01-01T00:03:20Z",
            "taken_at_quality": "unset",
            "size_bytes": 200_000,
            "local": False,
            "copies": [],
        },
        f"{ID}   1970-01-01T00:03:20Z? 200.0 kB  away\n",
    ),
    (
        ["whereis", OTHER],
        {"picture": OTHER, "origin": 2, "size_bytes": 5, "local": False, "copies": []},
        f"{OTHER} of unit 2, 5 B; this unit has no file of it\n  holders not known here: ask unit 2, which took it\n",
    ),
    (
        ["whereis", ID],
        {
            "picture": ID,
            "origin": 1,
            "size_bytes": 5,
            "local": True,
            "copies": [{"unit": 2, "state": "verified", "verified_at": "2026-07-14T10:00:30Z"}],
        },
        f"{ID} of unit 1, 5 B; this unit has its file\n  unit 2 verified, last proved 2026-07-14T10:00:30Z\n",
    ),
    (
        ["units"],
        {"unit": 2, "name": None, "room_bytes": 5_000_000, "last_heard_s": 3.1, "loss": 0.01, "rate_bps": 92160},
        "    2  -             room   5.0 MB  heard   3 s ago  loss   1.0%   92.2 kbit/s\n",
    ),
    (
        ["units"],
        {"unit": 2, "name": None, "room_bytes": 5_000_000, "last_heard_s": 3.1, "rssi_dbm": -71},
        "    2  -             room   5.0 MB  heard   3 s ago  loss      -             -  -71 dBm\n",
    ),
    (["drop", ID], {"picture": ID, "freed_bytes": 5}, f"{ID}  freed_bytes 5\n"),
    (["log"], {"at": None, "event": "silent", "text": "unit 2 is silent"}, "-                     unit 2 is silent\n"),
    (
        ["explain", ID],
        DECISION,
        "kept: no room\n    card: room_bytes 5\n    neighbour: unit 2, silent yes\n",
    ),
    (["shoot"], {"picture": ID, "size_bytes": 1_234_567}, f"{ID}  1.2 MB\n"),
    (
        ["status"],
        {
            "unit": 1,
            "name": "north",
            "boot": 3,
            "card_number": "3fa7",
            "capacity_bytes": 500_000,
            "room_bytes": 0,
            "own_bytes": 400_000,
            "cache_bytes": 0,
            "held_bytes": 0,
            "reserved_bytes": 100_000,
            "full": True,
            "why": "every known host has refused",
            "pictures": {"own": 2, "held": 0, "lacking": 2},
            "waiting_shots": 1,
            "deletes_pending": 3,
            "camera": "ready",
            "radio": {"driver": "serial", "port": "/dev/x", "bytes_in": 0, "bytes_out": 9, "frames_damaged": 0},
            "transfers": [
                {"picture": ID, "unit": 2, "direction": "out", "done_bytes": 5, "total_bytes": 10},
                {"picture": ID, "preview": True, "unit": 3, "direction": "in", "done_bytes": 0, "total_bytes": 4},
            ],
            "problems": ["no such port", "the card is hot"],
        },
        f"""unit      1 north, boot 3
card      3fa7: 0 B free of 500.0 kB; own 400.0 kB, cache 0 B, held 0 B, reserved 100.0 kB
pictures  2 own, 0 held, 2 lacking; 1 shot waiting, 3 deletes pending
camera    ready
radio     serial /dev/x, 0 B in, 9 B out, 0 frames damaged
full      every known host has refused
transfer  {ID} to unit 2, 5 B of 10 B
transfer  preview of {ID} from unit 3, 0 B of 4 B
problem   no such port
problem   the card is hot
""",
    ),
]


@pytest.mark.parametrize(("arguments", "row", "plain"), PLAIN, ids=[arguments[0] for arguments, _, _ in PLAIN])
def test_without_json_rows_are_plain_lines(place, capsys, arguments, row, plain):
    with unit(place, Recorder(row)):
        assert cli.main(arguments) == 0
    assert capsys.readouterr().out == plain


@pytest.mark.parametrize("verb", ["shoot", "list", "units", "status", "log"])
def test_a_row_of_another_version_is_printed_as_far_as_it_is_understood(place, capsys, verb):
    with unit(place, Recorder({"unheard": "of"})):
        assert cli.main([verb]) == 0
    assert "-" in capsys.readouterr().out


@pytest.mark.parametrize(("error", "status"), [(Refused, 1), (WrongArgument, 2)])
def test_what_the_unit_refuses_is_told_in_three_parts(place, capsys, error, status):
    async def handler(_request, _reply):
        raise error("no room", did="nothing was taken", can="wait for a host")

    with unit(place, handler):
        assert cli.main(["shoot"]) == status
    told = capsys.readouterr()
    assert told.err == "dandelion: no room\n  nothing was taken\n  wait for a host\n"
    assert told.out == ""


def test_progress_of_a_copy_is_a_line_per_tenth_but_not_for_scripts(place, capsys):
    async def handler(_request, reply):
        for done in range(0, 1001, 5):
            await reply.progress(picture=ID, done_bytes=done, total_bytes=1000)

    with unit(place, handler):
        assert cli.main(["copy", ID, "--to", "2"]) == 0
        told = capsys.readouterr()
        assert cli.main(["copy", ID, "--to", "2", "--json"]) == 0
    assert told.err.splitlines() == [f"{ID} {tenth}0% of 1.0 kB" for tenth in range(1, 11)]
    assert told.out == ""
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_progress_is_a_bar(place):
    ours, theirs = os.openpty()
    try:
        with unit(place, sends()):
            got = subprocess.run([*COMMAND, "get", ID, "-o", place / "out"], stderr=theirs, timeout=WAIT_S, check=True)
        assert b"\xe2\x94\x81" in os.read(ours, 65_536)  # what rich draws bars with
        assert got.returncode == 0
    finally:
        os.close(ours)
        os.close(theirs)


# ---------------------------------------------------------------- never a traceback


@pytest.mark.usefixtures("place")
def test_an_error_that_nobody_expected_is_one_line(capsys, monkeypatch):
    def broken(_options, _config, _output):
        raise KeyError("bug")

    monkeypatch.setitem(verbs.VERBS, "list", broken)
    assert cli.main(["list"]) == 1
    assert capsys.readouterr().err.startswith("dandelion: unexpected KeyError: 'bug' (DANDELION_DEBUG=1")
    monkeypatch.setenv("DANDELION_DEBUG", "1")
    assert cli.main(["list"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_closes_the_pipe_is_left_in_peace(place):
    async def handler(_request, reply):
        for _ in range(100_000):
            await reply.row({"picture": ID})

    with unit(place, handler), subprocess.Popen([*COMMAND, "list"], stdout=-1, stderr=-1) as command:
        assert ID.encode() in command.stdout.readline()
        command.stdout.close()
        assert command.wait(WAIT_S) == 1
        assert command.stderr.read() == b""


async def _endless(request, reply):
    """Begins, and goes on until the client closes."""
    if request["verb"] == "get":
        await reply.picture(picture=ID, size_bytes=10, sha256=SHA256, from_unit=2)
        await reply.data(0, b"part")
    await reply.note("begun")
    await reply.row({"text": "first", "unit": 1})
    if request["verb"] != "status":
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["log", "--follow"], 0), (["status", "--watch"], 0), (["shoot"], 130), (["get", ID], 130)],
)
def test_ctrl_c_ends_quietly(place, arguments, status):
    if arguments[0] == "get":
        arguments = [*arguments, "-o", str(place / "out")]
    with unit(place, _endless), subprocess.Popen([*COMMAND, *arguments], stdout=-1, stderr=-1) as command:
        assert b"begun" in next(line for line in command.stderr if b"begun" in line)
        command.send_signal(signal.SIGINT)
        assert command.wait(WAIT_S) == status
        assert command.stderr.read() == b""
    assert not (place / "out").exists() or set(os.listdir(place / "out")) <= {f"{ID}.jpg.part"}


def test_a_short_command_loads_no_more_than_it_needs(place):
    code = "from firmware.cli import main; main(['list', '--json']); import sys; print(*sys.modules)"
    with unit(place, Recorder({"picture": ID})):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_S, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "firmware.client" in loaded
    assert not loaded & {
        "asyncio",
        "rich",
        "sqlite3",
        "PIL",
        "transitions",
        "serial",
        "firmware.core",
        "hashlib",
        "sim",
    }


def test_a_unit_does_without_the_openssl_of_the_system(place):
    (place / "run" / "lock").mkdir()  # so that it ends, with all that a unit needs loaded
    code = "from firmware.cli import main; main(['run']); import sys; print(*(n for n, m in sys.modules.items() if m))"
    command = [sys.executable, "-c", f"{code}; print(open('/proc/self/maps').read())"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=True)
    loaded, mapped = done.stdout.split("\n", 1)
    assert {"firmware.service", "hashlib", "asyncio", "cryptography"} <= set(loaded.split())
    assert not set(loaded.split()) & {"ssl", "_hashlib"}
    assert "libcrypto" not in mapped


@pytest.mark.parametrize("arguments", [["run"], ["drop", ID], ["net", "show", "net"]], ids=lambda words: words[0])
def test_whoever_has_keys_keeps_its_memory_to_itself(place, arguments):
    """The unit, a temporary one, the admin's commands."""
    if arguments[0] == "run":
        (place / "run" / "lock").mkdir()  # so that it ends
    code = f"from firmware.cli import main; main({arguments}); import ctypes; print(ctypes.CDLL(None).prctl(3))"
    command = [sys.executable, "-c", code]  # PR_GET_DUMPABLE
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=True)
    assert done.stderr.startswith("dandelion:" if arguments[0] != "drop" else "no unit runs here: one is up")
    assert done.stdout.splitlines()[-1] == "0"
