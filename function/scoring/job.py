"""An event → an object, its output, and its form."""

from typing import Any, Literal, NamedTuple

from function.errors import ObjectError

Form = Literal["CSV", "JSON"]
FORMS: dict[str, Form] = {".csv": "CSV", ".tsv": "CSV", ".jsonl": "JSON", ".ndjson": "JSON"}
ERRORS = ".errors.jsonl"  # suffix of the name of an object's errors


class Place(NamedTuple):
    """A bucket, and a key or a prefix of keys."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class Job(NamedTuple):
    """One object, and where its answers and its errors go."""

    source: Place
    output: Place
    errors: Place


def read_job(event: Any) -> Job:
    """Read an event of the state machine: `input` and `output`, each a bucket and a prefix, and the object's `key`.

    Raises:
        ObjectError: it isn't one, or its output would be part of the input.
    """
    try:
        key, bucket, prefix = event["key"], event["input"]["bucket"], event["input"]["prefix"]
        output = Place(event["output"]["bucket"], event["output"]["prefix"])
    except (KeyError, TypeError):
        expected = '{"input": {"bucket", "prefix"}, "output": {"bucket", "prefix"}, "key"}'
        raise ObjectError(f"expected an event {expected}, got another") from None
    source = Place(bucket, key)
    if not key.startswith(prefix):
        raise ObjectError(f"{source}: expected a key that starts with the input's prefix, {Place(bucket, prefix)}")
    if output.bucket == bucket and key.startswith(output.key):
        raise ObjectError(f"{source}: expected an object of the input, got one of the output, {output}")
    place = output.key + key.removeprefix(prefix)
    return Job(source, Place(output.bucket, place), Place(output.bucket, place + ERRORS))


def is_hidden(key: str) -> bool:
    """Return whether an object isn't data: a folder, or a file such as Hadoop's _SUCCESS, which Hadoop skips too."""
    return key.rpartition("/")[2][:1] in ("", "_", ".")


def find_form(source: Place) -> Form:
    """Find the form of an object by its name.

    Raises:
        ObjectError: the name has no known ending.
    """
    name = source.key.lower().removesuffix(".gz")
    form = next((form for ending, form in FORMS.items() if name.endswith(ending)), None)
    if form is None or name.endswith(ERRORS):
        endings = ", ".join(FORMS)
        raise ObjectError(f"{source}: expected a name that ends in {endings}, with or without .gz, and not in {ERRORS}")
    return form
