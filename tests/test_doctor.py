"""`dandelion doctor`: each fault that it must find, seeded into a healthy board, and found with its fix and alone."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import Recorder
from control_server import serving
from pi import HEALTHY_SERVICE, NAME, ROOT, UID, UNIT, Pi, not_ok
from unprivileged import nobody

from firmware import cli, network
from firmware.catalogue import Catalogue
from firmware.config import Camera
from firmware.doctor.facts import CameraFacts
from firmware.doctor.gather import CAMERA_NODES
from firmware.doctor.table import CHECKS
from firmware.doctor.verdicts import State
from firmware.events import SaveRoster
from hal.interfaces import TimeQuality
from hal.probes import reading
from hal.probes.access import devices
from hal.probes.holders import holders
from hal.probes.ports import Uart
from sim import power
from sim.children import DANDELION
from sim.clock import SimClock
from sim.fuse import Faults

WARNING, FAULT, UNKNOWN = State.WARNING, State.FAULT, State.UNKNOWN
WHY_NO_MOUNT = power.why_not()
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # a board for each test, with much that is synced
PATTERN = {"driver": '"pattern"', "size": "[64, 48]"}
SEEDED: set[str] = set()  # findings that a test here brings about

Test = Callable[..., None]


def seeds(*names: str) -> Callable[[Test], Test]:
    """The test seeds the fault of these findings."""

    def note(test: Test) -> Test:
        SEEDED.update(names)
        return test

    return note


@pytest.fixture
def pi(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pi]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as place:
        os.chmod(place, 0o755)  # the unit's user must come as far as its card
        made = Pi(Path(place))
        monkeypatch.setenv("PATH", f"{made.programs}:{os.environ['PATH']}")
        yield made
        made.close()


def test_a_healthy_board_has_no_finding_but_that_no_unit_runs(pi: Pi) -> None:
    pi.tables["camera"] = PATTERN
    found = pi.verdicts()
    assert {name: each for name, each in found.items() if each.state is not State.OK}.keys() == {"unit"}
    assert found["unit"].state is UNKNOWN


def test_a_board_whose_unit_runs_without_a_problem_is_well(pi: Pi) -> None:
    pi.tables["camera"] = PATTERN
    with serving(pi.runtime_dir / "control.sock", Recorder(status())):
        found = pi.verdicts()
    assert {each.state for each in found.values()} == {State.OK}
    assert found["link"].what == "the unit has its radio, 3 frames were heard"


def status(**changed: object) -> dict[str, object]:
    """What a unit without problems says of itself."""
    radio = {"driver": "serial", "problem": None, "bytes_in": 900, "frames_in": 3, "frames_damaged": 0}
    told = {"pid": os.getpid(), "problems": [], "camera_problem": None, "radio": radio, "own_bytes": 0}
    return {**told, "network": {"epoch": 2, "member": True}, **changed}


# --- config and credential -----------------------------------------------------------------------------------------


@seeds("config")
def test_a_wrong_config_is_found_with_what_is_allowed_and_the_machine_is_looked_at_all_the_same(pi: Pi) -> None:
    pi.tables["radio"]["boud"] = "9600"
    found = pi.verdicts()
    assert found["config"].state is FAULT
    assert "the nearest known one is baud" in found["config"].what
    assert "allowed: " in found["config"].fix
    assert {"service", "crcmod", "clock", "voltage", "heat"} < found.keys()


def test_a_missing_config_is_found(pi: Pi, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--json", "--config", str(pi.root / "nowhere.toml")]) == 1
    rows = {row["name"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows["config"]["state"] == "fault"


@seeds("credential")
def test_a_missing_credential_is_found(pi: Pi) -> None:
    pi.credential.unlink()
    assert pi.not_ok() == {"credential": FAULT}
    assert "is not there" in pi.verdicts()["credential"].what


def test_a_damaged_credential_is_found_and_nothing_of_it_is_shown(pi: Pi) -> None:
    text = pi.credential.read_text()
    pi.credential.write_text(text.replace('private_key = "', 'private_key = "AAAA'))
    assert pi.not_ok() == {"credential": FAULT}
    assert text.split('private_key = "')[1][:12] not in str(pi.verdicts())


def test_another_units_credential_is_found(pi: Pi) -> None:
    pi.tables["unit"]["id"] = "8"
    assert pi.not_ok() == {"credential": FAULT}
    assert f"the credential of unit {UNIT} ({NAME})" in pi.verdicts()["credential"].what


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
def test_a_credential_of_another_user_than_the_units_is_found(pi: Pi) -> None:
    os.chown(pi.credential, 991, 991)
    assert pi.not_ok() == {"credential": FAULT}
    assert "chown dandelion" in pi.verdicts()["credential"].fix


@seeds("credential-mode")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_credential_that_others_may_read_is_found(pi: Pi, mode: int) -> None:
    pi.credential.chmod(mode)
    assert pi.not_ok() == {"credential-mode": FAULT}
    assert f"mode 0{mode:o}" in pi.verdicts()["credential-mode"].what


@seeds("membership")
def test_a_unit_that_was_revoked_is_found_by_the_roster_in_its_catalogue(pi: Pi) -> None:
    revoked = network.revoke(pi.network, UNIT)
    catalogue = Catalogue(str(pi.card / "catalogue.sqlite3"), UNIT)
    catalogue.save_roster(SaveRoster(3, revoked.roster.encoded))
    catalogue.close()
    for path in pi.card.iterdir():
        pi.give_away(path)
    assert pi.not_ok() == {"membership": FAULT}
    assert "of epoch 3 does not name this unit" in pi.verdicts()["membership"].what
    if ROOT:  # nothing there became root's by looking
        assert {path.stat().st_uid for path in pi.card.iterdir()} == {pi.card.stat().st_uid}


def test_a_running_unit_says_itself_that_it_is_no_member_any_more(pi: Pi) -> None:
    told = status(network={"epoch": 5, "member": False})
    with serving(pi.runtime_dir / "control.sock", Recorder(told)):
        assert pi.not_ok() == {"membership": FAULT}


def test_to_run_without_a_credential_is_a_warning(pi: Pi) -> None:
    pi.tables["security"] = {"insecure": "true"}
    assert pi.not_ok() == {"credential": WARNING}


# --- unit and service ----------------------------------------------------------------------------------------------


@seeds("unit")
def test_what_a_running_unit_says_of_its_problems_is_told(pi: Pi) -> None:
    with serving(pi.runtime_dir / "control.sock", Recorder(status(problems=["the card is full: nobody has room"]))):
        found = pi.verdicts()
    assert found["unit"].state is WARNING
    assert "nobody has room" in found["unit"].what


def test_a_unit_that_does_not_answer_is_found(pi: Pi) -> None:
    pi.tables["camera"] = PATTERN

    async def refuses(_request, reply):
        await reply.end(1, "the unit was told to end")

    with serving(pi.runtime_dir / "control.sock", refuses):
        found = pi.verdicts()
    assert found["unit"].state is FAULT
    assert found["camera"].state is UNKNOWN


@seeds("service")
@pytest.mark.parametrize(
    ("properties", "state", "says"),
    [
        ({"LoadState": "not-found", "UnitFileState": "", "ActiveState": "inactive"}, FAULT, "is not installed"),
        ({"UnitFileState": "disabled"}, FAULT, "is disabled"),
        ({"ActiveState": "inactive", "SubState": "dead"}, FAULT, "does not run"),
        ({"ActiveState": "failed", "SubState": "failed", "Result": "exit-code"}, FAULT, "failed (failed, exit-code)"),
        ({"ActiveState": "activating", "SubState": "auto-restart", "NRestarts": "41"}, FAULT, "restarted 41 times"),
        ({"NRestarts": "3"}, WARNING, "restarted 3 times"),
        ({"ActiveState": "activating", "SubState": "start"}, WARNING, "is just starting"),
    ],
)
def test_a_service_that_does_not_start_the_unit_or_restarts_it_is_found(
    pi: Pi, properties: dict[str, str], state: State, says: str
) -> None:
    pi.service(**{**HEALTHY_SERVICE, **properties})
    found = pi.verdicts()["service"]
    assert (found.state, says in found.what) == (state, True)


def test_without_systemd_nothing_is_known_of_the_service(pi: Pi) -> None:
    (pi.root / "run/systemd/system").rmdir()
    found = pi.verdicts()["service"]
    assert found.state is UNKNOWN
    assert "not started by systemd" in found.what


def test_a_systemctl_that_fails_leaves_the_service_unknown(pi: Pi) -> None:
    pi.says("systemctl", "Failed to connect to bus", status=1)
    assert pi.verdicts()["service"].state is UNKNOWN


@seeds("crcmod")
def test_a_crcmod_without_its_extension_is_found(pi: Pi) -> None:
    """In a process whose import of the extension fails, as where it was never compiled."""
    pi.facts()
    without = (
        "import sys\n"
        "class No:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'crcmod._crcfunext': raise ImportError(name)\n"
        "sys.meta_path.insert(0, No())\n"
        "from firmware.cli import main\n"
        "sys.exit(main())\n"
    )
    arguments = ["doctor", "--json", "--config", str(pi.config)]
    said = subprocess.run([sys.executable, "-c", without, *arguments], capture_output=True, text=True, check=False)
    rows = {row["name"]: row for row in map(json.loads, said.stdout.splitlines())}
    assert said.returncode == 1
    assert rows["crcmod"]["state"] == "warning"
    assert "without its C extension" in rows["crcmod"]["what"]


# --- radio -----------------------------------------------------------------------------------------------------------


@seeds("console")
@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("proc/cmdline", "console=ttyAMA0,115200 console=tty1", "talks into the radio"),
        ("sys/class/tty/console/active", "tty1 ttyAMA0", "talks into the radio"),
        ("boot/firmware/cmdline.txt", "console=serial0,115200 console=tty1", "from the next start on"),
    ],
)
def test_a_console_on_the_radios_uart_is_found(pi: Pi, name: str, text: str, says: str) -> None:
    pi.write(name, text)
    assert pi.not_ok() == {"console": FAULT}
    assert says in pi.verdicts()["console"].what


def test_a_console_on_another_uart_is_no_fault(pi: Pi) -> None:
    pi.write("proc/cmdline", "console=ttyS0,115200 console=tty1")
    assert pi.not_ok() == {}


def test_the_serial0_of_cmdline_txt_is_not_a_radio_on_usb(pi: Pi) -> None:
    usb = "../../../devices/pci0/usb1/1-1/1-1:1.0/ttyUSB0"
    pi.write("sys/class/tty/ttyUSB0/dev", "188:0")
    pi.link("sys/class/tty/ttyUSB0/device", usb)
    pi.link("dev/ttyUSB0", pi.line)
    pi.link("dev/serial0", "ttyUSB0")
    pi.write("boot/firmware/cmdline.txt", "console=serial0,115200 console=tty1")
    assert pi.not_ok() == {}
    assert "a USB adapter (ttyUSB0)" in pi.verdicts()["port"].what


@seeds("mini-uart")
def test_the_mini_uart_is_found(pi: Pi) -> None:
    pi.uart("ttyS0", "brcm,bcm2835-aux-uart\0")
    pi.link("dev/ttyS0", pi.line)
    assert pi.not_ok() == {"mini-uart": FAULT}
    assert "dtoverlay=disable-bt" in pi.verdicts()["mini-uart"].fix


def test_the_debug_connector_of_a_pi_5_is_told_from_its_pin_header(pi: Pi) -> None:
    pi.uart("ttyAMA10", "arm,pl011\0arm,primecell\0")
    pi.link("dev/ttyAMA10", pi.line)
    assert pi.not_ok() == {}
    assert "the pin header is ttyAMA0" in pi.verdicts()["port"].what


def test_the_mini_uart_at_a_fixed_clock_of_the_core_is_none(pi: Pi) -> None:
    pi.uart("ttyS0", "brcm,bcm2835-aux-uart\0")
    pi.link("dev/ttyS0", pi.line)
    pi.write("boot/firmware/config.txt", "dtoverlay=miniuart-bt\ncore_freq=250  # for the UART\n")
    assert pi.not_ok() == {}


@seeds("port")
def test_a_missing_port_is_found(pi: Pi) -> None:
    (pi.root / "dev/serial0").unlink()
    assert pi.not_ok() == {"port": FAULT}
    assert "enable_uart=1" in pi.verdicts()["port"].fix


def test_a_port_that_is_no_serial_port_is_found(pi: Pi) -> None:
    pi.device("dev/ttyAMA9", "dialout")
    pi.link("dev/serial0", "ttyAMA9")
    found = pi.not_ok()
    assert found["port"] is FAULT
    assert "is no serial port" in pi.verdicts()["port"].what


@seeds("port-permission")
def test_a_user_who_may_not_use_the_port_is_found(pi: Pi) -> None:
    pi.leaves_groups("dev/ttyAMA0")
    assert pi.not_ok() == {"port-permission": FAULT}
    assert "sudo adduser dandelion" in pi.verdicts()["port-permission"].fix


@seeds("port-held")
@pytest.mark.parametrize("locked", [True, False])
def test_a_process_that_holds_the_port_is_named(pi: Pi, locked: bool) -> None:
    holds = "import fcntl, os, sys; f = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)\n"
    lock = "fcntl.flock(f, fcntl.LOCK_EX)\n" if locked else ""
    command = [sys.executable, "-c", f"{holds}{lock}print(flush=True); sys.stdin.read()", pi.line]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        found = pi.verdicts()
        holder.communicate()
    assert found["port-held"].state is FAULT
    assert f"(pid {holder.pid})" in found["port-held"].what
    assert f"sudo kill {holder.pid}" in found["port-held"].fix


@pytest.mark.skipif(not ROOT, reason="root plays another user")
def test_a_process_of_another_user_is_named_by_its_lock(pi: Pi) -> None:
    holds = (
        "import fcntl, os, sys; f = os.open(sys.argv[1], os.O_RDWR); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True)"
    )
    os.chmod(pi.line, 0o666)
    with subprocess.Popen(
        [sys.executable, "-c", f"{holds}; sys.stdin.read()", pi.line], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with nobody():
            seen = holders([pi.line])
        found = pi.verdicts()
        holder.communicate()
    assert [one.pid for one in seen] == [holder.pid]
    assert f"(pid {holder.pid})" in found["port-held"].what


@seeds("rts-cts")
def test_flow_control_without_its_wires_is_found(pi: Pi) -> None:
    """No pty has modem lines: that the port says so is real here, what a UART says of its CTS is not."""
    pi.tables["radio"]["rtscts"] = "true"
    facts = pi.facts()
    assert facts.port is not None
    assert facts.port.cts is None
    assert pi.not_ok() == {"rts-cts": UNKNOWN}
    assert pi.not_ok(port=dataclasses.replace(facts.port, cts=False)) == {"rts-cts": FAULT}
    assert pi.not_ok(port=dataclasses.replace(facts.port, cts=True)) == {}
    assert (
        "sudo dandelion-setup --flow-control"
        in pi.verdicts(port=dataclasses.replace(facts.port, cts=False))["rts-cts"].fix
    )
    usb = dataclasses.replace(facts.port, cts=False, uart=Uart.USB)
    assert "GPIO" not in pi.verdicts(port=usb)["rts-cts"].fix


@seeds("link")
@pytest.mark.parametrize(
    ("changed", "state", "says"),
    [
        ({"problem": "the radio's port went away (its other end hung up)"}, FAULT, "went away"),
        ({"bytes_in": 0}, WARNING, "has heard nothing"),
        ({"frames_damaged": 4000}, WARNING, "more frames are damaged (4000) than whole (3)"),
    ],
)
def test_a_unit_whose_radio_does_not_work_is_found(pi: Pi, changed: dict[str, object], state: State, says: str) -> None:
    radio = {"driver": "serial", "problem": None, "bytes_in": 900, "frames_in": 3, "frames_damaged": 0, **changed}
    with serving(pi.runtime_dir / "control.sock", Recorder(status(radio=radio))):
        found = pi.verdicts()["link"]
    assert (found.state, says in found.what) == (state, True)


# --- XBee ------------------------------------------------------------------------------------------------------------


@contextmanager
def module(pi: Pi, *options: str) -> Iterator[None]:
    """A simulated module, a process of its own, at the radio's port."""
    link = str(pi.root / "dev/ttyUSB0")
    command = [sys.executable, "-m", "sim.xbee", "--link", link, *options]
    pi.tables["radio"] = {"driver": '"xbee"', "port": f'"{link}"', "rtscts": "false"}
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        pi.owned("dev/ttyUSB0", "dialout")
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)


