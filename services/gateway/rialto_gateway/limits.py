"""How many requests a key may send: one token bucket a key, of which every gateway takes slices ahead.

The bucket is in the database and fills at `rate` a second up to `burst`; a gateway takes a slice of its tokens, serves
requests from it without asking anybody, and forgets what is left after SLICE_SECONDS. So all gateways together serve in
any time t at most burst + rate * t and, as slack, one slice each: what they had taken before.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """`rate`: tokens a second; `burst`: the most a bucket holds; `slice_tokens`: the most a gateway takes at once."""

    rate: float
    burst: float
    slice_tokens: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens as of an instant, in seconds."""

    tokens: float
    at: float


SLICE_SECONDS = 1.0
"""How long a gateway keeps tokens it does not use."""


SKEW_SECONDS = 2.0
"""How far the clocks of gateways may differ: a bucket's burst lasts about as long."""


def take(bucket: Bucket | None, policy: Policy, now: float) -> tuple[Bucket, int]:
    """Return the bucket after a gateway took what there is, a slice at most, and how many whole tokens it got.

    None is a bucket nobody took from yet, and so full. Time that goes back adds nothing: gateways whose clocks differ
    by less than SKEW_SECONDS wait for each other's, and a clock that was further ahead and is put right is forgotten.
    """
    if bucket is None:
        bucket = Bucket(policy.burst, now)
    at = now if bucket.at - now > SKEW_SECONDS else max(bucket.at, now)
    tokens = min(policy.burst, bucket.tokens + max(0.0, at - bucket.at) * policy.rate)
    granted = min(policy.slice_tokens, int(tokens))
    return Bucket(tokens - granted, at), granted


def policy_of(rate: float) -> Policy:
    """Return the policy of a limit a second: two seconds' worth may come at once; a slice is a tenth of a second's."""
    return Policy(rate, 2 * rate, max(1, int(rate / 10)))
