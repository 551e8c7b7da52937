"""`/api/v1/optimization`: what the records advise, and reports of any range."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeAlias

from litestar import Controller, get, patch
from litestar.params import JSONBody, QueryParameter

from jouled.bookkeeping import advice, reports
from jouled.web.api.parameters import IdInPath, TheClock, TheLoads, TheStore, TheWriter
from jouled.wire.reports import Judgement, Recommendation, Recommendations, Report, ReportType

Since: TypeAlias = Annotated[
    datetime | None, QueryParameter(description="Where the range begins; as long before its end as the type says.")
]
Until: TypeAlias = Annotated[datetime | None, QueryParameter(description="Where it ends, which is not in it; now.")]
Kind: TypeAlias = Annotated[
    ReportType | None, QueryParameter(description="What the report is called, and how long it is without a start.")
]


class Optimization(Controller):
    """Recommendations and reports."""

    path = "/optimization"
    tags = ("optimization",)

    @get("/recommend/{facility_id:str}")
    async def recommend(
        self, facility_id: IdInPath, store: TheStore, clock: TheClock, loads: TheLoads
    ) -> Recommendations:
        """What the records of the last 30 days advise."""
        return await store.fetch(lambda connection: advice.recommended(connection, facility_id, clock(), loads.bands))

    @patch("/recommend/{facility_id:str}/{recommendation_id:str}", opt={"scope": "write:decisions"})
    async def judge_recommendation(
        self,
        facility_id: IdInPath,
        recommendation_id: IdInPath,
        *,
        data: JSONBody[Judgement],
        store: TheStore,
        clock: TheClock,
        writer: TheWriter,
        loads: TheLoads,
    ) -> Recommendation:
        """Keep what was decided on a recommendation."""
        return await store.commit(
            lambda connection: advice.judge(
                connection, facility_id, recommendation_id, data, who=writer.name, now=clock(), bands=loads.bands
            )
        )

    @get("/report/{facility_id:str}")
    async def report(
        self,
        facility_id: IdInPath,
        *,
        store: TheStore,
        clock: TheClock,
        loads: TheLoads,
        start_time: Since = None,
        end_time: Until = None,
        type: Kind = None,  # noqa: A002  (the word of the API)
    ) -> Report:
        """A site in a range of time, which is the last week where nothing is said."""
        return await store.fetch(
            lambda connection: reports.report(
                connection,
                facility_id,
                report_type=type,
                start=start_time,
                end=end_time,
                now=clock(),
                bands=loads.bands,
            )
        )
