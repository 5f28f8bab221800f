"""Write docs/events from the event models: `python -m rialto_common.events.write_docs`.

asyncapi.json for tools and README.md for people; the JSON Schemas are `write_schemas`'.
"""

import json
from pathlib import Path

from rialto_common.events.asyncapi import document
from rialto_common.events.page import page

DOCS = Path(__file__).parents[4] / "docs" / "events"
SCHEMAS_FROM_DOCS = "../../libs/common/rialto_common/events/schemas"


def texts() -> dict[str, str]:
    """Return each file's name and text."""
    asyncapi = document(schemas=SCHEMAS_FROM_DOCS)
    return {"asyncapi.json": json.dumps(asyncapi, indent=2, ensure_ascii=False) + "\n", "README.md": page()}


def main() -> None:
    """Write the files."""
    DOCS.mkdir(exist_ok=True)
    for name, text in texts().items():
        (DOCS / name).write_text(text)


if __name__ == "__main__":
    main()
