from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from jouled.cli.top_tree import (
    Node,
    Trend,
    arranged,
    class_watts,
    matching,
    nodes,
    slices_of,
    zone_classes,
)
from jouled.wire import LEVELS, Snapshot
from sample_snapshots import PROCESSES, UNITS, snapshot, zone


def total_w(rows: tuple[Node, ...]) -> float:
    return math.fsum(node.watts or 0.0 for node in rows)


def find(rows: tuple[Node, ...], name: str) -> Node:
    for node in rows:
        if node.name == name:
            return node
        if node.children and (found := find_or_none(node.children, name)):
            return found
    raise AssertionError(f"no {name} in {rows}")


def find_or_none(rows: tuple[Node, ...], name: str) -> Node | None:
    try:
        return find(rows, name)
    except AssertionError:
        return None


def check_sums(rows: tuple[Node, ...]) -> None:
    for node in rows:
        if node.children:
            assert total_w(node.children) == pytest.approx(node.watts or 0.0), node.name
            check_sums(node.children)


@pytest.mark.parametrize("is_tree", [True, False])
@pytest.mark.parametrize("zone_class", ["package", "dram"])
@pytest.mark.parametrize("level", LEVELS)
def test_the_column_adds_up_to_the_zone_and_every_node_to_its_children(
    level: str, zone_class: str, is_tree: bool
) -> None:
    rows = nodes(snapshot(), level, zone_class, is_tree=is_tree)
    assert total_w(rows) == pytest.approx(class_watts(snapshot(), zone_class))
    check_sums(rows)


def test_units_lie_in_their_slices_and_processes_in_their_units() -> None:
    rows = nodes(snapshot(), "unit", "package", is_tree=True)
    assert [node.name for node in rows if node.kind == "slice"] == [
        "system.slice",
        "user-1000.slice",
        "kubepods-burstable-pod7.slice",
    ]
    nginx = find(rows, "nginx.service")
    assert [(node.name, node.watts) for node in nginx.children] == [
        ("100 nginx", 4.0),
        ("101 nginx", 1.5),
        ("(exited)", 0.5),
    ]
    assert [node.name for node in find(rows, "(ungrouped)").children] == ["500 cron"]


def test_a_slice_that_holds_but_one_other_is_not_shown() -> None:
    only = msgspec.structs.replace(UNITS, workloads=(UNITS.workloads[3],))
    shown = msgspec.structs.replace(snapshot(), levels={"unit": only})
    first, *_ = nodes(shown, "unit", "package", is_tree=True)
    assert (first.name, first.children[0].name) == ("user-1000.slice/app.slice", "dbus.service")


def test_of_a_containers_id_as_much_is_shown_as_its_runtime_shows() -> None:
    names = [node.name for node in nodes(snapshot(), "unit", "package", is_tree=False)]
    assert "cri-containerd-14c2529eb449.scope" in names


def test_a_unit_of_two_users_has_the_processes_of_its_own_user() -> None:
    rows = nodes(snapshot(), "unit", "package", is_tree=True)
    of_user, of_system = find(rows, "app.slice"), find(rows, "system.slice")
    assert [node.name for node in find(of_user.children, "dbus.service").children] == ["300 dbus-daemon"]
    assert [node.name for node in find(of_system.children, "dbus.service").children] == ["301 dbus-daemon"]


def test_a_pods_processes_are_found_through_its_containers() -> None:
    rows = nodes(snapshot(), "pod", "package", is_tree=True)
    assert [node.name for node in find(rows, "5a89bcaa-3509").children] == ["400 api", "(exited)"]


@pytest.mark.parametrize(
    ("label", "path"),
    [
        ("system.slice", ["system.slice"]),
        ("-.slice", ["-.slice"]),
        ("user-1000.slice/app-gnome.slice", ["user.slice", "user-1000.slice", "app.slice", "app-gnome.slice"]),
        (
            "kubepods-burstable-pod7.slice",
            ["kubepods.slice", "kubepods-burstable.slice", "kubepods-burstable-pod7.slice"],
        ),
        ("odd", ["odd.slice"]),
    ],
)
def test_a_slices_name_says_where_it_lies(label: str, path: list[str]) -> None:
    assert slices_of(label) == path


