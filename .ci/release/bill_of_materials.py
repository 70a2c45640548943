"""The software bill of materials: what the wheel consists of and what it needs, in CycloneDX."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dbmigrate import __version__

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KIND = "dbmigrate:requirement"


def bill_of_materials(project: Path) -> str:
    """Return the bill of the project's pyproject.toml; it has no time and no serial number, so that builds are equal.

    Not by cyclonedx-py: from pyproject.toml it gives no version, which is dynamic, and no graph.
    The wheel holds no other package's code. What it needs stands in it by name and range: which version
    that is, is known where it is installed.
    """
    table = tomllib.loads(project.read_text())["project"]
    needed = [_component(requirement) for requirement in sorted(table["dependencies"], key=str.lower)]
    itself = f"pkg:pypi/{table['name']}@{__version__}"
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": itself,
                "name": table["name"],
                "version": __version__,
                "description": table["description"],
                "licenses": [{"license": {"id": table["license"]}}],
                "purl": itself,
            }
        },
        "components": needed,
        "dependencies": [
            {"ref": itself, "dependsOn": [component["bom-ref"] for component in needed]},
            *({"ref": component["bom-ref"]} for component in needed),
        ],
    }
    return json.dumps(bill, indent=2) + "\n"


def _component(requirement: str) -> dict[str, Any]:
    name = Requirement(requirement).name
    purl = f"pkg:pypi/{canonicalize_name(name)}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "purl": purl,
        "properties": [{"name": KIND, "value": requirement}],
    }
