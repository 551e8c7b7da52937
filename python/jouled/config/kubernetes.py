"""What the operator may set of Kubernetes: whether the node's object is told of caps and of the market."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Struct

from jouled.config.about import about
from jouled.config.refused import RefusedError
from jouled.config.units import shown

# As the API takes names of nodes: a subdomain by RFC 1123. It becomes a part of a URL.
NODE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
NODE_MAX = 253


class Kubernetes(Struct, frozen=True, forbid_unknown_fields=True):
    """Annotations of this node's object in a cluster."""

    enabled: Annotated[bool, about("Tell the node's object of caps and of the market's slot.")] = False
    node: Annotated[
        str | None, about("The node's name in the cluster.", absent="node.name, or the host's", example="worker-07")
    ] = None
    labels: Annotated[bool, about("Labels as well, by which pods can be placed; they follow larger changes only.")] = (
        False
    )
    kubeconfig: Annotated[
        str | None,
        about(
            "How to reach the cluster, for a daemon that is no pod.",
            absent="the pod's service account",
            example="/etc/jouled/kubeconfig",
            allowed="a file",
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.node is not None and not is_node(self.node):
            raise RefusedError(
                ("node",), f"{shown(self.node)} is no name of a node; write it as kubectl get nodes does"
            )
        if self.kubeconfig is not None and (not self.kubeconfig or "\0" in self.kubeconfig):
            raise RefusedError(("kubeconfig",), f"{shown(self.kubeconfig)} is no file; name one, or leave the key out")


def is_node(name: str) -> bool:
    return len(name) <= NODE_MAX and NODE.fullmatch(name) is not None
