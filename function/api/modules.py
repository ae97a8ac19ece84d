"""Joins the page's files into one document that loads nothing else: ES modules become one script."""

import re
from pathlib import Path

IMPORT = re.compile(r'^import \{[^}]*\} from "\./(?P<name>\w+\.mjs)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async function|function|class|const|let) )", re.MULTILINE)
FOR_READERS = re.compile(
    r"^ *//.*\n|(?<=[;{,(]) // .*|^ */\*\*(?:(?!\*/)[\s\S])*\*/\n|/\*\* @(?:(?!\*/).)*\*/ ?|^\n|^ +", re.MULTILINE
)


def join(entry: Path) -> str:
    """Join a module and all its imports, each once and after its own imports, without types, comments and indentation.

    All modules then share one scope. So imports must not rename, names at the top of the modules must differ, and no
    string may span lines. `tests/unit/test_page_modules.py` checks this.
    """
    found: dict[Path, str] = {}

    def visit(path: Path) -> None:
        text = path.read_text("utf-8")
        for match in IMPORT.finditer(text):
            if (other := path.with_name(match["name"])) not in found:
                visit(other)
        found[path] = FOR_READERS.sub("", EXPORT.sub("", IMPORT.sub("", text)))

    visit(entry)
    return "".join(found.values())


def shorten(style: str) -> str:
    """Remove the spaces of a style sheet that only readers need."""
    return re.sub(r"\s*([{};,])\s*", r"\1", style).replace(": ", ":").replace(";}", "}")