def test_a_module_that_is_set_as_the_config_needs_it_is_well(pi: Pi) -> None:
    with module(pi):
        found = pi.verdicts()
    assert {name: each.state for name, each in found.items() if each.state is not State.OK}.keys() == {"unit"}
    assert "DigiMesh, address 0013A200" in found["xbee"].what
    assert "leaves network and channel to the module" in found["xbee-channel"].what
    assert "(NP)" in found["xbee-payload"].what


@seeds("xbee-mode")
def test_a_module_as_from_the_factory_is_found_and_fix_sets_it(pi: Pi) -> None:
    with module(pi, "--mode", "transparent"):
        found = pi.verdicts()
        assert not_ok(found) == {"xbee-mode": FAULT}
        assert "knows no frames" in found["xbee-mode"].what
        _, rows, _ = doctor(pi, "--fix")
        assert "AP = 1" in rows["xbee-mode"]["fixed"]
        assert rows["xbee-mode"]["state"] == "ok"
        assert pi.not_ok() == {}


@seeds("xbee-channel")
def test_a_module_in_another_network_or_on_another_channel_is_found_and_fix_sets_it(pi: Pi) -> None:
    with module(pi):
        pi.tables["radio"] |= {"network": "0x1234", "channel": "0x17"}
        found = pi.verdicts()
        assert not_ok(found) == {"xbee-channel": FAULT}
        assert "sets ID = 1234, CH = 17" in found["xbee-channel"].fix
        _, rows, _ = doctor(pi, "--fix")
        assert "ID = 1234, CH = 17" in rows["xbee-channel"]["fixed"]
        assert pi.not_ok() == {}


