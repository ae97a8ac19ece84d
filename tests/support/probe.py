"""How an HTTP/1.1 server must handle odd requests: the cases of MDA2AV/Http11Probe, for this service.

The names are the suite's, https://github.com/MDA2AV/Http11Probe, the requests and what they may get are written anew for
this service: `hello` is no JSON, so a request that is read as it is meant gets a 422 for it, and `ROW` a 200. A case
passes if its first answer has one of the statuses in `wanted`, and if no request that was hidden in another is answered;
0 stands for a connection that is closed without an answer.
"""

import contextlib
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from tests.support.calls import ROW

Level = Literal["MUST", "SHOULD", "MAY", "NONE"]
Statuses = Sequence[int]
REFUSED, DROPPED, READ, ANY = (400,), (400, 0), (200, 204, 422), (400, 0, 200, 204, 422)
CHUNKED = "Transfer-Encoding: chunked"
WEBSOCKET = ("Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
SETOSA = ROW.decode()
NEXT = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass(frozen=True)
class Case:
    """One situation.

    Attributes:
        level: of the requirement in the RFC.
        request: what is sent.
        wanted: statuses that the first answer may have.
        then: what is sent behind the first answer, if the connection is still open; it must be answered by 200.
        closes: the server must close, though the client doesn't.
        has: a header that a first answer of 2xx or 405 must have.
    """

    name: str
    level: Level
    request: bytes
    wanted: Statuses
    then: bytes = b""
    closes: bool = False
    has: bytes = b""


@dataclass(frozen=True)
class Answer:
    """One answer on a connection."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


def get(*lines: str, start: str = "GET /health HTTP/1.1", host: str = "Host: a", body: str = "") -> bytes:
    head = [start, *([host] if host else []), *lines, "", ""]
    return ("\r\n".join(head) + body).encode("latin-1")


def post(*lines: str, start: str = "POST /predict/label HTTP/1.1", body: str = "") -> bytes:
    return get(*lines, start=start, body=body)


def declared(value: str, body: str = "hello") -> bytes:
    return post(f"Content-Length: {value}", body=body)


def coded(value: str, *, length: str = "5", body: str = "hello") -> bytes:
    return post(f"Transfer-Encoding: {value}", f"Content-Length: {length}", body=body)


def chunks(body: str) -> bytes:
    return post(CHUNKED, body=body)


def hidden(*lines: str, body: str = "0\r\n\r\n" + NEXT) -> bytes:
    return post(*(line.replace("LENGTH", str(len(body))) for line in lines), body=body)


def _must(table: dict[str, bytes], wanted: Statuses = DROPPED) -> list[Case]:
    return [Case(name, "MUST", request, wanted) for name, request in table.items()]


def _may(level: Level, table: dict[str, bytes], wanted: Statuses = ANY) -> list[Case]:
    return [Case(name, level, request, wanted) for name, request in table.items()]


COMPLIANCE = [
    *_must(
        {
            "RFC9112-5.1-OBS-FOLD": get("X-Test: value", " continued"),
            "RFC9110-5.6.2-SP-BEFORE-COLON": get("X-Test : value"),
            "RFC9112-7.1-MISSING-HOST": get(host=""),
            "RFC9112-3-CR-ONLY-LINE-ENDING": b"GET /health HTTP/1.1\rHost: a\r\n\r\n",
            "RFC9110-5.4-DUPLICATE-HOST": get("Host: other.example.com"),
            "COMP-DUPLICATE-HOST-SAME": get("Host: a"),
        },
        REFUSED,
    ),
    *_must(
        {
            "RFC9112-5-EMPTY-HEADER-NAME": get(": empty-name"),
            "RFC9112-3-MISSING-TARGET": get(start="GET HTTP/1.1"),
            "RFC9112-5-INVALID-HEADER-NAME": get("Bad[Name: value"),
            "RFC9112-5-HEADER-NO-COLON": get("NoColonHere"),
            "RFC9112-6.1-CL-NON-NUMERIC": declared("abc", ""),
            "RFC9112-6.1-CL-PLUS-SIGN": declared("+5"),
            "COMP-WHITESPACE-BEFORE-HEADERS": b"GET /health HTTP/1.1\r\n \r\nHost: a\r\n\r\n",
            "COMP-HOST-WITH-USERINFO": get(host="Host: user@a"),
            "COMP-HOST-WITH-PATH": get(host="Host: a:80/path"),
            "COMP-ASTERISK-WITH-GET": get(start="GET * HTTP/1.1"),
            "COMP-HOST-EMPTY-VALUE": get(host="Host: "),
            "COMP-VERSION-MISSING-MINOR": get(start="GET /health HTTP/1"),
            "COMP-VERSION-LEADING-ZEROS": get(start="GET /health HTTP/01.01"),
            "COMP-VERSION-WHITESPACE": get(start="GET /health HTTP/ 1.1"),
            "COMP-VERSION-CASE": get(start="GET /health http/1.1"),
            "COMP-SPACE-IN-TARGET": get(start="GET /he alth HTTP/1.1"),
            "COMP-POST-CL-UNDERSEND": declared("10"),
            "COMP-CHUNKED-NO-FINAL": chunks("5\r\nhello\r\n"),
        }
    ),
    *_must(
        {
            "COMP-POST-CL-BODY": declared(str(len(SETOSA)), SETOSA),
            "COMP-CHUNKED-BODY": chunks(f"{len(SETOSA):x}\r\n{SETOSA}\r\n0\r\n\r\n"),
            "COMP-CHUNKED-MULTI": chunks(f"8\r\n{SETOSA[:8]}\r\n{len(SETOSA) - 8:x}\r\n{SETOSA[8:]}\r\n0\r\n\r\n"),
            "COMP-CHUNKED-EXTENSION": chunks(f"{len(SETOSA):x};ext=value\r\n{SETOSA}\r\n0\r\n\r\n"),
            "COMP-CHUNKED-TRAILER-VALID": chunks(f"{len(SETOSA):x}\r\n{SETOSA}\r\n0\r\nX-Checksum: abc\r\n\r\n"),
            "COMP-CHUNKED-HEX-UPPERCASE": chunks(
                f"A\r\n{SETOSA[:10]}\r\n{len(SETOSA) - 10:X}\r\n{SETOSA[10:]}\r\n0\r\n\r\n"
            ),
            "COMP-RANGE-POST": post(f"Content-Length: {len(SETOSA)}", "Range: bytes=0-10", body=SETOSA),
            "COMP-UPGRADE-MISSING-CONN": get(*WEBSOCKET, "Sec-WebSocket-Version: 13"),
            "COMP-UPGRADE-UNKNOWN": get("Connection: Upgrade", "Upgrade: totally-made-up/1.0"),
            "COMP-UPGRADE-INVALID-VER": get("Connection: Upgrade", *WEBSOCKET, "Sec-WebSocket-Version: 99"),
            "COMP-UPGRADE-HTTP10": get(
                "Connection: Upgrade", *WEBSOCKET, "Sec-WebSocket-Version: 13", start="GET /health HTTP/1.0"
            ),
        },
        (200,),
    ),
    *_must(
        {
            "COMP-CHUNKED-EMPTY": chunks("0\r\n\r\n"),
            "COMP-POST-CL-ZERO": declared("0", ""),
            "COMP-POST-NO-CL-NO-TE": post(),
            "COMP-UPGRADE-POST": post("Connection: Upgrade", *WEBSOCKET, "Sec-WebSocket-Version: 13"),
            "COMP-NO-1XX-HTTP10": post(
                "Expect: 100-continue", "Content-Length: 5", start="POST /predict/label HTTP/1.0", body="hello"
            ),
        },
        (422,),
    ),
    Case("COMP-OPTIONS-STAR", "MUST", get(start="OPTIONS * HTTP/1.1"), (204,), has=b"allow"),
    Case("COMP-NO-CL-IN-204", "MUST", get(start="OPTIONS * HTTP/1.1"), (204,)),
    Case("COMP-UNKNOWN-TE-501", "MUST", post("Transfer-Encoding: gzip"), (400, 501, 0)),
    Case("COMP-CONNECTION-CLOSE", "MUST", get("Connection: close"), (200,), closes=True),
    Case("COMP-HEAD-NO-BODY", "MUST", get(start="HEAD /health HTTP/1.1"), (200, 405)),
    Case("COMP-405-ALLOW", "MUST", get(start="DELETE /health HTTP/1.1"), (405,), has=b"allow"),
    Case("COMP-DATE-HEADER", "MUST", get(), (200,), has=b"date"),
    Case("COMP-BASELINE", "NONE", get(), (200,)),
    Case("COMP-HTTP10-DEFAULT-CLOSE", "SHOULD", get(start="GET /health HTTP/1.0"), (200,), closes=True),
    Case("RFC9112-2.3-HTTP09-REQUEST", "SHOULD", b"GET /health\r\n", DROPPED),
    Case("RFC9112-2.3-INVALID-VERSION", "SHOULD", get(start="GET /health HTTP/9.9"), (400, 505, 0)),
    Case("COMP-METHOD-CONNECT", "SHOULD", get(start="CONNECT a:443 HTTP/1.1"), (400, 405, 501, 0)),
    Case("COMP-METHOD-CASE", "SHOULD", get(start="get /health HTTP/1.1"), (400, 405, 501, 0)),
    Case("COMP-UNKNOWN-METHOD", "SHOULD", get(start="FOOBAR /health HTTP/1.1"), (400, 405, 501, 0)),
    Case("COMP-OPTIONS-ALLOW", "SHOULD", get(start="OPTIONS /health HTTP/1.1"), (200, 204, 405), has=b"allow"),
    Case("COMP-LONG-URL-OK", "SHOULD", get(start=f"GET /{'a' * 7900} HTTP/1.1"), (404,)),
    Case("COMP-CONTENT-TYPE", "SHOULD", get(), (200,), has=b"content-type"),
    Case("COMP-DATE-FORMAT", "SHOULD", get(), (200,), has=b"date"),
    *_may(
        "SHOULD",
        {
            "COMP-METHOD-TRACE": get(start="TRACE /health HTTP/1.1"),
            "COMP-TRACE-WITH-BODY": get("Content-Length: 5", start="TRACE /health HTTP/1.1", body="hello"),
            "COMP-TRACE-SENSITIVE": get("Authorization: Bearer secret", start="TRACE /health HTTP/1.1"),
        },
        (400, 405, 501, 0),
    ),
    *_may(
        "SHOULD",
        {
            "RFC9112-3.2-FRAGMENT-IN-TARGET": get(start="GET /health#frag HTTP/1.1"),
            "COMP-REQUEST-LINE-TAB": get(start="GET\t/health HTTP/1.1"),
        },
        DROPPED,
    ),
    *_may(
        "SHOULD",
        {
            "RFC9112-3-MULTI-SP-REQUEST-LINE": get(start="GET  /health HTTP/1.1"),
            "COMP-LEADING-CRLF": b"\r\n\r\n" + get(),
            "COMP-ABSOLUTE-FORM": get(start="GET http://a/health HTTP/1.1"),
            "COMP-ACCEPT-NONSENSE": get("Accept: application/x-nonsense"),
            "COMP-DUPLICATE-CT": post("Content-Length: 5", "Content-Type: a/b", "Content-Type: c/d", body="hello"),
        },
    ),
    *_may(
        "MAY",
        {
            "RFC9112-2.2-BARE-LF-REQUEST-LINE": b"GET /health HTTP/1.1\nHost: a\r\n\r\n",
            "RFC9112-2.2-BARE-LF-HEADER": b"GET /health HTTP/1.1\r\nHost: a\nX-Test: value\r\n\r\n",
        },
        DROPPED,
    ),
    *_may(
        "MAY",
        {
            "COMP-EXPECT-UNKNOWN": get("Expect: 200-ok"),
            "COMP-GET-WITH-CL-BODY": get("Content-Length: 5", body="hello"),
            "COMP-HTTP10-NO-HOST": get(start="GET /health HTTP/1.0", host=""),
            "COMP-HTTP12-VERSION": get(start="GET /health HTTP/1.2"),
            "COMP-RANGE-INVALID": get("Range: bytes=abc-xyz"),
            "COMP-POST-UNSUPPORTED-CT": post("Content-Length: 5", "Content-Type: application/x-nonsense", body="hello"),
        },
    ),
]

MALFORMED = [
    *_must(
        {
            "MAL-NUL-IN-URL": get(start="GET /\0test HTTP/1.1"),
            "MAL-CONTROL-CHARS-HEADER": get("X-Test: abc\x07\x08\x0bdef"),
            "MAL-NON-ASCII-HEADER-NAME": get("X-T\xc3\xabst: value"),
            "MAL-NON-ASCII-URL": get(start="GET /caf\xc3\xa9 HTTP/1.1"),
            "MAL-CL-OVERFLOW": declared("99999999999999999999", ""),
            "MAL-NUL-IN-HEADER-VALUE": get("X-Test: val\0ue"),
            "MAL-CHUNK-SIZE-OVERFLOW": chunks("FFFFFFFFFFFFFFFF0\r\nhello\r\n0\r\n\r\n"),
            "MAL-CL-EMPTY": declared("", ""),
            "MAL-URL-OVERLONG-UTF8": get(start="GET /\xc0\xaf HTTP/1.1"),
        }
    ),
    # The suite knows no limit to a body; this service has one, and says so at once.
    Case("MAL-POST-CL-HUGE-NO-BODY", "MUST", declared("999999999", ""), (413,)),
    *_may(
        "SHOULD",
        {
            "MAL-BINARY-GARBAGE": bytes(range(255, -1, -1)),
            "MAL-LONG-METHOD": get(start=f"{'A' * 100_000} /health HTTP/1.1"),
            "MAL-INCOMPLETE-REQUEST": b"GET /health HTTP/1.1\r\nHost: a\r\nX-Test: value",
            "MAL-EMPTY-REQUEST": b"",
            "MAL-WHITESPACE-ONLY-LINE": b"   \r\n\r\n",
            "MAL-H2-PREFACE": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        },
        DROPPED,
    ),
    *_may(
        "SHOULD",
        {
            "MAL-LONG-URL": get(start=f"GET /{'A' * 100_000} HTTP/1.1"),
            "MAL-LONG-HEADER-VALUE": get(f"X-Big: {'B' * 100_000}"),
            "MAL-LONG-HEADER-NAME": get(f"{'A' * 100_000}: val"),
            "MAL-MANY-HEADERS": get(*(f"X-H-{number}: value" for number in range(10_000))),
            "MAL-CHUNK-EXT-64K": chunks(f"5;ext={'a' * 65_536}\r\nhello\r\n0\r\n\r\n"),
        },
        (431,),
    ),
    *_may(
        "NONE",
        {
            "MAL-URL-BACKSLASH": get(start="GET /path\\file HTTP/1.1"),
            "MAL-URL-PERCENT-NULL": get(start="GET /path%00.html HTTP/1.1"),
            "MAL-URL-PERCENT-CRLF": get(start="GET /path%0d%0aX-Injected:%20true HTTP/1.1"),
        },
        (400, 404, 0),
    ),
    Case("MAL-CL-TAB-BEFORE-VALUE", "MAY", post("Content-Length:\t5", body="hello"), ANY),
    Case("MAL-RANGE-OVERLAPPING", "NONE", get(f"Range: bytes={','.join(['0-'] * 1000)}"), (200,)),
]

NORMALIZATION = [
    Case(
        "NORM-SP-BEFORE-COLON-CL", "MUST", post("Content-Length: 11", "Content-Length : 5", body="hello world"), DROPPED
    ),
    Case("NORM-TAB-IN-NAME", "MUST", post("Content-Length: 11", "Content\tLength: 99", body="hello world"), DROPPED),
    Case("NORM-UNDERSCORE-CL", "NONE", post("Content-Length: 11", "Content_Length: 99", body="hello world"), (422,)),
    Case(
        "NORM-UNDERSCORE-TE",
        "NONE",
        post("Content-Length: 11", "Transfer_Encoding: chunked", body="hello world"),
        (422,),
    ),
    Case("NORM-CASE-TE", "NONE", post("Content-Length: 11", "TRANSFER-ENCODING: chunked", body="hello world"), DROPPED),
]

SMUGGLING = [
    *_must(
        {
            "SMUG-DUPLICATE-CL": post("Content-Length: 5", "Content-Length: 10", body="helloworld"),
            "SMUG-TE-TRAILING-SPACE": coded("chunked "),
            "SMUG-TE-SP-BEFORE-COLON": post("Transfer-Encoding : chunked", "Content-Length: 5", body="hello"),
            "SMUG-CL-NEGATIVE": declared("-1", ""),
            "SMUG-CL-COMMA-DIFFERENT": declared("5, 10"),
            "SMUG-TE-NOT-FINAL-CHUNKED": post("Transfer-Encoding: chunked, gzip", body="0\r\n\r\n"),
            "SMUG-TE-HTTP10": post(CHUNKED, "Content-Length: 5", start="POST /predict/label HTTP/1.0", body="hello"),
            "SMUG-CHUNK-BARE-SEMICOLON": chunks("5;\r\nhello\r\n0\r\n\r\n"),
            "SMUG-CHUNK-EXT-INVALID-TOKEN": chunks("5;bad[=x\r\nhello\r\n0\r\n\r\n"),
            "SMUG-BARE-CR-HEADER-VALUE": post("Content-Length: 5", "X-Test: val\rue", body="hello"),
            "SMUG-CL-OCTAL": declared("0o5"),
            "SMUG-CHUNK-UNDERSCORE": chunks("1_0\r\nhello world!!!!!\r\n0\r\n\r\n"),
            "SMUG-TE-EMPTY-VALUE": coded(""),
            "SMUG-TE-DUPLICATE-HEADERS": post(
                CHUNKED, "Transfer-Encoding: identity", "Content-Length: 5", body="hello"
            ),
            "SMUG-CHUNK-HEX-PREFIX": chunks("0x5\r\nhello\r\n0\r\n\r\n"),
            "SMUG-CHUNK-SIZE-PLUS": chunks("+5\r\nhello\r\n0\r\n\r\n"),
            "SMUG-CHUNK-SIZE-TRAILING-OWS": chunks("5 \r\nhello\r\n0\r\n\r\n"),
            "SMUG-CL-HEX-PREFIX": declared("0x5"),
            "SMUG-CL-INTERNAL-SPACE": declared("1 0", "hello12345"),
            "SMUG-CHUNK-LEADING-SP": chunks(" 5\r\nhello\r\n0\r\n\r\n"),
            "SMUG-CHUNK-MISSING-TRAILING-CRLF": chunks("5\r\nhello0\r\n\r\n"),
            "SMUG-CHUNK-SPILL": chunks("5\r\nhello!!\r\n0\r\n\r\n"),
            "SMUG-CHUNK-EXT-CTRL": chunks("5;\0ext\r\nhello\r\n0\r\n\r\n"),
            "SMUG-CHUNK-EXT-CR": chunks("5;a\rX\r\nhello\r\n0\r\n\r\n"),
            "SMUG-TE-VTAB": coded("\x0bchunked"),
            "SMUG-TE-FORMFEED": coded("\x0cchunked"),
            "SMUG-TE-NULL": coded("chunked\0"),
            "SMUG-CHUNK-NEGATIVE": chunks("-1\r\nhello\r\n0\r\n\r\n"),
            "SMUG-CL-UNDERSCORE": declared("1_0", "helloworld"),
            "SMUG-CL-NEGATIVE-ZERO": declared("-0", ""),
            "SMUG-TE-OBS-FOLD": post("Transfer-Encoding:", " chunked", "Content-Length: 5", body="hello"),
            "SMUG-MULTIPLE-HOST-COMMA": get(host="Host: a, other.example.com"),
            "SMUG-CHUNK-BARE-CR-TERM": chunks("5\rhello\r\n0\r\n\r\n"),
        }
    ),
    *_must({"SMUG-TE-XCHUNKED": coded("xchunked"), "SMUG-TE-IDENTITY": coded("identity")}, (400, 501, 0)),
    *_must(
        {
            "SMUG-CLTE-CONN-CLOSE": post("Content-Length: 5", CHUNKED, body="0\r\n\r\n") + NEXT.encode(),
            "SMUG-TECL-CONN-CLOSE": coded("chunked", body="0\r\n\r\n") + NEXT.encode(),
            "SMUG-CLTE-DESYNC": post("Content-Length: 6", CHUNKED, body="0\r\n\r\nX") + NEXT.encode(),
            "SMUG-TECL-DESYNC": coded("chunked", length="30", body="0\r\n\r\nX") + NEXT.encode(),
            "SMUG-CLTE-SMUGGLED-GET": hidden("Content-Length: LENGTH", CHUNKED),
            "SMUG-CLTE-SMUGGLED-GET-CL-PLUS": hidden("Content-Length: +LENGTH", CHUNKED),
            "SMUG-CLTE-SMUGGLED-GET-CL-NON-NUMERIC": hidden("Content-Length: LENGTHx", CHUNKED),
            "SMUG-CLTE-SMUGGLED-GET-TE-OBS-FOLD": hidden("Transfer-Encoding:", " chunked", "Content-Length: LENGTH"),
            "SMUG-CLTE-SMUGGLED-HEAD": hidden(
                "Content-Length: LENGTH", CHUNKED, body="0\r\n\r\n" + NEXT.replace("GET", "HEAD")
            ),
            "SMUG-CLTE-SMUGGLED-GET-TE-TRAILING-SPACE": hidden("Content-Length: LENGTH", f"{CHUNKED} "),
            "SMUG-CLTE-SMUGGLED-GET-TE-LEADING-COMMA": hidden("Content-Length: LENGTH", "Transfer-Encoding: , chunked"),
            "SMUG-CLTE-SMUGGLED-GET-TE-CASE-MISMATCH": hidden("Content-Length: LENGTH", "Transfer-Encoding: Chunked"),
            "SMUG-TE-DUPLICATE-HEADERS-SMUGGLED-GET": hidden(
                CHUNKED, "Transfer-Encoding: identity", "Content-Length: LENGTH"
            ),
            "SMUG-TECL-SMUGGLED-GET": hidden(
                CHUNKED, "Content-Length: 4", body=f"{len(NEXT):x}\r\n{NEXT}\r\n0\r\n\r\n"
            ),
            "SMUG-DUPLICATE-CL-SMUGGLED-GET": hidden("Content-Length: 4", "Content-Length: LENGTH", body="PING" + NEXT),
            "SMUG-OPTIONS-TE-OBS-FOLD": get(
                "Transfer-Encoding:", " chunked", "Content-Length: 5", start="OPTIONS /health HTTP/1.1", body="hello"
            ),
            "SMUG-CHUNK-INVALID-SIZE-DESYNC": chunks("+0\r\n\r\nX") + NEXT.encode(),
        }
    ),
    *_may(
        "SHOULD",
        {
            "SMUG-CL-TE-BOTH": post("Content-Length: 24", CHUNKED, body="D\r\nhello-bananas\r\n0\r\n\r\n"),
            "SMUG-TE-DOUBLE-CHUNKED": coded("chunked, chunked"),
            "SMUG-TE-CASE-MISMATCH": coded("Chunked"),
            "SMUG-TE-LEADING-COMMA": coded(", chunked"),
            "SMUG-TE-TRAILING-COMMA": coded("chunked,"),
            "SMUG-TE-TAB-BEFORE-VALUE": post("Transfer-Encoding:\tchunked", "Content-Length: 5", body="hello"),
            "SMUG-CHUNKED-WITH-PARAMS": coded("chunked;ext=val"),
            "SMUG-CLTE-PIPELINE": post("Content-Length: 4", CHUNKED, body="0\r\n\r\n"),
            "SMUG-TECL-PIPELINE": coded("chunked", length="30", body="0\r\n\r\n"),
            "SMUG-CHUNK-EXT-LF": chunks("5;\nhello\r\n0\r\n\r\n"),
            "SMUG-CHUNK-LF-TERM": chunks("5\r\nhello\n0\r\n\r\n"),
            "SMUG-CHUNK-LF-TRAILER": chunks("5\r\nhello\r\n0\r\n\n"),
            "SMUG-CL-COMMA-SAME": declared("5, 5"),
            "SMUG-CL-COMMA-TRIPLE": declared("5, 5, 5"),
        },
        DROPPED,
    ),
    *_may(
        "SHOULD",
        {
            "SMUG-CL-LEADING-ZEROS": declared("005"),
            "SMUG-CL-TRAILING-SPACE": declared("5 "),
            "SMUG-CL-EXTRA-LEADING-SP": declared(" 5"),
            "SMUG-CL-DOUBLE-ZERO": declared("00", ""),
            "SMUG-CL-LEADING-ZEROS-OCTAL": declared("0200", "A" * 200),
            "SMUG-TRAILER-CL": chunks("5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n"),
            "SMUG-TRAILER-TE": chunks("5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        },
    ),
    *_may(
        "NONE",
        {
            "SMUG-TRANSFER_ENCODING": post("Transfer_Encoding: chunked", "Content-Length: 5", body="hello"),
            "SMUG-EXPECT-100-CL": post("Content-Length: 5", "Expect: 100-continue", body="hello"),
            "SMUG-TRAILER-HOST": chunks("5\r\nhello\r\n0\r\nHost: evil.example.com\r\n\r\n"),
            "SMUG-TRAILER-AUTH": chunks("5\r\nhello\r\n0\r\nAuthorization: Bearer evil\r\n\r\n"),
            "SMUG-TRAILER-CONTENT-TYPE": chunks("5\r\nhello\r\n0\r\nContent-Type: text/evil\r\n\r\n"),
        },
        (422,),
    ),
    Case(
        "SMUG-HEAD-CL-BODY", "NONE", get("Content-Length: 5", start="HEAD /health HTTP/1.1", body="hello"), (200, 405)
    ),
    Case(
        "SMUG-OPTIONS-CL-BODY",
        "NONE",
        get("Content-Length: 5", start="OPTIONS /health HTTP/1.1", body="hello"),
        (200, 204, 405),
    ),
    Case("SMUG-ABSOLUTE-URI-HOST-MISMATCH", "NONE", get(start="GET http://b/health HTTP/1.1"), ANY),
    Case("SMUG-PIPELINE-SAFE", "SHOULD", get(), (200,), then=NEXT.encode()),
    Case("SMUG-CL0-BODY-POISON", "NONE", declared("0", "") + b"X", (422,), then=NEXT.encode()),
    Case(
        "SMUG-GET-CL-PREFIX-DESYNC",
        "MAY",
        get(f"Content-Length: {len(NEXT) - 2}", body=NEXT[:-2]),
        (200,),
        then=b"\r\n" + NEXT.encode(),
    ),
    Case("SMUG-GET-CL-BODY-DESYNC", "MAY", get("Content-Length: 5", body="hello"), (200,), then=NEXT.encode()),
    Case(
        "SMUG-OPTIONS-CL-BODY-DESYNC",
        "NONE",
        get("Content-Length: 5", start="OPTIONS /health HTTP/1.1", body="hello"),
        (200, 204, 405),
        then=NEXT.encode(),
    ),
    Case(
        "SMUG-EXPECT-100-CL-DESYNC",
        "NONE",
        post("Content-Length: 5", "Expect: 100-continue", body="hello"),
        (422,),
        then=NEXT.encode(),
    ),
]

CASES = [*COMPLIANCE, *MALFORMED, *NORMALIZATION, *SMUGGLING]


def probe(url: str, case: Case) -> str:
    """Try a case; say what is wrong with the answers, or nothing."""
    answers = _ask(url, case)
    first = answers[0] if answers else Answer(0, {}, b"")
    statuses = [answer.status for answer in answers]
    if first.status not in case.wanted:
        return f"expected one of {case.wanted}, got {statuses or 'no answer'}"
    if case.name == "SMUG-CL0-BODY-POISON":  # the X is the beginning of another request
        return "" if statuses[1:] == [400] else f"expected [422, 400], got {statuses}"
    if case.then and statuses[1:] != [200]:
        return f"expected another answer, got {statuses}"
    if not case.then and len(answers) > 1:
        return f"expected one answer, got {statuses}"
    if case.has and case.has not in first.headers:
        return f"expected the header {case.has.decode()}"
    if 100 in statuses and b"HTTP/1.0" in case.request:
        return "expected no 100 before the answer to HTTP/1.0"
    return "" if first.status == 0 or b"date" in first.headers else "expected the header date"


def _ask(url: str, case: Case) -> list[Answer]:
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=15) as connection:
        received = b""
        with contextlib.suppress(OSError):  # it may have closed by now
            connection.sendall(case.request)
            if case.then:
                while not parse(received, case.request):
                    received += connection.recv(65536)
                connection.sendall(case.then)
            if not case.closes:  # then nothing is left to wait for, and the server closes
                connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                received += part
    return parse(received, case.request)


def parse(received: bytes, request: bytes) -> list[Answer]:
    """Give the whole answers, without those of 1xx to HTTP/1.1."""
    answers: list[Answer] = []
    while found := re.match(rb"HTTP/1\.1 (\d{3}) [^\r]*\r\n((?:[^\r]+\r\n)*)\r\n", received):
        headers = dict(line.split(b": ", 1) for line in found[2].split(b"\r\n")[:-1])
        n_bytes = int(headers.get(b"content-length", 0))
        status, end = int(found[1]), found.end()
        if (request.startswith(b"HEAD") and not answers) or status in (100, 204):
            n_bytes = 0
        if len(received) < end + n_bytes:
            break
        if status != 100 or b"HTTP/1.0" in request:
            answers.append(Answer(status, headers, received[end : end + n_bytes]))
        received = received[end + n_bytes :]
    return answers
