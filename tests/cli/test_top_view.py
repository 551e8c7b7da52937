from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from jouled.cli.look import Look
from jouled.cli.top_draw import Scene, bar_of, page, peaks, screen
from jouled.cli.top_tree import Trend
from jouled.cli.top_view import View, press, rows_of
from jouled.wire import Snapshot
from sample_snapshots import snapshot, zone

SMALL = Look(width=80, height=24)


def names(view: View) -> list[str]:
    return ["  " * row.depth + row.node.name for row in rows_of(view, snapshot())]


def pressed(view: View, *keys: str, height: int = 10) -> View:
    for key in keys:
        view = press(view, key, snapshot(), height)
    return view


def scene(shown: Snapshot | None = None, *, samples: int = 3, warning: str = "", trouble: str = "") -> Scene:
    shown = shown or snapshot()
    trend = Trend()
    for _ in range(samples):
        trend.add(shown)
    return Scene(shown, "unix:/run/jouled/jouled.sock", warning, trend, peaks({}, shown), trouble)


def texts(view: View, style: Look = SMALL, shown: Scene | None = None) -> list[str]:
    _, lines = screen(view, shown or scene(), style)
    return ["".join(text for text, _ in line) for line in lines]


def test_slices_are_open_and_units_closed_at_first() -> None:
    assert names(View()) == [
        "(idle)",
        "system.slice",
        "  nginx.service",
        "  dbus.service",
        "user-1000.slice",
        "  session-3.scope",
        "  app.slice",
        "    dbus.service",
        "kubepods-burstable-pod7.slice",
        "  cri-containerd-14c2529eb449.scope",
        "(kernel)",
        "(unattributed)",
        "(ungrouped)",
        "(exited)",
    ]


def test_enter_opens_and_closes_the_chosen_row() -> None:
    view = pressed(View(), "down", "down", "enter")
    assert names(view)[2:6] == ["  nginx.service", "    100 nginx", "    101 nginx", "    (exited)"]
    assert names(pressed(view, " ")) == names(View())


def test_right_opens_and_left_closes_and_goes_out() -> None:
    view = pressed(View(), "j", "j", "right", "right")
    assert len(names(view)) == len(names(View())) + 3
    closed = pressed(view, "left")
    assert names(closed) == names(View())
    out = pressed(closed, "left")
    assert out.chosen is not None
    assert out.chosen.endswith("system.slice")
    assert len(names(pressed(out, "left"))) == len(names(View())) - 2


def test_moving_stops_at_both_ends() -> None:
    rows = rows_of(View(), snapshot())
    assert pressed(View(), "end").chosen == rows[-1].node.key
    assert pressed(View(), "end", "down").chosen == rows[-1].node.key
    assert pressed(View(), "end", "home", "up").chosen == rows[0].node.key
    assert pressed(View(), "page down", height=5).chosen == rows[4].node.key


def test_the_chosen_row_stays_on_the_screen_and_is_followed_when_it_moves() -> None:
    low = Look(width=80, height=10)
    view, lines = screen(pressed(View(), "end"), scene(), low)
    chosen = [text for line in lines for text, style in line if style == "chosen"]
    assert len(chosen) == 1
    assert "(exited)" in chosen[0]
    view, lines = screen(replace(view, sort="name"), scene(), low)
    assert ["(exited)" in text for line in lines for text, style in line if style == "chosen"] == [True]


def test_who_has_not_moved_stays_at_the_top() -> None:
    view, _ = screen(View(), scene(), SMALL)
    assert view.chosen is None


@pytest.mark.parametrize(
    ("key", "level"), list(zip("123456", ("process", "unit", "container", "pod", "vm", "user"), strict=True))
)
def test_a_digit_chooses_the_level(key: str, level: str) -> None:
    assert pressed(View(), key).level == level


def test_keys_go_round() -> None:
    view = View()
    assert [view := pressed(view, "s") for _ in range(4)][-1].sort == "watts"
    assert [(view := pressed(view, "l")).level for _ in range(6)] == [
        "container",
        "pod",
        "vm",
        "user",
        "process",
        "unit",
    ]
    assert [(view := pressed(view, "z")).zone for _ in range(3)] == ["dram", "package", "dram"]
    assert not pressed(View(), "t").is_tree
    assert pressed(View(), "p").is_paused
    assert pressed(View(), "q").has_quit
    assert pressed(View(), "x", "page sideways", "é") == View()


def test_a_filter_acts_as_it_is_written() -> None:
    view = pressed(View(), "/", "c", "q", "backspace", "c", "1")
    assert (view.mode, view.filter, view.has_quit) == ("filter", "cc1", False)
    assert names(view) == ["user-1000.slice", "  session-3.scope", "    201 cc1"]
    assert texts(view)[-1] == "show only: cc1_"
    kept = pressed(view, "enter")
    assert (kept.mode, kept.filter) == ("rows", "cc1")
    assert "/ cc1" in texts(kept)[-1]
    assert pressed(kept, "escape").filter == ""
    assert pressed(view, "escape") == replace(View(), chosen=view.chosen)
    assert len(pressed(View(), "/", *"x" * 500).filter) == 60