@seeds("xbee", "xbee-payload")
def test_a_module_that_does_not_answer_or_carries_too_little_is_found(pi: Pi) -> None:
    """What an inquiry comes to there its own tests show; looking for a module at each rate takes half a minute."""
    with module(pi):
        facts = pi.facts()
    assert facts.xbee is not None
    silent = dataclasses.replace(facts.xbee, found=None)
    assert pi.not_ok(config=facts.config, xbee=silent)["xbee"] is FAULT
    small = dataclasses.replace(facts.xbee, unusable="its packets carry 49 bytes (NP), and 66 are needed")
    assert pi.not_ok(config=facts.config, xbee=small)["xbee-payload"] is FAULT


def test_a_running_unit_says_itself_what_is_wrong_with_its_module(pi: Pi) -> None:
    pi.tables["radio"] |= {"driver": '"xbee"', "rtscts": "false"}
    with serving(pi.runtime_dir / "control.sock", Recorder(status())):
        assert "the unit has asked its module" in pi.verdicts()["xbee"].what
    radio = {"driver": "xbee", "problem": "the XBee module at /dev/serial0 does not answer", "bytes_in": 0}
    with serving(pi.runtime_dir / "control.sock", Recorder(status(radio=radio))):
        assert pi.not_ok() == {"link": FAULT}


