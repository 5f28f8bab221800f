"""An acquirer's disputes at the port, in this process: it knows how each stands, and a test says what goes wrong."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from rialto_gateway.connectors.disputes import DisputeAnswer, Standing
from rialto_gateway.connectors.port import NotFound, NotSent, Unknown

Fault = Literal["lost_before", "lost_after", "not_sent"]


@dataclass
class ScriptedDisputes:
    """Answers as it should, but for `faults`: one a call, in order, None for a call that goes well."""

    name: str = "sim"
    faults: deque[Fault | None] = field(default_factory=deque)
    standings: dict[str, Standing] = field(default_factory=dict)
    evidence: list[Mapping[str, str]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    async def submit_evidence(self, reference: str, evidence: Mapping[str, str]) -> DisputeAnswer:
        return self._call("submit", reference, evidence)

    async def accept_dispute(self, reference: str) -> DisputeAnswer:
        return self._call("accept", reference, None)

    async def look_up_dispute(self, reference: str) -> DisputeAnswer:
        return self._call("look_up", reference, None)

    def _call(self, what: str, reference: str, evidence: Mapping[str, str] | None) -> DisputeAnswer:
        self.calls.append(what)
        fault = self.faults.popleft() if self.faults else None
        if fault == "not_sent":
            return NotSent("not_connected")
        if fault == "lost_before":
            return Unknown("timed_out")
        found = self.standings.get(reference)
        if found is None:
            return NotFound()
        if found.status == "needs_response" and what != "look_up":
            found = replace(found, status="under_review" if what == "submit" else "lost")
            self.standings[reference] = found
            if evidence is not None:
                self.evidence.append(evidence)
        return Unknown("timed_out") if fault == "lost_after" else found
