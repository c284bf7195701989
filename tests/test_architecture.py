"""Imports point one way, and the core has no file, port, thread, sleep, clock or chance of its own (DESIGN §3)."""

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("firmware", "hal", "sim")
SIM_STARTER = "firmware.cli"  # the one module that may import sim: it has the commands that start it
CORE = "firmware.unit"
PURE = (CORE, "firmware.roster")  # and all that they import
CORE_MAY_SEE_OF_HAL = {"hal.interfaces", "hal.errors", "hal.light_dataclass"}
LEAVES = {"firmware.errors", "firmware.pictures", "firmware.events", "firmware.ranges", "firmware.wording"}
IMPURE = {  # modules through which a file, port, thread, process, clock or random source would come in
    *("asyncio", "concurrent", "ctypes", "fcntl", "glob", "io", "logging", "mmap", "multiprocessing", "os", "pathlib"),
    *("secrets", "select", "selectors", "shutil", "signal", "socket", "sqlite3", "subprocess", "sys", "tempfile"),
    *("termios", "threading", "time", "urllib", "PIL", "rich", "serial"),
}


def modules() -> dict[str, Path]:
    """Module name -> file, of the three packages."""
    found = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in sorted(found)}


MODULES = modules()


@functools.cache
def imports(name: str) -> frozenset[str]:
    """Every module that a module imports, wherever in it, by full name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            assert node.level == 0, f"{name}:{node.lineno} imports by a relative name"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (whole & MODULES.keys()) or {node.module}
    return frozenset(found)


def reached(name: str) -> set[str]:
    """A module of ours and all of ours that it imports, directly or not."""
    seen, left = set(), [name]
    while left:
        module = left.pop()
        if module not in seen:
            seen.add(module)
            left += imports(module) & MODULES.keys()
    return seen


def pure() -> set[str]:
    """The core, and what is as pure."""
    return set().union(*map(reached, PURE))


def of_package(module: str) -> str:
    return module.split(".")[0]


@pytest.mark.parametrize("name", [name for name in MODULES if of_package(name) == "hal"])
def test_hal_knows_neither_firmware_nor_sim(name):
    assert {of_package(module) for module in imports(name)} & {"firmware", "sim"} == set()


@pytest.mark.parametrize("name", [name for name in MODULES if of_package(name) == "firmware" and name != SIM_STARTER])
def test_firmware_does_not_know_sim(name):
    assert "sim" not in {of_package(module) for module in imports(name)}


def test_the_core_is_pure():
    core = pure()
    assert {"firmware.handover", "firmware.states", "firmware.determine", "firmware.roster"} < core
    for name in sorted(core):
        assert {of_package(module) for module in imports(name)} & IMPURE == set(), name
        assert {module for module in imports(name) if of_package(module) == "hal"} <= CORE_MAY_SEE_OF_HAL, name


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_leaves_import_only_leaves(name):
    assert {module for module in imports(name) & MODULES.keys()} <= LEAVES | CORE_MAY_SEE_OF_HAL


@pytest.mark.parametrize("name", ["firmware.catalogue", "firmware.store", "firmware.config"])
def test_what_keeps_things_knows_nothing_of_the_unit(name):
    assert reached(name) & {CORE, "firmware.service", "firmware.control", "firmware.handover"} == set()


def test_chance_in_the_core_is_only_what_it_was_given():
    """random.Random as a type; no module-level function of random, whose state is the process's; no key that a library
    draws."""
    for name in sorted(pure()):
        tree = ast.parse(MODULES[name].read_text())
        assert names_taken_from("random", tree) <= {"Random"}, name
        called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not called & {"generate", "generate_key", "generate_private_key", "urandom"}, name


def test_the_list_of_words_is_loaded_by_nothing_but_words_of():
    found = {name for name in MODULES if "mnemonic" in {of_package(module) for module in imports(name)}}
    assert found == {"firmware.roster"}


@pytest.mark.parametrize("name", [name for name in MODULES if of_package(name) == "firmware"])
def test_chance_of_a_real_unit_is_the_systems(name):
    """Who has seen 156 nonces of a random.Random knows all that come, and could prove what he has thrown away."""
    tree = ast.parse(MODULES[name].read_text())
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    assert "Random" not in {getattr(call, "attr", getattr(call, "id", "")) for call in calls}
    assert names_taken_from("random", tree) <= {"Random", "SystemRandom"}


@pytest.mark.parametrize("name", [name for name in MODULES if of_package(name) == "sim"])
def test_chance_in_the_simulation_is_seeded(name):
    tree = ast.parse(MODULES[name].read_text())
    assert names_taken_from("random", tree) <= {"Random"}
    assert not unseeded(tree)


def test_pillow_is_where_pictures_are_decoded_or_drawn_and_nowhere_else():
    found = {name for name in MODULES if "PIL" in {of_package(module) for module in imports(name)}}
    assert found == {"hal.jpeg", "sim.pictures"}


# ---------------------------------------------------------------- the tests themselves

TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py"))


def names_taken_from(module: str, tree: ast.AST) -> set[str]:
    """What of a module's names is used: module.name, and from module import name."""
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module
    }
    froms = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == module)
    return used | {alias.name for node in froms for alias in node.names}


def unseeded(tree: ast.AST) -> list[int]:
    """Lines where a Random is made without a seed."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and not node.args)
    return [node.lineno for node in calls if "Random" in (getattr(node.func, "attr", ""), getattr(node.func, "id", ""))]


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_no_test_sleeps_mocks_or_draws_unseeded_chance(path):
    tree = ast.parse(path.read_text())
    taken = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    taken |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not taken & {"unittest.mock", "mock", "pytest_mock", "unittest"}
    assert "sleep" not in names_taken_from("time", tree) | names_taken_from("asyncio", tree)
    assert names_taken_from("random", tree) <= {"Random"}
    assert not unseeded(tree)
