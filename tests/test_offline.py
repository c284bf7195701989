"""Commands where no unit runs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import FILE, ID, OTHER, SHA256
from control_server import WAIT_S
from unprivileged import nobody

from firmware import cli, offline
from firmware.catalogue import Catalogue
from firmware.client import Client
from firmware.config import Config, load
from firmware.control import hold
from firmware.errors import Refused
from firmware.events import Save, SaveDecision, SaveName
from firmware.pictures import Copy, Entry, File, Picture, PictureId

CAMERA = '[camera]\n        driver = "pattern"\n        size = [64, 48]'


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("verb", ["status", "log"])
def test_status_and_log_say_that_no_unit_runs(capsys, verb):
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
        (["explain", ID], "nothing was decided"),
        (["list", "--unit", "x"], "no unit named x"),
    ],
)
def test_what_the_catalogue_does_not_know_is_1(place, capsys, arguments, says):
    fill_catalogue(place, 1)
    assert cli.main(arguments) == 1
    assert says in capsys.readouterr().err


@pytest.mark.usefixtures("place")
def test_without_a_catalogue_there_is_nothing_to_list(capsys):
    assert cli.main(["list"]) == 1
    assert "no catalogue" in capsys.readouterr().err


def stored_card(place: Path) -> Path:
    """A card with one own picture, as the unit leaves it; the path of its file."""
    picture = Picture(PictureId(1, 0x3FA7, 1), len(FILE), SHA256)
    own = place / "card" / "own" / "00001-3fa7"
    own.mkdir(parents=True)
    (own / picture.file_name).write_bytes(FILE)
    catalogue = Catalogue(str(place / "card" / "catalogue.sqlite3"), 1)
    catalogue.set_counters(complete=1)
    catalogue.save(Save((Entry(picture, File.WHOLE),)))
    catalogue.close()
    for name in ("held", "preview", "tmp", "quarantine"):
        (place / "card" / name).mkdir()
    (place / "card" / "identity").write_text("00001-3fa7\n")
    return own / picture.file_name


def test_fsck_of_a_clean_card_is_0(place, capsys):
    stored_card(place)
    assert cli.main(["fsck", "--json"]) == 0
    assert capsys.readouterr() == ("", "")


def test_fsck_finds_a_damaged_file_and_repair_moves_it_aside(place, capsys):
    file = stored_card(place)
    file.write_bytes(FILE[:-1] + b"x")
    assert cli.main(["fsck", "--json"]) == 1
    found = json_rows(capsys)
    assert [(row["kind"], row["picture"], row["repaired"]) for row in found] == [
        ("damaged", "00001-3fa7-00000001", False)
    ]
    assert file.name in found[0]["path"]
    assert cli.main(["fsck", "--repair"]) == 0
    assert "(mended)" in capsys.readouterr().out
    assert not file.exists()
    assert cli.main(["fsck"]) == 0


def test_fsck_repairs_nothing_while_a_unit_runs(place, capsys):
    file = stored_card(place)
    file.write_bytes(b"damaged")
    with hold(place / "run"):
        assert cli.main(["fsck", "--repair"]) == 1
        assert "a unit runs here already" in capsys.readouterr().err
        assert cli.main(["fsck"]) == 1
    assert file.read_bytes() == b"damaged"


def test_shoot_and_get_bring_a_unit_up_for_their_time(place, capsys):
    config = (place / "config.toml").read_text().replace('[camera]\n        driver = "none"', CAMERA)
    (place / "config.toml").write_text(config)
    assert cli.main(["shoot", "--json"]) == 0
    (shot,) = json_rows(capsys)
    assert not Client(place / "run" / "control.sock").runs()
    assert cli.main(["get", shot["picture"], "-o", str(place / "out"), "--json"]) == 0
    (got,) = json_rows(capsys)
    assert (got["sha256"], got["from_unit"]) == (shot["sha256"], 1)
    assert Path(got["path"]).stat().st_size == shot["size_bytes"]
    assert cli.main(["list", "--json"]) == 0
    (listed,) = json_rows(capsys)
    assert (listed["picture"], listed["local"]) == (shot["picture"], True)


def test_a_second_command_does_not_bring_up_a_second_unit(place, capsys, monkeypatch):
    monkeypatch.setattr("firmware.verbs.STARTING_S", 0.1)
    with hold(place / "run"):
        assert cli.main(["units"]) == 1
    assert "a unit runs here already" in capsys.readouterr().err


def test_list_without_a_unit_loads_the_catalogue_and_no_more(place):
    fill_catalogue(place, 1)
    code = "from firmware.cli import main; main(['list', '--json']); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_S, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "sqlite3" in loaded
    assert not loaded & {"asyncio", "rich", "PIL", "transitions", "serial", "firmware.core", "firmware.fsck"}


# ------------------------------------------------------------ cards that cannot be read, or only be read


def config_of(folder: Path) -> Config:
    path = folder / "config.toml"
    path.write_text(
        f"""
        unit = {{ id = 1, name = "north-gate", runtime_dir = "{folder}/run" }}
        card = {{ path = "{folder}/card" }}
        camera = {{ driver = "none" }}
        radio = {{ driver = "none" }}
        security = {{ insecure = true }}
        """
    )
    return load(path)


ASKING: list[Callable[[Config], object]] = [
    lambda config: list(offline.list_rows(config, None, None)),
    lambda config: offline.whereis_row(config, PictureId.parse(OTHER)),
    lambda config: list(offline.fsck_findings(config, repair=False)),
]


@pytest.mark.parametrize("closed", ["card", "card/catalogue.sqlite3"])
@pytest.mark.parametrize("ask", ASKING)
def test_a_card_that_may_not_be_read_is_said_to_be(public: Path, closed: str, ask: Callable[[Config], object]) -> None:
    config = config_of(public)
    fill_catalogue(public, 1)
    (public / closed).chmod(0)
    with nobody(), pytest.raises(Refused, match=r"may not be read|cannot be looked into") as raised:
        ask(config)
    assert "as the user that the unit runs as" in str(raised.value)


@pytest.mark.parametrize("ask", ASKING)
def test_a_card_path_that_leads_nowhere_is_said_to(tmp_path: Path, ask: Callable[[Config], object]) -> None:
    (tmp_path / "card").symlink_to("/nowhere/at/all")
    with pytest.raises(Refused, match="a link that leads nowhere"):
        ask(config_of(tmp_path))


@pytest.mark.parametrize("ask", ASKING)
def test_a_directory_in_place_of_the_catalogue_is_said_to_be(tmp_path: Path, ask: Callable[[Config], object]) -> None:
    (tmp_path / "card" / "catalogue.sqlite3").mkdir(parents=True)
    with pytest.raises(Refused, match="is not a file"):
        ask(config_of(tmp_path))


def test_a_name_of_any_bytes_is_printable_in_what_fsck_finds(place, capsys):
    stored_card(place)
    with open(os.fsencode(place) + b"/card/own/caf\xe9\n", "xb"):
        pass
    assert cli.main(["fsck", "--json"]) == 1
    assert [row["path"] for row in json_rows(capsys)] == [r"own/caf\udce9\n"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_card_that_is_mounted_read_only_can_be_read(place, capsys):
    file = stored_card(place)
    if subprocess.run(["mount", "--bind", place / "card", place / "card"], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", place / "card"], check=True)
        name = file.name[:19]
        for arguments in (["list"], ["whereis", name], ["fsck"]):
            assert cli.main(arguments) == 0
        assert capsys.readouterr().out.count(name) == 2
    finally:
        subprocess.run(["umount", place / "card"], check=True)
