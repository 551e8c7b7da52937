"""An API server of Kubernetes with one node, strict about what it takes; and a kubeconfig that leads to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "a-token-of-the-service-account"
NODE = "worker-07"
MERGE = "application/merge-patch+json"


class Cluster:
    """Keeps the node, and each patch that it took. `fail` makes the next calls fail."""

    def __init__(self) -> None:
        self.annotations: dict[str, str] = {"node.alpha.kubernetes.io/ttl": "0"}
        self.labels: dict[str, str] = {"kubernetes.io/hostname": NODE}
        self.version = 1
        self.patches: list[dict[str, Any]] = []
        self.gets = 0
        # Answers in place of the right ones, the next one first: status and headers.
        self.failures: list[tuple[int, dict[str, str]]] = []
        self.may = {"GET", "PATCH"}
        self.name = NODE
        # Set: answers wait until it is cleared.
        self.hangs = threading.Event()
        self.is_ending = threading.Event()
        self.is_asked = threading.Event()
        handler = type("Handler", (_Handler,), {"cluster": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def fail(self, status: int, **headers: str) -> None:
        self.failures.append((status, {name.replace("_", "-"): value for name, value in headers.items()}))

    def close(self) -> None:
        self.is_ending.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def kubeconfig(self, folder: Path, token: str = TOKEN) -> Path:
        path = folder / "kubeconfig"
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "here",
                    "contexts": [{"name": "here", "context": {"cluster": "one", "user": "jouled"}}],
                    "clusters": [{"name": "one", "cluster": {"server": self.url}}],
                    "users": [{"name": "jouled", "user": {"token": token}}],
                }
            )
        )
        return path

    def node(self) -> dict[str, Any]:
        metadata = {
            "name": self.name,
            "resourceVersion": str(self.version),
            "annotations": self.annotations,
            "labels": self.labels,
        }
        return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"unschedulable": True}}

    def take(self, patch: dict[str, Any]) -> None:
        """A merge patch by RFC 7386, of annotations and labels alone."""
        assert set(patch) == {"metadata"}, patch
        metadata = patch["metadata"]
        assert set(metadata) <= {"annotations", "labels"}, patch
        for name, kept in (("annotations", self.annotations), ("labels", self.labels)):
            for key, value in metadata.get(name, {}).items():
                assert value is None or isinstance(value, str), patch
                assert name == "annotations" or value is None or len(value) <= 63, patch
                if value is None:
                    kept.pop(key, None)
                else:
                    kept[key] = value
        self.version += 1
        self.patches.append(metadata)


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def _serve(self) -> None:
        cluster = self.cluster
        cluster.is_asked.set()
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        while cluster.hangs.is_set() and not cluster.is_ending.wait(0.01):
            pass
        if (refusal := self._refusal()) is not None:
            self._answer(*refusal)
            return
        if self.command == "GET":
            cluster.gets += 1
        else:
            cluster.take(json.loads(body))
        self._answer(200, {}, cluster.node())

    def _refusal(self) -> tuple[int, dict[str, str]] | None:
        cluster = self.cluster
        if self.headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, {}
        if cluster.failures:
            return cluster.failures.pop(0)
        if self.command not in cluster.may:
            return 403, {}
        if self.path.partition("?")[0] != f"/api/v1/nodes/{cluster.name}":
            return 404, {}
        if self.command == "PATCH" and self.headers.get("content-type") != MERGE:
            return 415, {}
        return None

    def _answer(self, status: int, headers: dict[str, str], body: dict[str, Any] | None = None) -> None:
        failed = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": "refused", "code": status}
        content = json.dumps(body or failed).encode()
        # As a proxy before the API server answers: in no format of its.
        kind = "text/plain" if status >= 500 else "application/json"
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name in the standard library)
        pass


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    try:
        yield cluster
    finally:
        cluster.close()
