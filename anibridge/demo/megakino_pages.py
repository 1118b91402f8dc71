"""The HTML and XML of the demo's Megakino layouts: data in, text out.

Addresses that the real pages write in full begin with `ORIGIN`, in whose place the server puts its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from anibridge.demo.model import Episode, Link, Title
from anibridge.demo.pages import ORIGIN, esc

SHORTEST_SEARCH = 4
_TRAILER = "https://www.youtube.com/embed/demo"


@dataclass(frozen=True, slots=True)
class Post:
    """One page: a film (season None) or one season of a series, with the links of each episode in German.

    Without any episode there is but a trailer. `marked` says whether slug and name end with the season.
    """

    number: int
    title: Title
    season: int | None
    links: Mapping[int, tuple[Link, ...]] = field(default_factory=dict)
    marked: bool = True

    @property
    def slug(self) -> str:
        mark = f"-{self.season}-staffel" if self.season and self.marked else ""
        return f"{self.number}-{self.title.slug}{mark}"

    @property
    def name(self) -> str:
        mark = f" - {self.season} Staffel" if self.season and self.marked else ""
        return self.title.name + mark

    @property
    def film_links(self) -> tuple[Link, ...]:
        return next(iter(self.links.values()), ())


def document(title: str, content: str) -> str:
    """A whole page around some content; the search form stands on every one."""
    return f"""<!DOCTYPE html>
<html lang="de">
<head>
<meta charset="utf-8">
<title>{esc(title)} | Demo catalogue</title>
</head>
<body>
<header class="header"><a href="/">Start</a> <a href="/films/">Filme</a> <a href="/serials/">Serien</a>
<form id="quicksearch" method="post" action="/index.php?do=search"><input type="hidden" name="do" value="search"><input type="hidden" name="subaction" value="search"><input name="story" placeholder="Suche"></form></header>
{content}
<footer><p>Nothing here is a real site: open films, invented series, generated test videos.</p></footer>
</body>
</html>
"""


def listing(title: str, promo: Iterable[str], cards: Iterable[str]) -> str:
    """A list of cards below a row of others that do not belong to it."""
    return document(title, f"{_promo(promo)}{_list(cards)}")


def search_results(promo: Iterable[str], cards: Sequence[str]) -> str:
    words = "" if cards else "Die Website-Suche ergab leider keine Ergebnisse."
    return document("Suche", f"{_promo(promo)}{_list(cards, words)}")


def search_refused() -> str:
    words = f"Suche ist ausgesetzt! Ihre Anfrage besteht aus weniger als {SHORTEST_SEARCH} Zeichen."
    return document("Suche", _list((), words))


def gate() -> str:
    """What a client without the site's cookie gets in place of any page."""
    return """<html><head><script>
fetch("/index.php?yg=token").then(function () { location.replace(location.href); });
</script></head><body></body></html>
"""


def card(post: Post, path: str, *, heading: str) -> str:
    return f"""<a class="poster grid-item d-flex fd-column" href="{ORIGIN}{esc(path)}">
<div class="poster__img img-fit-cover"><img src="/templates/no-img.png" data-src="{esc(cover_path(post))}" alt="{esc(post.name)}"><div class="poster__label">HD</div></div>
<div class="poster__desc"><{heading} class="poster__title">{esc(post.name)}</{heading}><ul class="poster__subtitle"><li>Niederlande, {post.title.year}</li><li>{esc(_genres(post))}</li></ul></div></a>"""


