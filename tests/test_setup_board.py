"""`dandelion-setup` on a file system made like a Raspberry Pi's: what it changes, and that it can be changed back."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy import boot_files, setup_board
from deploy.board import GETTYS, MASKS, RECORD, Board

CONFIG = """\
# For more options and information see
# http://rptl.io/configtxt
dtparam=audio=on
camera_auto_detect=1
display_auto_detect=1

[cm4]
otg_mode=1

[all]
enable_uart=0
"""
CMDLINE = "console=serial0,115200 console=tty1 root=PARTUUID=4e1a-02 rootfstype=ext4 fsck.repair=yes rootwait\n"


class Pi:
    """A board's files."""

    def __init__(self, root: Path, boot: str) -> None:
        self.root, self.boot = root, root / boot
        self.boot.mkdir(parents=True)
        (root / MASKS).mkdir(parents=True)
        self.config, self.cmdline = self.boot / "config.txt", self.boot / "cmdline.txt"
        self.config.write_text(CONFIG)
        self.cmdline.write_text(CMDLINE)

    def files(self) -> dict[str, str]:
        """Everything that is there."""
        return {
            str(path.relative_to(self.root)): str(path.readlink()) if path.is_symlink() else path.read_text()
            for path in self.root.rglob("*")
            if path.is_symlink() or path.is_file()
        }

    def setup(self, *words: str) -> int:
        return setup_board.main(["--root", str(self.root), *words])


@pytest.fixture(params=["boot/firmware", "boot"])
def pi(request: pytest.FixtureRequest, tmp_path: Path) -> Pi:
    """Since bookworm, and before."""
    return Pi(tmp_path, request.param)


def test_the_radio_gets_the_pl011_and_no_console_is_left_on_it(pi, capsys):
    assert pi.setup("--yes") == 0
    config = pi.config.read_text()
    assert config.startswith(CONFIG)
    added = config.removeprefix(CONFIG).splitlines()
    assert added[:2] == [boot_files.BEGIN, "[all]"]
    assert {"enable_uart=1", "dtoverlay=disable-bt", "dtparam=uart0=on", "camera_auto_detect=1"} <= set(added)
    assert pi.cmdline.read_text() == CMDLINE.removeprefix("console=serial0,115200 ")
    assert {name: str((pi.root / MASKS / name).readlink()) for name in GETTYS} == dict.fromkeys(GETTYS, "/dev/null")
    told = capsys.readouterr()
    assert "PL011" in told.out
    assert "restart the board" in told.err


def test_a_second_time_changes_nothing(pi, capsys):
    pi.setup("--yes")
    files = pi.files()
    capsys.readouterr()
    assert pi.setup("--yes") == 0
    assert pi.files() == files
    assert "nothing has to be restarted" in capsys.readouterr().err


def test_undo_gives_back_every_file_as_it_was_and_a_second_time_has_nothing_to_do(pi, capsys):
    before = pi.files()
    pi.setup("--yes")
    pi.setup("--yes")
    assert pi.setup("--undo") == 0
    assert pi.files() == before
    capsys.readouterr()
    assert pi.setup("--undo") == 0
    assert "nothing had been changed" in capsys.readouterr().err
    assert pi.files() == before


def test_undo_leaves_what_others_have_changed_since(pi):
    pi.setup("--yes")
    pi.config.write_text("gpu_mem=16\n" + pi.config.read_text() + "dtparam=watchdog=on\n")
    pi.cmdline.write_text(pi.cmdline.read_text().strip() + " quiet\n")
    pi.setup("--undo")
    assert pi.config.read_text() == "gpu_mem=16\n" + CONFIG + "dtparam=watchdog=on\n"
    assert pi.cmdline.read_text() == CMDLINE.strip() + " quiet\n"


def test_a_login_console_that_somebody_else_masked_stays_masked(pi):
    (pi.root / MASKS / GETTYS[1]).symlink_to("/dev/null")
    before = pi.files()
    pi.setup("--yes")
    pi.setup("--undo")
    assert pi.files() == before