# --- camera ----------------------------------------------------------------------------------------------------------


@seeds("camera")
def test_a_camera_that_gives_no_picture_is_found(pi: Pi) -> None:
    (pi.root / "pictures").mkdir()
    pi.tables["camera"] = {"driver": '"folder"', "folder": f'"{pi.root}/pictures"'}
    assert pi.not_ok() == {"camera": FAULT}
    assert "gives no picture" in pi.verdicts()["camera"].what


def test_a_running_unit_says_itself_what_is_wrong_with_its_camera(pi: Pi) -> None:
    pi.tables["camera"] = PATTERN
    with serving(pi.runtime_dir / "control.sock", Recorder(status(camera_problem="no camera was found"))):
        assert pi.not_ok() == {"camera": FAULT}


@seeds("camera-permission", "gpio-permission")
def test_a_user_who_may_not_use_camera_or_pins_is_found(pi: Pi) -> None:
    pi.device("dev/video0", "video")
    pi.device("dev/gpiochip0", "gpio")
    assert pi.not_ok(camera=a_camera(pi), gpio=devices("gpiochip*", pi.root)) == {}
    assert pi.not_ok(gpio=()) == {"gpio-permission": FAULT}
    pi.leaves_groups("dev/video0")
    pi.leaves_groups("dev/gpiochip0")
    found = pi.not_ok(camera=a_camera(pi), gpio=devices("gpiochip*", pi.root))
    assert {name: state for name, state in found.items() if not name.startswith("port")} == {
        "camera-permission": FAULT,
        "gpio-permission": FAULT,
    }


