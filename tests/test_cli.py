"""The command line against a unit on its control socket, and where no unit runs; exit statuses and every output."""

import asyncio
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from control_server import WAIT_S, serving

from firmware import cli, verbs
from firmware.catalogue import Catalogue
from firmware.errors import Refused, WrongArgument
from firmware.events import Save, SaveDecision, SaveName
from firmware.pictures import Copy, Entry, File, Picture, PictureId

ID, OTHER = "00001-3fa7-00000042", "00002-0001-00000007"
FILE = bytes(range(256)) * 300
SHA256 = hashlib.sha256(FILE).digest()
COMMAND = (sys.executable, "-c", "import sys; from firmware.cli import main; sys.exit(main())")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory with a config that the command finds by itself."""
    (tmp_path / "config.toml").write_text(
        f"""
        [unit]
        id = 1
        name = "north-gate"
        runtime_dir = "{tmp_path}/run"
        [card]
        path = "{tmp_path}/card"
        [camera]
        driver = "none"
        [radio]
        driver = "none"
        [security]
        insecure = true
        """
    )
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("DANDELION_CONFIG", str(tmp_path / "config.toml"))
    return tmp_path


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
    """A handler of `get` that delivers this file, the last part first."""

    async def handler(request, reply):
        await reply.picture(picture=request["picture"], size_bytes=len(FILE), sha256=sha256, from_unit=2)
        for offset in reversed(range(0, len(file), part_bytes)):
            await reply.data(offset, file[offset : offset + part_bytes])
        await reply.row({"picture": request["picture"], "air_bytes": 99_000})

    return handler


# ---------------------------------------------------------------- usage and config


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
def test_wrong_usage_is_2_and_says_what_is_allowed(place, capsys, arguments, says):
    assert cli.main(arguments) == 2
    told = capsys.readouterr()
    assert says in told.err
    assert told.out == ""


def test_help_is_0_and_names_every_verb(capsys):
    assert cli.main(["--help"]) == 0
    told = capsys.readouterr().out
    for verb in (*verbs.VERBS, "sim", "bench"):
        assert f"\n    {verb} " in told, verb


@pytest.mark.parametrize("verb", ["run", "status", "list", "units", "fsck", "shoot"])
def test_a_wrong_config_is_2_and_names_the_key(place, capsys, verb):
    (place / "config.toml").write_text('[card]\ncapacity = "x"\n')
    assert cli.main([verb]) == 2
    assert "card.capacity = 'x'" in capsys.readouterr().err
    assert cli.main([verb, "--config", str(place / "none.toml")]) == 2
    assert "none.toml: the config file cannot be read" in capsys.readouterr().err


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
    assert recorder.requests == [{"verb": arguments[0], **request_}] * 2
    assert any(word in capsys.readouterr().out for word in (ID, "2", "sentence"))


PLAIN = [
    (
        ["list"],
        {
            "picture": ID,
            "taken_at": "2026-07-14T10:00:30Z",
            "size_bytes": 200_000,
            "local": False,
            "copies": [{"unit": 2, "state": "verified"}, {"unit": 3, "state": "suspect"}],
        },
        f"{ID}   2026-07-14T10:00:30Z  200.0 kB  away  2 verified, 3 suspect\n",
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
    (["drop", ID], {"picture": ID, "freed_bytes": 5}, f"{ID}  freed_bytes 5\n"),
    (["log"], {"at": None, "event": "silent", "text": "unit 2 is silent"}, "-                     unit 2 is silent\n"),
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
            "camera": "ready",
            "radio": {"driver": "serial", "port": "/dev/x", "problem": "no such port"},
            "transfers": [{"picture": ID, "unit": 2, "direction": "out", "done_bytes": 5, "total_bytes": 10}],
            "problems": ["the card is full"],
        },
        f"""unit      1 north, boot 3
card      3fa7: 0 B free of 500.0 kB; own 400.0 kB, cache 0 B, held 0 B, reserved 100.0 kB
pictures  2 own, 0 held, 2 lacking; 1 shots waiting
camera    ready
radio     serial /dev/x: no such port
full      every known host has refused
transfer  {ID} to unit 2, 5 B of 10 B
problem   the card is full
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


# ---------------------------------------------------------------- get


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
    }
    assert target.read_bytes() == FILE
    assert os.listdir(target.parent) == [target.name]


def test_get_asks_with_preview_and_timeout_and_names_the_file_so(place, capsys):
    async def handler(request, reply):
        assert request == {"verb": "get", "picture": ID, "preview": True, "timeout_s": 7.0}
        await sends(sha256=None)(request, reply)

    with unit(place, handler):
        assert cli.main(["get", ID, "-o", str(place / "out"), "--preview", "--timeout", "7", "--json"]) == 0
        assert cli.main(["get", ID, "-o", str(place / "out"), "--preview", "--timeout", "7", "--json"]) == 0
    assert (place / "out" / f"{ID}.preview.jpg").read_bytes() == FILE
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
    assert (row["sha256"], row["from_unit"], row["air_bytes"]) == (SHA256.hex(), 2, 0)
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
        (sends(FILE[10_000:], None), "bytes are missing"),
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
        await reply.data(5, b"damaged")
        await reply.note("unit 3 has it damaged, trying unit 2")
        await sends()(request, reply)

    with unit(place, handler):
        assert cli.main(["get", ID, "-o", str(place / "out")]) == 0
    assert (place / "out" / f"{ID}.jpg").read_bytes() == FILE


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


