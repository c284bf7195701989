"""Changes a module in one place after the other and sees whether a test fails each time: python tests/mutants.py
firmware.handover tests/test_handover.py ... [--every 3] (make mutants). A mutant that lives is printed with its line.

Not tried: texts, annotations, decorators, what a loop goes over, and two changes at once. Some mutants are the same
program in other words, and live rightly.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.machinery
import importlib.util
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PATIENCE_S = 120  # for the tests of one mutant; one that goes on for ever counts as found
FOUND, LIVES = 1, 0
SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
}
Mutation = tuple[int, str, Callable[[], None], Callable[[], None]]  # line, what, do it, undo it


def mutations(tree: ast.Module) -> Iterator[Mutation]:
    """Each place of a module where something may be changed; in the order of the source."""
    for node in _visited(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Compare(ops=[op, *_]) if type(op) in SWAPS:
                yield _set(node, "ops", [SWAPS[type(op)](), *node.ops[1:]], line, "comparison")
            case ast.BoolOp() | ast.BinOp() | ast.AugAssign() if type(node.op) in SWAPS:
                yield _set(node, "op", SWAPS[type(node.op)](), line, type(node.op).__name__)
            case ast.UnaryOp(op=ast.Not()):
                twice = ast.copy_location(ast.UnaryOp(ast.Not(), node.operand), node)
                yield _set(node, "operand", twice, line, "without not")
            case ast.Constant(value=bool(value)):
                yield _set(node, "value", not value, line, f"{value}")
            case ast.Constant(value=int(value)):
                yield _set(node, "value", value + 1, line, f"{value}")
            case ast.If() | ast.IfExp():
                for value in (True, False):
                    yield _set(node, "test", ast.copy_location(ast.Constant(value), node.test), line, f"if {value}")
            case ast.Return(value=ast.Tuple(elts=list(elts))) if elts:
                for number in range(len(elts)):
                    rest = elts[:number] + elts[number + 1 :]
                    yield _set(node.value, "elts", rest, line, f"without {ast.unparse(elts[number])[:50]}")
            case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()):
                yield _set(node, "value", ast.copy_location(ast.Constant(None), node), line, "without the call")


def _visited(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes, but what says nothing about behaviour."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("decorator_list", "annotation", "returns", "type_params") or isinstance(node, ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _visited(child)


def _set(node: ast.AST, name: str, value: object, line: int, what: str) -> Mutation:
    old = getattr(node, name)
    return line, what, lambda: setattr(node, name, value), lambda: setattr(node, name, old)


class Changed(importlib.machinery.SourceFileLoader):
    """Gives a module's changed tree in place of its source."""

    tree: ast.Module

    def get_code(self, _name: str) -> object:
        return compile(self.tree, self.path, "exec")

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> object:
        """It is its own finder."""
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None


def lives(module: str, path: Path, tree: ast.Module, tests: list[str]) -> bool:
    """Whether all tests pass with this tree; in a process of its own."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == LIVES
    signal.alarm(PATIENCE_S)
    loader = Changed(module, str(path))
    loader.tree = tree
    sys.meta_path.insert(0, loader)  # type: ignore[arg-type]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:timeout", "-o", "addopts=", *tests])
    os._exit(LIVES if code == 0 else FOUND)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module")
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--every", type=int, default=1, help="so many-th mutant only")
    parser.add_argument("--first", type=int, default=0, help="which of these")
    parser.add_argument("--least", type=float, default=0.9, help="share that must be found, else exit 1")
    options = parser.parse_args()
    path = Path(options.module.replace(".", "/") + ".py")
    tree = ast.parse(path.read_text())
    if not lives(options.module, path, tree, options.tests):
        print("the tests fail without any change")
        return 1
    found = tried = 0
    for line, what, change, undo in list(mutations(tree))[options.first :: options.every]:
        change()
        tried += 1
        if lives(options.module, path, ast.fix_missing_locations(tree), options.tests):
            print(f"{path}:{line}: {what} lives", flush=True)
        else:
            found += 1
        undo()
    print(f"{options.module}: {found} of {tried} mutants found, {found / tried:.1%}")
    return 0 if found >= options.least * tried else 1


if __name__ == "__main__":
    sys.exit(main())