@seeds("camera-busy")
def test_a_process_that_has_the_camera_is_named(pi: Pi) -> None:
    """The board's own camera, which is not to be had here: why it gives no picture this says."""
    pi.tables["camera"] = {"driver": '"picamera2"'}
    pi.link("dev/media0", pi.line)
    command = [sys.executable, "-c", "import sys; f = open(sys.argv[1]); print(flush=True); sys.stdin.read()", pi.line]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        found = pi.verdicts()
        holder.communicate()
    assert found["camera-busy"].state is FAULT
    assert f"(pid {holder.pid})" in found["camera-busy"].what
    assert "camera" not in found


@seeds("camera-hung")
def test_a_camera_that_does_not_answer_is_found(pi: Pi) -> None:
    camera = a_camera(pi, error="the camera did not answer within 20.0 s", hung=True)
    assert pi.not_ok(camera=camera) == {"camera-hung": FAULT}


def a_camera(pi: Pi, **changed: object) -> CameraFacts:
    """One that works, with the device files that the board has."""
    nodes = tuple(node for pattern in CAMERA_NODES for node in devices(pattern, pi.root))
    return dataclasses.replace(CameraFacts(nodes, (), "", "", hung=False), **changed)  # type: ignore[arg-type]


@seeds("camera-load")
def test_a_camera_that_makes_more_than_the_link_carries_is_found(pi: Pi) -> None:
    pi.tables["camera"] = PATTERN
    pi.tables["shutter"] = {"interval": '"10 min"'}
    assert pi.not_ok() == {}
    pi.tables["camera"] = PATTERN | {"size": "[4608, 2592]"}
    pi.tables["shutter"] = {"interval": '"1 min"'}
    config = pi.facts().config
    assert "copies fall behind" in pi.verdicts(config=config)["camera-load"].what
    load = {"text": "5 pictures a day …", "too_much": True}
    with serving(pi.runtime_dir / "control.sock", Recorder(status(load=load))):
        assert pi.not_ok() == {"camera-load": WARNING}


@seeds("cma")
def test_too_little_contiguous_memory_for_the_camera_is_found(pi: Pi) -> None:
    config = pi.facts().config
    assert config is not None
    real = dataclasses.replace(config, camera=Camera(driver="picamera2", size=(4608, 2592)))
    assert "cma" not in pi.not_ok(config=real)
    pi.write("proc/meminfo", "MemTotal:         431472 kB\nCmaTotal:          65536 kB\nCmaFree:           60000 kB\n")
    found = pi.verdicts(config=real)["cma"]
    assert found.state is FAULT
    assert "needs 83 MB" in found.what
    assert "cma-128" in found.fix
    pi.link("dev/dma_heap/vidbuf_cached", "system")  # a Pi 5
    assert "ordinary memory" in pi.verdicts(config=real)["cma"].what
    pi.link("dev/dma_heap/vidbuf_cached", "linux,cma")
    pi.write("proc/meminfo", "MemTotal:         431472 kB\n")
    assert pi.verdicts(config=real)["cma"].state is UNKNOWN


# --- card ------------------------------------------------------------------------------------------------------------


@seeds("card")
@pytest.mark.skipif(not ROOT, reason="only root gives files away")
def test_a_card_of_another_user_is_found(pi: Pi) -> None:
    os.chown(pi.card, 991, 991)
    pi.card.chmod(0o700)
    assert pi.not_ok() == {"card": FAULT}
    assert "chown -R dandelion" in pi.verdicts()["card"].fix


def test_a_card_that_was_mounted_and_is_not_is_found(pi: Pi) -> None:
    pi.card.with_name("card.mounted").touch()
    pi.mounts(card="")
    assert_gone(pi, f"sudo mount {pi.card}")


def test_a_card_behind_a_link_that_leads_nowhere_is_found(pi: Pi) -> None:
    pi.card.rename(pi.card.with_name("elsewhere"))
    pi.card.symlink_to("/dev/shm/nowhere")
    assert_gone(pi, "mount what the link leads to")


