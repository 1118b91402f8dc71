"""The invented titles: umlauts, quotes, skipped seasons, long seasons and everything else that a real index holds."""

from datetime import timedelta

from anibridge.demo.build import (
    ALL,
    ALL_BROKEN,
    DASH_ONLY,
    FEW,
    HLS_ONLY,
    MANY,
    SUBS,
    WITH_HLS,
    berlin,
    broken_first,
    season,
)
from anibridge.demo.model import (
    ENGLISH_SUB,
    GERMAN_DUB,
    GERMAN_SUB,
    HLS_HOST,
    Fault,
    Host,
    Season,
    Title,
)
from anibridge.demo.videos import (
    EPISODE_360,
    EPISODE_480,
    EPISODE_720,
    EPISODE_1080,
    FILM_720,
    FILM_1080,
)


def _bakery() -> Title:
    return Title(
        slug="die-baeckerei-am-ende-der-strasse",
        name="Die Bäckerei am Ende der Straße",
        alternatives=(
            "The Bakery at Street's End",
            "Bäckerei & Söhne",
            "Michi no Hate no Pan'ya",
        ),
        year=2021,
        end_year=None,
        description="Wer nachts um drei klopft, bekommt bei Frau Größl nicht nur Brötchen.",
        genres=("Slice of Life", "Alltagsdrama", "Ger", "GerSub"),
        people={"director": "Mizuki Erfunden", "actor": "Jörg Beispiel"},
        seasons=(
            season(
                1,
                [
                    ("Der erste Teig", "First Dough"),
                    ("Mehl, Salz & Süßes", "Flour, Salt & Sweets"),
                    ("Frau Größls Geheimnis", "Mrs Größl's Secret"),
                    ("Überstunden", "Overtime"),
                    ("Brötchen für den Bürgermeister", "Rolls for the Mayor"),
                    ("Es riecht nach Schnee", "It Smells of Snow"),
                ],
                (GERMAN_DUB, GERMAN_SUB),
                EPISODE_720,
                berlin(2024, 4, 6, 18, 0),
                hosts=WITH_HLS,
                special={2: broken_first(Fault.MISSING, Host(HLS_HOST))},
            ),
            season(
                2,
                [
                    ("Der zweite Ofen", "The Second Oven"),
                    ("Rührei", "Scrambled"),
                    ("", "Untranslated Bread"),
                    ("Feierabend", "Closing Time"),
                ],
                (GERMAN_SUB,),
                EPISODE_720,
                berlin(2025, 1, 11, 18, 0),
                special={1: HLS_ONLY, 2: DASH_ONLY},
                spoken={1: (GERMAN_DUB, GERMAN_SUB)},
            ),
            Season(3, ()),
        ),
    )


def _captain() -> Title:
    return Title(
        slug="kaeptn-gruenspan-die-moewen",
        name="Käpt'n Grünspan & die Möwen",
        alternatives=("Captain Verdigris & the Gulls", "Kaputen Gurinshupan"),
        year=2019,
        end_year=2024,
        description="Ein Käpt'n ohne Schiff, sieben Möwen <ohne> Manieren und eine Karte, die lügt.",
        genres=("Abenteuer", "Komödie", "Ger", "EngSub"),
        seasons=(
            season(
                1,
                [
                    ("Leinen los!", "Cast Off!"),
                    ("Möwe Nr. 7", "Gull No. 7"),
                    ("Die Karte lügt", "The Map Lies"),
                ],
                (GERMAN_DUB, ENGLISH_SUB),
                EPISODE_480,
                berlin(2023, 7, 1),
                hosts=MANY,
            ),
            season(
                2,
                [("Flaute", "Becalmed"), ("Käpt'n über Bord", "Captain Overboard")],
                (GERMAN_DUB, ENGLISH_SUB),
                EPISODE_480,
                berlin(2024, 7, 6),
                hosts=MANY,
                special={2: ()},
            ),
            season(
                4,
                [
                    ("Zurück im Hafen", "Back in Port"),
                    ("Ahoi", "Ahoy"),
                    ("Das Ende der Karte", "The Edge of the Map"),
                ],
                (ENGLISH_SUB,),
                EPISODE_480,
                berlin(2024, 11, 2),
                hosts=FEW,
            ),
        ),
    )