def test_what_was_left_out_has_a_row() -> None:
    whole = snapshot()
    cut = msgspec.structs.replace(PROCESSES, workloads=PROCESSES.workloads[:2], omitted=7)
    less = msgspec.structs.replace(whole, levels={"process": cut})
    rows = nodes(less, "process", "package", is_tree=False)
    assert total_w(rows) == pytest.approx(20.0)
    assert find(rows, "(7 more)").watts == pytest.approx(4.25)


def test_what_is_left_of_a_unit_is_called_others_where_processes_are_not_all_there() -> None:
    cut = msgspec.structs.replace(PROCESSES, workloads=PROCESSES.workloads[:1], omitted=8)
    less = msgspec.structs.replace(snapshot(), levels={**snapshot().levels, "process": cut})
    nginx = find(nodes(less, "unit", "package", is_tree=True), "nginx.service")
    assert [(node.name, node.watts) for node in nginx.children] == [("100 nginx", 4.0), ("(others)", 2.0)]


def test_a_level_that_is_not_computed_has_no_rows() -> None:
    assert nodes(msgspec.structs.replace(snapshot(), levels={}), "unit", "package", is_tree=True) == ()


def test_the_class_that_covers_most_comes_first() -> None:
    zones = (zone("dram", "0", 1, 0), zone("psys", "0", 9, 0), zone("core", "0", 1, 0), zone("package", "0", 5, 0))
    assert zone_classes(msgspec.structs.replace(snapshot(), zones=zones)) == ["package", "psys", "core", "dram"]


def test_watts_that_nobody_knows_are_not_zero() -> None:
    blind = msgspec.structs.replace(zone("package", "0", 5, 1), watts=None)
    assert class_watts(msgspec.structs.replace(snapshot(), zones=(blind,)), "package") is None


def test_sorting_puts_the_largest_first_at_every_depth_and_what_is_not_known_last() -> None:
    rows = nodes(snapshot(), "process", "package", is_tree=False)
    by_watts = [node.name for node in arranged(rows, "watts")]
    assert by_watts[:3] == ["(idle)", "100 nginx", "200 make"]
    assert by_watts[-1] == "600 sleep"
    by_name = [node.name for node in arranged(rows, "name")]
    assert by_name[0] == "100 nginx"
    assert by_name[-1] == "(unattributed)"
    tree = arranged(nodes(snapshot(), "unit", "package", is_tree=True), "watts")
    assert [node.name for node in find(tree, "user-1000.slice").children] == ["session-3.scope", "app.slice"]


def test_a_filter_keeps_what_matches_with_all_around_it() -> None:
    rows = nodes(snapshot(), "unit", "package", is_tree=True)
    found = matching(rows, "CC1")
    assert [node.name for node in found] == ["user-1000.slice"]
    (session,) = found[0].children
    assert (session.name, [node.name for node in session.children], session.watts) == (
        "session-3.scope",
        ["201 cc1"],
        3.0,
    )
    # A row that matches keeps all that is below it.
    (system,) = matching(rows, "nginx.service")
    assert len(system.children[0].children) == 3
    assert matching(rows, "nobody") == ()


def louder(before: Snapshot, factor: float) -> Snapshot:
    def scaled(level: Any) -> Any:
        rows = tuple(
            msgspec.structs.replace(row, watts={zone: watts * factor for zone, watts in row.watts.items()})
            for row in level.workloads
        )
        return msgspec.structs.replace(level, workloads=rows)

    return msgspec.structs.replace(before, levels={name: scaled(level) for name, level in before.levels.items()})


def test_a_trend_follows_a_row_a_slice_and_idle_whatever_is_shown() -> None:
    trend = Trend(size=2)
    for factor in (1, 2, 3):
        trend.add(louder(snapshot(), factor))
    rows = nodes(snapshot(), "unit", "package", is_tree=True)
    assert trend.of(find(rows, "100 nginx"), "package") == [8.0, 12.0]
    assert trend.of(find(rows, "system.slice"), "package") == [12.5, 18.75]
    assert trend.of(find(rows, "nginx.service"), "dram") == pytest.approx([1.2, 1.8])
    assert trend.of(find(rows, "(idle)"), "package") == [8.0, 8.0]
    assert trend.of(find(find(rows, "nginx.service").children, "(exited)"), "package") == []
    stranger = replace(find(rows, "100 nginx"), rows=(("process", "new"),))
    assert trend.of(stranger, "package") == [0.0, 0.0]
