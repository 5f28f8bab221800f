"""Write the JSON Schema of every event model: `python -m rialto_common.events.write_schemas`.

With `--release FILE` also keep them all as what a release promises to its consumers (see `compatibility`): done once a
release, and never to get past a test.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from rialto_common.events import MODELS, EventData

SCHEMAS = Path(__file__).parent / "schemas"


def schema_of(model: type[EventData]) -> dict[str, Any]:
    """Return the model's JSON Schema."""
    schema = model.model_json_schema(mode="serialization")
    schema["$id"] = f"https://rialto.example/schemas/{model.type}.json"
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema


def schema_text(model: type[EventData]) -> str:
    """Return the model's JSON Schema as it is committed: sorted keys, two spaces, one final newline."""
    return json.dumps(schema_of(model), indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Write one file a model."""
    parser = argparse.ArgumentParser(description="Write the JSON Schema of every event model.")
    parser.add_argument("--release", type=Path, metavar="FILE", help="also write all of them into this one file")
    release: Path | None = parser.parse_args().release
    for model in MODELS:
        (SCHEMAS / f"{model.type}.json").write_text(schema_text(model))
    if release is not None:
        promised = {model.type: schema_of(model) for model in MODELS}
        release.write_text(json.dumps(promised, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
