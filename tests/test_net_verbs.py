"""`dandelion net …`: what is printed, exit statuses, and that no secret is ever shown."""

import base64
import json
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from commands import COMMAND, Recorder
from control_server import WAIT_S, serving

from firmware import cli, credential, network, network_folder
from firmware.errors import Refused
from firmware.net_verbs import NET_VERBS
from firmware.roster import words_of


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory; a config that would be an error if anybody read it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text("no config")
    monkeypatch.setenv("DANDELION_CONFIG", str(tmp_path / "config.toml"))
    return tmp_path


@pytest.fixture
def net(here):
    """With unit 1, north; its credential is in `1`."""
    network.create(here / "net", "field")
    network.enrol(here / "net", unit=1, name="north", file=here / "1")
    return here / "net"


def words(net, unit):
    return words_of(unit, network.show(net).find(unit).public)


def rows(text):
    return [json.loads(line) for line in text.splitlines()]


# ---------------------------------------------------------------- what is printed


@pytest.mark.usefixtures("here")
def test_create_prints_the_network_and_what_to_keep(capsys):
    assert cli.main(["net", "create", "net", "--name", "field"]) == 0
    told = capsys.readouterr()
    id_ = network.show(Path("net")).roster.network.hex()
    assert told.out == f"network field ({id_}), epoch 1\n"
    assert "whoever has net decides who is in the network" in told.err
    assert cli.main(["net", "create", "other", "--json"]) == 0
    (row,) = rows(capsys.readouterr().out)
    assert (row["name"], row["epoch"], len(row["network"])) == ("other", 1, 16)


def test_enrol_prints_words_path_and_what_comes_next(net, capsys):
    assert cli.main(["net", "enrol", "net", "--unit", "7", "--name", "east", "-o", "7"]) == 0
    told = capsys.readouterr()
    assert told.out == f"    7  east          {words(net, 7)}  since epoch 3\ncredential  7\n"
    assert "copy 7 to the unit as /etc/dandelion/unit.credential (mode 0600), then delete it here" in told.err
    assert cli.main(["net", "enrol", "net", "--unit", "8", "--name", "west", "-o", "8", "--json"]) == 0
    assert rows(capsys.readouterr().out) == [
        {
            "unit": 8,
            "name": "west",
            "words": words(net, 8),
            "since_epoch": 4,
            "until_epoch": None,
            "revoked": False,
            "epoch": 4,
            "path": "8",
        }
    ]


def test_revoke_prints_the_unit_and_from_when_it_is_out(net, capsys):
    network.revoke(net, 1)
    network.enrol(net, unit=1, name="north", file=net.parent / "new")
    its = words(net, 1)
    assert cli.main(["net", "revoke", "net", "--unit", "1"]) == 0
    told = capsys.readouterr()
    assert told.out == f"    1  north         {its}  revoked; was in from epoch 4 to 4\n"
    assert "shut unit 1 out as soon as they have the roster of epoch 5" in told.err
    network.enrol(net, unit=1, name="north", file=net.parent / "newer")
    assert cli.main(["net", "revoke", "net", "--unit", "1", "--json"]) == 0
    (row,) = rows(capsys.readouterr().out)
    assert (row["unit"], row["since_epoch"], row["until_epoch"], row["revoked"], row["epoch"]) == (1, 6, 6, True, 7)


@pytest.fixture
def gone(net):
    """Unit 7, east, was in from epoch 3 to 3; epoch 4."""
    network.enrol(net, unit=7, name="east", file=net.parent / "7")
    network.revoke(net, 7)
    return 7


@pytest.mark.usefixtures("gone")
def test_adopt_prints_who_decides_and_from_when_on(capsys):
    for _ in range(2):  # given again it is so already, and can be handed on
        assert cli.main(["net", "adopt", "net", "--unit", "7", "--by", "1"]) == 0
        told = capsys.readouterr()
        assert told.out == "    7  gone for good; unit 1 decides about its pictures\n"
        assert told.err == (
            "unit 1 decides about the pictures of unit 7 as soon as it has the roster of epoch 5\n"
            "next: `dandelion net push net --config FILE` hands it to any one unit\n"
        )
    assert cli.main(["net", "adopt", "net", "--unit", "7", "--by", "1", "--json"]) == 0
    assert rows(capsys.readouterr().out) == [{"unit": 7, "by": 1, "epoch": 5}]


