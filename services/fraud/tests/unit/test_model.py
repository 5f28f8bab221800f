"""The committed model: its manifest, its card, its answers to payments everyone can picture, and its reasons."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rialto_fraud.adapters.onnx_scorer import INLINE_ROWS, MODELS, OnnxScorer, load, read_manifest
from rialto_fraud.domain.errors import ModelInputInvalid, ModelUnusable
from rialto_fraud.domain.features import FEATURE_NAMES, FloatArray, Observation, extract_in_order
from rialto_fraud.domain.policy import CURRENT, Outcome
from rialto_fraud.domain.reasons import GROUPS, Reason, explain, reference_row, variants

CARD = MODELS.parent.parent / "docs" / "models" / "fraud-v1.md"
NOON = 20_000 * 86_400 + 43_200
NIGHT = 20_000 * 86_400 + 3 * 3_600


@pytest.fixture(scope="module")
def scorer() -> OnnxScorer:
    return load()


def outcomes(scorer: OnnxScorer, features: FloatArray) -> list[Outcome]:
    scores = scorer.score(features).probability.tolist()
    return [CURRENT.decide(score, row) for score, row in zip(scores, features.tolist(), strict=True)]


def reasons(scorer: OnnxScorer, payments: list[Observation]) -> tuple[Reason, ...]:
    """Return the reasons that the last of these payments would get."""
    row = tuple(extract_in_order(payments, {}, {})[-1].tolist())
    return explain(row, scorer.score(variants([row])).log_odds.tolist(), CURRENT)


def test_the_manifest_and_the_card_name_the_model_on_disk() -> None:
    digest = hashlib.sha256((MODELS / "fraud-v1.onnx").read_bytes()).hexdigest()
    assert read_manifest("fraud-v1")["sha256"] == digest
    assert digest in CARD.read_text()
    assert (MODELS / "fraud-v1.onnx").stat().st_size < 2_000_000


def test_the_manifest_names_the_policy_in_force() -> None:
    policy = read_manifest("fraud-v1")["policy"]
    assert (policy["version"], policy["review_from"], policy["block_from"]) == (
        CURRENT.version,
        CURRENT.review_from,
        CURRENT.block_from,
    )


@pytest.mark.parametrize("at", [NOON, NIGHT])
@pytest.mark.parametrize("amount", [1, 10, 25, 50, 100, 150, 200])
@pytest.mark.parametrize("terminal", [None, "t"])
def test_a_usual_amount_on_a_new_wallet_is_allowed(
    scorer: OnnxScorer, amount: int, at: int, terminal: str | None
) -> None:
    features = extract_in_order([Observation("w", terminal, at, amount * 100)], {}, {})
    assert outcomes(scorer, features) == [Outcome.ALLOW]


@pytest.mark.parametrize("at", [NOON, NIGHT])
@pytest.mark.parametrize("wallets", [1, 20, 400])
def test_a_rush_of_usual_amounts_is_allowed(scorer: OnnxScorer, at: int, wallets: int) -> None:
    """A bench, a busy shop or a new integration pays hundreds of times a minute; that alone is no fraud."""
    for amount in (100, 1_250, 10_000):
        rush = [Observation(f"w{index % wallets}", "t", at + index // 100, amount) for index in range(2_000)]
        assert set(outcomes(scorer, extract_in_order(rush, {}, {}))) == {Outcome.ALLOW}


def test_a_fortune_on_a_new_wallet_is_reviewed_because_of_its_amount(scorer: OnnxScorer) -> None:
    payment = Observation("w", None, NOON, 5_000_000)
    assert outcomes(scorer, extract_in_order([payment], {}, {})) == [Outcome.REVIEW]
    first = reasons(scorer, [payment])[0]
    assert (first.code, first.feature, first.value) == ("amount_above_usual", "amount", 50_000.0)
    assert first.contribution > 0


def test_many_times_the_usual_amount_is_stopped_and_says_so(scorer: OnnxScorer) -> None:
    habit = [Observation("w", "t1", NOON + day * 86_400, 2_000 + day * 7) for day in range(28)]
    stolen = [*habit, Observation("w", "t9", NOON + 28 * 86_400, 90_000)]
    assert outcomes(scorer, extract_in_order(stolen, {}, {}))[-1] is not Outcome.ALLOW
    given = reasons(scorer, stolen)
    assert (given[0].code, given[0].feature) == ("amount_above_usual", "customer_amount_ratio_30d")
    assert given[0].value > 10
    assert 1 <= len(given) <= 3
    assert list(given) == sorted(given, key=lambda reason: -reason.contribution)


def test_an_ordinary_payment_is_allowed(scorer: OnnxScorer) -> None:
    assert outcomes(scorer, np.array([reference_row()], dtype=np.float32)) == [Outcome.ALLOW]


def test_a_higher_amount_never_scores_lower(scorer: OnnxScorer) -> None:
    row = dict(zip(FEATURE_NAMES, reference_row(), strict=True))
    rising = np.array(
        [[*(row | {"amount": float(amount)}).values()] for amount in np.geomspace(0.5, 900_000, 300)], dtype=np.float32
    )
    scores = scorer.score(rising).log_odds
    assert (np.diff(scores) >= -1e-6).all()


def test_contributions_are_differences_of_the_models_own_answers(scorer: OnnxScorer) -> None:
    row = tuple(extract_in_order([Observation("w", None, NOON, 5_000_000)], {}, {})[-1].tolist())
    answers = scorer.score(variants([row])).log_odds.tolist()
    assert len(answers) == 1 + len(GROUPS)
    by_code = {reason.code: reason.contribution for reason in explain(row, answers, CURRENT)}
    for index, group in enumerate(GROUPS, start=1):
        if group.code in by_code:
            assert by_code[group.code] == pytest.approx(answers[0] - answers[index])
    assert all(contribution > 0 for contribution in by_code.values())


def test_every_feature_belongs_to_one_reason() -> None:
    assert sorted(name for group in GROUPS for name in group.features) == sorted(FEATURE_NAMES)


def test_a_runaway_says_that_it_pays_too_often(scorer: OnnxScorer) -> None:
    row = dict(zip(FEATURE_NAMES, reference_row(), strict=True)) | {"customer_count_1h": 20_000.0}
    answers = scorer.score(variants([tuple(row.values())])).log_odds.tolist()
    assert explain(tuple(row.values()), answers, CURRENT)[0] == Reason(
        "too_many_payments", "customer_count_1h", 20_000.0, 0.0
    )


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_refused_for_good(scorer: OnnxScorer, poison: float) -> None:
    features = np.array([reference_row()], dtype=np.float32)
    features[0, 3] = poison
    with pytest.raises(ModelInputInvalid) as caught:
        scorer.score(features)
    assert caught.value.retryable is False


def test_a_row_of_another_width_is_refused(scorer: OnnxScorer) -> None:
    with pytest.raises(ModelInputInvalid):
        scorer.score(np.zeros((1, len(FEATURE_NAMES) - 1), dtype=np.float32))


async def test_rows_score_alike_alone_in_a_batch_and_on_the_thread(scorer: OnnxScorer) -> None:
    generator = np.random.default_rng(3)
    features = generator.uniform(0, 500, (INLINE_ROWS + 10, len(FEATURE_NAMES))).astype(np.float32)
    alone = np.concatenate([scorer.score(features[index : index + 1]).probability for index in range(50)])
    on_thread = await scorer.score_batch(features)
    inline = await scorer.score_batch(features[:50])
    assert np.allclose(alone, inline.probability, atol=1e-6)
    assert np.allclose(alone, on_thread.probability[:50], atol=1e-6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for suffix in ("onnx", "json"):
        shutil.copy(MODELS / f"fraud-v1.{suffix}", tmp_path)
    return tmp_path


def test_a_model_that_differs_in_one_byte_is_refused(folder: Path) -> None:
    assert load("fraud-v1", folder).version == "fraud-v1"
    path = folder / "fraud-v1.onnx"
    altered = bytearray(path.read_bytes())
    altered[len(altered) // 2] ^= 1
    path.write_bytes(altered)
    with pytest.raises(ModelUnusable, match="SHA-256"):
        load("fraud-v1", folder)


@pytest.mark.parametrize("suffix", ["onnx", "json"])
def test_a_missing_file_is_named(folder: Path, suffix: str) -> None:
    (folder / f"fraud-v1.{suffix}").unlink()
    with pytest.raises(ModelUnusable, match=rf"fraud-v1\.{suffix}"):
        load("fraud-v1", folder)


def test_a_model_of_other_features_is_refused(folder: Path) -> None:
    path = folder / "fraud-v1.json"
    manifest = json.loads(path.read_text())
    manifest["features"].reverse()
    path.write_text(json.dumps(manifest))
    with pytest.raises(ModelUnusable, match="other features"):
        load("fraud-v1", folder)
