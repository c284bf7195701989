"""The JSON rows and the times in them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import rows
from firmware.errors import WrongArgument
from firmware.pictures import Copy, Entry, File, Picture, PictureId
from hal.interfaces import TimeQuality

PICTURE = Picture(PictureId(1, 0x3FA7, 42), 200_000, bytes(range(32)), taken_at=1_784_023_230.9)
NOW_S = 1_784_030_000.0


def test_a_list_row_of_an_own_picture_has_the_fields_of_the_design():
    entry = Entry(
        picture=Picture(PICTURE.id, 200_000, PICTURE.sha256, True, PICTURE.taken_at, TimeQuality.SYNCED),
        file=File.WHOLE,
        copies=(
            Copy(2, listed=3, verified_at=1_784_023_300.0),
            Copy(3, listed=4, suspect=True),
            Copy(4, open=9),
            Copy(5, listed=6, open=10),
            Copy(6, owed=True),
        ),
    )
    assert rows.list_row(entry, 1) == {
        "picture": "00001-3fa7-00000042",
        "origin": 1,
        "taken_at": "2026-07-14T10:00:30Z",
        "taken_at_quality": "synced",
        "size_bytes": 200_000,
        "sha256": PICTURE.sha256.hex(),
        "local": True,
        "copies": [
            {"unit": 2, "state": "verified", "verified_at": "2026-07-14T10:01:40Z"},
            {"unit": 3, "state": "suspect", "verified_at": None},
            {"unit": 4, "state": "pending", "verified_at": None},
            {"unit": 5, "state": "verified", "verified_at": None},
        ],
        "priority": True,
    }


@pytest.mark.parametrize(("kept", "state"), [(True, "verified"), (False, "pending")])
def test_a_holder_lists_itself(kept, state):
    entry = Entry(PICTURE, File.WHOLE, attempt=5, kept=kept)
    row = rows.list_row(entry, 2)
    assert row["copies"] == [{"unit": 2, "state": state, "verified_at": None}]
    assert row["origin"] == 1
    assert row["local"] is True
    assert row["taken_at_quality"] == "unset"


def test_what_is_known_by_a_record_alone_is_the_origins_word():
    entry = Entry(PICTURE, File.GONE, version=4, named=(5, 2, 3), doubted=1)
    row = rows.list_row(entry, 9)
    assert row["local"] is False
    assert row["copies"] == [
        {"unit": 2, "state": "verified", "verified_at": None},
        {"unit": 3, "state": "suspect", "verified_at": None},
        {"unit": 5, "state": "verified", "verified_at": None},
    ]


def test_of_its_own_copy_a_unit_knows_best():
    held = Entry(PICTURE, File.WHOLE, attempt=5, version=4, named=(2, 3), doubted=2)
    assert [(copy["unit"], copy["state"]) for copy in rows.list_row(held, 3)["copies"]] == [
        (2, "suspect"),
        (3, "pending"),
    ]
    lost = Entry(PICTURE, File.GONE, version=4, named=(2, 3))
    assert [copy["unit"] for copy in rows.list_row(lost, 3)["copies"]] == [2]


@pytest.mark.parametrize("file", [File.GONE, File.UNCHECKED])
def test_a_file_that_was_not_found_whole_is_not_local(file):
    assert rows.list_row(Entry(PICTURE, file), 1)["local"] is False


def test_whereis_tells_holders_of_the_same_entry():
    entry = Entry(PICTURE, File.GONE, copies=(Copy(2, listed=3),))
    assert rows.whereis_row(entry, 1) == {
        "picture": "00001-3fa7-00000042",
        "origin": 1,
        "size_bytes": 200_000,
        "sha256": PICTURE.sha256.hex(),
        "local": False,
        "copies": [{"unit": 2, "state": "verified", "verified_at": None}],
    }


def test_shoot_and_units_have_the_fields_of_the_design():
    assert rows.shoot_row(PICTURE, 0.12345) == {
        "picture": "00001-3fa7-00000042",
        "size_bytes": 200_000,
        "sha256": PICTURE.sha256.hex(),
        "seconds": 0.123,
    }
    assert rows.unit_row(
        2, name=None, room_bytes=None, last_heard_s=3.14159, loss=None, rate_bps=92160.4, rssi_dbm=-71
    ) == {
        "unit": 2,
        "name": None,
        "room_bytes": None,
        "last_heard_s": 3.1,
        "loss": None,
        "rate_bps": 92160,
        "rssi_dbm": -71,
    }


def test_a_time_that_is_not_known_is_null():
    assert rows.rfc3339(None) is None


@given(st.floats())
def test_any_time_a_peer_may_send_makes_a_row(unix_s):
    told = rows.rfc3339(unix_s)
    json.dumps(told, allow_nan=False)
    if told is not None:
        assert len(told) == len("2026-07-14T10:00:30Z")
        assert rows.parse_time(told, NOW_S) == pytest.approx(unix_s, abs=1)


@pytest.mark.parametrize(
    ("text", "unix_s"),
    [
        ("2026-07-14T10:00:30Z", 1_784_023_230),
        ("2026-07-14T12:00:30+02:00", 1_784_023_230),
        ("2026-07-14 10:00:30", 1_784_023_230),
        ("2026-07-14", 1_783_987_200),
        ("2 h", NOW_S - 7_200),
        ("3d ago", NOW_S - 259_200),
        ("90 s", NOW_S - 90),
        ("5 min ago", NOW_S - 300),
    ],
)
def test_since_takes_times_dates_and_how_long_ago(text, unix_s):
    assert rows.parse_time(text, NOW_S) == unix_s


@pytest.mark.parametrize("text", ["", "yesterday", "2 hours", "2026-13-01", "-2 h", "1" * 30 + " h", "10:00"])
def test_what_is_no_time_is_said_with_what_would_be(text):
    with pytest.raises(WrongArgument, match="2 h"):
        rows.parse_time(text, NOW_S)
