"""Words: what must be folded, bounded or made safe before it is compared, shown or used as a name."""

import re
import unicodedata

_UMLAUTS = str.maketrans(
    {
        "ä": "ae",
        "ö": "oe",
        "ü": "ue",
        "Ä": "Ae",
        "Ö": "Oe",
        "Ü": "Ue",
        "ß": "ss",
        "ẞ": "SS",
        "æ": "ae",
        "Æ": "Ae",
        "ø": "oe",
        "Ø": "Oe",
        "đ": "d",
        "Đ": "D",
        "ł": "l",
        "Ł": "L",
    }
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def fold(text: str) -> str:
    """Accents off Latin letters, all letters kept: «für» → «fur», «Pokémon» → «Pokemon». Case is kept.

    Marks on other scripts stay, since there they make another letter (か and が, и and й).
    """
    if text.isascii():
        return text
    kept: list[str] = []
    latin = False
    for char in unicodedata.normalize("NFKD", text.replace("ß", "ss")):
        if not unicodedata.combining(char):
            latin = char < "\u0250"
        elif latin:
            continue
        kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept))


def transliterate(text: str) -> str:
    """Umlauts written out, other accents off: «für» → «fuer», «Pokémon» → «Pokemon»."""
    return fold(unicodedata.normalize("NFC", text).translate(_UMLAUTS))


def without_controls(text: str) -> str:
    """Drops control characters and lone surrogates, which no XML document and no terminal may carry."""
    return _CONTROL.sub("", text)


def shorten(text: str, limit: int = 300) -> str:
    """At most `limit` characters, on one line; for messages that quote somebody else's text."""
    line = " ".join(without_controls(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
