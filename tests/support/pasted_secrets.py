"""A key in place of its digest, with whatever can be wrong with it besides."""

DIGEST = "a" * 64
KEY = "hunter2-is-my-key"
WRONG_KEYS = {
    "the key itself": KEY,
    "a tab": f"{KEY}\t",
    "a line break": f"{KEY}\n",
    "a return": f"{KEY}\r\n",
    "a space that doesn't break": f"{KEY}\xa0",
    "a space without a width": f"\u200b{KEY}",
    "a byte order mark": f"\ufeff{KEY}",
    "a change of direction": f"\u202e{KEY}",
    "an escape": f"\x1b[1m{KEY}",
    "bytes that aren't UTF-8": f"{KEY}\udcff",
    "an accent": f"{KEY}é",
    "quotes": f"'{KEY}'",
    "behind a digest": f"{DIGEST},{KEY}",
    "an empty part": f"{KEY},",
    "as long as a digest": KEY.ljust(64, "0"),
}