def assert_gone(pi: Pi, fix: str) -> None:
    """Nothing is said of the file system that is there in its place."""
    found = pi.verdicts()
    assert {name for name in found if name.startswith("card")} == {"card"}
    assert found["card"].state is FAULT
    assert fix in found["card"].fix
    assert pi.facts().speed is None


@seeds("card-read-only")
def test_a_read_only_card_is_found(pi: Pi) -> None:
    pi.mounts(card="ext4 /dev/mmcblk0p3 ro,errors=remount-ro")
    assert pi.not_ok() == {"card-read-only": FAULT}


@seeds("card-memory")
@pytest.mark.parametrize(
    ("card", "root", "more", "cmdline", "state"),
    [
        ("tmpfs tmpfs rw", "ext4 /dev/mmcblk0p2 rw", "", "", FAULT),
        ("", "overlay overlay rw,lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work", "", "boot=overlay", FAULT),
        ("", "overlay overlayroot rw,lowerdir=/media/root-ro", "", "overlayroot=tmpfs:recurse=0", FAULT),
        (
            "",
            "overlay overlayroot rw,lowerdir=/media/root-ro,upperdir=/media/root-rw/overlay",
            "31 30 0:40 / /media/root-rw rw - tmpfs tmpfs-root rw",
            "",
            FAULT,
        ),
        ("", "overlay overlay rw,lowerdir=/a,upperdir=/b/diff,workdir=/b/work", "", "", UNKNOWN),
    ],
)
def test_a_card_in_memory_is_found_as_on_a_read_only_root(
    pi: Pi, card: str, root: str, more: str, cmdline: str, state: State
) -> None:
    pi.mounts(card=card, root=root, more=more)
    if cmdline:
        pi.write("proc/cmdline", f"console=tty1 {cmdline}")
    assert pi.verdicts()["card-memory"].state is state


def test_a_card_of_its_own_below_a_read_only_root_keeps_its_pictures(pi: Pi) -> None:
    pi.mounts(card="ext4 /dev/mmcblk0p3 rw", root="overlay overlay rw,lowerdir=/lower,upperdir=/upper/data")
    pi.write("proc/cmdline", "console=tty1 boot=overlay")
    assert pi.not_ok() == {}


@seeds("card-partition")
def test_a_card_on_the_file_system_of_the_operating_system_is_a_warning(pi: Pi) -> None:
    pi.mounts(card="")
    pi.write("sys/dev/block/179:2/uevent", "")
    assert pi.not_ok().pop("card-partition") is WARNING


@seeds("card-capacity")
def test_a_capacity_that_the_file_system_does_not_have_is_found(pi: Pi) -> None:
    pi.tables["card"]["capacity"] = '"900 TB"'
    assert pi.not_ok() == {"card-capacity": WARNING}
    assert "card.capacity is 900000.0 GB, and the file system has room for" in pi.verdicts()["card-capacity"].what


@seeds("card-room")
@pytest.mark.skipif(bool(WHY_NO_MOUNT), reason=WHY_NO_MOUNT)
@pytest.mark.parametrize(("size_bytes", "state"), [(18_000_000, WARNING), (16_000_000, FAULT)])
def test_a_card_without_room_is_found_on_a_file_system_of_that_size(pi: Pi, size_bytes: int, state: State) -> None:
    found = on_a_card(pi, size_bytes=size_bytes)
    assert found["card-room"]["state"] == state.value


@pytest.mark.skipif(bool(WHY_NO_MOUNT), reason=WHY_NO_MOUNT)
@pytest.mark.parametrize(("number", "name"), [(errno.EIO, "card"), (errno.EROFS, "card-read-only")])
def test_a_card_whose_writes_fail_is_found(pi: Pi, number: int, name: str) -> None:
    found = on_a_card(pi, faults=Faults(at={3: number}, lasting=True))
    faults = {each: row["what"] for each, row in found.items() if row["state"] == "fault"}
    assert faults.keys() == {name}, faults


def on_a_card(pi: Pi, size_bytes: int = power.SIZE_BYTES, faults: Faults | None = None) -> dict[str, dict[str, str]]:
    """What doctor finds with this card, a mount of its own in a process of its own: the rows of the card's findings."""
    told = pi.root / "told"
    pi.service(**{**HEALTHY_SERVICE, "User": "root" if ROOT else "dandelion"})  # whose the mount is

    def look(top: Path) -> None:
        pi.card = top
        pi.tables["card"]["path"] = f'"{top}"'
        pi.mounts(card="ext4 /dev/mmcblk0p3 rw")
        rows = {n: {"state": v.state.value, "what": v.what} for n, v in pi.verdicts().items() if n.startswith("card")}
        told.write_text(json.dumps(rows))

    done = power.run(look, faults=faults, size_bytes=size_bytes)
    assert not done.error, done.error
    found: dict[str, dict[str, str]] = json.loads(told.read_text())
    return found


def test_measuring_leaves_nothing_on_the_card(pi: Pi) -> None:
    facts = pi.facts()
    assert facts.speed is not None
    assert facts.speed.bytes_per_s > 0
    assert list((pi.card / "tmp").iterdir()) == []


