"""The law of a key's limit: over all gateways never more than burst + rate * time, and a slice each as slack."""

from hypothesis import given
from hypothesis import strategies as st

from rialto_gateway.limits import SKEW_SECONDS, SLICE_SECONDS, Bucket, Policy, policy_of, take

policies = st.builds(
    Policy,
    rate=st.floats(0.5, 1_000),
    burst=st.floats(1, 2_000),
    slice_tokens=st.integers(1, 200),
)
steps = st.lists(st.tuples(st.integers(0, 3), st.floats(0, 2)), min_size=1, max_size=200)


@given(policies, steps, st.floats(0, 50))
def test_gateways_together_never_serve_more_than_the_limit_and_a_slice_each(
    policy: Policy, asked: list[tuple[int, float]], window_from: float
) -> None:
    bucket: Bucket | None = None
    now, served, held = 0.0, 0, dict.fromkeys(range(4), (0, 0.0))
    for gateway, pause in asked:
        now += pause
        tokens, until = held[gateway]
        if tokens < 1 or now >= until:
            bucket, tokens = take(bucket, policy, now)
            until = now + SLICE_SECONDS
        if tokens and now >= window_from:
            served += 1
        held[gateway] = (max(0, tokens - 1), until)
    most = policy.burst + policy.rate * max(0.0, now - window_from) + 4 * policy.slice_tokens
    assert served <= most + 1e-6


@given(policies, st.floats(0, 100), st.floats(0, 100))
def test_a_bucket_holds_between_nothing_and_its_burst_whatever_the_clock_does(
    policy: Policy, first: float, second: float
) -> None:
    bucket, granted = take(None, policy, first)
    again, more = take(bucket, policy, second)
    for left, got in ((bucket, granted), (again, more)):
        assert 0 <= left.tokens <= policy.burst
        assert 0 <= got <= policy.slice_tokens
    assert again.at >= bucket.at or bucket.at - second > SKEW_SECONDS


@given(policies, st.floats(0, 1e7), st.floats(0, 1e7))
def test_a_clock_that_was_ahead_and_is_put_right_starves_no_key(policy: Policy, right: float, ahead: float) -> None:
    bucket, _ = take(None, policy, right + ahead)
    for _ in range(40):
        bucket, _ = take(bucket, policy, right)
    later = right + SKEW_SECONDS + 1 + 1 / policy.rate
    _, granted = take(bucket, policy, later)
    assert granted >= 1


def test_an_unused_key_has_two_seconds_worth_at_once() -> None:
    policy = policy_of(10)
    bucket, total = None, 0
    while True:
        bucket, granted = take(bucket, policy, 0.0)
        if granted == 0:
            break
        total += granted
    assert total == 20
