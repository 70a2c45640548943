"""docs/llms.txt: what the documents are, for a language model that has to find the right one (llmstxt.org)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

REPOSITORY = "https://github.com/dbmigrate/dbmigrate/blob/main/docs"


def contents_for_models(root: Path) -> str:
    """Return the contents in the order of the site: each page with its title and its first sentence."""
    site = yaml.safe_load((root / "mkdocs.yml").read_text())
    lines = [f"# {site['site_name']}", "", f"> {_first_sentence(root / 'docs' / 'index.md')}"]
    for entry in site["nav"]:
        ((section, pages),) = entry.items() if isinstance(entry, dict) else ((None, entry),)
        if isinstance(pages, str):
            pages = [pages] if pages != "index.md" else []
        if pages:
            lines += ["", f"## {section}", ""]
        for page in _names(pages):
            path = root / "docs" / page
            lines.append(f"- [{_title(path)}]({REPOSITORY}/{page}): {_first_sentence(path)}")
    return "\n".join(lines) + "\n"


def _names(pages: list[object]) -> Iterator[str]:
    for page in pages:
        yield from (str(name) for name in page.values()) if isinstance(page, dict) else (str(page),)


def _title(path: Path) -> str:
    return path.read_text().split("\n", 1)[0].removeprefix("# ")


def _first_sentence(path: Path) -> str:
    """Return the first sentence of the first paragraph, without its links."""
    without_code = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S)
    paragraphs = [text.strip() for text in without_code.split("\n\n") if re.match(r"[A-Za-z*`]", text.strip())]
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(paragraphs[0].split())) if paragraphs else ""
    return re.split(r"(?<=[.?]) ", text, maxsplit=1)[0].rstrip(":")
