"""`/api/v1/settings`: what the balancer goes by, and what of it may be another while it runs."""

from __future__ import annotations

from litestar import Controller, get, patch
from litestar.exceptions import ClientException
from litestar.params import JSONBody
from msgspec import UNSET

from jouled.web.api.balance_shown import TheBalance
from jouled.web.api.parameters import TheWriter
from jouled.wire.balance import BalanceSettings, MarginDraft, SettingsDraft

NO_FIELDS = "no fields to update; give mode, safety_margin_percent or limit_watts"


class SettingsApi(Controller):
    """Settings of the balancer. What is set here holds until it is taken back, also after a restart."""

    path = "/settings"
    tags = ("balance",)
    opt = {"scope": "control"}  # noqa: RUF012  (Litestar copies it)

    @get()
    async def get_balance_settings(self, balance: TheBalance) -> BalanceSettings:
        """What holds now, and what of it was set while the daemon ran."""
        return balance.settings()

    @patch()
    async def change_balance_settings(
        self, data: JSONBody[SettingsDraft], balance: TheBalance, writer: TheWriter
    ) -> BalanceSettings:
        """Change the mode, the safety margin or the operator's cap. Null takes one back: the file's holds again."""
        if data.mode is UNSET and data.safety_margin_percent is UNSET and data.limit_watts is UNSET:
            raise ClientException(NO_FIELDS)
        balancer, why = balance.acting, data.reason or ""
        # What makes it safer first: whatever fails then, it is not the bound that is missing.
        if data.limit_watts is not UNSET:
            await balancer.set_limit(data.limit_watts, writer.name, why)
        if data.safety_margin_percent is not UNSET:
            await balancer.set_reserve(data.safety_margin_percent, writer.name, why)
        if data.mode is not UNSET:
            await balancer.set_mode(data.mode, writer.name, why)
        return balancer.settings()

    @patch("/safety-margin")
    async def change_safety_margin(
        self, data: JSONBody[MarginDraft], balance: TheBalance, writer: TheWriter
    ) -> BalanceSettings:
        """Change the safety margin, from 0 to 50 percent: the next cycle goes by it."""
        return await balance.acting.set_reserve(data.safety_margin_percent, writer.name, data.reason or "")
