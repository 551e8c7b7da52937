"""What operators have set while the daemon runs: it holds instead of the file's, until it is taken back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, TypeAlias

from jouled.config.balance import Balance
from jouled.wire.balance import Mode, Paused, Setting

Key: TypeAlias = Literal["mode", "reserve", "limit", "pause"]


class Wishes:
    """The latest of each key counts, whoever wrote it."""

    def __init__(self, settings: Balance, earlier: Iterable[Setting] = ()) -> None:
        self.settings = settings
        self._latest: dict[str, Setting] = {}
        for setting in earlier:
            self.take(setting)

    def __repr__(self) -> str:
        return f"<Wishes {' '.join(sorted(self._latest))}>"

    def take(self, setting: Setting) -> bool:
        """Whether it is news."""
        known = self._latest.get(setting.key)
        if known is not None and known.at >= setting.at:
            return False
        self._latest[setting.key] = setting
        return True

    @property
    def all(self) -> tuple[Setting, ...]:
        """Those that were taken back too: they are newer than what others may still have."""
        return tuple(self._latest[key] for key in sorted(self._latest))

    @property
    def changed(self) -> tuple[Setting, ...]:
        return tuple(setting for setting in self.all if setting.value is not None)

    def _number(self, key: Key) -> float | None:
        setting = self._latest.get(key)
        value = None if setting is None else setting.value
        return float(value) if isinstance(value, int | float) else None

    @property
    def mode(self) -> Mode:
        setting = self._latest.get("mode")
        value = None if setting is None else setting.value
        return value if value in ("auto", "ask", "observe") else self.settings.mode  # type: ignore[return-value]

    @property
    def reserve_pct(self) -> float:
        own = self._number("reserve")
        return self.settings.reserve_pct if own is None else own

    @property
    def limit_w(self) -> float | None:
        """The operator's cap."""
        return self._number("limit")

    @property
    def paused(self) -> Paused | None:
        setting = self._latest.get("pause")
        if setting is None or setting.value is None:
            return None
        return Paused(setting.at, setting.who, setting.why)

    def next_at(self, key: Key, now: datetime) -> datetime:
        """Later than what is known, also where the clock was set back."""
        known = self._latest.get(key)
        return (
            now if known is None or known.at < now else known.at.fromtimestamp(known.at.timestamp() + 1e-3, now.tzinfo)
        )
