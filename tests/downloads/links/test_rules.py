"""Which titles pass, and what a bad pattern costs."""

from time import monotonic

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from downloads.links import patterns, rules, saving
from downloads.links.patterns import Pattern, TooSlow, problem, problems
from downloads.links.preview import preview
from downloads.links.rules import Judge, Trials
from downloads.models import FilterRule, Link
from tests.downloads.links.factories import make_feed, make_link, make_rule

TITLE = "[Group] Show A - 07 [1080p]"
SLOW = "(a+)+$"
SLOW_TITLE = "a" * 400 + "!"


def draft(pattern: str, kind: str = "include", **values) -> FilterRule:
    return FilterRule(pattern=pattern, kind=kind, **values)


def passes(
    drafts: list[FilterRule], title: str = TITLE, source: str = "fetcher", feed=None
) -> bool:
    return Judge(drafts).verdict(title, source, feed).passes


def test_without_rules_everything_passes():
    assert passes([])


def test_one_of_several_include_rules_is_enough():
    drafts = [draft("Show B"), draft("Show A")]
    assert passes(drafts)
    assert not passes(drafts, "[Group] Show C - 07 [1080p]")


def test_an_exclude_rule_wins_over_every_include_rule():
    assert not passes([draft("Show"), draft("1080p", "exclude")])


def test_each_scope_with_include_rules_must_be_satisfied():
    drafts = [
        draft("1080p"),
        draft("Show A", scope="feed", feed_id=3),
        draft("Show B", scope="feed", feed_id=3),
    ]
    assert passes(drafts, TITLE, "feed:3", 3)
    assert not passes(drafts, "[Group] Show A - 07 [720p]", "feed:3", 3)
    assert not passes(drafts, "[Group] Show C - 07 [1080p]", "feed:3", 3)
    assert passes(drafts, "[Group] Show C - 07 [1080p]", "feed:4", 4)


def test_rules_of_another_source_say_nothing():
    drafts = [
        draft("nothing", scope="source", source="other"),
        draft(".", "exclude", scope="feed", feed_id=9),
    ]
    assert passes(drafts)
    assert not passes(drafts, source="other")


def test_a_rule_that_is_switched_off_says_nothing():
    assert passes([draft(".", "exclude", enabled=False)])


def test_case_counts_only_where_it_is_asked_for():
    assert passes([draft("SHOW a")])
    assert not passes([draft("SHOW a", case_sensitive=True)])


def test_the_reason_names_the_rule():
    verdict = Judge([draft("1080p", "exclude", name="too large")]).verdict(TITLE, "x", None)
    assert verdict.reason == "the exclude rule «too large» matches"
    verdict = Judge([draft("2160p")]).verdict(TITLE, "x", None)
    assert verdict.reason == "no include rule for all links matches"


@pytest.mark.parametrize("kind", ["include", "exclude"])
def test_a_rule_that_takes_too_long_counts_against_the_link(kind: str):
    judge = Judge([draft(SLOW, kind)])
    assert not judge.verdict(SLOW_TITLE, "x", None).passes
    assert "50 ms" in judge.trials.troubles[SLOW]


def test_a_slow_rule_is_set_aside_after_a_few_titles(monkeypatch: pytest.MonkeyPatch):
    tried = []
    monkeypatch.setattr(Pattern, "is_in", lambda self, title: tried.append(title) or _too_slow())
    judge = Judge([draft("x", "exclude")])
    for number in range(50):
        assert not judge.verdict(f"title {number}", "x", None).passes
    assert len(tried) == rules.SLOW_TITLES


def _too_slow() -> bool:
    raise TooSlow


def test_a_pattern_is_tried_once_on_a_title_however_many_judges_ask(
    monkeypatch: pytest.MonkeyPatch,
):
    tried = []
    monkeypatch.setattr(Pattern, "is_in", lambda self, title: bool(tried.append(title)))
    trials = Trials()
    for _ in range(3):
        Judge([draft("x"), draft("x", "exclude")], trials).verdict(TITLE, "x", None)
    assert tried == [TITLE]


