"""The players on Megakino's pages, in both variants, and what only looks like one."""

import pytest

from catalogue.errors import LayoutChanged, NotFound
from catalogue.sites.base import GERMAN_DUB, HostLink
from catalogue.sites.megakino_players import direct_url, host_name
from tests.catalogue.sites.megakino import (
    BASE,
    FILM,
    GERMAN,
    SERIAL,
    answer,
    saved,
    site,
    whole,
)


def test_a_films_tabs_go_with_their_frames_and_the_trailer_is_left_out():
    assert site.parse_episode(saved("film.html"), season=0, episode=0).links == (
        HostLink(GERMAN_DUB, "VOE", "https://voe.sx/e/abc123"),
        HostLink(GERMAN_DUB, "Filemoon", "https://www.filemoon.example.sx/e/1"),
        HostLink(GERMAN_DUB, "Doodstream", "https://neue-adresse.example/e/9?a=1&b=2"),
    )


def test_a_films_tabs_may_carry_their_links():
    assert site.parse_episode(saved("film-b.html")).links == (
        HostLink(GERMAN_DUB, "VOE", "https://voe.sx/e/b"),
        HostLink(GERMAN_DUB, "Vidoza", "https://vidoza.net/embed-1.html"),
    )


def test_frames_without_a_tab_each_are_taken_in_their_order():
    frames = "".join(f"<iframe src='https://{host}/e/1'></iframe>" for host in ("voe.sx", "x.org"))
    text = whole(
        f"<h1>X</h1><div class='tabs-block__select'></div><div class='tabs-block__content'>{frames}</div>"
    )
    assert [link.host for link in site.parse_episode(answer(text)).links] == ["VOE", "x.org"]


def test_a_serials_episodes_keep_their_own_numbers():
    page = saved("serial.html", SERIAL)
    rows = site.parse_season(page, 2)
    assert [(row.season, row.episode, row.languages) for row in rows] == [
        *((2, 1, GERMAN), (2, 3, GERMAN), (2, 112, frozenset()))
    ]
    assert site.parse_episode(page, season=2, episode=1).links == (
        HostLink(GERMAN_DUB, "VOE", "https://voe.sx/e/s2e1"),
        HostLink(GERMAN_DUB, "Doodstream", "https://d0000d.com/e/1"),
    )
    assert site.parse_episode(page, season=2, episode=3).links == (
        HostLink(GERMAN_DUB, "Streamtape", "https://streamtape.com/e/3"),
    )
    assert site.parse_episode(page, season=2, episode=112).links == ()
    assert site.parse_episode(page) == site.parse_episode(page, episode=1)


def test_a_menu_that_counts_its_season_as_one_is_the_pages_season():
    page = saved("serial-b.html", "/88-x.html")
    assert [row.episode for row in site.parse_season(page, 2)] == [1, 2, 3]
    assert [link.host for link in site.parse_episode(page, season=2, episode=1).links] == [
        *("VOE", "unbekannt.example")
    ]
    assert site.parse_episode(page, season=2, episode=3).links == ()


def test_of_a_menu_with_several_seasons_only_the_pages_own_counts():
    rows = "".join(
        f"<li id='serie-{s}_{e}'><a data-link='https://voe.sx/{s}-{e}'>Voe</a></li>"
        for s, e in ((1, 1), (1, 2), (2, 1))
    )
    text = whole(f"<h1>X - 2 Staffel</h1><ul class='ep-menu'>{rows}</ul>")
    assert [row.episode for row in site.parse_season(answer(text), 2)] == [1]
    assert site.parse_episode(answer(text), episode=1).links[0].path == "https://voe.sx/2-1"


@pytest.mark.parametrize(
    ("page", "season", "episode"),
    [("film.html", 1, 1), ("film.html", 0, 1), ("serial.html", 1, 1), ("serial.html", 2, 2)],
)
def test_another_season_or_episode_than_the_pages_is_not_found(page, season, episode):
    found = saved(page, SERIAL if page == "serial.html" else FILM)
    with pytest.raises(NotFound):
        site.parse_episode(found, season=season, episode=episode)
    if episode == 1 and season == 1:
        with pytest.raises(NotFound, match="season 1"):
            site.parse_season(found, season)


def test_a_page_with_only_a_trailer_has_no_players():
    page = saved("coming-soon.html")
    assert site.parse_episode(page, season=0, episode=0).links == ()
    (row,) = site.parse_season(page, 0)
    assert (row.season, row.episode, row.languages) == (0, 0, frozenset())
    text = page.text.replace("Der letzte Leuchtturm", "Der letzte Leuchtturm - 3 Staffel")
    assert site.parse_season(answer(text), 3) == ()


@pytest.mark.parametrize(
    ("url", "label", "name"),
    [
        ("https://voe.sx/e/1", "", "VOE"),
        ("https://www.d000d.com/e/1", "", "Doodstream"),
        ("https://dood.to/e/1", "", "Doodstream"),
        ("https://ds2play.com/e/1", "", "Doodstream"),
        ("https://streamtape.com/e/1", "Voe", "Streamtape"),
        ("https://voetbal.example/e/1", "", "voetbal.example"),
        ("https://WWW.Other.Example:8443/e/1", "Server 1", "other.example"),
        ("http://127.0.0.1:8001/host/voe/1", "VOE", "VOE"),
        ("https://moved.example/e/1", "dood", "Doodstream"),
        ("https://moved.example/e/1", "HD", "moved.example"),
    ],
)
def test_a_host_is_called_by_its_domain_and_else_by_its_label(url, label, name):
    assert host_name(url, label) == name


@pytest.mark.parametrize(
    "address",
    [
        *("", "#", "/e/1", "e/1", "javascript:alert(1)", "ftp://x.org/1", "http://", "https://["),
        *("https://u:p@x.org/", "https://x.org:0/", "https://x.org:y/", "https://x.org/a b"),
        *("https://x.org/\x00", "https://x.org/" + "a" * 3000, "data:text/html,x"),
    ],
)
def test_only_absolute_web_addresses_are_links(address):
    assert direct_url(address) == ""


def test_there_are_no_play_links_to_follow():
    with pytest.raises(LayoutChanged, match="no play links"):
        site.read_play_link(answer(status=302, location="https://voe.sx/"), BASE)
