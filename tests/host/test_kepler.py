"""Kepler's families: the same names, types, helps and labels, so that its dashboards find what they ask for."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jouled._core import Scanner
from pages import Page, openmetrics, promtool
from running import running_jouled

GOLDEN = Path(__file__).parents[1] / "golden" / "kepler"
PAGES = sorted(GOLDEN.glob("*.prom"))
ROOT = Path(__file__).parents[2]
LEVELS = ("process", "container", "vm", "pod")
# The families that have no node_name.
NAMELESS = ("kepler_build_info", "kepler_node_cpu_info")

NODE = "zone path"
PROCESS = "pid comm exe type container_id vm_id"
CONTAINER = "container_id container_name runtime pod_id state"
VM = "vm_id vm_name hypervisor state zone"
POD = "pod_id pod_name pod_namespace state zone"

# Kepler's table of metrics: type, help, labels without node_name.
FAMILIES = {
    "kepler_build_info": (
        "gauge",
        "A metric with a constant '1' value labeled with version information",
        "arch branch revision version goversion",
    ),
    "kepler_node_cpu_info": (
        "gauge",
        "CPU information from procfs",
        "processor vendor_id model_name physical_id core_id",
    ),
    "kepler_node_cpu_usage_ratio": ("gauge", "CPU usage ratio of a node (value between 0.0 and 1.0)", ""),
    "kepler_node_cpu_joules_total": ("counter", "Energy consumption of cpu at node level in joules", NODE),
    "kepler_node_cpu_watts": ("gauge", "Power consumption of cpu at node level in watts", NODE),
    "kepler_node_cpu_active_joules_total": (
        "counter",
        "Energy consumption of cpu in active state at node level in joules",
        NODE,
    ),
    "kepler_node_cpu_active_watts": (
        "gauge",
        "Power consumption of cpu in active state at node level in watts",
        NODE,
    ),
    "kepler_node_cpu_idle_joules_total": (
        "counter",
        "Energy consumption of cpu in idle state at node level in joules",
        NODE,
    ),
    "kepler_node_cpu_idle_watts": ("gauge", "Power consumption of cpu in idle state at node level in watts", NODE),
    "kepler_process_cpu_joules_total": (
        "counter",
        "Energy consumption of cpu at process level in joules",
        f"{PROCESS} state zone",
    ),
    "kepler_process_cpu_watts": (
        "gauge",
        "Power consumption of cpu at process level in watts",
        f"{PROCESS} state zone",
    ),
    "kepler_process_cpu_seconds_total": (
        "counter",
        "Total user and system time of cpu at process level in seconds",
        PROCESS,
    ),
    "kepler_container_cpu_joules_total": (
        "counter",
        "Energy consumption of cpu at container level in joules",
        f"{CONTAINER} zone",
    ),
    "kepler_container_cpu_watts": (
        "gauge",
        "Power consumption of cpu at container level in watts",
        f"{CONTAINER} zone",
    ),
    "kepler_container_cpu_seconds_total": (
        "counter",
        "Total user and system time of cpu at container level in seconds",
        CONTAINER,
    ),
    "kepler_vm_cpu_joules_total": ("counter", "Energy consumption of cpu at vm level in joules", VM),
    "kepler_vm_cpu_watts": ("gauge", "Power consumption of cpu at vm level in watts", VM),
    "kepler_pod_cpu_joules_total": ("counter", "Energy consumption of cpu at pod level in joules", POD),
    "kepler_pod_cpu_watts": ("gauge", "Power consumption of cpu at pod level in watts", POD),
}


def labels_of(name: str) -> set[str]:
    labels = set(FAMILIES[name][2].split())
    return labels if name in NAMELESS else labels | {"node_name"}


def check_families(text: str) -> set[str]:
    """Every family of Kepler's on a page is one of its table, word by word; returns their names."""
    found = set()
    for family in text_string_to_metric_families(text):
        if not family.name.startswith("kepler_"):
            continue
        # The parser takes `_total` off a counter's name.
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert (family.type, family.documentation) == FAMILIES[name][:2]
        for sample in family.samples:
            assert sample.name == name
            assert set(sample.labels) == labels_of(name), name
        found.add(name)
    return found


def check_adds_up(page: Page) -> None:
    """What workloads draw is some of what the node draws in activity; that and idle are all of it."""
    zones = {dict(labels)["zone"] for labels in page.rows("kepler_node_cpu_watts")}
    assert zones
    for zone in zones:
        active = page.sum("kepler_node_cpu_active_watts", zone=zone)
        total = active + page.sum("kepler_node_cpu_idle_watts", zone=zone)
        assert math.isclose(total, page.sum("kepler_node_cpu_watts", zone=zone), rel_tol=1e-9, abs_tol=1e-5)
        for level in LEVELS:
            drawn = page.sum(f"kepler_{level}_cpu_watts", zone=zone)
            rows = len(page.rows(f"kepler_{level}_cpu_watts"))
            assert drawn <= active + 1e-6 * (rows + 1), (level, zone, drawn, active)
    for level in LEVELS:
        for labels in page.rows(f"kepler_{level}_cpu_watts"):
            assert ("state", "running") in labels, "whoever has ended draws nothing"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_golden_page_has_the_labels_of_the_table_and_adds_up(path: Path) -> None:
    text = path.read_bytes()
    check_families(text.decode())
    check_adds_up(Page(text))
    assert promtool(text) == ""


