"""Commands where no unit runs."""

import json
from pathlib import Path

import pytest
from commands import ID, OTHER, SHA256

from firmware import cli
from firmware.catalogue import Catalogue
from firmware.events import Save, SaveDecision, SaveName
from firmware.pictures import Copy, Entry, File, Picture, PictureId


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
        (["explain", ID], "not known here"),
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
