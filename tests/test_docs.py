"""README and docs say what is so: examples run, and tables, names and links equal the code."""

import argparse
import ast
import dataclasses
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path

import light_table
import pytest
import wiring

from deploy import boot_files, build_deb, setup_board
from firmware import VERSION, cli, config, credential, lights
from firmware.client import Client
from firmware.control_lines import Row
from firmware.doctor.table import as_table
from firmware.messages import RefuseWhy
from sim import line
from sim.children import DANDELION
from sim.fleet_config import read_options
from sim.line import LineProcess
from sim.xbee_process import XBeeProcess

ROOT = Path(__file__).parent.parent
DOCUMENTS = (
    "README.md",
    "CHANGELOG.md",
    "docs/operations.md",
    "docs/hardware.md",
    "docs/architecture.md",
    "docs/board.md",
    "docs/states.md",
    "docs/protocol.md",
    "docs/reliability.md",
    "docs/security.md",
    "deploy/README.md",
)
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS}
OPERATIONS, README, ARCHITECTURE = TEXTS["docs/operations.md"], TEXTS["README.md"], TEXTS["docs/architecture.md"]
SECURITY = TEXTS["docs/security.md"]
CARD = "3fa7"  # the card number in every example
SESSION_S = 120.0  # the examples together; they take 15


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def verbs() -> dict[str, argparse.ArgumentParser]:
    """Each verb's parser."""
    return next(a.choices for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction))


# --- config --------------------------------------------------------------------------------------------------------

KEYS = dict(re.findall(r"^\| `(\w+\.\w+)` \|\s*(.*?)\s*\| ", OPERATIONS, re.MULTILINE))
NEEDED = {"unit": {"id": "7"}, "radio": {"port": '"nowhere"'}}


