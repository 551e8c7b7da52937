"""The node's object of a cluster, told by merge patches of what has changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from clusters import NODE, Cluster, running_cluster
from jouled import config as config_room
from jouled.books.prices import Slot
from jouled.config import Config
from jouled.config.kubernetes import Kubernetes
from jouled.errors import ConfigError
from jouled.sharing import kubernetes, node_notes
from jouled.sharing.kubernetes import PAUSE_MAX_S, RESYNC_S, Node, Teller, open_teller
from jouled.sharing.node_notes import Market, Told
from limit_trees import LimitTree
from running import Running, running

NOW = datetime(2026, 3, 1, 13, 30, tzinfo=UTC)
SLOT = Slot(NOW, NOW + timedelta(minutes=15), Decimal("-3.456"), Decimal("68.25"))
TOLD = Told(32.769231, 50.0, Market("energy-charts", SLOT, "Europe/Paris"))
SAID = {
    "rapl/max_power_uw": "50000000",
    "rapl/pmax": "32769231",
    "rapl/last-update": "2026-03-01T13:30:00Z",
    "rapl/provider": "energy-charts",
    "rapl/market-period": "14:30-14:45",
    "rapl/market-volume": "68.2",
    "rapl/market-price": "-3.46",
    "power-manager/initialized": "kcas-power-manager",
}
OTHERS = {"node.alpha.kubernetes.io/ttl": "0"}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


class Telling:
    """A teller whose wall clock stands still, and whose pauses a test lets pass."""

    def __init__(
        self, cluster: Cluster, folder: Path, *, has_labels: bool = False, left_w: float | None = None
    ) -> None:
        self.told = TOLD
        settings = Kubernetes(enabled=True, node=NODE, kubeconfig=str(cluster.kubeconfig(folder)))
        self.node = Node(settings, NODE)
        self.teller = Teller(
            self.node,
            lambda: self.told,
            lambda: left_w,
            has_labels=has_labels,
            clock=lambda: NOW,
            chance=lambda: 1.0,
        )

    async def end(self) -> None:
        stop = trio.Event()
        stop.set()
        await self.teller.run(stop)


@pytest.fixture
def telling(cluster: Cluster, tmp_path: Path) -> Iterator[Telling]:
    telling = Telling(cluster, tmp_path)
    yield telling
    telling.node.close()


async def test_what_holds_becomes_annotations_and_nothing_else_is_touched(cluster: Cluster, telling: Telling) -> None:
    labels = dict(cluster.labels)
    await telling.teller.look()
    assert cluster.annotations == {**OTHERS, **SAID}
    assert cluster.labels == labels
    await telling.end()


async def test_only_what_has_changed_is_sent(cluster: Cluster, telling: Telling) -> None:
    await telling.teller.look()
    await telling.teller.look()
    telling.told = TOLD._replace(cap_w=40.0)
    await telling.teller.look()
    assert cluster.patches[1:] == [
        {"annotations": {"rapl/pmax": "40000000", "rapl/last-update": SAID["rapl/last-update"]}}
    ]
    assert cluster.gets == 1
    await telling.end()


async def test_a_cap_that_is_lifted_and_a_market_that_is_not_known_leave_no_words(
    cluster: Cluster, telling: Telling
) -> None:
    await telling.teller.look()
    telling.told = Told(max_w=50.0)
    await telling.teller.look()
    assert cluster.annotations == {
        **OTHERS,
        **{key: SAID[key] for key in ("rapl/max_power_uw", "rapl/last-update", "power-manager/initialized")},
    }
    await telling.end()


async def test_at_the_end_it_takes_back_what_it_said(cluster: Cluster, telling: Telling) -> None:
    await telling.teller.look()
    await telling.end()
    assert cluster.annotations == OTHERS


async def test_a_cap_that_is_left_on_purpose_stays_told(cluster: Cluster, tmp_path: Path) -> None:
    telling = Telling(cluster, tmp_path, left_w=20.0)
    await telling.teller.look()
    await telling.end()
    left = {key: SAID[key] for key in ("rapl/max_power_uw", "rapl/last-update", "power-manager/initialized")}
    assert cluster.annotations == {**OTHERS, **left, "rapl/pmax": "20000000"}


async def test_words_of_an_earlier_life_are_put_right(cluster: Cluster, telling: Telling) -> None:
    cluster.annotations |= {"rapl/pmax": "1", "rapl/provider": "energy-charts"}
    await telling.teller.look()
    (patch,) = cluster.patches
    assert "rapl/provider" not in patch["annotations"]
    assert cluster.annotations == {**OTHERS, **SAID}
    await telling.end()


async def test_labels_follow_larger_changes_only(cluster: Cluster, tmp_path: Path) -> None:
    telling = Telling(cluster, tmp_path, has_labels=True)
    seen = []
    for cap_w in (40.0, 41.0, 39.0, 42.0, 42.1, 44.2, None):
        telling.told = TOLD._replace(cap_w=cap_w)
        await telling.teller.look()
        seen.append(cluster.labels.get("rapl/pmax"))
    assert seen == ["40000000"] * 4 + ["42100000", "42100000", None]
    assert cluster.labels["rapl/max_power_uw"] == "50000000"
    assert [patch for patch in cluster.patches if "labels" in patch] == [
        patch for number, patch in enumerate(cluster.patches) if number in {0, 4, 6}
    ]
    await telling.end()
    assert cluster.labels == {"kubernetes.io/hostname": NODE}


async def test_a_conflict_is_tried_again_on_what_the_object_is_then(
    cluster: Cluster, telling: Telling, autojump_clock: MockClock
) -> None:
    await telling.teller.look()
    telling.told = TOLD._replace(cap_w=40.0)
    cluster.fail(409)
    cluster.annotations["rapl/provider"] = "somebody"
    await telling.teller.look()
    assert cluster.annotations["rapl/pmax"] == "32769231"
    await trio.sleep(1.1)
    await telling.teller.look()
    assert (cluster.annotations["rapl/pmax"], cluster.annotations["rapl/provider"]) == ("40000000", "energy-charts")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_server_is_asked_less_and_less_and_said_once(
    cluster: Cluster, telling: Telling, autojump_clock: MockClock, status: int
) -> None:
    tried_s = []
    for _ in range(5):
        cluster.fail(status)
    with capture_logs() as lines:
        for _ in range(60):
            before = telling.teller.failures_total
            await telling.teller.look()
            if telling.teller.failures_total > before:
                tried_s.append(round(trio.current_time()))
            await trio.sleep(1)
    start_s = tried_s[0]
    assert [second - start_s for second in tried_s] == [0, 1, 3, 7, 15]
    assert cluster.annotations == {**OTHERS, **SAID}
    assert [line["log_level"] for line in lines] == ["warning", "info"]
    assert f"the API server answers {status}" in lines[0]["event"]


async def test_the_server_says_when_it_wants_to_be_asked_again(
    cluster: Cluster, telling: Telling, autojump_clock: MockClock
) -> None:
    cluster.fail(429, retry_after="30")
    await telling.teller.look()
    await trio.sleep(29)
    await telling.teller.look()
    assert cluster.patches == []
    await trio.sleep(2)
    await telling.teller.look()
    assert cluster.annotations == {**OTHERS, **SAID}


RIGHTS = f"patch node {NODE}: the API server answers 403; let the service account get and patch nodes"
NO_NODE = f"get node {NODE}: there is no node {NODE}; set kubernetes.node, or NODE_NAME from spec.nodeName"


@pytest.mark.parametrize("refusal", [({"GET"}, NODE, RIGHTS), ({"GET", "PATCH"}, "another", NO_NODE)])
async def test_what_only_somebody_can_mend_is_said_once_with_the_fix(
    cluster: Cluster, telling: Telling, autojump_clock: MockClock, refusal: tuple[set[str], str, str]
) -> None:
    cluster.may, cluster.name, said = refusal
    with capture_logs() as lines:
        for _ in range(3):
            await telling.teller.look()
            await trio.sleep(PAUSE_MAX_S + 1)
    assert telling.teller.failures_total == 3
    assert [line["event"].count(said) for line in lines] == [1]
    cluster.may, cluster.name = {"GET", "PATCH"}, NODE
    await telling.teller.look()
    assert cluster.annotations == {**OTHERS, **SAID}


async def test_what_others_have_made_of_it_is_put_right_in_time(
    cluster: Cluster, telling: Telling, autojump_clock: MockClock
) -> None:
    await telling.teller.look()
    cluster.annotations["rapl/pmax"] = "1"
    await trio.sleep(RESYNC_S + 1)
    await telling.teller.look()
    assert cluster.annotations == {**OTHERS, **SAID}


def test_notes_of_nothing_are_only_whose_they_are() -> None:
    assert {key: value for key, value in node_notes.notes_of(Told()).items() if value is not None} == {
        "power-manager/initialized": "kcas-power-manager"
    }


def test_a_price_that_rounds_to_zero_has_no_sign() -> None:
    market = Market("mock", SLOT._replace(price=Decimal("-0.001"), volume_mwh=None), "UTC")
    notes = node_notes.notes_of(Told(market=market))
    assert (notes["rapl/market-price"], notes["rapl/market-volume"]) == ("0.00", None)


@pytest.mark.parametrize(
    "content", [None, "", "no: [yaml", "[]", "{}", '{"current-context": "x", "contexts": [], "clusters": []}', "\0"]
)
def test_a_kubeconfig_that_is_none_is_refused_with_its_name(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    config = Config(kubernetes=Kubernetes(enabled=True, node=NODE, kubeconfig=str(path)))
    with pytest.raises(ConfigError, match="kubeconfig") as caught:
        open_teller(config, Told, lambda: None)
    assert "\n" not in str(caught.value)


def test_outside_a_pod_a_kubeconfig_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigError, match=r"service account of this pod.*kubernetes\.kubeconfig"):
        open_teller(Config(kubernetes=Kubernetes(enabled=True, node=NODE)), Told, lambda: None)


@pytest.mark.parametrize("name", ["Worker", "a/b", "..", "a..b", "-a", "a" * 254, "a\nb"])
def test_what_is_no_name_of_a_node_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is no name of a node; write it as kubectl get nodes does"):
        config_room.load(None, {}, {"JOULED_KUBERNETES_NODE": name})


def test_a_host_whose_name_is_no_nodes_is_told_what_to_set() -> None:
    config = config_room.load(None, {}, {"JOULED_NODE_NAME": "rack_1", "JOULED_KUBERNETES_ENABLED": "true"})
    with pytest.raises(ConfigError, match=r"^kubernetes\.node: 'rack_1' is no name of a node; set it as kubectl"):
        open_teller(config, Told, lambda: None)


def test_a_daemon_tells_its_cap_and_takes_it_back_when_it_ends(cluster: Cluster, tmp_path: Path) -> None:
    with running_daemon(cluster, tmp_path) as daemon:
        wait_for(lambda: cluster.annotations.get("rapl/pmax") == "70000000")
        assert cluster.annotations["rapl/max_power_uw"] == "95000000"
        daemon.stop()
    assert cluster.annotations == OTHERS


@pytest.mark.parametrize(("on_exit", "stays_uw"), [("hold", "70000000"), ("safe", "40000000")])
def test_a_daemon_that_leaves_a_cap_leaves_its_words(
    cluster: Cluster, tmp_path: Path, on_exit: str, stays_uw: str
) -> None:
    with running_daemon(cluster, tmp_path, f"on_exit = '{on_exit}'\nsafe = 40\n") as daemon:
        wait_for(lambda: cluster.annotations.get("rapl/pmax") == "70000000")
        daemon.stop()
    assert (tmp_path / "sys/class/powercap/intel-rapl:0" / PL1).read_text() == f"{stays_uw}\n"
    assert cluster.annotations["rapl/pmax"] == stays_uw
    assert "rapl/market-period" not in cluster.annotations


async def test_a_call_that_hangs_is_not_waited_for_at_the_end(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "DEADLINE_S", 3600.0)
    cluster.hangs.set()
    telling, stop = Telling(cluster, tmp_path), trio.Event()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(telling.teller.run, stop)
            await trio.to_thread.run_sync(cluster.is_asked.wait)
            stop.set()
    assert cluster.patches == []
    cluster.hangs.clear()
    await telling.end()


def test_a_server_that_hangs_holds_up_neither_the_caps_nor_the_end(cluster: Cluster, tmp_path: Path) -> None:
    cluster.hangs.set()
    with running_daemon(cluster, tmp_path) as daemon:
        wait_for(lambda: (tmp_path / "sys/class/powercap/intel-rapl:0" / PL1).read_text() == "70000000\n")
        daemon.process.send_signal(signal.SIGTERM)
        wait_for(lambda: (tmp_path / "sys/class/powercap/intel-rapl:0" / PL1).read_text() == "95000000\n")
        assert daemon.process.wait(timeout=60) == 0
    assert cluster.annotations == OTHERS


PL1 = "constraint_0_power_limit_uw"


def running_daemon(cluster: Cluster, folder: Path, caps: str = "") -> AbstractContextManager[Running]:
    tree = LimitTree(folder)
    tree.package(0)
    settings = folder / "jouled.toml"
    settings.write_text(
        f'listen = ["127.0.0.1:0"]\ninterval = "200ms"\nmeters = ["fake"]\nsysfs = "{tree.sysfs}"\n'
        f'state_dir = "{folder}/state"\n[caps]\nenabled = true\n{caps}[plan]\nstrategies = ["static"]\nstatic = ["00:00-24:00=70W"]\n'
        f'[kubernetes]\nenabled = true\nnode = "{NODE}"\nkubeconfig = "{cluster.kubeconfig(folder)}"\n'
    )
    return running(sys.executable, "-m", "jouled", "--config", str(settings), "--log-format=text")


def wait_for(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60.0
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_a_daemon_without_it_imports_none_of_it() -> None:
    program = "import sys, jouled.daemon; sys.exit(any(name.startswith('lightkube') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False, env=dict(os.environ)).returncode == 0