def test_a_filter_that_nothing_matches_says_so() -> None:
    assert "nothing matches 'zzz'" in texts(View(filter="zzz"))


def test_a_level_that_the_daemon_does_not_compute_says_so() -> None:
    shown = msgspec.structs.replace(snapshot(), levels={"unit": snapshot().levels["unit"]})
    assert any(line.startswith("vm is not computed here") for line in texts(View(level="vm"), shown=scene(shown)))
    # Without processes there is no tree below units, and no harm.
    assert any("nginx.service" in line for line in texts(View(), shown=scene(shown)))


def test_help_is_left_by_any_key() -> None:
    view = pressed(View(), "?")
    assert any("quit" in line for line in texts(view))
    assert pressed(view, "q") == View()


def test_a_wrong_zone_falls_back_to_the_first() -> None:
    assert View(zone="psys").zone_of(snapshot()) == "package"


@pytest.mark.parametrize("width", [20, 40, 79, 80, 119, 120, 159, 160, 200, 400])
@pytest.mark.parametrize("mode", ["rows", "help", "filter"])
def test_no_line_needs_more_than_the_screen(width: int, mode: str) -> None:
    from jouled.cli.look import painted, width_of

    style = Look(width=width, height=30)
    view = View(mode=mode, level="process")  # type: ignore[arg-type]  # the parameters are its words
    _, lines = screen(view, scene(warning="w" * 300), style)
    assert len(lines) == 30
    assert all(width_of([(painted(line, style), "")]) <= width for line in lines)


@pytest.mark.parametrize("height", [1, 2, 5, 8, 24, 60])
def test_a_screen_has_as_many_lines_as_the_terminal(height: int) -> None:
    _, lines = screen(View(), scene(), Look(height=height))
    assert len(lines) == max(height, 1)


def test_eighty_columns_show_every_number_and_a_name() -> None:
    lines = texts(View(level="process", is_tree=False))
    assert lines[4] == "   WATTS*  SHARE    JOULES  TREND     PROCESS (package)"
    assert lines[6] == "     4.00   20.0     4.00k       ███  100 nginx"
    assert lines[-2].startswith("        -      -       7.0") or "600 sleep (ended)" in "".join(lines)


def test_wide_terminals_show_who_and_which_file() -> None:
    lines = texts(View(level="process"), Look(width=200, height=24))
    (line,) = (line for line in lines if "100 nginx" in line)
    assert "www-data" in line
    assert line.rstrip().endswith("/usr/bin/nginx")
    assert "400.0" in line


def test_a_bar_is_the_share_of_the_most_that_was_seen() -> None:
    assert bar_of(zone("package", "0", 20, 12), 40.0, 40) == (12, 8)
    assert bar_of(zone("package", "0", 0, 0), 40.0, 40) == (0, 0)
    assert bar_of(zone("package", "0", 50, 50), 40.0, 40) == (40, 0)
    assert peaks({"package": 30.0, "dram": 1.0}, snapshot()) == {"package": 30.0, "dram": 2.0}


def test_many_zones_leave_room_for_the_rows() -> None:
    many = msgspec.structs.replace(snapshot(), zones=tuple(zone("package", str(n), 1, 0.5) for n in range(40)))
    lines = texts(View(), shown=scene(many))
    assert "33 more zones: joulectl zones" in lines
    assert len(lines) == 24


def test_an_estimate_is_called_a_model() -> None:
    assert texts(View(), shown=scene(snapshot(source="estimate")))[1].startswith("source estimate (a model)")


def test_a_trouble_stands_above_the_rows() -> None:
    assert texts(View(), shown=scene(trouble="the daemon ended"))[2] == "the daemon ended"


def test_a_name_cannot_move_the_cursor() -> None:
    from sample_snapshots import level, process

    wild = level("process", process(1, "a\x1b[2Jb\nc", 1.0))
    shown = msgspec.structs.replace(snapshot(), hostname="h\x1b[0m", levels={"process": wild})
    everything = "".join(texts(View(level="process"), Look(width=200), scene(shown)))
    assert "\x1b" not in everything
    assert "\n" not in everything
    assert "a\\x1b[2Jb\\x0ac" in everything


def test_a_terminal_without_utf8_gets_ascii() -> None:
    lines = texts(View(), Look(is_utf8=False))
    assert "".join(lines).isascii()
    assert "##" in lines[2]


def test_one_page_has_no_trend_and_every_row() -> None:
    shown = scene(samples=1)._replace(has_trend=False)
    lines = ["".join(text for text, _ in line) for line in page(View(), shown, Look(height=3))]
    assert "TREND" not in lines[4]
    assert len(lines) == 5 + len(names(View()))