def title_page(post: Post, path: str, players: str, related: Iterable[str]) -> str:
    """A film's or a season's page; `players` is what tells the two variants apart."""
    title = post.title
    original = title.alternatives[0] if title.alternatives else title.name
    minutes = next((episode.video.seconds // 60 for episode in _episodes(post)), 0)
    length = f", {minutes} min" if minutes else ""
    head = f'<link rel="canonical" href="{ORIGIN}{esc(path)}">'
    content = f"""<div id="dle-content">
<article class="page pmovie" itemscope itemtype="http://schema.org/Movie">
<meta itemprop="name" content="{esc(post.name)}"><input type="hidden" id="post_id" value="{post.number}">
<header class="page__header"><h1>{esc(post.name)}</h1><div class="pmovie__original-title">{esc(original)}</div></header>
<div class="pmovie__poster img-fit-cover"><img itemprop="image" src="/templates/no-img.png" data-src="{esc(cover_path(post))}" alt="{esc(post.name)}"></div>
<div class="pmovie__year"><span itemprop="countryOfOrigin">Niederlande</span>, <span itemprop="dateCreated"><a href="/year/{title.year}/">{title.year}</a></span>{length}</div>
<div class="pmovie__genres">{esc(_genres(post))}</div><div class="pmovie__age">FSK {title.fsk}</div>
<div class="page__text full-text" itemprop="description">{esc(title.description)}</div>
<div class="pmovie__trailer"><iframe data-src="{_TRAILER}" title="Trailer"></iframe></div>
<div class="pmovie__player tabs-block">{players}</div>
</article>
<section class="sect"><h2>Ähnliche Titel</h2>{"".join(related)}</section>
</div>"""
    return document(post.name, content).replace("</head>", f"{head}\n</head>")


def players_a(post: Post) -> str:
    """Tabs of frames for a film, a list of hosts for every episode of a season."""
    if not post.links:
        return _trailer_tab()
    if post.season is None:
        tabs = "".join(f"<span>{esc(link.host.name)}</span>" for link in post.film_links)
        frames = "".join(
            f'<div class="tabs-block__content"><iframe {"data-src" if n else "src"}="{_address(link)}" allowfullscreen></iframe></div>'
            for n, link in enumerate(post.film_links)
        )
        return f'<div class="tabs-block__select">{tabs}</div>{frames}'
    episodes = "".join(
        f'<option value="ep{number}">Episode {number}</option>' for number in post.links
    )
    hosts = "".join(
        f'<select id="ep{number}" class="mr-select">{"".join(map(_option, links))}</select>'
        for number, links in post.links.items()
    )
    return f'<select class="se-select">{episodes}</select>{hosts}'


def players_b(post: Post) -> str:
    """Tabs that carry their links for a film, a menu of episodes for a season; the menu counts its season as 1."""
    if not post.links:
        return _trailer_tab()
    if post.season is None:
        tabs = "".join(
            f'<span data-link="{_address(link)}">{esc(link.host.name)}</span>'
            for link in post.film_links
        )
        return f'<div class="tabs-block__select">{tabs}<span data-link="{_TRAILER}">Trailer</span></div>'
    rows = "".join(
        f'<li id="serie-1_{number}"><a href="#">Episode {number}</a><div class="mirrors">{"".join(map(_mirror, links))}</div></li>'
        for number, links in post.links.items()
    )
    return f'<ul class="series-select-menu ep-menu">{rows}</ul>'


def sitemap_index(paths: Iterable[str]) -> str:
    rows = "".join(
        f"<sitemap><loc>{ORIGIN}{path}</loc><lastmod>2025-03-01</lastmod></sitemap>\n"
        for path in paths
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{rows}</sitemapindex>\n'


def sitemap(places: Iterable[tuple[str, str | None]]) -> str:
    """A map of (path, path of a picture)."""
    rows = "".join(
        f"<url><loc>{ORIGIN}{esc(path)}</loc><lastmod>2025-03-01T20:15:00+01:00</lastmod>{_image(picture)}</url>\n"
        for path, picture in places
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
{rows}</urlset>
"""


def cover_path(post: Post) -> str:
    return f"/uploads/posts/{post.title.slug}.png"


def _promo(cards: Iterable[str]) -> str:
    return f'<div class="carou"><div id="owl-carou">{"".join(cards)}</div></div>'


def _list(cards: Iterable[str], words: str = "") -> str:
    message = f'<div class="message-info"><b>Information</b><br>{words}</div>' if words else ""
    return f'<div class="content-block d-grid" id="dle-content">{message}{"".join(cards)}</div>'


def _trailer_tab() -> str:
    return f'<div class="tabs-block__select"><span>Trailer</span></div><div class="tabs-block__content"><iframe data-src="{_TRAILER}"></iframe></div>'


def _option(link: Link) -> str:
    return f'<option value="{_address(link)}">{esc(link.host.name)}</option>'


def _mirror(link: Link) -> str:
    return f'<a data-link="{_address(link)}">{esc(link.host.name)}</a>'


def _image(path: str | None) -> str:
    return f"<image:image><image:loc>{ORIGIN}{esc(path)}</image:loc></image:image>" if path else ""


def _address(link: Link) -> str:
    return ORIGIN + esc(link.host_path)


def _genres(post: Post) -> str:
    # Marks of languages are the other site's.
    own = (one for one in post.title.genres if not one.startswith(("Ger", "Eng")))
    return " / ".join(("Serien" if post.season else "Filme", *own))


def _episodes(post: Post) -> Iterable[Episode]:
    return (link.episode for links in post.links.values() for link in links)
