"""Answers each event of a folder through the Lambda handler, in this interpreter, and prints the answers as JSON.

For another Python than the tests' own: it needs what ships in the Lambda package and nothing else.
PYTHONPATH says whose handler it is: `PYTHONPATH=. python tests/support/replay.py events`.
"""

import asyncio
import json
import sys
from pathlib import Path


async def _nothing() -> None:
    pass


def main() -> None:
    from function.handler import handler  # noqa: PLC0415 - the log must go elsewhere first

    answers = {}
    for path in sorted(Path(sys.argv[1]).glob("*.json")):
        event = json.loads(path.read_text())
        answers[path.stem] = handler(event, None)  # type: ignore[arg-type] # the context isn't used
        asyncio.run(_nothing())  # leaves the thread without an event loop
    print(json.dumps(answers), file=stdout, flush=True)


if __name__ == "__main__":
    stdout, sys.stdout = sys.stdout, sys.stderr
    main()
