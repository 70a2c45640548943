"""The JSON Schema of what `--format json` prints.

python -m dbmigrate.models.json_schema > docs/schema/envelope.json
"""

from __future__ import annotations

import json
import sys

from dbmigrate.models.reports import Envelope


def envelope_schema() -> str:
    """Return the schema of the envelope, as it stands in docs/schema/envelope.json."""
    schema = Envelope.model_json_schema(mode="serialization")
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(envelope_schema())
