"""The side of a unit that is no radio: whose its files are, who may give it commands, and that it shows no secret.

Real processes, whatever the umask they were started under, and the secrets of real credentials.
"""

from __future__ import annotations

import base64
import grp
import os
import signal
import socket
import sqlite3
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from conftest import MakeUnit
from harness import COMMAND_S, Result, UnitProcess, run_command, two_units

from firmware import credential, network_folder
from firmware.control_lines import encode_request
from firmware.pictures import NONCE_BYTES
from sim.children import DANDELION
from sim.line import LineProcess

BAUD = 230_400  # the small picture takes a second; of the large one parts can be seen
UMASKS = (0o000, 0o022, 0o077)  # nothing is taken away, what is usual, what careful people have
ALONE, ALONE_IN = 0o600, 0o700


# --- owners and modes --------------------------------------------------------------------------------------------


def modes(top: Path) -> dict[str, int]:
    """Of all that is below a directory, and of itself, as ""."""
    found = {"": top, **{str(path.relative_to(top)): path for path in top.rglob("*")}}
    return {name: stat.S_IMODE(path.lstat().st_mode) for name, path in found.items()}


def check_card(unit: UnitProcess, *kinds: str) -> None:
    """All on the card is its owner's alone; there is something of each of these kinds."""
    found = modes(unit.card)
    del found[""]
    wrong = {name: oct(mode) for name, mode in found.items() if mode != is_alone(unit.card / name)}
    assert not wrong
    for kind in kinds:
        assert any((unit.card / name).match(kind) for name in found), f"no {kind} in {sorted(found)}"


def is_alone(path: Path) -> int:
    return ALONE_IN if path.is_dir() else ALONE


