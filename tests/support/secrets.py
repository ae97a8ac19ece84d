"""A key in place of its digest, with whatever can be wrong with it besides."""

DIGEST = "a" * 64
SECRET = "hunter2-is-my-key"
WRONG_KEYS = {
    "the key itself": SECRET,
    "a tab": f"{SECRET}\t",
    "a line break": f"{SECRET}\n",
    "a return": f"{SECRET}\r\n",
    "a space that doesn't break": f"{SECRET}\xa0",
    "a space without a width": f"\u200b{SECRET}",
    "a byte order mark": f"\ufeff{SECRET}",
    "a change of direction": f"\u202e{SECRET}",
    "an escape": f"\x1b[1m{SECRET}",
    "bytes that aren't UTF-8": f"{SECRET}\udcff",
    "an accent": f"{SECRET}é",
    "quotes": f"'{SECRET}'",
    "behind a digest": f"{DIGEST},{SECRET}",
    "an empty part": f"{SECRET},",
    "as long as a digest": SECRET.ljust(64, "0"),
}
