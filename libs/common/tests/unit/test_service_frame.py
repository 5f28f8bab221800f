"""What the frame refuses before anything runs, and what the settings accept."""

from base64 import b64encode
from collections.abc import Sequence

import pytest
from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.events import Event
from rialto_common.events.common import FRAUD
from rialto_common.service import Service
from rialto_common.settings import KeyringSettings, ServiceSettings
from rialto_common.simulation import SimulatedRuntime
from rialto_common.testing import TYPE


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="RIALTO_X_", frozen=True, extra="ignore", populate_by_name=True)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("RIALTO_X_DATABASE_URL", "postgresql://x:hidden-password@nowhere/x")
    monkeypatch.setenv("RIALTO_SERVICE_TOKEN_SECRET", "hidden-secret")
    return monkeypatch


async def handle(_transaction: PostgresTransaction, _events: Sequence[Event]) -> None:
    return None


async def test_two_consumers_of_a_service_may_not_take_the_same_type(environment: pytest.MonkeyPatch) -> None:
    service = Service("x", Settings(), SimulatedRuntime(1))
    await service.open()
    await service.consume("one", [FRAUD], frozenset({TYPE, "other"}), handle)
    await service.consume("two", [FRAUD], frozenset({"third"}), handle)
    with pytest.raises(ValueError, match=r"three and another consumer of x both take rialto\.fraud\.assessed\.v1"):
        await service.consume("three", [FRAUD], frozenset({TYPE, "fourth"}), handle)


def test_settings_come_from_the_service_s_own_prefix_and_the_shared_names(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RIALTO_X_HTTP_PORT", "8123")
    environment.setenv("RIALTO_X_MAX_BATCH_EVENTS", "50")
    environment.setenv("RIALTO_LOG_LEVEL", "DEBUG")
    environment.setenv("RIALTO_BUS_URL", "kafka://broker:9092")
    environment.setenv("RIALTO_OTHER_HTTP_PORT", "1")
    settings = Settings()
    assert (settings.http_port, settings.max_batch_events, settings.log_level) == (8123, 50, "DEBUG")
    assert (settings.bus_url, settings.http_host) == ("kafka://broker:9092", "127.0.0.1")


def test_what_an_env_file_leaves_empty_is_absent(environment: pytest.MonkeyPatch) -> None:
    """An empty RIALTO_FAULTS_DIR would else be the working directory, and a file there would kill the service."""
    environment.setenv("RIALTO_FAULTS_DIR", "")
    environment.setenv("RIALTO_BUS_LEASE_SECONDS", "")
    assert (Settings().faults_dir, Settings().bus_lease_seconds) == (None, None)
    environment.setenv("RIALTO_BUS_LEASE_SECONDS", "1.5")
    assert Settings().bus_lease_seconds == 1.5


def test_secrets_have_no_default_and_are_not_shown(environment: pytest.MonkeyPatch) -> None:
    assert "hidden" not in repr(Settings())
    assert "hidden" not in Settings().model_dump_json()
    for name in ("RIALTO_X_DATABASE_URL", "RIALTO_SERVICE_TOKEN_SECRET"):
        with environment.context() as without:
            without.delenv(name)
            with pytest.raises(ValidationError):
                Settings()


def test_settings_cannot_change(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Settings(), "http_port", 1)  # noqa: B010 - mypy knows too


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RIALTO_X_HTTP_PORT", "65536"),
        ("RIALTO_X_HTTP_PORT", "-1"),
        ("RIALTO_X_DATABASE_CONNECTIONS", "1"),
        ("RIALTO_X_MAX_BATCH_EVENTS", "0"),
        ("RIALTO_X_LINGER_SECONDS", "2"),
        ("RIALTO_LOG_LEVEL", "LOUD"),
    ],
)
def test_a_setting_out_of_range_is_refused(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv(name, value)
    with pytest.raises(ValidationError):
        Settings()


def test_the_keyring_s_master_key_is_32_bytes_in_base64(monkeypatch: pytest.MonkeyPatch) -> None:
    key = bytes(range(32))
    settings = KeyringSettings(keyring_master_key=SecretStr(b64encode(key).decode()))
    assert settings.master_key() == key
    assert b64encode(key).decode() not in repr(settings)
    monkeypatch.delenv("RIALTO_KEYRING_MASTER_KEY", raising=False)
    with pytest.raises(ValidationError):
        KeyringSettings()


@pytest.mark.parametrize("text", ["", "short", b64encode(bytes(31)).decode(), "not base64 " * 4])
def test_a_master_key_of_another_form_is_refused_at_the_start_without_being_shown(text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        KeyringSettings(keyring_master_key=SecretStr(text))
    assert "32 bytes" in str(caught.value)
    assert not text or text not in str(caught.value)
