"""Tells the node's object in a Kubernetes cluster what holds: a merge patch of what has changed, and nothing else.

The cluster is told and never asked: one that is away changes nothing for the caps. API: `GET` and `PATCH`
/api/v1/nodes/NAME, for which a service account needs `get` and `patch` of nodes.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import trio

from jouled.config import Config
from jouled.config.kubernetes import Kubernetes, is_node
from jouled.errors import ConfigError, JouledError, one_line
from jouled.log import Once, log
from jouled.sharing import node_notes
from jouled.sharing.node_notes import Told

# One call to the API server. The end of the daemon waits for no longer than this.
DEADLINE_S = 5.0
LAST_S = 2.0
# Between two looks at what holds; only what has changed is told.
LOOK_S = 5.0
# What others have made of our keys is looked at anew after this.
RESYNC_S = 600.0
# After a failure nobody asks again for so long, each time twice that; less by chance, for the nodes of a
# cluster whose API server comes back.
PAUSE_S = 1.0
PAUSE_MAX_S = 300.0
CONFLICT, TOO_MANY = 409, 429
HINT = "see docs/kubernetes.md"


class AwayError(JouledError):
    """It was not taken. `again_s` is when the server wants to be asked again, where it said so."""

    def __init__(
        self, message: str, *, is_conflict: bool = False, is_refused: bool = False, again_s: float = 0.0
    ) -> None:
        super().__init__(message)
        self.is_conflict = is_conflict
        # By rights or by name: only somebody can mend it.
        self.is_refused = is_refused
        self.again_s = again_s


class Known(NamedTuple):
    """What the node's object says."""

    annotations: dict[str, str]
    labels: dict[str, str]


class Node:
    """The node's object. Its methods block, each for `DEADLINE_S` and a little more; call them in a thread."""

    def __init__(self, settings: Kubernetes, name: str) -> None:
        """Raises ConfigError where the package is missing, or how to reach the cluster is not known."""
        try:
            import httpx2
            import lightkube
            from lightkube.config.kubeconfig import KubeConfig
            from lightkube.core.exceptions import ConfigError as UnknownError
            from lightkube.resources.core_v1 import Node as Resource
        except ImportError:
            raise ConfigError(
                "kubernetes.enabled needs a package that is not installed; pip install jouled[kubernetes]"
            ) from None
        self.name = name
        self._resource = Resource
        # A plain answer has no content type, an address may be none, a file may hold anything.
        self._failures = (httpx2.HTTPError, httpx2.InvalidURL, UnknownError, OSError, ValueError, KeyError, TypeError)
        try:
            if settings.kubeconfig is None:
                config = KubeConfig.from_service_account().get()
            else:
                config = KubeConfig.from_file(settings.kubeconfig).get()
            assert config is not None  # noqa: S101  (without a default, `get` finds one or raises)
            self._client = lightkube.Client(
                config, timeout=httpx2.Timeout(DEADLINE_S), field_manager="jouled", trust_env=False
            )
        except Exception as error:  # noqa: BLE001  (a YAML file of others' making, and the library's errors for it)
            place = settings.kubeconfig or "the service account of this pod"
            raise ConfigError(
                f"kubernetes: {place}: {one_line(str(error)) or type(error).__name__};"
                " name a file by kubernetes.kubeconfig, or run jouled as a pod"
            ) from None

    def __repr__(self) -> str:
        return f"<Node {self.name}>"

    def get(self) -> Known:
        """Raises AwayError."""
        return self._do("get", lambda: self._client.get(self._resource, self.name))

    def patch(self, patch: dict[str, object]) -> Known:
        """What it says then. Raises AwayError."""
        from lightkube.types import PatchType

        return self._do(
            "patch", lambda: self._client.patch(self._resource, self.name, patch, patch_type=PatchType.MERGE)
        )

    def close(self) -> None:
        self._client.close()

    def _do(self, verb: str, call: Callable[[], Any]) -> Known:
        try:
            metadata = call().metadata
            return Known(dict(metadata.annotations or {}), dict(metadata.labels or {}))
        except self._failures as error:
            raise _away(f"{verb} node {self.name}", self.name, error) from error


def _away(what: str, name: str, error: Exception) -> AwayError:
    answer = getattr(error, "response", None)
    status = getattr(answer, "status_code", None)
    if answer is None or status is None:
        return AwayError(f"{what}: {one_line(str(error)) or type(error).__name__}; caps go on without the cluster")
    if status in {401, 403}:
        fix = f"let the service account get and patch nodes; {HINT}"
        return AwayError(f"{what}: the API server answers {status}; {fix}", is_refused=True)
    if status == 404:
        fix = f"there is no node {name}; set kubernetes.node, or NODE_NAME from spec.nodeName"
        return AwayError(f"{what}: {fix}", is_refused=True)
    again = answer.headers.get("retry-after", "")
    again_s = float(again) if again.isascii() and again.isdigit() and len(again) < 6 else 0.0
    # Any other refusal is one of this very patch; the next one is another.
    is_refused = 400 <= status < 500 and status not in {CONFLICT, TOO_MANY}
    message = f"{what}: the API server answers {status}"
    return AwayError(message, is_conflict=status == CONFLICT, is_refused=is_refused, again_s=min(again_s, PAUSE_MAX_S))


