"""Write the JSON Schema of every event model: `python -m rialto_common.events.write_schemas`."""

import json
from pathlib import Path

from rialto_common.events import MODELS, EventData

SCHEMAS = Path(__file__).parent / "schemas"


def schema_text(model: type[EventData]) -> str:
    """Return the model's JSON Schema as it is committed: sorted keys, two spaces, one final newline."""
    schema = model.model_json_schema(mode="serialization")
    schema["$id"] = f"https://rialto.example/schemas/{model.type}.json"
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Write one file a model."""
    for model in MODELS:
        (SCHEMAS / f"{model.type}.json").write_text(schema_text(model))


if __name__ == "__main__":
    main()
