"""The page of a comparison."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from msgspec.structs import replace

from jouled.simulation.outcome import Change, Minute
from jouled.simulation.page import page
from jouled.simulation.plots import bucketed, plots
from simulated import calm, ran

VOID = {"meta", "input", "line", "path", "rect"}


class Balance(HTMLParser):
    """Whether every tag that is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in VOID or self.opened.pop() == tag


def test_it_is_whole_and_nothing_of_it_comes_from_elsewhere() -> None:
    scenario = calm(1.0, about="Ours <and> theirs.")
    text = page(scenario, [ran(scenario), ran(scenario, "original-code")])
    parser = Balance()
    parser.feed(text)
    assert not parser.opened
    assert not re.search(r"<script|https?:|url\(|<link|<img", text)
    assert "Ours &lt;and&gt; theirs." in text
    assert text.count("<section") == 2
    assert "ours 10 %" in text
    assert "original-code 10 %" in text


def test_names_and_reasons_cannot_break_it() -> None:
    scenario = calm(0.5)
    run = ran(scenario)
    change = Change(0.0, "<b>", "<i>", "<u>", 5.0, 1.0, "<script>", "<a>")
    text = page(
        scenario, [run._replace(changes=(change,), outcome=replace(run.outcome, changes_by_reason={"<p1>": 1}))]
    )
    assert not re.search(r"<(b|i|u|script|a|p1)>", text)


def test_a_long_time_is_drawn_with_few_points_and_keeps_its_peaks() -> None:
    minutes = [Minute(100.0, 90.0, 80.0, 1, 2.0)] * 5000
    minutes[1234] = Minute(10.0, None, 95.0, 1, 2.0)
    drawn = bucketed(minutes, 1440)
    assert len(drawn) <= 1440
    assert min(minute.supply_w for minute in drawn) == 10
    assert max(minute.load_w for minute in drawn) == 95
    assert sum(minute.changes for minute in drawn) == 5000


def test_less_than_a_minute_is_said_to_be_nothing_to_draw() -> None:
    scenario = calm(0.0101)
    assert "nothing to draw" in page(scenario, [ran(scenario)._replace(minutes=())])


def test_a_load_above_the_supply_is_marked() -> None:
    calm_day = [Minute(100.0, 90.0, 80.0, 0, 0.0)] * 60
    start = calm(1.0).start
    assert 'class="over"' not in plots(calm_day, start)
    assert 'class="over"' in plots([*calm_day, Minute(70.0, 63.0, 80.0, 0, 0.0)], start)
