"""The metrics page: rendered at most once a tick, form and kind of reader."""

from __future__ import annotations

from collections.abc import Callable

from jouled.model import Snapshot
from jouled.web.negotiate import Form
from jouled.web.prepared import Body, Prepared


class Page:
    """The latest snapshot as a page. `own` gives the daemon's own metrics, the last of the page."""

    def __init__(self, prepared: Prepared, own: Callable[[Form, Snapshot], bytes]) -> None:
        self._prepared = prepared
        self._own = own

    async def get(self, form: Form, *, is_coarse: bool, is_gzip: bool) -> Body | None:
        """The page of the latest snapshot; `None` before the first interval has been measured."""
        memo = self._prepared.memo(is_coarse=is_coarse)
        if memo is None:
            return None

        def render(snapshot: Snapshot) -> Body:
            # The own part comes last, because prometheus_client ends OpenMetrics with its `# EOF`.
            zones = snapshot.exposition(form is Form.OPENMETRICS)
            return Body((zones, self._own(form, snapshot)), is_gzip=False)

        return await self._prepared.body(memo, form, render, is_gzip=is_gzip)
