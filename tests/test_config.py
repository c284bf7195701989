"""The config file: defaults, what is allowed, and errors that name key, value and what is allowed."""

import contextlib
import os
import tomllib
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import config, values
from firmware.config import check_port, load
from firmware.errors import ConfigError
from hal.interfaces import Duplex

SMALLEST = """
[unit]
id = 7
[camera]
driver = "none"
[radio]
driver = "none"
[security]
insecure = true
"""
EXAMPLE = Path(__file__).parent.parent / "deploy" / "config.example.toml"


def write(directory: Path, text: str) -> Path:
    path = directory / "config.toml"
    path.write_text(text)
    return path


def with_value(table: str, line: str) -> str:
    """The smallest config with one line put in, in place of the one with the same key."""
    tables = {name: keys for name, _, keys in (part.partition("]") for part in SMALLEST.split("[")[1:])}
    key = line.split("=")[0].strip()
    kept = [old for old in tables.get(table, "").splitlines() if old.split("=")[0].strip() != key]
    tables[table] = "\n".join([*kept, line])
    return "\n".join(f"[{name}]\n{keys}" for name, keys in tables.items())


def error_of(directory: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(write(directory, text))
    return str(caught.value)


def test_defaults_are_those_of_the_design(tmp_path):
    text = SMALLEST.replace('[camera]\ndriver = "none"', '[camera]\ndriver = "pattern"')
    file = write(tmp_path, text)
    assert load(file) == config.Config(
        file=file,
        unit=config.Unit(id=7, name="unit-7", runtime_dir=Path("/run/dandelion")),
        card=config.Card(Path("/var/lib/dandelion/card"), 24_000_000_000, 0.85, 0.70),
        camera=config.Camera("pattern", None, (1920, 1080), 85),
        shutter=config.Shutter(
            button_pin=None,
            led_pin=None,
            motion_pin=None,
            tamper_pin=None,
            interval_s=None,
            patience_s=120.0,
            burst=1,
            burst_spacing_s=1.0,
            motion_rest_s=30.0,
        ),
        radio=config.Radio("none", "/dev/serial0", 115_200, Duplex.FULL, False),
        dispersal=config.Dispersal("always", 1, 1, 2, 0.5),
        security=config.Security(insecure=True),
    )


def test_a_unit_without_camera_hosts_more_unless_told(tmp_path):
    assert load(write(tmp_path, SMALLEST)).dispersal.hosting == 0.95
    assert load(write(tmp_path, SMALLEST + "[dispersal]\nhosting = 0.25\n")).dispersal.hosting == 0.25


def test_the_example_names_every_key_of_this_version_with_its_default():
    assert load(EXAMPLE).unit.name == "north-gate"
    lines = [line.removeprefix("# ") for line in EXAMPLE.read_text().splitlines()[4:]]
    shown = tomllib.loads("\n".join(lines))
    known = {f"{table}.{key}" for table, keys in config._KEYS.items() for key in keys}
    assert {f"{table}.{key}" for table, keys in shown.items() for key in keys} == known
    pins = {"button_pin", "led_pin", "motion_pin", "tamper_pin"}
    given_less = {"driver", "name", "folder", "interval", "id", "network", "channel"} | pins
    for table, keys in shown.items():
        default = load(EXAMPLE).__getattribute__(table)
        for key, value in keys.items():
            if key not in given_less:
                attribute, read = config._KEYS[table][key]
                assert getattr(default, attribute) == read(value), f"{table}.{key}"


@pytest.mark.parametrize(
    ("table", "line", "key", "says"),
    [
        ("unit", "id = 0", "unit.id = 0", "1 to 65534"),
        ("unit", "id = 65535", "unit.id = 65535", "1 to 65534"),
        ("unit", 'id = "7"', "unit.id = '7'", "not a whole number"),
        ("unit", "id = true", "unit.id = True", "not a whole number"),
        ("unit", 'name = "North Gate"', "unit.name = 'North Gate'", "a-z"),
        ("unit", 'name = "1234"', "unit.name = '1234'", "not only digits"),
        ("unit", 'name = "abcdefghijklm"', "unit.name", "1 to 12"),
        ("unit", 'runtime_dir = ""', "unit.runtime_dir", "path"),
        ("card", 'capacity = "x"', "card.capacity = 'x'", "24 GB"),
        ("card", 'capacity = "24 Gb"', "card.capacity = '24 Gb'", "GB"),
        ("card", "capacity = 0", "card.capacity = 0", "out of range"),
        ("card", "capacity = -5", "card.capacity = -5", "out of range"),
        ("card", "capacity = inf", "card.capacity = inf", "out of range"),
        ("card", "capacity = nan", "card.capacity = nan", "out of range"),
        ("card", 'capacity = "1.5 B"', "card.capacity = '1.5 B'", "whole number of bytes"),
        ("card", "high_water = 1.1", "card.high_water = 1.1", "0.0 to 1.0"),
        ("card", "low_water = nan", "card.low_water = nan", "0.0 to 1.0"),
        ("card", "low_water = 0.9", "card.low_water = 0.9", "card.high_water"),
        ("camera", 'driver = "webcam"', "camera.driver = 'webcam'", "picamera2, folder, pattern, none"),
        ("camera", 'driver = "folder"', "camera.folder", "missing"),
        ("camera", "quality = 96", "camera.quality = 96", "1 to 95"),
        ("camera", "quality = 0", "camera.quality = 0", "1 to 95"),
        ("camera", "size = [1920]", "camera.size = [1920]", "[width, height]"),
        ("camera", 'size = [1920, "x"]', "camera.size", "[width, height]"),
        ("shutter", "button_pin = 28", "shutter.button_pin = 28", "0 to 27"),
        ("shutter", "led_pin = -1", "shutter.led_pin = -1", "0 to 27"),
        ("shutter", 'motion_pin = "GPIO22"', "shutter.motion_pin = 'GPIO22'", "not a whole number"),
        ("shutter", "button_pin = 14", "shutter.button_pin = 14", "the pins of the UART"),
        ("shutter", "tamper_pin = 15", "shutter.tamper_pin = 15", "12, 13, 16, 17"),
        ("shutter", "button_pin = 5\nled_pin = 5", "shutter.led_pin = 5", "this is shutter.button_pin"),
        ("shutter", "burst = 0", "shutter.burst = 0", "1 to 8"),
        ("shutter", "burst = 9", "shutter.burst = 9", "1 to 8"),
        ("shutter", "burst_spacing = 1", "shutter.burst_spacing = 1", "not a time"),
        ("shutter", 'motion_rest = "0 s"', "shutter.motion_rest = '0 s'", "out of range"),
        ("shutter", 'interval = "10 minutes"', "shutter.interval = '10 minutes'", "10 min"),
        ("shutter", "patience = 120", "shutter.patience = 120", "not a time"),
        ("shutter", 'patience = "0 s"', "shutter.patience = '0 s'", "out of range"),
        ("radio", 'driver = "zigbee"', "radio.driver = 'zigbee'", "serial, xbee, none"),
        ("radio", 'driver = "xbee"\nduplex = "half"', "radio.duplex = 'half'", "by itself; allowed: full"),
        ("radio", "network = -1", "radio.network = -1", "0 to 9223372036854775807"),
        ("radio", "channel = 27", "radio.channel = 27", "0 to 26"),
        ("radio", "network = 7", "radio.driver = 'none'", "radio.network = 7 is of an XBee module; allowed: xbee"),
        ("radio", "channel = 12", "radio.driver = 'none'", "radio.channel = 12 is of an XBee module; allowed: xbee"),
        ("radio", "baud = 0", "radio.baud = 0", "1 to 4000000"),
        ("radio", "baud = 9600.0", "radio.baud = 9600.0", "not a whole number"),
        ("radio", 'duplex = "both"', "radio.duplex = 'both'", "allowed: full"),
        ("radio", "rtscts = 1", "radio.rtscts = 1", "true, false"),
        ("dispersal", 'policy = "sometimes"', "dispersal.policy = 'sometimes'", "always, when-full, never"),
        ("dispersal", "copies = 0", "dispersal.copies = 0", "1 to 16"),
        ("dispersal", "copies_min = 2", "dispersal.copies_min = 2", "1 to 1"),
        ("dispersal", "hosting = -0.1", "dispersal.hosting = -0.1", "0.0 to 1.0"),
        ("security", 'credential = ""', "security.credential = ''", "path"),
        ("security", 'credential = "/x"', "there is security.credential", "one of the two"),
        ("security", 'insecure = "yes"', "security.insecure = 'yes'", "true, false"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_what_is_allowed(tmp_path, table, line, key, says):
    told = error_of(tmp_path, with_value(table, line))
    assert key in told
    assert says in told


@pytest.mark.parametrize(
    ("table", "line", "wrong", "nearest"),
    [
        ("card", "capcity = 5", "card.capcity", "capacity"),
        ("unit", "runtimedir = 5", "unit.runtimedir", "runtime_dir"),
        ("disperal", "copies = 1", "[disperal]", "dispersal"),
        ("kard", "q = 1", "[kard]", "card"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(tmp_path, table, line, wrong, nearest):
    told = error_of(tmp_path, with_value(table, line))
    assert wrong in told
    assert f"the nearest known one is {nearest};" in told


@pytest.mark.parametrize(
    ("line", "rtscts"),
    [('driver = "serial"', False), ('driver = "xbee"', True), ('driver = "xbee"\nrtscts = false', False)],
)
def test_flow_control_is_on_where_a_module_overruns_without(tmp_path, line, rtscts):
    assert load(write(tmp_path, with_value("radio", line))).radio.rtscts is rtscts


@pytest.mark.parametrize(
    ("radio", "pin", "is_free"),
    [
        ('port = "/dev/serial0"\nrtscts = true', 17, False),
        ('port = "/dev/ttyAMA0"\nrtscts = true', 16, False),
        ('port = "/dev/serial0"\nrtscts = true', 18, True),
        ('port = "/dev/serial0"', 17, True),
        ('port = "/dev/ttyUSB0"\nrtscts = true', 17, True),
        ('port = "/dev/serial/by-id/usb-FTDI"\nrtscts = true', 16, True),
        ('driver = "none"\nrtscts = true', 17, True),
    ],
)
def test_the_pins_of_flow_control_are_the_radios_where_it_is_on_the_header(tmp_path, radio, pin, is_free):
    text = SMALLEST.replace('[radio]\ndriver = "none"', f"[radio]\n{radio}") + f"[shutter]\nbutton_pin = {pin}\n"
    if is_free:
        assert load(write(tmp_path, text)).shutter.button_pin == pin
    else:
        assert f"shutter.button_pin = {pin}: this is CTS and RTS" in error_of(tmp_path, text)


def test_a_unit_needs_an_id(tmp_path):
    assert "unit.id is missing" in error_of(tmp_path, SMALLEST.replace("id = 7", ""))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("", config.Security(Path("/etc/dandelion/unit.credential"), insecure=False)),
        ("insecure = false", config.Security(Path("/etc/dandelion/unit.credential"), insecure=False)),
        ('credential = "/mine"', config.Security(Path("/mine"))),
    ],
)
def test_a_unit_has_a_credential_unless_it_is_told_to_be_insecure(tmp_path, keys, expected):
    assert load(write(tmp_path, SMALLEST.replace("insecure = true", keys))).security == expected


def test_a_relative_path_of_a_credential_starts_from_the_config_file(tmp_path):
    found = load(write(tmp_path, SMALLEST.replace("insecure = true", 'credential = "mine"'))).security.credential
    assert found == tmp_path / "mine"


def test_without_a_camera_driver_the_camera_is_the_board_s(tmp_path):
    assert load(write(tmp_path, SMALLEST.replace('[camera]\ndriver = "none"', ""))).camera.driver == "picamera2"


def test_a_table_must_be_a_table(tmp_path):
    assert "card = 5: not a table" in error_of(tmp_path, "card = 5\n" + SMALLEST)


@pytest.mark.parametrize("raw", [b"[unit", b"\xff\xfe", b"a=" + b"[\n" * 5000, b"#" * 70_000])
def test_what_is_no_config_file_is_said_to_be_none(tmp_path, raw):
    path = tmp_path / "config.toml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=r"config\.toml"):
        load(path)


def test_a_value_of_any_length_is_told_by_its_beginning(tmp_path):
    for line, begins in (
        ("id = 0x" + "f" * 400, f"unit.id = {str(16**400 - 1)[:80]}…: out of range"),
        (f'name = "{"x" * 400}"', f"unit.name = '{'x' * 79}…: not a name"),
        ('name = """' + "x\n" * 4000 + '"""', "unit.name = '" + r"x\n" * 26 + "x…: not a name"),
        (f"{'y' * 400} = 1", f"unit.{'y' * 80}…: unknown key"),
    ):
        told = error_of(tmp_path, with_value("unit", line))
        assert f": {begins}" in told
        assert len(told) < 500


def test_a_number_too_long_to_be_shown_is_an_error_in_words(tmp_path):
    """Python reads one of any length in hexadecimal digits, and refuses to show it in more than 4300 decimal ones."""
    told = error_of(tmp_path, SMALLEST + "[card]\ncapacity = 0x" + "f" * 4000)
    assert "line 11 is longer than 500 bytes" in told


def test_no_file_takes_more_memory_than_a_board_has_left(tmp_path):
    """The worst there is: each key has as many dots as a line has room for."""
    longest = b"a" + b".a" * ((config.MAX_LINE_BYTES - 3) // 2) + b"=1"
    keys = b"\n".join(b"%c%s" % (97 + number, longest) for number in range(26))
    path = tmp_path / "config.toml"
    path.write_bytes(keys)
    tracemalloc.start()
    with pytest.raises(ConfigError, match="unknown table"):
        load(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 15_000_000
    path.write_bytes(b"a" + longest + b"x")
    with pytest.raises(ConfigError, match="line 1 is longer than 500 bytes"):
        load(path)


def test_a_missing_or_unreadable_file_is_named(tmp_path):
    for path, says in ((tmp_path / "none.toml", "there is no such config file"), (tmp_path, "cannot be read")):
        with pytest.raises(ConfigError, match=says) as caught:
            load(path)
        assert str(path) in str(caught.value)


def serial_at(port: object) -> str:
    return with_value("radio", f'driver = "serial"\nport = "{port}"')


def test_without_a_credential_a_port_is_a_pty_or_not_there_yet(tmp_path):
    ours, theirs = os.openpty()
    try:
        link = tmp_path / "line"
        link.symlink_to(os.ttyname(theirs))
        for port in (os.ttyname(theirs), link):
            config = load(write(tmp_path, serial_at(port)))
            check_port(config)
            assert config.radio.port == str(port)
    finally:
        os.close(ours)
        os.close(theirs)
    check_port(load(write(tmp_path, serial_at(tmp_path / "later"))))
    (tmp_path / "file").touch()
    for port in ("/dev/null", tmp_path / "file"):
        with pytest.raises(ConfigError) as caught:
            check_port(load(write(tmp_path, serial_at(port))))
        assert f"radio.port = '{port}': not a pty" in caught.value.what
        check_port(load(write(tmp_path, serial_at(port).replace("insecure = true", ""))))  # with one: any port


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("24 GB", 24_000_000_000),
        ("500 kB", 500_000),
        ("500kB", 500_000),
        ("500000 B", 500_000),
        ("1.5 MB", 1_500_000),
        ("2 TB", 2 * 10**12),
        (500_000, 500_000),
        (5e5, 500_000),
    ],
)
def test_sizes_are_powers_of_1000(text, size_bytes):
    assert values.size_bytes(text) == size_bytes


@pytest.mark.parametrize(("text", "seconds"), [("45 s", 45), ("10 min", 600), ("2 h", 7200), ("1.5 d", 129_600)])
def test_times_are_read_in_their_unit(text, seconds):
    assert values.duration_s(text) == seconds


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.sampled_from([key for keys in config._KEYS.values() for key in keys.values()]), json_like)
def test_any_value_is_read_or_not_allowed_and_nothing_else(key, value):
    _attribute, read = key
    with contextlib.suppress(values.NotAllowed):
        read(value)
