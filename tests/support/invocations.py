"""Invokes the handler in every form of event, as one instance of Lambda is; prints what that has taken."""

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.support.calls import CALLS
from tests.support.entry_points import EVENT_FORMS

os.environ["METRICS"] = "EMF"  # as template.yaml has it


def main(n_invocations: int, app: str) -> None:
    import onnxruntime as ort  # noqa: PLC0415 - its sessions are counted from here on

    n_sessions, build = 0, ort.InferenceSession

    def count(*arguments: Any, **options: Any) -> Any:
        nonlocal n_sessions
        n_sessions += 1
        return build(*arguments, **options)

    ort.InferenceSession = count
    handler: Any = import_module("function.handler")  # the init phase
    if app == "leaking":
        handler.app = import_module("tests.reliability.controls").leaking
    events = [to_event(call) for call, _ in CALLS for to_event in EVENT_FORMS.values() if len(call.body) < 100_000]
    before = 0.0
    for number in range(n_invocations + len(events)):
        if number == len(events):  # each was there once
            before = megabytes()
        handler.handler(events[number % len(events)], None)
    print(json.dumps({"sessions": n_sessions, "grown": megabytes() - before}), file=sys.stderr)


def megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
