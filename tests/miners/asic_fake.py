"""Stands for the library pyasic, 0.79: the functions of it that are used, with its ways."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any


class Unit:
    """As its SHA256Unit."""

    TH = 10**12
    GH = 10**9


@dataclass
class Rate:
    """As its SHA256HashRate."""

    rate: float
    value: int = Unit.GH
    unit: Any = Unit

    def into(self, other: int) -> Rate:
        return Rate(self.rate / (other / self.value), other)


@dataclass
class Preset:
    """As its MiningPreset."""

    name: str | None
    power: int | None
    hashrate: int | None
    tuned: bool | None = True
    modded_psu: bool | None = False


@dataclass
class Figures:
    """As its MinerData; what is not known of `is_mining` is True there."""

    wattage: int | None = None
    wattage_limit: int | None = None
    hashrate: Any = None
    hostname: str | None = None
    fw_ver: str | None = None
    is_mining: bool = True


@dataclass
class MiningMode:
    """As its MiningModePreset."""

    available_presets: list[Preset]


@dataclass
class Config:
    """As its MinerConfig."""

    mining_mode: Any


class LuxRpc:
    """Of a miner with LuxOS."""

    def __init__(self, mac: str) -> None:
        self.mac = mac

    async def config(self) -> dict[str, Any]:
        return {"CONFIG": [{"MACAddr": self.mac}]}


@dataclass
class FakeAsic:
    """As a Whatsminer, or with `presets` as a miner with LuxOS."""

    mac: str | None
    model: str = "M50S VH80"
    supports_shutdown: bool = True
    limit_w: int = 3300
    mines: bool | None = True
    presets: list[Preset] = field(default_factory=list)
    says_no: bool = False
    hangs: bool = False
    breaks: Exception | None = None
    calls: list[str] = field(default_factory=list)
    ip: str = "10.20.0.7"
    # Of a miner with LuxOS: the library drops its MAC and its hash rate, and cannot tell whether it mines.
    rpc: Any = None
    has_rate: bool = True
    switches: bool | None = None
    # It stopped answering in between: the library says of some that they do not mine, and nothing else.
    is_silent: bool = False

    async def atm_enabled(self) -> bool | None:
        await self._come()
        return self.switches

    async def get_mac(self) -> str | None:
        await self._come()
        return None if self.mac is None or self.is_silent else self.mac.upper()

    async def get_data(self, include: list[str]) -> Figures:
        await self._come()
        known: dict[str, Any] = {
            "wattage": None if self.is_silent else self.watts(),
            "wattage_limit": None if self.is_silent else self.limit_w,
            "hashrate": Rate(112_000.0 if self.mines else 0.0) if self.has_rate else None,
            "hostname": "whats-1",
            "fw_ver": "20250101",
        }
        if include == ["hashboards"]:
            return Figures(hashrate=Rate(112_000.0))
        return Figures(**{name: known[name] for name in include})

    def watts(self) -> int:
        return 8 if self.mines is False else self.limit_w - 20

    async def is_mining(self) -> bool | None:
        await self._come()
        return False if self.is_silent else self.mines

    async def get_config(self) -> Config:
        await self._come()
        return Config(MiningMode(self.presets) if self.presets else object())

    async def set_power_limit(self, wattage: int) -> bool:
        self.calls.append(f"limit {wattage}")
        if not self.says_no:
            self.limit_w = wattage
        return not self.says_no

    async def stop_mining(self) -> bool:
        self.calls.append("stop")
        self.mines = self.mines if self.says_no else False
        return not self.says_no

    async def resume_mining(self) -> bool:
        self.calls.append("resume")
        self.mines = self.mines if self.says_no else True
        return not self.says_no

    async def _come(self) -> None:
        await asyncio.sleep(3600 if self.hangs else 0)
        if self.breaks is not None:
            raise self.breaks


class FakePyasic:
    """The module. What is at no address is None, as there."""

    def __init__(self, **miners: FakeAsic) -> None:
        self.miners = {name.replace("_", "."): miner for name, miner in miners.items()}

    async def get_miner(self, address: str) -> FakeAsic | None:
        return self.miners.get(address)
