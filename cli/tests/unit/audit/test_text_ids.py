"""Our own reading of ids is the platform's writing of them."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from rialto_cli.audit import text_ids
from rialto_common import ids


@given(st.uuids())
def test_bytes_are_written_as_the_platform_writes_ids(value: UUID) -> None:
    assert text_ids.of_bytes("pay", value.bytes) == ids.to_text("pay", value)


@given(st.uuids())
def test_ids_are_read_as_the_platform_writes_them(value: UUID) -> None:
    assert text_ids.to_bytes(ids.to_text("pay", value)) == value.bytes


def test_a_call_in_a_query_is_replaced_by_an_expression_of_its_column() -> None:
    expanded = text_ids.expand("SELECT text_id('je', e.id), text_id(x)")
    assert "e.id::TEXT" in expanded
    assert "'je_'" in expanded
    assert "text_id('je'" not in expanded
    assert expanded.endswith(", text_id(x)")
