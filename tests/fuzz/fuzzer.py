"""Fuzzes the parsers of both APIs, led by coverage; tests/fuzz/test_fuzz.py runs it: fuzzer.py MODEL [libFuzzer's options]."""

import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["function"]):
    from function.api.limits import Limits
    from function.api.responses import JSON
    from function.api.rows import read_rows
    from function.api.v2 import decode, encode
    from function.classifier import load
    from function.classifier.inputs import to_arrays
    from function.errors import RequestError


def main(model: Path, options: list[str]) -> None:
    classifier = load(model)
    columns, limits = classifier.model.columns, Limits(100, 1_000_000, 6_000_000)

    def ask(data: bytes) -> None:
        """Any input is parsed and answered, or refused."""
        json_length, _, body = data.partition(b"\n")
        try:
            if json_length == b"native":
                arrays = to_arrays(columns, read_rows(bytearray(body), columns))
                JSON(classifier.predict_arrays(arrays).probabilities)
            else:
                request = decode.decode(body, json_length.decode("latin-1") or None, classifier.model, limits)
                encode.encode(request.outputs, classifier, classifier.predict_arrays(request.arrays), request.id)
        except RequestError:
            pass

    atheris.Setup([sys.argv[0], *options], ask)
    atheris.Fuzz()


def unpack_anything(part: memoryview, where: str) -> Iterator[str]:
    """Read texts, each a 4-byte length and its bytes, without a check for their end; the fuzzer must find this fault."""
    while part:
        (length,) = struct.unpack_from("<I", part)
        yield str(part[4 : 4 + length], "utf-8", "replace")
        part = part[4 + length :]


if __name__ == "__main__":
    if os.environ.get("CONTROL"):
        decode._unpack = unpack_anything  # noqa: SLF001
    main(Path(sys.argv[1]), sys.argv[2:])
