"""Each event is composed by the one service that the published flows name, whether a test run shows it or not."""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from rialto_common.events import MODELS, EventData
from rialto_common.events.flows import EMITTERS

SERVICES = ("gateway", "fraud", "compliance", "ledger", "chain_bridge")
EVENTS = "rialto_common.events"


def modules(service: str) -> Iterator[ast.Module]:
    """Yield the service's own modules, without its test bench."""
    spec = find_spec(f"rialto_{service}")
    assert spec is not None
    assert spec.origin is not None
    for path in sorted(Path(spec.origin).parent.rglob("*.py")):
        if path.name != "testing.py":
            yield ast.parse(path.read_text())


class Uses(ast.NodeVisitor):
    """Finds the event models that a module composes, or hands to what does.

    Not counted is what a mere consumer does: name a type (`Model.type`), read a payload (`event.read(Model)`), and
    annotate.
    """

    def __init__(self, module: ast.Module) -> None:
        self.found: set[str] = set()
        self._models: dict[str, str] = {}
        self._folders: set[str] = set()
        self.visit(module)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        names = {alias.asname or alias.name: alias.name for alias in node.names}
        if node.module == EVENTS:
            self._folders |= names.keys()
        elif str(node.module).startswith(f"{EVENTS}."):
            self._models |= names

    def visit_Attribute(self, node: ast.Attribute) -> None:
        match node.value:
            case ast.Name(id=folder) if folder in self._folders:
                self.found.add(node.attr)
            case _ if node.attr != "type":
                self.visit(node.value)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in self._models:
            self.found.add(self._models[node.id])

    def visit_Call(self, node: ast.Call) -> None:
        self.visit(node.func)
        if not (isinstance(node.func, ast.Attribute) and node.func.attr == "read"):
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                self.visit(argument)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for part in (*node.decorator_list, *node.body):
            self.visit(part)

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)  # between the brackets lies a type, or a place

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)


@pytest.fixture(scope="module")
def composers() -> dict[str, set[str]]:
    """The services that compose each model, by the model's name."""
    found: dict[str, set[str]] = {}
    for service in SERVICES:
        for module in modules(service):
            for name in Uses(module).found:
                found.setdefault(name, set()).add(service)
    return found


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.type)
def test_the_emitter_alone_composes_the_event(model: type[EventData], composers: dict[str, set[str]]) -> None:
    assert composers.get(model.__name__) == {EMITTERS[model.topic]}