@pytest.mark.usefixtures("gone")
def test_release_prints_what_becomes_of_the_copies(capsys):
    for _ in range(2):
        assert cli.main(["net", "release", "net", "--unit", "7"]) == 0
        told = capsys.readouterr()
        assert told.out == "    7  gone for good; released: nobody decides about its pictures\n"
        assert told.err == (
            "hosts that have the roster of epoch 5 keep the copies of unit 7 only until they need the room\n"
            "read out first what you want to keep\n"
            "next: `dandelion net push net --config FILE` hands it to any one unit\n"
        )
    assert cli.main(["net", "release", "net", "--unit", "7", "--json"]) == 0
    assert rows(capsys.readouterr().out) == [{"unit": 7, "by": None, "epoch": 5}]


def test_revoke_says_for_whom_nobody_acts_any_more(net, gone, capsys):
    network.adopt(net, gone, 1)
    assert cli.main(["net", "revoke", "net", "--unit", "1"]) == 0
    assert (
        "\nnobody decides about the pictures of unit 7 any more: `dandelion net adopt` names another\n"
        in capsys.readouterr().err
    )
    network.release(net, gone)
    network.enrol(net, unit=1, name="north", file=net.parent / "new")
    assert cli.main(["net", "revoke", "net", "--unit", "1"]) == 0
    assert "nobody decides" not in capsys.readouterr().err


ACTS = pytest.mark.parametrize(
    "arguments", [["adopt", "net", "--unit", "7", "--by", "1"], ["release", "net", "--unit", "7"]]
)


@ACTS
@pytest.mark.parametrize("again", [False, True])
def test_who_acts_is_handed_to_the_unit_of_a_config_at_once(net, gone, place, capsys, arguments, again):
    if again:
        assert cli.main(["net", *arguments]) == 0
    recorder = Recorder({"epoch": 5, "units": [2]})
    with serving(place / "run" / "control.sock", recorder):
        assert cli.main(["net", *arguments, "--config", "config.toml"]) == 0
    assert capsys.readouterr().out.endswith("the roster of epoch 5 is handed over; unit 2 has it, too\n")
    roster = network.show(net).roster
    assert (roster.epoch, roster.acting[0].gone) == (5, gone)
    (request,) = recorder.requests
    assert request["verb"] == "push"
    assert base64.b64decode(request["roster"]) == roster.encoded


@ACTS
def test_where_it_cannot_be_handed_on_it_is_made_all_the_same(net, gone, place, capsys, arguments):
    async def refuses(request, reply):  # noqa: ARG001 - every handler's
        raise Refused("no other unit has taken it yet", can="wait")

    with serving(place / "run" / "control.sock", refuses):
        assert cli.main(["net", *arguments, "--config", "config.toml"]) == 1
    assert (
        "dandelion: no other unit has taken it yet\n  the roster of epoch 5 is made, and was not handed on\n"
        "  wait; later: dandelion net push net --config FILE\n"
    ) in capsys.readouterr().err
    assert network.show(net).roster.acting[0].gone == gone


def test_rotate_prints_the_network(net, capsys):
    assert cli.main(["net", "rotate", "net"]) == 0
    assert capsys.readouterr().out.endswith(", epoch 3\n")
    assert cli.main(["net", "rotate", "net", "--json"]) == 0
    assert rows(capsys.readouterr().out) == [
        {"name": "field", "network": network.show(net).roster.network.hex(), "epoch": 4}
    ]