def test_every_family_of_the_table_is_on_the_page_of_a_kubernetes_node() -> None:
    assert check_families((GOLDEN / "k8s-node.prom").read_text()) == set(FAMILIES)


def test_types_states_and_zones_are_the_words_that_dashboards_ask_for() -> None:
    page = Page((GOLDEN / "k8s-node-later.prom").read_bytes())
    processes = [dict(labels) for labels in page.rows("kepler_process_cpu_joules_total")]
    assert {process["type"] for process in processes} == {"regular", "container", "vm"}
    assert {process["state"] for process in processes} == {"running", "terminated"}
    assert {process["zone"] for process in processes} == {"package", "dram"}
    for process in processes:
        assert bool(process["container_id"]) == (process["type"] == "container")
        assert bool(process["vm_id"]) == (process["type"] == "vm")


def test_sockets_are_one_series_of_the_node() -> None:
    page = Page((GOLDEN / "xeon-2s.prom").read_bytes())
    watts = {dict(labels)["path"]: value for labels, value in page.rows("kepler_node_cpu_watts").items()}
    assert watts == {"aggregated-package": pytest.approx(215), "aggregated-dram": pytest.approx(33.5)}


def test_a_golden_openmetrics_page_is_one() -> None:
    families = openmetrics((GOLDEN / "k8s-node-later.om").read_text())
    assert families["kepler_process_cpu_joules"].unit == "joules"
    # A terminated series would bring its past with it, where starts are read.
    assert "_created" not in (GOLDEN / "k8s-node-later.om").read_text()


def test_this_host_with_kepler_s_families_conserves_energy() -> None:
    with running_jouled("--meter=fake", "--interval=200ms", "--compat=kepler") as daemon:
        first = Page(daemon.get("/metrics"))
        time.sleep(1)
        second = Page(daemon.get("/metrics"))
        assert {"kepler_node_cpu_watts", "kepler_process_cpu_watts"} <= check_families(second.text.decode())
        assert promtool(second.text) == ""
        daemon.stop()
    for page in (first, second):
        check_adds_up(page)
    second.check_nothing_fell_since(first)
    for zone in ("package", "dram"):
        ours = second.sum("jouled_zone_active_joules_total", zone=zone)
        assert second.sum("kepler_node_cpu_active_joules_total", zone=zone) == pytest.approx(ours)
        active = second.sum("kepler_node_cpu_active_joules_total", zone=zone) - first.sum(
            "kepler_node_cpu_active_joules_total", zone=zone
        )
        # Of a running series all growth is its own; a terminated one appears with its past and stands still.
        before = first.rows("kepler_process_cpu_joules_total")
        grown = sum(
            value - before.get(labels, 0.0)
            for labels, value in second.rows("kepler_process_cpu_joules_total").items()
            if {("zone", zone), ("state", "running")} <= labels
        )
        assert 0 < grown <= active + 1e-6 * (len(before) + 100)
        drawn = [second.sum("kepler_process_cpu_watts", zone=zone), second.sum("jouled_process_watts", zone=zone)]
        assert drawn[0] == pytest.approx(drawn[1], abs=1e-4)


def test_the_node_has_the_name_that_it_is_given() -> None:
    scanner = Scanner(meters=["fake"], compat=["kepler"], node_name='a "b"')
    scanner.tick()
    assert b'kepler_node_cpu_usage_ratio{node_name="a \\"b\\""} ' in scanner.tick().exposition(openmetrics=False)


def test_without_being_asked_for_there_is_no_family_of_kepler_s() -> None:
    scanner = Scanner(meters=["fake"])
    scanner.tick()
    assert b"kepler" not in scanner.tick().exposition(openmetrics=True)


def test_a_word_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match='compat "scaphandre" is not known; use kepler'):
        Scanner(meters=["fake"], compat=["scaphandre"])


def test_the_document_names_every_family_beside_one_of_ours_that_is_there() -> None:
    document = (ROOT / "docs" / "kepler.md").read_text()
    assert set(re.findall(r"`(kepler_\w+)`", document)) >= set(FAMILIES)
    with running_jouled("--meter=fake", "--interval=200ms") as daemon:
        page = daemon.get("/metrics").decode()
    # Which levels have rows depends on the host.
    known = set(re.findall(r"^# TYPE (\w+)", page, re.MULTILINE))
    known |= {f"jouled_{level}_{unit}" for level in LEVELS for unit in ("watts", "joules_total", "cpu_seconds_total")}
    assert set(re.findall(r"\b(jouled_\w+?)(?=[`{])", document)) <= known