def test_get_writes_a_part_anew_that_a_killed_command_left(place):
    (place / "out").mkdir()
    (place / "out" / f"{ID}.jpg.part").write_bytes(b"old" * 100_000)
    with unit(place, sends()):
        assert cli.main(["get", ID, "-o", str(place / "out")]) == 0
    assert (place / "out" / f"{ID}.jpg").read_bytes() == FILE
    assert os.listdir(place / "out") == [f"{ID}.jpg"]


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

    import resource

    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, old[1]))  # "File too large" stands for any refusal to write
    try:
        with unit(place, handler):
            assert cli.main(["get", ID, "-o", str(place / "out")]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert "cannot be used: File too large" in capsys.readouterr().err
    assert os.listdir(place / "out") == []


# ---------------------------------------------------------------- where no unit runs


@pytest.mark.parametrize("verb", ["status", "log"])
def test_status_and_log_say_that_no_unit_runs(place, capsys, verb):
    assert cli.main([verb]) == 1
    assert "no unit runs here" in capsys.readouterr().err


def fill_catalogue(place: Path, pictures: int) -> list[PictureId]:
    (place / "card").mkdir()
    ids = [PictureId(1, 0x3FA7, number) for number in range(1, pictures + 1)]
    catalogue = Catalogue(str(place / "card" / "catalogue.sqlite3"), 1)
    own = [Entry(Picture(name, 5, SHA256, taken_at=1e9 + name.sequence), File.WHOLE) for name in ids]
    own[0] = Entry(own[0].picture, File.GONE, copies=(Copy(2, listed=7, proof=bytes(16), verified_at=1e9),))
    held = Entry(Picture(PictureId.parse(OTHER), 6, SHA256), File.WHOLE, attempt=4, kept=True)
    catalogue.save(Save((*own, held)))
    catalogue.save_name(SaveName(2, "south"))
    catalogue.save_decision(SaveDecision(ids[0], "kept: no host has room", {"room_bytes": 5}))
    catalogue.close()
    return ids


def json_rows(capsys) -> list:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_list_reads_the_whole_catalogue_without_a_unit(place, capsys):
    ids = fill_catalogue(place, 1_234)
    assert cli.main(["list", "--json"]) == 0
    told = json_rows(capsys)
    assert [row["picture"] for row in told] == [*map(str, ids), OTHER]
    assert told[0]["copies"] == [{"unit": 2, "state": "verified", "verified_at": "2001-09-09T01:46:40Z"}]
    assert (told[0]["local"], told[1]["local"]) == (False, True)
    assert told[-1]["copies"] == [{"unit": 1, "state": "verified", "verified_at": None}]


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--unit", "2"], 1),
        (["--unit", "south"], 1),
        (["--unit", "north-gate"], 10),
        (["--unit", "9"], 0),
        (["--since", "2001-09-09T01:46:45Z"], 6),
    ],
)
def test_list_takes_only_what_is_asked_for(place, capsys, arguments, count):
    fill_catalogue(place, 10)
    assert cli.main(["list", "--json", *arguments]) == 0
    assert len(json_rows(capsys)) == count


def test_whereis_and_explain_read_the_catalogue_without_a_unit(place, capsys):
    ids = fill_catalogue(place, 2)
    assert cli.main(["whereis", str(ids[0]), "--json"]) == 0
    assert json_rows(capsys)[0]["copies"][0]["unit"] == 2
    assert cli.main(["explain", str(ids[0]), "--json"]) == 0
    told = json_rows(capsys)
    assert told == [{"picture": str(ids[0]), "text": "kept: no host has room", "inputs": {"room_bytes": 5}}]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["whereis", ID], "not known here"),
        (["explain", ID], "not known here"),
        (["list", "--unit", "x"], "no unit named x"),
    ],
)
def test_what_the_catalogue_does_not_know_is_1(place, capsys, arguments, says):
    fill_catalogue(place, 1)
    assert cli.main(arguments) == 1
    assert says in capsys.readouterr().err


def test_without_a_catalogue_there_is_nothing_to_list(place, capsys):
    assert cli.main(["list"]) == 1
    assert "no catalogue" in capsys.readouterr().err


# ---------------------------------------------------------------- never a traceback


def test_an_error_that_nobody_expected_is_one_line(place, capsys, monkeypatch):
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
    [(["log", "--follow"], 0), (["status", "--watch"], 0), (["shoot"], 130), (["get", ID, "-o", "out"], 130)],
)
def test_ctrl_c_ends_quietly(place, arguments, status):
    with (
        unit(place, _endless),
        subprocess.Popen([*COMMAND, *arguments], stdout=-1, stderr=-1, cwd=place) as command,
    ):
        assert b"begun" in next(line for line in command.stderr if b"begun" in line)
        command.send_signal(signal.SIGINT)
        assert command.wait(WAIT_S) == status
        assert command.stderr.read() == b""
    assert not (place / "out").exists() or os.listdir(place / "out") == []


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
