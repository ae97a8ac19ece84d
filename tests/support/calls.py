"""The table of calls, good and bad, that every entry point must answer alike."""

import gzip
import json

from starlette.routing import Route

from function.api.app import create_app
from function.classifier import load
from function.settings import Settings, shipped_model
from tests.support.entry_points import Call
from tests.support.protocol import GETS, INFER, INFERENCES, MODEL, PROTOCOL_CALLS

ROW = b'{"data": [[5.1, 3.5, 1.4, 0.2]]}'
TWO_ROWS = b'{"data": [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]}'
OBJECT = '{"sepal length (cm)": 5.1, "sepal width (cm)": 3.5, "petal length (cm)": 1.4, "petal width (cm)": 0.2}'
PAGE = Call("page", "GET", "/", headers={"accept": "text/html,*/*;q=0.8", "accept-encoding": "gzip"})
_APP = create_app(Settings(), load(shipped_model()))
_KNOWN = {"model": "iris_svc", "version": "1"}
# Those that take nothing: no parameter but the model's name and version.
GET_ROUTES = [
    route.path.format(**_KNOWN)
    for route in _APP.routes
    if isinstance(route, Route) and "GET" in (route.methods or ()) and getattr(route, "is_direct", True)
    if route.param_convertors.keys() <= _KNOWN.keys()
]
# Those that take rows: they declare so by `declare_body`.
POST_ROUTES = [
    path
    for path, operations in _APP.openapi()["paths"].items()
    if '"title": "Rows"' in json.dumps(operations.get("post", {}))
]


def rows(*values: str) -> bytes:
    return f'{{"data": [{", ".join(values)}]}}'.encode()


def number(literal: str) -> bytes:
    return rows(f"[5.1, 3.5, {literal}, 0.2]")


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


# Status -> the body that gets it on every POST route; None where the routes differ.
BODIES: dict[str, tuple[int | None, bytes]] = {
    "one row": (200, ROW),
    "two rows": (None, TWO_ROWS),
    "white space": (200, b' \t\r\n{ "data" :\n[[5.1 ,3.5,1.4,0.2 ]] } \n'),
    "escaped key": (200, rb'{"\u0064ata": [[5.1, 3.5, 1.4, 0.2]]}'),
    "exponents": (200, number("14e-1")),
    "integers": (200, rows("[5, 3, 1, 0]")),
    "minus zero": (200, number("-0.0")),
    "underflow": (200, number("1e-46")),
    "largest float32": (200, number("3.4028234e38")),
    "thirty digits": (200, number("1.40000000000000000000000000001")),
    "repeated key": (200, b'{"data": [], "data": [[5.1, 3.5, 1.4, 0.2]]}'),
    "no body": (422, b""),
    "no JSON": (422, b"sepal length"),
    "cut short": (422, ROW[:-3]),
    "trailing text": (422, ROW + b"x"),
    "byte order mark": (200, b"\xef\xbb\xbf" + ROW),
    "two byte order marks": (422, b"\xef\xbb\xbf" * 2 + ROW),
    "UTF-16": (422, ROW.decode().encode("utf-16")),
    "broken UTF-8": (422, b'{"data": [["\xff"]]}'),
    "lone surrogate": (422, rb'{"data": [["\ud800"]]}'),
    "null": (422, b"null"),
    "list": (422, b"[[5.1, 3.5, 1.4, 0.2]]"),
    "empty object": (422, b"{}"),
    "unknown key": (422, b'{"data": [[5.1, 3.5, 1.4, 0.2]], "rows": 1}'),
    "data null": (422, b'{"data": null}'),
    "data text": (422, b'{"data": "5.1"}'),
    "no rows": (422, b'{"data": []}'),
    "empty row": (422, rows("[]")),
    "one dimension": (422, b'{"data": [5.1, 3.5, 1.4, 0.2]}'),
    "three dimensions": (422, rows("[[5.1, 3.5, 1.4, 0.2]]")),
    "object": (200, rows(OBJECT)),
    "object in another order": (200, rows(json.dumps(dict(reversed(json.loads(OBJECT).items()))))),
    "object without a feature": (422, rows('{"sepal length (cm)": 5.1}')),
    "object with another name": (422, rows(OBJECT.replace("{", '{"stem": 1, '))),
    "object with text": (422, rows(OBJECT.replace("1.4", '"1.4"'))),
    "object with a boolean": (422, rows(OBJECT.replace("1.4", "true"))),
    "object with NaN": (422, rows(OBJECT.replace("1.4", "NaN"))),
    "object beyond float32": (422, rows(OBJECT.replace("1.4", "1e39"))),
    "object, then a list": (422, rows(OBJECT, "[5.1, 3.5, 1.4, 0.2]")),
    "list, then an object": (422, rows("[5.1, 3.5, 1.4, 0.2]", OBJECT)),
    "object, unknown key": (422, b'{"rows": 1, "data": [' + OBJECT.encode() + b"]}"),
    "columns as rows": (422, rows("[5.1, 6.3]", "[3.5, 3.3]", "[1.4, 6.0]", "[0.2, 2.5]")),
    "too narrow": (422, rows("[5.1, 3.5, 1.4]")),
    "too wide": (422, rows("[5.1, 3.5, 1.4, 0.2, 1.0]")),
    "text": (422, number('"1.4"')),
    "text nan": (422, number('"nan"')),
    "boolean": (422, number("true")),
    "null as number": (422, number("null")),
    "NaN": (422, number("NaN")),
    "Infinity": (422, number("Infinity")),
    "-Infinity": (422, number("-Infinity")),
    "overflows float64": (422, number("1e400")),
    "overflows float32": (422, number("1e39")),
    "overflows float32 below": (422, number("-1e39")),
    "10^100": (422, number("1" + "0" * 100)),
    "10^400": (422, number("1" + "0" * 400)),
    "10^5000": (422, number("1" + "0" * 5000)),
    "deep": (422, b"[" * 100_000),
    "largest body": (200, ROW + b" " * (1_000_000 - len(ROW))),
    "body too large": (413, ROW + b" " * (1_000_001 - len(ROW))),
}

