r"""A vectorizer's pattern of words → one of RE2, with which ONNX Runtime's Tokenizer splits texts.

In RE2 only \p goes beyond ASCII: https://github.com/google/re2/wiki/Syntax
"""

import re

from function.errors import ArtifactError

CLASSES = {"w": r"\p{L}\p{N}_", "d": r"\p{Nd}", "s": r"\t-\r\x1c-\x1f\x85\p{Z}"}
WITHOUT = {r"[^\W_]": r"[\p{L}\p{N}]", r"[^\W\d_]": r"[\p{L}\p{Nl}\p{No}]"}
# Words as long as can be, which end at boundaries anyway; and words of only some of \w.
RUN = re.compile(r"\\b((?:\\w)*\\w(?:\+|\{\d+,\}))\\b")
SOME = re.compile(r"\\b(?:(?:\\w|\\d|[0-9A-Za-z_]|\[[0-9A-Za-z_-]+\])(?:[+*?]|\{\d+(?:,\d*)?\})?)+\\b")
PARTS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]|\\.|.", re.DOTALL)
LOST = re.compile(r"\\[bB]|\(\?[^:]|\[.*?\\[WDS]")  # other boundaries; flags and lookarounds; classes without some


def translate(pattern: str, longest: int) -> str:
    r"""Translate a `token_pattern` of a vectorizer whose n-grams have up to `longest` words.

    Raises:
        ArtifactError: it can't be translated.
    """
    plain = re.sub(r"\\u([0-9A-Fa-f]{4})", r"\\x{\1}", pattern.removeprefix("(?u)"))
    if found := RUN.fullmatch(plain):
        plain = found[1]
    elif longest == 1 and SOME.fullmatch(plain):
        plain = r"\w+"  # the vocabulary lacks the others
    translated = "".join(map(_translate_part, PARTS.findall(plain)))
    if LOST.search(translated) or re.compile(pattern).groups:
        expected = r"a token_pattern without groups and flags, and with \b only around words, as in \b\w\w+\b"
        raise ArtifactError(f"expected {expected}; ONNX Runtime doesn't split texts by {pattern} as scikit-learn does")
    return translated


def _translate_part(part: str) -> str:
    """Translate a class in brackets, an escape, or a character."""
    if part.startswith("["):
        return WITHOUT.get(part) or re.sub(r"\\(.)", lambda escape: CLASSES.get(escape[1], escape[0]), part)
    if part[0] == "\\" and part[1].lower() in CLASSES:
        return f"[{'^' if part[1].isupper() else ''}{CLASSES[part[1].lower()]}]"
    return part