def as_toml(tables: dict[str, dict[str, str]]) -> str:
    return "".join(f"[{t}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()) for t, keys in tables.items())


def test_the_table_of_keys_has_exactly_those_of_the_config() -> None:
    assert sorted(KEYS) == sorted(f"{table}.{key}" for table, keys in config._KEYS.items() for key in keys)


def test_the_defaults_in_the_table_are_those_of_the_config(tmp_path: Path) -> None:
    told = {table: dict(keys) for table, keys in NEEDED.items()}
    for name, default in KEYS.items():
        if (value := default.strip("`")) and "<" not in value and name != "radio.port":
            table, key = name.split(".")
            told.setdefault(table, {})[key] = value
    (tmp_path / "said.toml").write_text(as_toml(told))
    (tmp_path / "bare.toml").write_text(as_toml(NEEDED))
    assert len(told["dispersal"]) == 5
    said, bare = (config.load(tmp_path / name) for name in ("said.toml", "bare.toml"))
    assert dataclasses.replace(said, file=bare.file) == bare
    assert KEYS["radio.port"] == f'`"{config.Radio().port}"`'
    assert KEYS["unit.name"] == "`unit-<id>`"
    assert config.load(tmp_path / "bare.toml").unit.name == "unit-7"


def test_the_example_config_is_about_every_key_that_can_be_set() -> None:
    text = (ROOT / "deploy" / "config.example.toml").read_text(encoding="utf-8")
    shown = re.findall(r"^(?:# )?(\w+) = ", text, re.MULTILINE)
    assert sorted(shown) == sorted(name.split(".")[1] for name in KEYS)


RADIO_ON_HEADER = {"unit": {"id": "7"}, "radio": {"driver": '"xbee"', "port": '"/dev/serial0"'}}


def hardware_configs(tmp_path: Path) -> list[config.Config]:
    """The whole config of the hardware document, and its example of all parts at a board with a radio on the header."""
    whole, parts = sorted(blocks(TEXTS["docs/hardware.md"], "toml"), key=lambda block: "[unit]" not in block)
    (tmp_path / "whole.toml").write_text(whole)
    (tmp_path / "parts.toml").write_text(as_toml(RADIO_ON_HEADER) + parts)
    return [config.load(tmp_path / name) for name in ("whole.toml", "parts.toml")]


def test_the_pins_of_the_hardware_document_are_those_of_the_drawing_and_of_the_example(tmp_path: Path) -> None:
    whole, parts = hardware_configs(tmp_path)
    example = (ROOT / "deploy" / "config.example.toml").read_text(encoding="utf-8")
    for key, pin in wiring.PINS.items():
        assert getattr(parts.shutter, key) == wiring.gpio(pin), key
        assert getattr(whole.shutter, key) in (None, wiring.gpio(pin)), key
        assert f"| {pin}, {wiring.GROUNDS[key]} | `{key} = {wiring.gpio(pin)}` |" in TEXTS["docs/hardware.md"]
        assert f"\n# {key} = {wiring.gpio(pin)} " in example
    assert whole.shutter.button_pin is not None
    assert whole.shutter.led_pin is not None


def test_the_example_pins_can_be_had_beside_a_radio_on_the_header(tmp_path: Path) -> None:
    for loaded in hardware_configs(tmp_path):
        assert loaded.radio.rtscts
        assert Path(loaded.radio.port).name.startswith(config.HEADER_UARTS)


def test_the_wires_of_an_xbee_module_are_those_of_the_drawing_and_of_doctor() -> None:
    rows = re.findall(r"^\| (\d+) (\w+) \| ([^|]+) \| (\d+) \|$", TEXTS["docs/hardware.md"], re.MULTILINE)
    assert {signal: (int(module), int(pin)) for module, signal, _, pin in rows} == wiring.XBEE
    for _, _, board, pin in rows:
        name = wiring.NAMES[int(pin)]
        assert board.replace(",", "").replace("ground", "GND") == name
    doctor = (ROOT / "firmware" / "doctor" / "radio.py").read_text(encoding="utf-8")
    for name in ("CTS", "RTS"):
        _, pin = wiring.XBEE[name]
        assert f"{name} is GPIO {wiring.gpio(pin)} (pin {pin})" in doctor


def test_the_lines_that_give_the_uart_its_flow_control_are_those_that_are_set_up() -> None:
    table = re.findall(r"^\| [\w ,]+ \| `(gpio=[^`]+|dtoverlay=[^`]+)` \|", TEXTS["docs/hardware.md"], re.MULTILINE)
    assert table == [line for line in dict.fromkeys(boot_files.FLOW_CONTROL) if line[0] not in "#["]


def test_the_whole_config_of_the_hardware_document_is_what_fix_sets_in_a_new_module(tmp_path: Path) -> None:
    hardware_configs(tmp_path)
    file = tmp_path / "whole.toml"
    places = {"camera": {"driver": '"none"'}, "card": {"path": '"card"'}, "security": {"credential": '"none"'}}
    text = re.sub(r"\[shutter\][^[]*", "", file.read_text()).replace("/dev/serial0", str(tmp_path / "module"))
    file.write_text(text.replace("[unit]", '[unit]\nruntime_dir = "run"') + as_toml(places))
    loaded = config.load(file).radio
    with XBeeProcess([tmp_path / "module"], "--protocol", "802.15.4", "--mode", "transparent"):
        command = [*DANDELION, "doctor", "--fix", "--json", "--config", str(file)]
        said = subprocess.run(command, capture_output=True, text=True, timeout=SESSION_S, check=False).stdout
    rows = {row["name"]: row for row in map(json.loads, said.splitlines())}
    for word in ("AP = 1", f"ID = {loaded.network:X}", f"CH = {loaded.channel:X}"):
        assert word in rows["xbee-mode"]["fixed"]
    assert {rows[name]["state"] for name in ("config", "xbee", "xbee-mode", "xbee-channel", "xbee-payload")} == {"ok"}


@pytest.mark.parametrize(("name", "drawing"), wiring.drawings().items())
def test_each_wiring_drawing_is_the_one_that_is_made(name: str, drawing: str) -> None:
    """Otherwise run tests/wiring.py."""
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == drawing
    assert f"]({name})" in TEXTS["docs/hardware.md"]


def test_the_table_of_lights_is_the_one_that_is_made_from_their_patterns() -> None:
    """Otherwise run tests/light_table.py."""
    assert light_table.renewed(OPERATIONS) == OPERATIONS
    assert len(light_table.STATES) == len(lights.State)
    assert len(light_table.SAYINGS) == len(lights.Said)


# --- commands ------------------------------------------------------------------------------------------------------


def test_the_table_of_commands_has_exactly_the_verbs_with_their_options() -> None:
    section = re.search(r"^## 3\. .*?(?=^## )", OPERATIONS, re.MULTILINE | re.DOTALL)
    assert section is not None
    rows = dict(re.findall(r"^\| `(\w+)( [^`\n]*)?` \|", section[0], re.MULTILINE))
    assert list(rows) == list(verbs())
    for verb, parser in verbs().items():
        options = {option for action in parser._actions for option in action.option_strings}
        told = set(re.findall(r"(?<![\w-])--?[a-z]+", rows[verb]))
        assert told == options - {"-h", "--help", "--config", "--json"}, verb


def test_the_table_of_the_admins_commands_has_exactly_those_with_their_arguments() -> None:
    section = re.search(r"^## 9\. .*", OPERATIONS, re.MULTILINE | re.DOTALL)
    assert section is not None
    rows = dict(re.findall(r"^\| `net (\w+)( [^`\n]*)?` \|", section[0], re.MULTILINE))
    commands = next(a.choices for a in verbs()["net"]._actions if isinstance(a, argparse._SubParsersAction))
    assert list(rows) == list(commands)
    for verb, parser in commands.items():
        assert rows[verb].startswith(" DIR"), verb
        options = {option for action in parser._actions for option in action.option_strings}
        assert set(re.findall(r"(?<![\w-])--?[a-z]+", rows[verb])) == options - {"-h", "--help", "--json"}, verb
        needed = {action.option_strings[0] for action in parser._actions if action.required and action.option_strings}
        assert set(re.findall(r"(?<![\w-])--?[a-z]+", re.sub(r"\[.*?\]", "", rows[verb]))) == needed, verb


def test_the_table_of_doctors_findings_is_the_one_of_the_code() -> None:
    assert f"<!-- table: doctor -->\n{as_table()}\n" in OPERATIONS


PACKAGE = f"dandelion_{VERSION}_all.deb"
CREDENTIAL = re.compile(r"unit-\d+\.credential")
COMMANDS = [command for text in TEXTS.values() for block in blocks(text, "sh") for command in block.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_to_type_is_one(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command)
    match words:
        case ["export", assignment]:
            assert assignment.startswith("DANDELION_CONFIG=")
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case ["sudo", "deploy/install", *rest]:
            installer = (ROOT / "deploy" / "install").read_text()
            assert all(re.search(rf"^ +(?:\S+ \| )*{word}(?: \| \S+)*\)", installer, re.MULTILINE) for word in rest)
        case ["sudo", "dandelion-setup", *rest]:
            setup_board._parser().parse_args(rest)
        case ["sudo", "apt", "update"]:
            pass
        case ["sudo", "apt", "install", package]:
            assert package == f"./{PACKAGE}"
        case ["scp", source, "USER@NAME.local:"]:
            assert source == f"build/{PACKAGE}" or CREDENTIAL.fullmatch(source)
        case ["sudo", "cp" | "install", *_words, source, target]:
            assert CREDENTIAL.fullmatch(source) or source in {f"/{place}" for place in build_deb.PLACES.values()}
            assert target in (cli.DEFAULT_CONFIG, credential.PLACE)
        case (
            ["sudo", "systemctl", "restart" | "stop", name] | ["systemctl", "status", name] | ["journalctl", "-u", name]
        ):
            assert f"systemd/{name}.service" in build_deb.PLACES
        case ["python", "-m", "sim.line", *rest]:
            line._arguments(rest)
        case [program, "sim", *rest] if Path(program).name == "dandelion":
            read_options(rest)
        case ["sudo", "dandelion", *rest] | ["dandelion", *rest] | [".venv/bin/dandelion", *rest]:
            cli._parser().parse_args(rest)
        case _:
            raise AssertionError(f"{command!r}: what is this?")
    assert capsys.readouterr().err == ""


# --- the session of operations.md, with two units on a line ---------------------------------------------------------


def normal(text: str) -> str:
    """What is the same each time: digits of digests, times, sizes and measures become words."""
    for pattern, word in (
        (r"(?<=\d-)[0-9a-f]{16}\b", "DIGITS"),
        (r"(?<=\()[0-9a-f]{16}(?=\), epoch)", "NETWORK"),
        (r"(?<=  )([a-z]{3,8} ){5}[a-z]{3,8}(?=  (since|revoked))", "WORDS"),
        (r"(?<=this unit: )([a-z]{3,8} ){5}[a-z]{3,8}", "WORDS"),
        (r"(?<=; )unit \d(?= has it)", "UNIT"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\??", "TIME"),  # who runs this may have a clock that nobody vouches for
        (r"\d+(\.\d+)? (B|kB|MB|GB)\b", "SIZE"),
        (r"\d+\.\d+(?= s\b)|\d+(?= s ago)|(?<=within )\d+(?= s\b)", "SECONDS"),
        (r"(?<=boot )\d+", "BOOT"),
        (r"/\S+(?=/line/port-)", "PLACE"),
        (r"\d+\.\d+%", "SHARE"),
        (r"\d+\.\d+(?= kbit/s)", "RATE"),
        (r" \(\d+ bytes of it were sent again\)", ""),  # a busy machine loses bytes
        (r"\d+ frames? damaged", "SOME frames damaged"),
        (r" +", " "),
    ):
        text = re.sub(pattern, word, text)
    return text.strip()


def told(text: str) -> list[str]:
    """Lines as a person sees them once all bars of progress, and the previews that units ask for, have gone."""
    passing = re.compile(r"\S+ \d+% of .*|transfer  preview of .*")
    return [normal(each) for each in text.splitlines() if not passing.fullmatch(each)]


def fits(said: list[str], expected: list[str]) -> bool:
    """Whether the lines are those expected, where … stands for any lines."""
    if not expected:
        return not said
    if expected[0] == "…":
        return any(fits(said[start:], expected[1:]) for start in range(len(said) + 1))
    return bool(said) and said[0] == expected[0] and fits(said[1:], expected[1:])


@contextmanager
def unit(config_name: str, directory: Path, until: str):
    """A unit of the session, up from the line that says `until`."""
    command = [*DANDELION, "run", "--config", config_name]
    with subprocess.Popen(command, cwd=directory, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = []
            for text in process.stderr:
                said.append(text)
                if text.startswith(until):
                    break
            assert said[-1].startswith(until), said
            yield
        finally:
            process.terminate()


def wait_until_known(socket: Path) -> None:
    """Until the other unit has told its name and its room: people take longer to type than units to say hello."""
    known = False
    while not known:
        rows = [answer.fields for answer in Client(socket).ask("units") if isinstance(answer, Row)]
        known = any(row["name"] is not None and row["room_bytes"] for row in rows)


Said = tuple[str, list[str], list[str], str]
"""Command, lines expected, lines said, exit status."""


def run_session(examples: list[str], directory: Path) -> list[Said]:
    """These blocks of a document in one shell."""
    steps = []
    for block in examples:
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = step.partition("\n")
            steps.append((command, expected))
    script = "".join(
        f"{{ {command}\n}} >{directory}/said.{number} 2>&1\necho $? >{directory}/status.{number}\n"
        for number, (command, _) in enumerate(steps)
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(
        ["bash", "-c", script], cwd=directory, env={**os.environ, "PATH": path}, check=True, timeout=SESSION_S
    )
    return [
        (command, told(expected), told((directory / f"said.{n}").read_text()), (directory / f"status.{n}").read_text())
        for n, (command, expected) in enumerate(steps)
    ]


def check(results: list[Said]) -> None:
    for command, expected, said, status in results:
        assert fits(said, expected), f"$ {command}\n" + "\n".join(said)
        assert status == "0\n", command


def write_configs(text: str, directory: Path) -> None:
    for block in blocks(text, "toml"):
        (directory / block.split("\n")[0].removeprefix("# ")).write_text(block)


def test_the_examples_for_the_operator_do_what_stands_there(tmp_path: Path) -> None:
    write_configs(OPERATIONS, tmp_path)
    before, *examples = blocks(OPERATIONS, "console")
    check(run_session([before], tmp_path))
    with ExitStack() as stack:
        stack.enter_context(LineProcess(["--baud", "921600", "--links", str(tmp_path / "line")]))
        stack.enter_context(unit("south.toml", tmp_path, "ready"))
        stack.enter_context(unit("north.toml", tmp_path, "heard: unit 2 is heard"))
        wait_until_known(tmp_path / "north/run/control.sock")
        card = (tmp_path / "north/card/identity").read_text().split()[1]
        results = run_session([example.replace(CARD, card) for example in examples], tmp_path)
    check(results)
    assert len(results) == 22
    assert not (tmp_path / f"north/card/preview/00001-{card}-00000001.jpg").exists()  # deleted means deleted


# --- the session of security.md, with three units of which one is stolen ---------------------------------------------

PORT = "/dev/ttyUSB0"  # of whoever visits the units


def wait_until(socket: Path, verb: str, expected: Callable[[list[dict[str, object]]], bool]) -> None:
    """Until the unit answers so."""
    while not expected([answer.fields for answer in Client(socket).ask(verb) if isinstance(answer, Row)]):
        pass


def has_logged(text: str) -> Callable[[list[dict[str, object]]], bool]:
    return lambda rows: any(text in str(row["text"]) for row in rows)


def knows(*units: int) -> Callable[[list[dict[str, object]]], bool]:
    """Whether it has heard what exactly these offer."""
    return lambda rows: {row["unit"] for row in rows if row["name"] and row["room_bytes"] is not None} == set(units)


def test_a_stolen_board_is_shut_out_by_what_stands_there(tmp_path: Path) -> None:
    folder, backup, restored, stolen, *rest = blocks(SECURITY, "console")
    check(run_session([folder, backup, restored], tmp_path))
    write_configs(SECURITY.replace(PORT, "line/port-4"), tmp_path)
    sockets = {}
    for number, name in ((1, "north-gate"), (2, "south-pond"), (7, "east-hedge")):
        sockets[number] = tmp_path / name / "run" / "control.sock"
        port = f"line/port-{len(sockets)}"
        tables = {
            "unit": {"id": str(number), "name": f'"{name}"', "runtime_dir": f'"{name}/run"'},
            "card": {"path": f'"{name}/card"', "capacity": '"50 MB"'},
            "camera": {"driver": '"none"'},
            "radio": {"port": f'"{port}"', "baud": "115200"},
            "security": {"credential": f'"{name}.credential"'},
        }
        (tmp_path / f"{name}.toml").write_text(as_toml(tables))
    with ExitStack() as stack:
        stack.enter_context(LineProcess(["--units", "4", "--baud", "115200", "--links", str(tmp_path / "line")]))
        for name in ("north-gate", "south-pond", "east-hedge"):
            stack.enter_context(unit(f"{name}.toml", tmp_path, "ready"))
        for number, others in ((1, (2, 7)), (2, (1, 7)), (7, (1, 2))):
            wait_until(sockets[number], "units", knows(*others))
        check(run_session([stolen], tmp_path))
        wait_until(sockets[1], "log", has_logged("unit 7 is spoken to no more"))
        wait_until(sockets[7], "log", has_logged("does not name unit 7 any more"))
        results = run_session(rest, tmp_path)
    check(results)
    assert len(results) == 3


# --- the fleet -----------------------------------------------------------------------------------------------------


def test_the_fleet_without_a_terminal_stores_and_delivers_and_its_command_reads_a_picture_out(tmp_path: Path) -> None:
    arguments = ["sim", "--baud", "4000000", "--interval", "2", "--dir", "fleet"]
    lines: list[str] = []
    with subprocess.Popen([*DANDELION, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for text in process.stdout:
                lines.append(text)
                said = "".join(lines)
                if all(word in said for word in ("requested", "accepted", "stored", "delivered")):
                    break
            hint = [number for number, each in enumerate(lines) if " get 0" in each][-1]
            commands = "".join(lines[hint - 2 : hint + 1]).replace(" -o /tmp", " -o taken")
            subprocess.run(["bash", "-e", "-c", commands], cwd=tmp_path, check=True, capture_output=True)
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read() if process.stdout is not None else ""
    assert process.returncode == 0
    assert rest.splitlines()[-1].startswith("The fleet ends: ")
    (taken,) = (tmp_path / "taken").iterdir()
    folder = {picture.read_bytes() for picture in (tmp_path / "fleet" / "pictures").iterdir()}
    assert taken.read_bytes() in folder
    shot, stored = (next(n for n, each in enumerate(lines) if word in each) for word in (" shot: ", " is stored at "))
    assert seconds(lines[stored]) - seconds(lines[shot]) < 30


def seconds(text: str) -> float:
    return float(text.split()[0])


def test_the_picture_of_the_fleet_shows_three_units_and_loads_nothing() -> None:
    drawn = (ROOT / "docs" / "fleet.svg").read_text(encoding="utf-8").replace("&#160;", " ")
    for shown in ("unit-1", "unit-2", "unit-3", "verified", "is stored at", "under way"):
        assert shown in drawn
    assert "url(http" not in drawn


# --- words of status and log -----------------------------------------------------------------------------------------


def strings(path: Path, function: str) -> set[str]:
    """First texts of the calls of a function of this name; what is filled in becomes N."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name == function:
                found |= set(texts(node.args[0]))
    return found


def texts(node: ast.expr) -> list[str]:
    match node:
        case ast.Constant(str() as text):
            return [text]
        case ast.JoinedStr(values):
            return ["".join(v.value if isinstance(v, ast.Constant) else "N" for v in values)]
        case ast.IfExp(body=body, orelse=orelse):
            return texts(body) + texts(orelse)
    return []


def test_every_reason_to_keep_a_picture_is_explained() -> None:
    reasons = strings(ROOT / "firmware" / "determine.py", "Keep")
    assert len(reasons) >= 7
    for reason in reasons:
        assert f"{reason.removeprefix('N')} |" in OPERATIONS


def test_every_word_of_the_log_is_listed() -> None:
    words = set().union(*(strings(path, "log") for path in (ROOT / "firmware").glob("*.py")))
    assert len(words) >= 15
    listed = re.search(r"^Words of `log`.*?\n\n", OPERATIONS, re.MULTILINE | re.DOTALL)
    assert listed is not None
    assert words <= set(re.findall(r"\*(\w+)\*", listed[0]))


@pytest.mark.parametrize(
    "why", [RefuseWhy.FULL, RefuseWhy.BUSY, RefuseWhy.NOT_HOSTING, RefuseWhy.FAILED, RefuseWhy.CONFLICT]
)
def test_every_reason_of_a_refusal_is_explained(why: RefuseWhy) -> None:
    assert f"`{why.name.lower().replace('_', ' ')}`: " in OPERATIONS


# --- names and links -------------------------------------------------------------------------------------------------


def defined(path: Path) -> set[str]:
    return set(re.findall(r"^\s*(?:async )?(?:def|class) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))


PLAIN_WORDS = {"bench", "explain", "firmware", "hal", "sim", "verified", "yield"}  # in backticks, and no names of code


RULE = re.compile(r"\b[OHRI]\d{1,2}\b")


def test_every_rule_that_code_and_docs_name_is_explained() -> None:
    explained = set(RULE.findall((ROOT / "docs" / "rules.md").read_text()))
    sources = [path for folder in ("firmware", "hal", "sim", "docs") for path in (ROOT / folder).glob("*.[pm]*")]
    named = {rule for path in sources for rule in RULE.findall(path.read_text())}
    assert len(named) > 20
    assert named <= explained


def test_every_file_and_name_of_the_architecture_exists() -> None:
    named = 0
    for each in ARCHITECTURE.splitlines():
        here: set[str] = set()
        for word in re.findall(r"`([^`]+)`", each):
            if re.fullmatch(r"(firmware|hal|sim|tests)/\w+\.py", word):
                assert (ROOT / word).exists(), word
                here |= defined(ROOT / word)
            elif here and re.fullmatch(r"_?[a-z]\w+", word):
                assert word in here | PLAIN_WORDS, f"{word}: {each}"
                named += word in here
    assert named > 40


@pytest.mark.parametrize(("name", "at_least"), [("docs/reliability.md", 100), ("docs/security.md", 10)])
def test_every_file_function_and_test_that_is_named_exists(name: str, at_least: int) -> None:
    text = TEXTS[name]
    for path in re.findall(r"`((?:firmware|sim|tests)/[\w/]*(?:\.py)?)`", text):
        assert (ROOT / path).exists(), path
    for path, functions in re.findall(r"`(firmware/\w+\.py)`((?:,? `\w+`)+)", text):
        assert set(re.findall(r"\w+", functions)) <= defined(ROOT / path), f"{path}: {functions}"
    tests = re.findall(r"`(test_\w+\.py)::(\w+)`", text)
    for file, test in tests:
        assert test in defined(ROOT / "tests" / file), f"{file}::{test}"
    assert len(tests) > at_least


def test_reliability_lists_every_mutation_that_the_model_check_finds() -> None:
    code = (ROOT / "tests" / "test_model_mutations.py").read_text()
    listed = re.findall(r"^\| [^|]+ \| `(test_\w+)` \| [^|]+ \|$", TEXTS["docs/reliability.md"], re.M)
    assert sorted(listed) == sorted(re.findall(r"^def (test_\w+)", code, re.M))


def test_reliability_takes_each_rule_from_r1_to_r8_out() -> None:
    rows = re.findall(r"^\| ([A-Z]\d+) \| .* \| `test_", TEXTS["docs/reliability.md"], re.MULTILINE)
    assert {f"R{number}" for number in range(1, 9)} <= set(rows)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        path, _, anchor = target.partition("#")
        if path.startswith("https://"):
            continue
        there = (ROOT / name).parent / path if path else ROOT / name
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}, target
