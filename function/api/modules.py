"""Makes one document of the page's files, which asks for nothing else: ES modules become one script."""

import re
from pathlib import Path

IMPORT = re.compile(r'^import \{[^}]*\} from "\./(?P<name>\w+\.mjs)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async function|function|class|const|let) )", re.MULTILINE)
FOR_READERS = re.compile(
    r"^ *//.*\n|(?<=[;{,(]) // .*|^ */\*\*(?:(?!\*/)[\s\S])*\*/\n|/\*\* @(?:(?!\*/).)*\*/ ?|^\n|^ +", re.MULTILINE
)


def join(entry: Path) -> str:
    """Join a module and all that it imports, each once and after what it imports, without types, comments, indentation.

    They share one scope then: imports are of names as they are, what stands at the top of a module has a name that no
    other has there, and no text goes on in another line. `tests/unit/test_page_modules.py` holds this.
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
    """Leave out of a style what only readers need: its spaces."""
    return re.sub(r"\s*([{};,])\s*", r"\1", style).replace(": ", ":").replace(";}", "}")