def test_show_prints_the_network_and_every_unit(net, capsys):
    network.enrol(net, unit=7, name="east", file=net.parent / "7")
    one, seven = words(net, 1), words(net, 7)
    network.revoke(net, 1)
    assert cli.main(["net", "show", "net"]) == 0
    told = capsys.readouterr()
    id_ = network.show(net).roster.network.hex()
    assert told.err == ""
    assert told.out == (
        f"network field ({id_}), epoch 4\n"
        f"    1  north         {one}  revoked; was in from epoch 2 to 3\n"
        f"    7  east          {seven}  since epoch 3\n"
    )
    assert cli.main(["net", "show", "net", "--json"]) == 0
    first, *units = rows(capsys.readouterr().out)
    assert first == {"name": "field", "network": id_, "epoch": 4}
    keys = ("unit", "name", "words", "since_epoch", "until_epoch", "revoked")
    assert [tuple(row[key] for key in keys) for row in units] == [
        (1, "north", one, 2, 3, True),
        (7, "east", seven, 3, None, False),
    ]


def test_show_prints_who_acts_for_those_that_are_gone(net, gone, capsys):
    network.enrol(net, unit=8, name="west", file=net.parent / "8")
    network.revoke(net, 8)
    network.adopt(net, 8, 1)
    network.release(net, gone)
    assert cli.main(["net", "show", "net"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out.splitlines()[4:] == [
        "    7  gone for good; released: nobody decides about its pictures",
        "    8  gone for good; unit 1 decides about its pictures",
    ]
    assert cli.main(["net", "show", "net", "--json"]) == 0
    *_, seven, eight = rows(capsys.readouterr().out)
    assert (seven, eight) == ({"unit": 7, "by": None, "epoch": 8}, {"unit": 8, "by": 1, "epoch": 8})


# ---------------------------------------------------------------- usage and exit statuses

ENROL = ["net", "enrol", "net", "--unit", "7", "--name", "east", "-o", "7"]


@pytest.mark.usefixtures("net")
@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["net"], 2, "VERB"),
        (["net", "fly"], 2, "fly"),
        (["net", "show"], 2, "DIR"),
        (["net", "show", "net", "--config", "config.toml"], 2, "--config"),
        (["net", "revoke", "net"], 2, "--unit"),
        (["net", "revoke", "net", "--unit", "north"], 2, "'north' is no unit's number; allowed: 1 to 65534"),
        (["net", "revoke", "net", "--unit", "65535"], 2, "1 to 65534"),
        ([*ENROL[:-2]], 2, "-o"),
        ([*ENROL[:6], "East", *ENROL[7:]], 2, "1 to 12 of a-z 0-9 -"),
        ([*ENROL[:4], "0", *ENROL[5:]], 2, "1 to 65534"),
        ([*ENROL[:-1], "."], 2, "not a name of a file"),
        (["net", "create", "new", "--name", "a b"], 2, "1 to 32 of"),
        (["net", "show", "nowhere"], 2, "nowhere is not the folder of a network: No such file or directory"),
        (["net", "show", "."], 2, "net create DIR"),
        (["net", "create", "net"], 1, "net is not empty"),
        ([*ENROL[:-1], "1"], 1, "1 is there already"),
        ([*ENROL[:4], "1", *ENROL[5:]], 1, "net revoke DIR --unit 1"),
        (["net", "revoke", "net", "--unit", "9"], 1, "unit 9 is not in the network"),
        (["net", "adopt", "net", "--unit", "7"], 2, "--by"),
        (["net", "adopt", "net", "--unit", "7", "--by", "0"], 2, "'0' is no unit's number; allowed: 1 to 65534"),
        (["net", "adopt", "net", "--unit", "1", "--by", "1"], 2, "unit 1 cannot act for itself"),
        (["net", "adopt", "net", "--unit", "1", "--by", "2"], 1, "net revoke DIR --unit 1` first, if it is gone"),
        (["net", "adopt", "net", "--unit", "9", "--by", "1"], 1, "no unit 9 that was in the network"),
        (["net", "release", "net", "--unit", "1"], 1, "net revoke DIR --unit 1` first, if it is gone for good"),
        (["net", "release", "net", "--unit", "9"], 1, "no unit 9 that was in the network"),
        (["net", "release", "net", "--unit", "9", "--by", "1"], 2, "--by"),
    ],
)
def test_what_cannot_be_done_is_said(capsys, arguments, status, says):
    assert cli.main(arguments) == status
    told = capsys.readouterr()
    assert says in told.err
    assert "unexpected" not in told.err
    assert told.out == ""


