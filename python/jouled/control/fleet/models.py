"""Models of miners: their names in addresses, their presets, and the bounds that the operator gives them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import datetime

from jouled.bookkeeping.fleet import ModelRow
from jouled.config.miners import MinerModel
from jouled.control.fleet.standing import Bounds
from jouled.loads.actuator import Description

# Makes of a site; each comes from what some device says.
MODELS_MAX = 1000
NAME_CHARS = 128
_PLAIN = re.compile(r"[^a-z0-9]+")


class Models:
    """By name. What the operator says over the API stands before what the settings say."""

    def __init__(self, settings: Iterable[MinerModel] = ()) -> None:
        self._settings = {model.name: Bounds(model.min_preset, model.max_preset) for model in settings}
        self._rows: dict[str, ModelRow] = {}

    def __repr__(self) -> str:
        return f"<Models {sorted(self._rows)}>"

    @property
    def rows(self) -> tuple[ModelRow, ...]:
        """By name."""
        return tuple(self._rows[name] for name in sorted(self._rows))

    def row(self, name: str | None) -> ModelRow | None:
        return None if name is None else self._rows.get(name)

    def of_alias(self, alias: str) -> ModelRow | None:
        return next((row for row in self._rows.values() if row.alias == alias), None)

    def bounds(self, name: str | None) -> Bounds:
        """What holds for the model; nothing for one that nobody has said anything of."""
        if name is None:
            return Bounds()
        said, row = self._settings.get(name, Bounds()), self._rows.get(name)
        if row is None:
            return said
        return Bounds(row.min_preset or said.min_preset, row.max_preset or said.max_preset)

    def put(self, row: ModelRow) -> None:
        """As the store has it."""
        self._rows[row.name] = row

    def see(self, description: Description, now: datetime) -> ModelRow | None:
        """A miner of it has described itself. Its presets are added to those of the others of its model; one row for
        each of them: what is tuned differs by miner.
        """
        name = description.model
        if not name:
            return None
        name = name[:NAME_CHARS]
        row = self._rows.get(name)
        if row is None:
            if len(self._rows) >= MODELS_MAX:
                return None
            row = ModelRow(name, self._alias(name), now, now)
        listed = {preset[0]: preset for preset in row.presets}
        listed |= {preset.name: (preset.name, preset.power_w, preset.work) for preset in description.presets}
        presets = tuple(sorted(listed.values(), key=lambda preset: (preset[1], preset[0])))[:NAME_CHARS]
        self._rows[name] = row._replace(presets=presets)
        return self._rows[name]

    def _alias(self, name: str) -> str:
        """The same in each daemon of a site, but where two names differ in signs only."""
        alias = _PLAIN.sub("-", name.lower().replace("+", " plus ")).strip("-")[:96] or "model"
        if self.of_alias(alias) is None:
            return alias
        return f"{alias}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