@pytest.fixture
def roots(pi: Pi) -> Path:
    """A directory of root's, with a file whose name is that of the test that measures a card."""
    path = pi.root.parent / "roots"
    path.mkdir(mode=0o700)
    (path / ".doctor.part").write_text("root's")
    return path


@pytest.mark.skipif(not ROOT, reason="only root goes where others may not")
def test_root_measures_no_directory_that_a_link_on_the_card_leads_to(pi: Pi, roots: Path) -> None:
    (pi.card / "tmp").rmdir()
    (pi.card / "tmp").symlink_to(roots)
    speed = pi.facts().speed
    assert speed is not None
    assert (speed.error, speed.bytes_per_s > 0) == (0, True)
    assert (roots / ".doctor.part").read_text() == "root's"
    assert [path.name for path in pi.card.iterdir()] == ["tmp"]


@pytest.mark.skipif(not ROOT, reason="only root goes where others may not")
@pytest.mark.parametrize("link", ["card", "above", "theirs", "behind"])
def test_root_measures_no_directory_that_the_units_user_has_put_in_the_place_of_the_card(
    pi: Pi, roots: Path, link: str
) -> None:
    """The link is theirs, or lies in a directory of theirs, or above such a one, or a link of root's leads to it."""
    theirs = pi.root.parent / "theirs"
    theirs.mkdir()
    (theirs / "card").symlink_to(roots if link == "card" else roots.parent)
    if link != "theirs":
        os.lchown(theirs / "card", UID, UID)
    pi.give_away(theirs)
    path = theirs / "card" if link == "card" else theirs / "card" / "roots"
    if link == "behind":
        (pi.root.parent / "door").symlink_to("theirs/card")
        path = pi.root.parent / "door" / "roots"
    pi.tables["card"]["path"] = f'"{path}"'
    pi.facts()
    assert (roots / ".doctor.part").read_text() == "root's"


@pytest.mark.skipif(not ROOT, reason="only root reads what others may not")
def test_root_reads_no_catalogue_that_a_link_on_the_card_leads_to(pi: Pi, roots: Path) -> None:
    Catalogue(str(roots / "catalogue.sqlite3"), UNIT).close()
    (pi.card / "catalogue.sqlite3").symlink_to(roots / "catalogue.sqlite3")
    assert pi.facts().used_bytes is None


@seeds("card-speed")
@pytest.mark.parametrize(("bytes_per_s", "longest_s"), [(300_000.0, 0.9), (8_000_000.0, 4.5)])
def test_a_slow_card_is_found(pi: Pi, bytes_per_s: float, longest_s: float) -> None:
    facts = pi.facts()
    assert facts.speed is not None
    slow = dataclasses.replace(facts.speed, bytes_per_s=bytes_per_s, longest_s=longest_s)
    assert pi.not_ok(speed=slow) == {"card-speed": WARNING}


@seeds("card-health")
@pytest.mark.parametrize(
    ("name", "text", "state"),
    [
        ("sys/fs/ext4/mmcblk0p3/errors_count", "7", FAULT),
        ("sys/block/mmcblk0/device/life_time", "0x01 0x0b", FAULT),
        ("sys/block/mmcblk0/device/pre_eol_info", "0x03", FAULT),
        ("sys/block/mmcblk0/device/life_time", "0x09 0x02", WARNING),
        ("sys/block/mmcblk0/device/pre_eol_info", "0x02", WARNING),
    ],
)
def test_a_card_that_tells_of_errors_or_wear_is_found(pi: Pi, name: str, text: str, state: State) -> None:
    pi.write(name, f"{text}\n")
    assert pi.not_ok() == {"card-health": state}


def test_the_wear_that_an_emmc_tells_is_shown_and_an_sd_card_says_that_it_tells_none(pi: Pi) -> None:
    assert "SD cards tell nothing of their wear" in pi.verdicts()["card-health"].what
    pi.write("sys/block/mmcblk0/device/type", "MMC\n")
    pi.write("sys/block/mmcblk0/device/life_time", "0x02 0x01\n")
    assert "10 to 20 % of its life is used up" in pi.verdicts()["card-health"].what


# --- the board -------------------------------------------------------------------------------------------------------


@seeds("clock")
def test_a_clock_that_is_not_set_is_found(pi: Pi) -> None:
    pi.clock = SimClock(wall_s=120.0)
    assert pi.not_ok() == {"clock": FAULT}


def test_a_clock_that_nobody_vouches_for_is_a_warning_but_where_the_board_has_one_that_goes_on(pi: Pi) -> None:
    pi.clock = SimClock(wall_s=1_783_000_000.0, quality=TimeQuality.UNSET)
    assert pi.not_ok() == {"clock": WARNING}
    pi.write("sys/class/rtc/rtc0/name", "rtc-ds1307 1-0068\n")
    assert pi.not_ok() == {}
    pi.write("sys/class/rtc/rtc0/battery_voltage", "17000\n")  # a Pi 5 without its cell
    assert pi.not_ok() == {"clock": WARNING}