def test_a_damaged_or_open_folder_is_2(net, capsys):
    net.chmod(0o755)
    assert cli.main(["net", "show", "net"]) == 2
    assert (
        "net is open to others than its owner (mode 0755)\n  it was not used\n  chmod 700 net"
        in capsys.readouterr().err
    )
    net.chmod(0o700)
    (net / "network.json").write_text("{")
    assert cli.main(["net", "show", "net"]) == 2
    assert "network.json is damaged" in capsys.readouterr().err


def test_help_names_every_command(capsys):
    assert cli.main(["net", "--help"]) == 0
    told = capsys.readouterr().out
    for verb in NET_VERBS:
        assert f"\n    {verb} " in told, verb
    assert cli.main(["--help"]) == 0
    assert "\n    net " in capsys.readouterr().out


# ---------------------------------------------------------------- real processes


def run(*arguments):
    return subprocess.run([*COMMAND, "net", *arguments], capture_output=True, text=True, timeout=WAIT_S, check=False)


def test_nothing_secret_is_printed(here):
    """Not by any command, in any form, nor by one that finds a damaged file."""
    told = [run("create", "net"), run(*ENROL[1:]), run(*ENROL[1:]), run("show", "net", "--json")]
    has = credential.read(here / "7")
    admin, made = network_folder.load(here / "net")
    told += [run("rotate", "net"), run("revoke", "net", "--unit", "7")]
    (here / "7").rename(here / "7.unfinished")
    told += [run(*ENROL[1:]), run("revoke", "net", "--unit", "7"), run("release", "net", "--unit", "7")]
    (here / "net" / "admin.key").write_bytes((here / "net" / "admin.key").read_bytes()[:-30])
    told.append(run("show", "net"))
    assert [each.returncode for each in told] == [0, 0, 1, 0, 0, 0, 0, 0, 0, 2]
    said = "".join(each.stdout + each.stderr for each in told)
    assert "Traceback" not in said
    for secret in (admin, has.private, made.roster.secret_for(7, has.private)):
        for text in (base64.b64encode(secret).decode().rstrip("="), secret.hex(), repr(secret)[2:-1]):
            assert text not in said


def test_commands_at_the_same_time_do_not_undo_one_another(net):
    """Each is done, or refused because another one is at work."""
    with ExitStack() as running:
        started = [
            running.enter_context(
                subprocess.Popen(
                    [*COMMAND, "net", "enrol", "net", "--unit", str(unit), "--name", f"u-{unit}", "-o", f"{unit}"],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for unit in range(10, 16)
        ]
        told = [process.communicate(timeout=WAIT_S) for process in started]
    done = {unit for unit, process in enumerate(started, 10) if process.returncode == 0}
    assert done
    for process, (_, error) in zip(started, told, strict=True):
        assert process.returncode == 0 or "another command is at work in net" in error, error
    made = network.show(net)
    assert {member.unit for member in made.present} == {1} | done
    assert made.roster.epoch == 2 + len(done)
    for unit in done:
        has = credential.read(net.parent / f"{unit}")
        assert len(made.roster.secret_for(unit, has.private)) == 32
    assert set(os.listdir(net.parent)) == {"1", "config.toml", "net", *map(str, done)}


def test_what_a_reader_does_not_need_is_not_loaded(net):
    """The word list only where words are shown, and of the unit nothing."""
    code = "from firmware.cli import main; main({}); import sys; print(*sys.modules)"
    for arguments, has_words in ((["net", "rotate", str(net)], False), (["net", "show", str(net)], True)):
        done = subprocess.run(
            [COMMAND[0], "-c", code.format(arguments)], capture_output=True, text=True, timeout=WAIT_S, check=True
        )
        loaded = set(done.stdout.splitlines()[-1].split())
        assert ("mnemonic" in loaded) == has_words
        assert not loaded & {"asyncio", "sqlite3", "PIL", "rich", "serial", "transitions", "firmware.config", "sim"}