def _ferry() -> Title:
    places = (
        "Nordlicht",
        "Kühlwasser",
        "Sonnenwind",
        "Grüner Mond",
        "Funkstille",
        "Häfen",
        "Staub",
    )
    english = ("Northern Light", "Coolant", "Solar Wind", "Green Moon", "Silence", "Ports", "Dust")
    long_season = [
        (
            f"{places[n % 7]}, Teil {n // 7 + 1}",
            f"{english[n % 7]} [Part {n // 7 + 1}] [Episode {n + 1:03}]",
        )
        for n in range(112)
    ]
    return Title(
        slug="sternenfaehre-morgenroete",
        name="Sternenfähre Morgenröte",
        alternatives=("Star Ferry Aurora", "Hoshi no Watashibune"),
        year=2004,
        end_year=2007,
        description="Die langsamste Fähre der Galaxis hält an jedem Mond.",
        genres=("Science-Fiction", "GerSub", "EngSub"),
        seasons=(
            season(
                1,
                long_season,
                (GERMAN_SUB,),
                EPISODE_360,
                berlin(2022, 1, 3, 9, 30),
                hosts=FEW,
                every=timedelta(days=5),
                spoken=dict.fromkeys(range(1, 27), SUBS),
            ),
            season(
                2,
                [
                    ("Ablegen", "Departure"),
                    ("Zwischenhalt", "Stopover"),
                    ("Endstation", "Terminus"),
                ],
                SUBS,
                EPISODE_360,
                berlin(2024, 2, 5, 9, 30),
            ),
        ),
    )


def _not_found() -> Title:
    return Title(
        slug="404-maedchen-nicht-gefunden",
        name="404: Mädchen nicht gefunden",
        alternatives=("404 Girl Not Found", "Shōjo 404"),
        year=2023,
        end_year=None,
        description="Die gewünschte Heldin wurde nicht gefunden. Ihre Freunde suchen weiter, im Netz und darunter.",
        genres=("Mystery", "Ger", "GerSub", "EngDub", "EngSub"),
        fsk=16,
        seasons=(
            season(
                0,
                [("", "Gateway Timeout [Movie]"), ("", "Teapot [OVA]")],
                (GERMAN_SUB, ENGLISH_SUB),
                FILM_1080,
                berlin(2024, 8, 9),
                every=timedelta(days=90),
            ),
            season(
                1,
                [
                    ("Nicht gefunden", "Not Found"),
                    ("Verboten", "Forbidden"),
                    ("Zu viele Anfragen", "Too Many Requests"),
                    ("Weg", "Gone"),
                ],
                ALL,
                EPISODE_1080,
                berlin(2024, 5, 3, 22, 0),
                hosts=MANY,
            ),
            season(
                2,
                [("Umgezogen", "Moved Permanently"), ("Wartungsarbeiten", "Maintenance")],
                (GERMAN_SUB, ENGLISH_SUB),
                EPISODE_1080,
                berlin(2025, 2, 7, 22, 0),
                spoken={1: ALL},
            ),
        ),
    )


def _fog_works() -> Title:
    return Title(
        slug="nebelwerk",
        name="Nebelwerk",
        alternatives=("Fogworks", "Kiri no Kōjō"),
        year=2022,
        end_year=2022,
        description="In der Fabrik am Fluss wird Nebel gemacht. Niemand weiß, für wen.",
        genres=("Mystery", "Drama", "GerSub"),
        seasons=(
            season(
                1,
                [
                    ("Frühschicht", "Early Shift"),
                    ("Spätschicht", "Late Shift"),
                    ("Stromausfall", "Power Cut"),
                    ("Föhn", "Foehn"),
                ],
                (GERMAN_DUB, GERMAN_SUB),
                EPISODE_720,
                berlin(2024, 10, 27, 21, 0),
                hosts=WITH_HLS,
                special={3: ALL_BROKEN},
            ),
        ),
    )


def _lamps() -> tuple[Title, ...]:
    """A film on its own, and two titles that only their year tells apart."""
    return (
        Title(
            slug="das-haus-der-tausend-lampen",
            name="Das Haus der tausend Lampen",
            alternatives=("House of a Thousand Lamps",),
            year=2018,
            end_year=2018,
            description="Jede Nacht geht eine Lampe aus, und eine Tür geht auf.",
            genres=("Drama", "Ger"),
            fsk=12,
            seasons=(
                season(
                    0,
                    [("", "House of a Thousand Lamps [Movie]")],
                    (GERMAN_DUB, ENGLISH_SUB),
                    FILM_720,
                    berlin(2024, 3, 15),
                ),
            ),
        ),
        Title(
            slug="nebelwerk-2009",
            name="Nebelwerk",
            alternatives=("Fogworks: The Original",),
            year=2009,
            end_year=2009,
            description="Die ältere Verfilmung, schwarzweiß und ohne Musik.",
            genres=("Drama", "EngSub"),
            seasons=(
                season(
                    1,
                    [("", "Pilot")],
                    (ENGLISH_SUB,),
                    EPISODE_480,
                    berlin(2023, 10, 29, 2, 30),
                    hosts=FEW,
                ),
            ),
        ),
    )


INVENTED = (_bakery(), _captain(), _ferry(), _not_found(), _fog_works(), *_lamps())
