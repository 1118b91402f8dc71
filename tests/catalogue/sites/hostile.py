"""Pages that nobody meant: saved ones with pieces torn out and junk put in."""

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

from anibridge.lib.errors import AniBridgeError
from catalogue.sites.base import Answer

JUNK = (
    *("<", ">", '"', "'", "&#0;", "&#xD800;", "\x00", "\ud800", "²", "9" * 5000, "", "]]>"),
    *("</html>", "<?xml version='1.0'?>", "<!--", "<![CDATA[", "<!DOCTYPE a>", "&x;"),
)
STATUSES = st.sampled_from([200, 302, 403, 429, 503])


@st.composite
def mutated(draw: st.DrawFn, texts: Sequence[str], junk: Sequence[str]) -> str:
    """One of `texts` after some cuts, each with a piece of `junk` or any text in its place."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 80)))
        text = (
            text[:start] + draw(st.sampled_from((*JUNK, *junk)) | st.text(max_size=10)) + text[end:]
        )
    return text


def unexpected(reads: Sequence[Callable[[Answer], object]], page: Answer) -> list[Exception]:
    """What reading the page raised beside the errors that are expected: bugs, all of them."""
    bugs = []
    for read in reads:
        try:
            read(page)
        except AniBridgeError:
            continue
        except Exception as error:  # noqa: BLE001  what kind it is, is the question
            bugs.append(error)
    return bugs
