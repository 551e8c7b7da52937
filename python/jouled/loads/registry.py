"""Which load acts on which zone."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Mapping
from datetime import timedelta

from jouled.books.load import Bands
from jouled.config import Config
from jouled.config.books import Load as LoadSettings
from jouled.config.books import zone_command
from jouled.loads.command import CommandLoad
from jouled.loads.protocol import Load

# Names this life of the process: what an earlier one began it will not finish.
RUN = uuid.uuid4().hex
# Beyond the time limits of the loads themselves: for the store to take the result.
GRACE = timedelta(minutes=1)


class Loads:
    """The loads of this node by their zones. `settings` says when loads call for something."""

    def __init__(
        self,
        loads: Mapping[str, Load] | None = None,
        *,
        settings: LoadSettings | None = None,
        node: str = "localhost",
    ) -> None:
        self.settings = settings or LoadSettings()
        self.node = node
        self._loads = {**_commands(self.settings), **(loads or {})}

    def __repr__(self) -> str:
        return f"<Loads {sorted(self._loads)}>"

    @property
    def executor(self) -> str:
        """This life of this node, as executing decisions name it."""
        return f"{self.node}/{RUN}"

    @property
    def bands(self) -> Bands:
        read = self.settings
        return Bands(read.band_low_pct, read.band_high_pct, read.scale_up_pct, read.scale_down_pct, read.stale_s)

    def of(self, zone_id: str) -> Load | None:
        return self._loads.get(zone_id)

    def attach(self, zone_id: str, load: Load) -> None:
        self._loads[zone_id] = load

    def acting(self, zone_ids: tuple[str, ...]) -> list[Load]:
        """The loads of these zones, in their order and each once."""
        found = [load for zone_id in zone_ids if (load := self._loads.get(zone_id)) is not None]
        return [load for index, load in enumerate(found) if load not in found[:index]]


def loads_of(config: Config) -> Loads:
    """What the operator has attached on this node."""
    return Loads(settings=config.load, node=config.node.name or socket.gethostname())


def _commands(settings: LoadSettings) -> dict[str, Load]:
    loads: dict[str, Load] = {}
    for text in settings.commands:
        zone_id, argv = zone_command(text)
        loads[zone_id] = CommandLoad(argv, settings.command_timeout_s)
    return loads