CALLS = [
    *((Call(path, "GET", path), 200) for path in GET_ROUTES if path != "/" and path not in GETS),
    (Call("discovery", "GET", "/"), 200),
    (Call("discovery, any type", "GET", "/", headers={"accept": "*/*"}), 200),
    (PAGE, 200),
    (Call("page, not compressed", "GET", "/", headers={**PAGE.headers, "accept-encoding": "identity"}), 200),
    (Call("POST to the root", "POST", "/", b"{}"), 405),
    (Call("query", "GET", "/health?verbose=1"), 200),
    (Call("query, encoded, repeated, without a value", "GET", "/health?name=a%20b&name=c%26&flag"), 200),
    *((Call(f"{path}: {name}", "POST", path, body), status) for name, (status, body) in BODIES.items()
      if status for path in POST_ROUTES),
    (Call("/predict: two rows", "POST", "/predict", TWO_ROWS), 422),
    (Call("/predict/label: two rows", "POST", "/predict/label", TWO_ROWS), 422),
    (Call("/predict/batch: two rows", "POST", "/predict/batch", TWO_ROWS), 200),
    (Call("/predict/batch: two rows, ragged", "POST", "/predict/batch", rows("[1, 2, 3, 4]", "[1, 2]")), 422),
    (Call("/predict/batch: most rows", "POST", "/predict/batch", rows(*["[5, 3, 1, 0]"] * 10_000)), 200),
    (Call("/predict/batch: too many rows", "POST", "/predict/batch", rows(*["[5, 3, 1, 0]"] * 10_001)), 413),
    (Call("no content type", "POST", "/predict", ROW, {}), 200),
    (Call("curl's content type", "POST", "/predict", ROW, {"content-type": "application/x-www-form-urlencoded"}), 200),
    *((Call(f"{path}: gzip", "POST", path, gzip.compress(ROW, mtime=0), {"content-encoding": "gzip"}), 415)
      for path in (*POST_ROUTES, INFER)),
    (Call("unknown path", "GET", "/nothing"), 404),
    (Call("trailing slash", "GET", "/health/"), 404),
    (Call("upper case", "GET", "/Health"), 404),
    (Call("encoded line break", "GET", "/health%0aforged"), 404),
    (Call("unicode path", "GET", "/caf%C3%A9"), 404),
    (Call("redoc", "GET", "/redoc"), 404),
    (Call("POST to a GET route", "POST", "/health", b"{}"), 405),
    (Call("GET to a POST route", "GET", "/predict"), 405),
    (Call("PUT", "PUT", "/predict", ROW), 405),
    (Call("DELETE", "DELETE", "/predict/batch"), 405),
    (Call("OPTIONS", "OPTIONS", "/predict"), 405),
    *((Call(f"HEAD {path}", "HEAD", path, headers={}), 200) for path in GET_ROUTES),
    *((Call(f"HEAD {path}", "HEAD", path, headers={}), 405) for path in (*POST_ROUTES, INFER)),
    (Call("HEAD of the page", "HEAD", "/", headers=PAGE.headers), 200),
    (Call("HEAD of an unknown path", "HEAD", "/nothing", headers={}), 404),
    (Call("HEAD of another model", "HEAD", "/v2/models/another", headers={}), 404),
    *PROTOCOL_CALLS,
]  # fmt: skip

# What a gateway may answer itself: bodies that aren't UTF-8, and paths with a line break.
GATEWAYS_OWN = {
    *(f"{route}: {body}" for route in POST_ROUTES for body in ("UTF-16", "broken UTF-8")),
    "encoded line break",
}

# What `sam local` can't hand on besides: each body is UTF-8 to it.
SAM_LOCALS_OWN = GATEWAYS_OWN | {call.name for call, _ in CALLS if not _is_text(call.body)}

_GET_ROUTES = {
    "discovery": "/",
    "docs": "/docs",
    "health": "/health",
    "label": "/label",
    "metadata": "/metadata",
    "openapi": "/openapi.json",
    "predict_test": "/predict/test",
    "predict_test_label": "/predict/test/label",
    "model_metadata": MODEL,
}
# The call that each of events/ makes.
EVENTS = {
    **{name: Call(name, "GET", path) for name, path in _GET_ROUTES.items()},
    "page": PAGE,
    "predict": Call("predict", "POST", "/predict", ROW),
    "predict_base64": Call("predict", "POST", "/predict", ROW),
    "predict_rest_api": Call("predict", "POST", "/predict", ROW),
    "predict_function_url": Call("predict", "POST", "/predict", ROW),
    "predict_alb": Call("predict", "POST", "/predict", ROW),
    "predict_lattice": Call("predict", "POST", "/predict", ROW),
    "predict_label": Call("predict_label", "POST", "/predict/label", ROW),
    "infer": INFERENCES["flat data"],
    "infer_binary": INFERENCES["binary input"],
    "predict_batch": Call(
        "predict_batch", "POST", "/predict/batch", b'{"data": [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]}'
    ),
}