def test_a_catastrophic_match_is_given_up():
    began = monotonic()
    with pytest.raises(TooSlow):
        Pattern(SLOW).is_in(SLOW_TITLE)
    # Without the limit this takes longer than the universe is old.
    assert monotonic() - began < 30


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("(ab", "missing ) at position 3"),
        ("x{2,1}", "min repeat greater than max repeat at position 2"),
        ("[z-a]", "bad character range at position 4"),
        ("*a", "nothing to repeat at position 0"),
        ("", "the pattern is empty"),
        ("   ", "the pattern is empty"),
        ("a\x00b", "the pattern holds a control character at position 1"),
        ("a\ud800", "the pattern holds a control character at position 1"),
        ("a" * 501, "the pattern is longer than 500 characters"),
    ],
)
def test_a_pattern_that_is_none_is_refused_with_the_place(pattern: str, told: str):
    assert str(problem(pattern)) == told


@pytest.mark.parametrize(
    "pattern", ["Show", r"S\d{2}E\d{2,4}", r"^(?!.*x265).*\[1080p\]$", "ü|話", r"(a+)+$"]
)
def test_a_usual_pattern_is_taken(pattern: str):
    assert problem(pattern) is None


def test_a_pattern_that_would_take_all_memory_is_refused_and_spoils_no_other():
    bombs = ["(?:a{65535}){65535}x", "a{4000000000}", "(?:a{1000}){1000}"]
    found = problems(["good", *bombs, "(bad", "good too"])
    assert [one is None for one in found] == [True, False, False, False, False, True]
    assert {str(one) for one in found[1:4]} == {patterns.TOO_LARGE}