@seeds("voltage", "heat")
@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        ("0x50005", {"voltage": FAULT}),  # slowed down, but not for heat
        ("0x50000", {"voltage": WARNING}),
        ("0xd0000", {"voltage": WARNING, "heat": WARNING}),
        ("0x80008", {"heat": FAULT}),
        ("0x40004", {"heat": FAULT}),
        ("0x40000", {"heat": WARNING}),
        ("0x20002", {}),
    ],
)
def test_under_voltage_and_heat_are_found_now_and_since_the_start(
    pi: Pi, bits: str, expected: dict[str, State]
) -> None:
    pi.says("vcgencmd", f"throttled={bits}")
    assert pi.not_ok() == expected


@pytest.mark.parametrize(("milli", "state"), [("83000", FAULT), ("74000", WARNING)])
def test_heat_is_found_by_the_boards_own_thermometer(pi: Pi, milli: str, state: State) -> None:
    pi.write("sys/class/thermal/thermal_zone0/temp", f"{milli}\n")
    assert pi.not_ok() == {"heat": state}


def test_where_the_firmware_cannot_be_asked_the_supply_is_unknown(pi: Pi) -> None:
    pi.says("vcgencmd", "Can't open device file: /dev/vcio", status=255)
    found = pi.verdicts()["voltage"]
    assert found.state is UNKNOWN
    assert "/dev/vcio" in found.what


def test_where_this_is_no_raspberry_pi_the_supply_is_unknown_and_says_why(pi: Pi) -> None:
    pi.write("proc/device-tree/model", "Some other board")
    pi.says("vcgencmd", "", status=1)
    assert pi.not_ok() == {"voltage": UNKNOWN}
    assert "no Raspberry Pi" in pi.verdicts()["voltage"].what


def test_a_program_that_hangs_is_killed_and_its_answer_is_unknown(pi: Pi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "COMMAND_TIMEOUT_S", 0.2)
    (pi.programs / "vcgencmd").write_text("#!/bin/sh\nexec sleep 60\n")
    began = time.monotonic()
    found = pi.verdicts()["voltage"]
    assert found.state is UNKNOWN
    assert "did not answer" in found.what
    assert time.monotonic() - began < 30


# --- the command -----------------------------------------------------------------------------------------------------


def doctor(pi: Pi, *options: str) -> tuple[int, dict[str, dict[str, str]], str]:
    """The real command on this machine, with the board's config and programs."""
    pi.facts()
    command = [*DANDELION, "doctor", "--json", "--config", str(pi.config), *options]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = [json.loads(line) for line in said.stdout.splitlines()]
    return said.returncode, {row["name"]: row for row in rows}, said.stderr


def test_json_has_one_object_for_each_finding_with_name_state_what_and_fix(pi: Pi) -> None:
    status, rows, _ = doctor(pi)
    assert status == 1  # no unit runs
    assert list(rows) == [check.name for check in CHECKS if check.name in rows]
    for row in rows.values():
        assert row.keys() == {"name", "state", "what", "fix", "fixed"}
        assert row["state"] in {"ok", "warning", "fault", "unknown"}
        assert row["what"]


def test_the_exit_status_is_0_only_when_all_is_well(pi: Pi, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the command's own function: a whole machine that is well is only to be had as a tree."""
    from firmware.doctor.command import examined
    from firmware.lines import diagnosis
    from firmware.output import Output

    with Output(as_json=False, human=diagnosis) as output:
        with serving(pi.runtime_dir / "control.sock", Recorder(status())):
            well = pi.facts()
        assert examined(well, output) == 0
        pi.credential.chmod(0o644)
        assert examined(pi.facts(), output) == 1
    said = capsys.readouterr().out
    assert "fault    credential-mode" in said
    assert "to do: " in said


def test_fix_closes_a_credential_that_is_open_to_others_says_so_and_changes_nothing_else(pi: Pi) -> None:
    pi.credential.chmod(0o644)
    (pi.root / "dev/serial0").unlink()
    before = pi.credential.read_bytes()
    _, rows, _ = doctor(pi, "--fix")
    assert pi.credential.stat().st_mode & 0o777 == 0o600
    assert pi.credential.read_bytes() == before
    assert rows["credential-mode"]["state"] == "ok"
    assert "before 0644" in rows["credential-mode"]["fixed"]
    assert rows["port"]["state"] == "fault"
    assert [name for name, row in rows.items() if row["fixed"]] == ["credential-mode"]


def test_fix_closes_nothing_that_a_link_leads_to(pi: Pi) -> None:
    other = pi.credential.rename(pi.credential.with_name("other"))
    other.chmod(0o644)
    pi.credential.symlink_to(other)
    _, rows, said = doctor(pi, "--fix")
    assert other.stat().st_mode & 0o777 == 0o644
    assert rows["credential-mode"]["state"] == "fault"
    assert "was left as it is: it is a link" in said


def test_without_fix_nothing_is_changed(pi: Pi) -> None:
    pi.credential.chmod(0o644)
    doctor(pi)
    assert pi.credential.stat().st_mode & 0o777 == 0o644


def test_each_finding_is_brought_about_by_a_test() -> None:
    assert {check.name for check in CHECKS} == SEEDED
