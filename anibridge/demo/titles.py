"""What the demo lists: four open films by the Blender project, and seven invented titles.

Broken on purpose, always at VOE, which is first in the default order of preference, so that the fallback shows:

    sintel             1x1      404, the other hosts are good
    big-buck-bunny     1x1      a page without a video
    tears-of-steel     1x1      an HTML page that calls itself video/mp4
    caminandes         1x2      redirects for ever
    caminandes         1x3      takes the connection and never answers
    die-baeckerei-am-ende-der-strasse  1x2  404; the only other host serves HLS
    nebelwerk          1x3      EVERY host is broken, each in its own way: this one can never be fetched

    kaeptn-gruenspan-die-moewen  2x2  has no links: nothing was uploaded yet
    die-baeckerei-am-ende-der-strasse  season 3  is announced: a table without rows
    die-baeckerei-am-ende-der-strasse  2x1  HLS only
    die-baeckerei-am-ende-der-strasse  2x2  DASH only
"""

from collections.abc import Iterable
from functools import cache

from anibridge.demo.build import berlin, broken_first, film, season
from anibridge.demo.invented import INVENTED
from anibridge.demo.model import ENGLISH_DUB, GERMAN_DUB, GERMAN_SUB, DemoCatalogue, Fault, Title
from anibridge.demo.videos import FILM_720, FILM_1080, SHORT_720, Video

OPEN_FILMS = (
    Title(
        slug="sintel",
        name="Sintel",
        alternatives=("Durian", "Sintel: The Search for Scales"),
        year=2010,
        end_year=2010,
        description="Eine junge Frau sucht den kleinen Drachen, den sie großgezogen hat. Offener Film der Blender Foundation (CC BY 3.0).",
        genres=("Fantasy", "Abenteuer", "Ger", "GerSub", "EngDub"),
        fsk=12,
        imdb="tt1727587",
        people={"director": "Colin Levy", "actor": "Halina Reijn", "creator": "Ton Roosendaal"},
        seasons=film(
            "Sintel",
            (GERMAN_DUB, GERMAN_SUB, ENGLISH_DUB),
            FILM_1080,
            berlin(2024, 9, 27),
            broken_first(Fault.MISSING),
        ),
    ),
    Title(
        slug="tears-of-steel",
        name="Tears of Steel",
        alternatives=("Mango", "Tränen aus Stahl"),
        year=2012,
        end_year=2012,
        description="Kämpfer & Wissenschaftler wollen in Amsterdam die Welt vor Robotern retten. Offener Film der Blender Foundation (CC BY 3.0).",
        genres=("Science-Fiction", "Ger", "GerSub"),
        fsk=12,
        imdb="tt2285752",
        people={"director": "Ian Hubert"},
        seasons=film(
            "Tears of Steel",
            (GERMAN_DUB, GERMAN_SUB),
            FILM_720,
            berlin(2024, 10, 4),
            broken_first(Fault.FAKE_VIDEO),
        ),
    ),
    Title(
        slug="big-buck-bunny",
        name="Big Buck Bunny",
        alternatives=("Peach", 'Das "große" Kaninchen'),
        year=2008,
        end_year=2008,
        description="Ein sanftes Riesenkaninchen rächt sich an drei Nagetieren. Offener Film der Blender Foundation (CC BY 3.0).",
        genres=("Komödie", "Ger", "EngDub"),
        fsk=0,
        imdb="tt1254207",
        people={"director": "Sacha Goedegebure"},
        seasons=film(
            "Big Buck Bunny",
            (GERMAN_DUB, ENGLISH_DUB),
            FILM_1080,
            berlin(2024, 10, 11),
            broken_first(Fault.NO_VIDEO),
        ),
    ),
    Title(
        slug="caminandes",
        name="Caminandes",
        alternatives=("Caminandes: Llama Drama", "Koro das Lama"),
        year=2013,
        end_year=2016,
        description="Koro das Lama will über den Zaun, über die Straße und an die Beeren. Offene Kurzfilme der Blender Foundation (CC BY 3.0).",
        genres=("Komödie", "Ger", "EngDub"),
        fsk=0,
        people={"director": "Pablo Vázquez"},
        seasons=(
            season(
                1,
                [
                    ("Lama-Drama", "Llama Drama"),
                    ("Gran Dillama", "Gran Dillama"),
                    ("Llamigos", "Llamigos"),
                ],
                (GERMAN_DUB, ENGLISH_DUB),
                SHORT_720,
                berlin(2024, 10, 18),
                special={2: broken_first(Fault.LOOP), 3: broken_first(Fault.SILENT)},
            ),
        ),
    ),
)


@cache
def catalogue() -> DemoCatalogue:
    """The demo's catalogue; the same at every start."""
    return DemoCatalogue((*OPEN_FILMS, *INVENTED))


def video_of(slug: str, season_number: int, episode_number: int) -> Video:
    """The video behind an episode; raises KeyError for one that the demo does not have."""
    found = catalogue().titles[slug].season(season_number)
    episode = found.episode(episode_number) if found else None
    if episode is None:
        raise KeyError((slug, season_number, episode_number))
    return episode.video


_KINDS = (
    "Die Chronik",
    "Das Lied",
    "Der Turm",
    "Die Schule",
    "Das Café",
    "Der Gärtner",
    "Die Reise",
    "Das Rätsel",
)
_THINGS = (
    "Wälder",
    "Möwen",
    "Sterne",
    "Flüsse",
    "Drachen",
    "Uhren",
    "Schatten",
    "Brücken",
    "Füchse",
    "Gläser",
    "Stürme",
)


def extra_titles(count: int) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    """(slug, name, alternatives) of invented titles that exist in the index only."""
    for number in range(1, count + 1):
        kind, thing = _KINDS[number % len(_KINDS)], _THINGS[number % len(_THINGS)]
        name = f"{kind} der {number} {thing}"
        yield f"erfunden-{number:06}", name, (f"Invented Title {number}", f"{thing} & Co. {number}")