@pytest.mark.parametrize("umask", UMASKS, ids=oct)
@pytest.mark.parametrize("line", [BAUD], indirect=True)
def test_files_are_their_owners_and_the_socket_its_groups(
    make_unit: MakeUnit, line: LineProcess, tmp_path: Path, tiny_pictures: Path, pictures: Path, umask: int
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, source in (("1.jpg", tiny_pictures), ("2.jpg", pictures)):
        (folder / name).write_bytes(min(source.glob("*.jpg")).read_bytes())
    two_cards = [tmp_path / f"card{number}" for number in (1, 2)]
    two_cards[1].mkdir(mode=0o755)  # as one that is mounted: what is in it must be closed by itself
    before = os.umask(umask)
    try:
        one, two = two_units(make_unit, line.ports, folder, capacity="50 MB", policy="always", baud=BAUD)
        shot = one.shoot()["picture"]
        one.wait_event("stored", picture=shot)
        got = two.command("get", shot, "-o", tmp_path / "out")
    finally:
        os.umask(before)
    assert got.code == 0, got.err
    one.shoot()
    two.wait_until(lambda: list(two.card.glob("tmp/*.part")), "part of a picture")
    everywhere = ("identity", "catalogue.sqlite3", "catalogue.sqlite3-wal", "catalogue.sqlite3-shm")
    check_card(one, *everywhere, "own/*/*.jpg", "preview/*.jpg")
    check_card(two, *everywhere, "held/*/*.jpg", "tmp/*.part")
    assert [modes(card)[""] for card in two_cards] == [ALONE_IN, 0o755]
    for unit in (one, two):
        assert modes(unit.runtime) == {"": 0o750, "control.sock": 0o660, "lock": ALONE}
    assert modes(tmp_path / "network") == {"": ALONE_IN, "admin.key": ALONE, "network.json": ALONE}
    assert {modes(path)[""] for path in tmp_path.glob("*.credential")} == {ALONE}
    # what a person asked for is as wide as that person wants
    assert modes(tmp_path / "out") == {"": 0o777 & ~umask, f"{shot}.jpg": 0o666 & ~umask}


GROUP_THERE = """
import grp
there = grp.getgrgid({group})
grp.getgrnam = {{"dandelion": there}}.__getitem__
"""


def test_the_socket_and_the_way_to_it_are_given_to_the_group(
    make_unit: MakeUnit, line: LineProcess, tmp_path: Path
) -> None:
    """Where there is one of that name, and the unit's user may."""
    groups = [each.gr_gid for each in grp.getgrall()] if os.geteuid() == 0 else [*os.getgroups(), os.getegid()]
    group = max(groups)
    (tmp_path / "sitecustomize.py").write_text(GROUP_THERE.format(group=group))
    unit = make_unit(1, line.ports[0])
    unit.environment["PYTHONPATH"] = str(tmp_path)
    unit.start()
    for path in (unit.runtime, unit.runtime / "control.sock"):
        assert path.stat().st_gid == group
    assert modes(unit.runtime) == {"": 0o750, "control.sock": 0o660, "lock": ALONE}
    own = unit.config.stat().st_gid
    assert {path.stat().st_gid for path in (unit.runtime / "lock", unit.card, *unit.card.iterdir())} == {own}


# --- secrets -----------------------------------------------------------------------------------------------------


def spellings(secret: bytes) -> set[bytes]:
    """Ways in which these bytes could be shown, in base64 also behind others, as in a file of a key."""
    texts = {secret.hex(), secret.hex().upper(), repr(secret)[2:-1], str(list(secret))[1:-1]}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        texts |= {encode(bytes(before) + secret)[4:-4].decode() for before in range(3)}
    return {secret, *(text.encode() for text in texts)}


def check_none(secrets: Mapping[str, bytes], where: Mapping[str, bytes]) -> None:
    """None of the secrets is in any of these."""
    assert all(where.values()), f"nothing to search: {[name for name, found in where.items() if not found]}"
    for what, secret in secrets.items():
        assert len(secret) >= NONCE_BYTES, f"{what} is too short to be searched for"
        for spelling in spellings(secret):
            for name, found in where.items():
                assert spelling not in found, f"{what} is shown in {name}"


def keys_of(place: Path) -> dict[str, bytes]:
    """The secrets of the networks in a test's directory and of their units, by what they are."""
    found = {}
    for folder in place.glob("*/admin.key"):
        found[f"the admin's key of {folder.parent.name}"], network = network_folder.load(folder.parent)
        newest = network.roster
        for path in place.glob("*.credential"):
            made = credential.read(path)
            found[f"the key of unit {made.unit}"] = made.private
            for roster in (made.roster, newest):
                if roster.network == made.roster.network and roster.find(made.unit):
                    found[f"the secret of epoch {roster.epoch}"] = roster.secret_for(made.unit, made.private)
    return found


def questions_kept(unit: UnitProcess) -> dict[str, bytes]:
    """What holders will be asked for and must not know before: nonces, and their right answers."""
    with closing(sqlite3.connect(f"file:{unit.card}/catalogue.sqlite3?mode=ro", uri=True)) as catalogue:
        rows = catalogue.execute("SELECT nonce, digest FROM pair WHERE length(nonce) > 0").fetchall()
    whats = ("nonce", "answer")
    return {f"{what} {number}": row[at] for number, row in enumerate(rows) for at, what in enumerate(whats)}


def told(result: Result) -> bytes:
    assert result.code == 0, result.err
    return (result.out + result.err).encode()


def conversation(unit: UnitProcess, verb: str, **arguments: object) -> bytes:
    """Every byte that the unit answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(unit.runtime / "control.sock"))
        connection.sendall(encode_request(verb, arguments))
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def processes(pid: int) -> Iterator[int]:
    """This one and its children, whichever thread made them."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from processes(int(child))


def seen_from_outside(unit: UnitProcess) -> dict[str, bytes]:
    """What the system shows of the daemon and its camera's process; it keeps some of it from all but root."""
    found = {}
    for pid in processes(unit.pid):
        for name in ("cmdline", "environ", "status", "maps"):
            try:
                found[f"{name} of process {pid}"] = Path(f"/proc/{pid}/{name}").read_bytes()
            except PermissionError:
                assert (name, pid) not in (("cmdline", unit.pid), ("status", unit.pid))
    return found


def test_no_secret_is_shown_by_a_unit_or_a_command(
    make_unit: MakeUnit, line: LineProcess, tmp_path: Path, tiny_pictures: Path
) -> None:
    one, two = two_units(make_unit, line.ports, tiny_pictures, capacity="50 MB", policy="always")
    shot = one.shoot()["picture"]
    one.wait_event("stored", picture=shot)
    shown = {f"dandelion {' '.join(words)}": told(run_command(*words)) for words in net_commands(tmp_path, one, two)}
    newest = network_folder.load(tmp_path / "network")[1].roster
    two.wait_event("network", text=f"epoch {newest.epoch}")
    for words in (
        ("whereis", shot, "--verify"),
        ("drop", shot),
        ("explain", shot),
        ("get", shot, "-o", tmp_path / "out"),
    ):
        shown[f"dandelion {words[0]}"] = told(one.command(*words))
    keys = keys_of(tmp_path)
    questions = questions_kept(one)
    assert any(name.startswith("nonce") for name in questions)
    for unit in (one, two):
        shown |= shown_by(unit, shot)
        unit.end()
        shown[f"stderr of unit {unit.number}"] = unit.said.encode()
    check_none(keys | questions, shown)
    on_cards = [path for unit in (one, two) for path in unit.card.rglob("*") if path.is_file()]
    check_none(keys, {str(path): path.read_bytes() for path in on_cards if path.stat().st_size})


def net_commands(place: Path, one: UnitProcess, two: UnitProcess) -> Iterator[list[str]]:
    """Each of the admin's, with both kinds of output among them."""
    net = str(place / "network")
    yield ["net", "create", str(place / "other"), "--json"]
    yield ["net", "enrol", net, "--unit", "9", "--name", "later", "-o", str(place / "unit9.credential")]
    yield ["net", "revoke", net, "--unit", "9", "--config", str(one.config)]
    yield ["net", "rotate", net, "--config", str(two.config), "--json"]
    yield ["net", "push", net, "--config", str(one.config)]
    yield ["net", "show", net]
    yield ["net", "show", net, "--json"]


def shown_by(unit: UnitProcess, picture: str) -> dict[str, bytes]:
    """All that a running unit tells, and what the system tells of it."""
    found = seen_from_outside(unit)
    for words in (
        ("status",),
        ("status", "--json"),
        ("units", "--json"),
        ("whereis", picture),
        ("log",),
        ("log", "--json"),
    ):
        found[f"dandelion {' '.join(words)}"] = told(unit.command(*words))
    for verb in ("status", "units", "list", "log", "end", "nothing"):
        found[f"answer to {verb}"] = conversation(unit, verb)
    found["answer to push"] = conversation(unit, "push", roster="", at=0, whole_bytes=1)
    return {f"{name}, unit {unit.number}": data for name, data in found.items()}


BUG = """
from firmware import sessions

def broken(key):
    raise ZeroDivisionError("by chance")

sessions.Sealer = broken
"""
"""A sitecustomize.py, which Python runs before the program."""


def test_a_crash_shows_no_secret_where_it_happened(make_unit: MakeUnit, line: LineProcess, tmp_path: Path) -> None:
    unit = make_unit(1, line.ports[0])
    (tmp_path / "sitecustomize.py").write_text(BUG)
    done = subprocess.run(
        [*DANDELION, "run", "--config", str(unit.config)],
        env=os.environ | {"PYTHONPATH": str(tmp_path), "DANDELION_DEBUG": "1"},
        capture_output=True,
        timeout=COMMAND_S,
        check=False,
    )
    assert done.returncode == 1
    assert b"Traceback" in done.stderr
    assert b"in _take\n" in done.stderr  # where the keys are
    check_none(keys_of(tmp_path), {"stderr": done.stderr})


DUMPING = ("/bin/sh", "-c", 'ulimit -c "$(ulimit -H -c)" && exec "$@"', "sh")
"""Before a command: its core is dumped, if it is as large as this machine allows."""


def test_a_unit_leaves_no_core(make_unit: MakeUnit, line: LineProcess, tmp_path: Path) -> None:
    unit = make_unit(1, line.ports[0])
    command = [*DUMPING, *DANDELION, "run", "--config", str(unit.config)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(said.startswith("ready") for said in process.stderr)
        process.send_signal(signal.SIGABRT)
        ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    assert ended.si_code == os.CLD_KILLED  # not CLD_DUMPED