def test_what_is_declined_is_left_and_what_was_changed_before_is_changed_back(pi):
    before = pi.files()
    assert pi.setup("--yes", "--no-uart", "--no-camera") == 0
    assert {name: text for name, text in pi.files().items() if name != RECORD} == before
    pi.setup("--yes")
    pi.setup("--yes", "--no-uart")
    assert pi.cmdline.read_text() == CMDLINE
    assert "enable_uart=1" not in pi.config.read_text()
    assert not any((pi.root / MASKS / name).is_symlink() for name in GETTYS)


def test_flow_control_is_given_to_whoever_wants_it_and_kept(pi):
    before = pi.files()
    pi.setup("--yes")
    assert "gpio=16,17=a3" not in pi.config.read_text()
    pi.setup("--yes", "--flow-control")
    lines = pi.config.read_text().splitlines()
    assert [lines[lines.index(f"[{board}]") + 1] for board in ("pi02", "pi3", "pi4")] == 3 * ["gpio=16,17=a3"]
    assert lines[lines.index("dtoverlay=uart0-pi5,ctsrts") - 1] == "[pi5]"
    given = pi.files()
    pi.setup("--yes")  # as with each update
    assert pi.files() == given
    pi.setup("--yes", "--no-uart")
    assert "gpio=16,17" not in pi.config.read_text()
    pi.setup("--undo")
    assert pi.files() == before


@pytest.mark.parametrize(("answer", "has_it"), [("y", True), ("n", False), ("", False)])
def test_flow_control_is_asked_for_and_few_want_it(pi, monkeypatch, answer, has_it):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    answers = iter(["y", answer, "y"])
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    assert pi.setup() == 0
    assert Board(pi.root).has_flow_control is has_it


def test_without_anybody_to_ask_nothing_is_changed(pi, monkeypatch, capsys):
    before = pi.files()
    with open("/dev/null") as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        assert pi.setup() == 2
    assert pi.files() == before
    assert "--yes" in capsys.readouterr().err


def test_a_machine_that_is_no_pi_is_left_alone(tmp_path, capsys):
    assert setup_board.main(["--root", str(tmp_path), "--yes"]) == 0
    assert list(tmp_path.iterdir()) == []
    assert "no config.txt" in capsys.readouterr().err


def test_a_config_without_a_last_line_end_and_with_odd_bytes_is_kept(pi):
    odd = b"# caf\xe9\r\ndtparam=audio=on"
    pi.config.write_bytes(odd)
    pi.setup("--yes")
    assert pi.config.read_bytes().startswith(odd + b"\n" + boot_files.BEGIN.encode())
    pi.setup("--undo")
    assert pi.config.read_bytes() == odd + b"\n"


def test_a_power_cut_between_the_record_and_the_change_is_no_harm(pi):
    board = Board(pi.root)
    board._record.consoles = ["console=serial0,115200"]
    board._write_record()
    pi.setup("--yes")
    pi.setup("--undo")
    assert pi.cmdline.read_text() == CMDLINE


@pytest.mark.parametrize(
    ("word", "is_one"),
    [
        ("console=serial0,115200", True),
        ("console=ttyAMA0", True),
        ("console=ttyS0,9600n8", True),
        ("console=ttyAMA10,115200", True),
        ("console=tty1", False),
        ("console=ttyUSB0", False),
        ("kgdboc=ttyAMA0,115200", False),
        ("xconsole=serial0", False),
    ],
)
def test_only_consoles_on_a_uart_are_taken_out(word, is_one):
    text, taken = boot_files.without_consoles(f"root=/dev/sda {word} quiet\n")
    assert taken == ([word] if is_one else [])
    assert (word in text.split()) is not is_one


def test_a_block_without_an_end_takes_nothing_else_away():
    text = f"a=1\n{boot_files.BEGIN}\nb=2\n"
    assert boot_files.without_block(text) == text
