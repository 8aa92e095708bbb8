"""The drivers for threads and for asyncio: the same but for `await`."""

from __future__ import annotations

import ast
import inspect

import pytest

from tieline.engine import aio, attempts, sync


class Stripped(ast.NodeTransformer):
    """Takes `async`, `await` and type hints out."""

    def visit_Await(self, node: ast.Await) -> ast.AST:
        """What is awaited."""
        return self.visit(node.value)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        """The same as a function."""
        plain = ast.FunctionDef(**dict(ast.iter_fields(node)))
        return self.visit_FunctionDef(ast.copy_location(plain, node))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Without hints and docstring."""
        self.generic_visit(node)
        node.returns = None
        if ast.get_docstring(node) is not None:
            del node.body[0]
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Without its hint."""
        node.annotation = None
        return node


def stripped(function: object) -> str:
    """The syntax tree of a function, in writing."""
    tree = Stripped().visit(ast.parse(inspect.cleandoc("\n" + inspect.getsource(function))))
    return ast.unparse(tree)


@pytest.mark.parametrize("name", ["drive", "guarded", "drive_all"])
def test_twins(name: str) -> None:
    """Without `await` each driver for asyncio is its twin for threads, word for word."""
    ours, theirs = getattr(sync, name), getattr(aio, name)
    assert stripped(ours) == stripped(theirs)
    assert "await " in inspect.getsource(theirs)


def test_twin_loops() -> None:
    """The two loops over attempts differ in how they wait and how they end."""
    ours = stripped(attempts.Blocks.__next__)
    theirs = stripped(attempts.AsyncBlocks.__anext__)
    for word, other in (
        ("__anext__", "__next__"),
        ("StopAsyncIteration", "StopIteration"),
        ("aio.", "sync."),
    ):
        assert word in theirs
        theirs = theirs.replace(word, other)
    assert ours == theirs


def test_twins_differ_when_they_should() -> None:
    """The comparison sees a difference."""
    assert stripped(sync.drive) != stripped(aio.drive_all)
    assert stripped(sync.run_attempt) != stripped(aio.run_attempt)