def test_a_pattern_that_takes_ever_so_long_to_compile_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(patterns, "COMPILE_SECONDS", 1)
    found = problems(["good", "(?:abc){99999999}", "good too"])
    assert [str(one) if one else None for one in found] == [None, patterns.TOO_LARGE, None]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"kind": "maybe"}, "kind"),
        ({"pattern": "(ab"}, "pattern"),
        ({"scope": "source"}, "source"),
        ({"scope": "source", "source": "feed:1"}, "source"),
        ({"scope": "source", "source": "a\x01"}, "source"),
        ({"scope": "feed"}, "feed"),
        ({"source": "fetcher"}, "source"),
        ({"scope": "planet"}, "scope"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_the_name_of_the_field(values: dict, field: str):
    with pytest.raises(ValidationError) as refused:
        saving.check_rule(FilterRule(**{"kind": "include", "pattern": "x", **values}))
    assert field in refused.value.message_dict


@pytest.mark.django_db
def test_there_is_an_end_to_the_rules(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rules, "MAX_RULES", 2)
    for number in range(2):
        make_rule(f"{number}")
    with pytest.raises(ValidationError, match="2 rules already"):
        saving.check_rule(draft("one more"))


@pytest.mark.django_db
def test_a_rule_that_became_unusable_holds_back_and_says_so():
    rule = make_rule("(ab", "exclude")
    judge = Judge(rules.saved())
    assert (
        judge.verdict(TITLE, "x", None).reason
        == "the exclude rule «(ab» could not be tried on this title"
    )
    rules.note_troubles(judge)
    rule.refresh_from_db()
    assert "missing ) at position 3" in rule.last_error
    assert rule.last_error_at is not None


@pytest.mark.django_db
def test_saving_the_very_same_rule_again_is_the_same_rule(sent):
    first, created = saving.save_rule(None, {"kind": "include", "pattern": "x"})
    again, second = saving.save_rule(None, {"kind": "include", "pattern": "x", "name": "named"})
    assert (created, second, again.pk) == (True, False, first.pk)
    assert FilterRule.objects.get().name == "named"


@pytest.mark.django_db(transaction=True)
def test_a_change_of_the_rules_has_held_back_links_judged_again(sent):
    rule, _ = saving.save_rule(None, {"kind": "exclude", "pattern": "x"})
    held = make_link(1, state="filtered", reason="x", rule=rule)
    old = make_link(2, state="filtered", created_at=timezone.now() - Link.RECONSIDER * 2)
    others = [
        make_link(10 + n, state=state) for n, state in enumerate(("seen", "dispatched", "rejected"))
    ]
    sent.clear()
    saving.delete_rule(rule)
    held.refresh_from_db()
    old.refresh_from_db()
    assert (held.state, held.reason, held.rule) == ("new", "", None)
    assert old.state == "filtered"
    assert [Link.objects.get(pk=one.pk).state for one in others] == [
        "seen",
        "dispatched",
        "rejected",
    ]
    assert sent == [("downloads.process_links",)]


@pytest.mark.django_db
def test_no_more_links_than_bounded_are_judged_again(monkeypatch: pytest.MonkeyPatch, sent):
    monkeypatch.setattr(rules, "RECONSIDERED", 3)
    links = [make_link(n, state="filtered") for n in range(5)]
    assert rules.changed() == 3
    again = Link.objects.filter(state="new").values_list("pk", flat=True)
    assert set(again) == {one.pk for one in links[2:]}


@pytest.mark.django_db
def test_a_preview_shows_what_would_change_and_changes_nothing():
    make_rule("720p", "exclude")
    shows = [make_link(n, title=f"Show {n} [1080p]") for n in range(3)]
    small = make_link(9, title="Show 9 [720p]")
    shown = preview([draft("Show [01]")])
    assert (shown.sampled, shown.passing_before, shown.passing_after) == (4, 3, 2)
    assert [one.id for one in shown.newly_failing] == [shows[2].pk]
    assert shown.newly_failing[0].reason == "no include rule for all links matches"
    assert (shown.newly_passing, shown.is_complete) == ([], True)
    assert FilterRule.objects.count() == 1
    small.refresh_from_db()
    assert small.state == "new"


@pytest.mark.django_db
def test_a_preview_can_change_and_leave_out_saved_rules():
    rule = make_rule("720p", "exclude")
    link = make_link(1, title="Show [720p]")
    make_link(2, title="Show [1080p]")
    gone = preview([], without=[rule.pk])
    assert [one.id for one in gone.newly_passing] == [link.pk]
    changed = draft("1080p", "exclude")
    changed.pk = rule.pk
    turned = preview([changed])
    assert (turned.newly_passing_count, turned.newly_failing_count) == (1, 1)


@pytest.mark.django_db
def test_a_preview_looks_at_links_that_the_rule_is_about():
    feed = make_feed()
    make_link(1)
    make_link(2, source=feed.source, feed=feed)
    assert preview([draft("x", scope="feed", feed_id=feed.pk)]).sampled == 1
    assert preview([draft("x", scope="source", source="nobody")]).sampled == 0
    assert preview([draft("x")]).sampled == 2
    assert preview([draft("x")], sample=1).sampled == 1


@pytest.mark.django_db
def test_a_preview_ends_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("downloads.links.preview.SECONDS", -1.0)
    make_link(1)
    shown = preview([draft("x")])
    assert (shown.sampled, shown.is_complete) == (0, False)


@pytest.mark.django_db
def test_a_preview_names_the_patterns_that_take_too_long():
    make_link(1, title=SLOW_TITLE)
    (trouble,) = preview([draft(SLOW)]).troubles
    assert trouble["pattern"] == SLOW


@pytest.mark.django_db
def test_a_preview_costs_no_query_a_link(django_assert_max_num_queries):
    for number in range(40):
        make_link(number)
    with django_assert_max_num_queries(4):
        preview([draft("Show 1")])
