"""Bodies that an endpoint reads itself, straight from their bytes into a model, and how OpenAPI shows them."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

Model = TypeVar("Model", bound=BaseModel)


def read_body(model: type[Model], raw: bytes) -> Model:
    """Return the body as a model.

    Raises: RequestValidationError, which becomes a problem naming the first field at fault.
    """
    try:
        return model.model_validate_json(raw or b"{}")
    except ValidationError as error:
        raise RequestValidationError(_as_sent(error.errors(), raw)) from error


def _as_sent(errors: Sequence[ErrorDetails], raw: bytes) -> list[dict[str, Any]]:
    """Return the errors with places as the sender knows them: the model's come with the tags of unions between."""
    try:
        body = from_json(raw or b"{}")
    except ValueError:
        return [dict(error) for error in errors]
    return [{**error, "loc": tuple(_path(error["loc"], body))} for error in errors]


def _path(location: Sequence[int | str], body: Any) -> Iterator[int | str]:
    for nth, part in enumerate(location):
        if isinstance(body, dict):
            if part not in body and nth < len(location) - 1:
                continue  # the last one may be missing; another that is not there is a tag
            body = body.get(part)
        elif isinstance(body, list) and isinstance(part, int) and part < len(body):
            body = body[part]
        yield part


def documented_body(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI part for a body that is read by `read_body`."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    content = {"schema": _inlined(schema, definitions), "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Return the schema with its references replaced by what they name: a body stands alone in the OpenAPI document."""
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "discriminator" in schema:
        # Its mapping would name definitions that are not there any more; each alternative has its tag as a constant.
        schema = schema | {"discriminator": {"propertyName": schema["discriminator"]["propertyName"]}}
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    return {name: _inlined(value, definitions) for name, value in schema.items()}
