"""Every crash point that the code has, found by reading it."""

import ast
from collections.abc import Iterator
from pathlib import Path

from rialto_cli.embedded.services import SERVICES

ROOT = Path(__file__).parents[2]
FOLDERS = ("libs/common/rialto_common", "services/*/rialto_*", "cli/rialto_cli/embedded")
# The seam itself, and what lives in no process of its own.
NOT_POINTS = {"runtime.py", "faulty_runtime.py", "simulation.py", "memory.py", "testing.py", "crashing.py"}
SUPERVISOR = "supervisor"
ON_KAFKA = {"relay", "kafka"}
AT_AN_ACQUIRER = {"attempt", "settlement_file", "connector_webhook"}
"""The platform that is killed speaks to no acquirer: of services/gateway/tests/integration, test_attempt_crashes.py,
test_settlement_files.py and test_connector_webhooks.py die at these, at each in every step.
"""

AT_A_PAYOUT = {"payout"}
"""Its merchants are paid at once: services/gateway/tests/integration/test_payouts.py dies at these."""

AT_AN_INCREMENT = {"increment"}
"""Nobody raises its payments: services/gateway/tests/integration/test_flow.py dies at these."""

AT_A_DISPUTE = {"dispute"}
"""As AT_AN_ACQUIRER: services/gateway/tests/integration/test_disputes.py dies at these."""


def crash_points(bus: str) -> list[str]:
    """The names of all crash points that a platform on this bus has, in the order of the code.

    What the relay and the supervisor have to do with Kafka says so in its name: `.relay.`, `.kafka.`.
    """
    found: dict[str, None] = {}
    for pattern in FOLDERS:
        for folder in sorted(ROOT.glob(pattern)):
            for file in sorted(folder.rglob("*.py")):
                if file.name not in NOT_POINTS and "node_modules" not in file.parts:
                    found.update(dict.fromkeys(points_in(file.read_text(), str(file.relative_to(ROOT)))))
    elsewhere = AT_AN_ACQUIRER | AT_A_PAYOUT | AT_AN_INCREMENT | AT_A_DISPUTE
    left_out = elsewhere if bus == "kafka" else ON_KAFKA | elsewhere
    return [point for point in found if not left_out & set(point.split("."))]


def points_in(source: str, where: str) -> Iterator[str]:
    """The crash points of a file; where a name has a service's in it (`f"{schema}.before_commit"`), once for each.

    Raises: ValueError: a name that cannot be read off the code, and so would be tested by nobody.
    """
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or _called(node.func) != "crash_point":
            continue
        match node.args:
            case [ast.Constant(value=str(name))]:
                yield name
            case [ast.JoinedStr(values=[ast.FormattedValue(), ast.Constant(value=str(rest))]) as name]:
                yield from (service.replace("-", "_") + rest for service in SERVICES)
            case _:
                raise ValueError(f"{where}:{node.lineno}: a crash point's name must be text, or one name and text")


def _called(function: ast.expr) -> str:
    match function:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def program_of(point: str) -> str:
    """The program that a crash point is in."""
    return point.partition(".")[0].replace("_", "-")