class Teller:
    """Tells the node's object what `holds` returns, again and again; `left` is the cap that stays at the end."""

    def __init__(
        self,
        node: Node,
        holds: Callable[[], Told],
        left: Callable[[], float | None],
        *,
        has_labels: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.patches_total = 0
        self.failures_total = 0
        self._node = node
        self._holds = holds
        self._left = left
        self._has_labels = has_labels
        self._clock = clock
        self._chance = chance
        self._known: Known | None = None
        self._known_s = 0.0
        self._again_s = 0.0
        self._pause_s = PAUSE_S
        self._once = Once()
        self._is_away = False
        # One call at a time, and what was left behind keeps its turn.
        self._limiter = trio.CapacityLimiter(1)

    def __repr__(self) -> str:
        return f"<Teller {self._node!r} [{self.patches_total} patches]>"

    async def run(self, stop: trio.Event, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until `stop`; then what no longer holds is taken back, if the server answers soon."""
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_on)
            await stop.wait()
            # A call that hangs is left behind.
            nursery.cancel_scope.cancel()
        with trio.move_on_after(LAST_S):
            await self._end()
        # Left open where a call still hangs: the process ends.
        if not self._limiter.borrowed_tokens:
            self._node.close()

    async def _tell_on(self) -> None:
        while True:
            await self.look()
            await trio.sleep(LOOK_S)

    async def look(self) -> None:
        """Tells what has changed. Never raises for what the server says."""
        if trio.current_time() < self._again_s:
            return
        told = self._holds()
        try:
            known = await self._what_is_known()
            labels = node_notes.labels_of(told, known.labels) if self._has_labels else {}
            await self._tell(node_notes.notes_of(told), labels, known)
        except AwayError as error:
            self._failed(error)
        else:
            self._came_back()

    async def _end(self) -> None:
        wanted, labels = node_notes.ended(self._left())
        try:
            known = self._known or await self._in_thread(self._node.get)
            await self._tell(wanted, labels if self._has_labels else {}, known)
        except AwayError as error:
            log.warning(f"kubernetes: {error}; the node's annotations stay as they are")

    async def _what_is_known(self) -> Known:
        now_s = trio.current_time()
        if self._known is None or now_s - self._known_s >= RESYNC_S:
            self._known, self._known_s = await self._in_thread(self._node.get), now_s
        return self._known

    async def _tell(self, wanted: node_notes.Notes, labels: node_notes.Notes, known: Known) -> None:
        patch = node_notes.patch(wanted, labels, known.annotations, known.labels, self._clock())
        if patch is None:
            return
        self._known = await self._in_thread(lambda: self._node.patch(patch))
        self.patches_total += 1

    async def _in_thread(self, call: Callable[[], Known]) -> Known:
        # Left behind on cancel: it ends by its own deadline.
        return await trio.to_thread.run_sync(call, limiter=self._limiter, abandon_on_cancel=True)

    def _failed(self, error: AwayError) -> None:
        """What the object says now is not known any more; a refusal is looked at again as seldom as may be."""
        self._known = None
        self.failures_total += 1
        pause_s = PAUSE_MAX_S if error.is_refused else max(self._pause_s, error.again_s)
        self._again_s = trio.current_time() + max(error.again_s, pause_s * (0.5 + 0.5 * self._chance()))
        self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)
        if error.is_refused:
            self._once.warning(f"kubernetes: {error}")
        elif not error.is_conflict and not self._is_away:
            self._is_away = True
            log.warning(f"kubernetes: {error}")

    def _came_back(self) -> None:
        self._pause_s = PAUSE_S
        if self._is_away:
            self._is_away = False
            log.info(f"kubernetes: node {self._node.name} is told again")


def open_teller(config: Config, holds: Callable[[], Told], left: Callable[[], float | None]) -> Teller:
    """As the settings say. Raises ConfigError."""
    name = config.kubernetes.node or (config.node.name or socket.gethostname()).lower()
    if not is_node(name):
        raise ConfigError(
            f"kubernetes.node: {one_line(name)!r} is no name of a node; set it as kubectl get nodes shows it"
        )
    return Teller(Node(config.kubernetes, name), holds, left, has_labels=config.kubernetes.labels)
