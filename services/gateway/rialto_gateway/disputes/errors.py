"""What disputes refuse.

Conflict
├── DisputeNotAnswerable    the time is over, or it was answered or given up
├── DisputeNotPlausible     of more than is known to be captured
└── EvidenceMissing         there is nothing to submit yet
NotFound
└── DisputeNotFound
"""

from rialto_common.errors import Conflict, NotFound


class DisputeNotAnswerable(Conflict):
    """The time to answer is over, or the dispute was answered or given up already."""

    code = "dispute_not_answerable"


class DisputeNotPlausible(Conflict):
    """More is disputed than is known to be captured; an acquirer tells it again until it is."""

    code = "dispute_not_plausible"


class EvidenceMissing(Conflict):
    """There is no evidence to submit; post it first."""

    code = "evidence_missing"


class DisputeNotFound(NotFound):
    """No such dispute for this key."""

    code = "dispute_not_found"
