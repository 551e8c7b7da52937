"""What the operator may set of the balancer: whether it acts, how close to the supply, and on what."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Struct, field

from jouled.config.about import DAY_S, about
from jouled.config.books import refuse_plain
from jouled.config.refused import RefusedError
from jouled.config.units import Seconds, Watts

MODES = Literal["auto", "ask", "observe"]
STRATEGIES = Literal["marginal", "average-efficiency"]
# Of the reserve that `reduce` and `emergency` are written for.
USUAL_TARGET_PCT = 90.0
CONSUMPTION_WORDS = Literal["ignore", "others", "all"]
EXIT_WORDS = Literal["hold", "restore", "safe"]
LOAD_KINDS = Literal["host", "node", "vnish", "braiins", "pyasic", "command", "http", "dry-run"]


class BalancedLoad(Struct, frozen=True, forbid_unknown_fields=True):
    """One load that is named here. Miners may be discovered instead."""

    name: Annotated[str, about("What it is called.", example="rack-1", allowed="a name")]
    kind: Annotated[LOAD_KINDS, about("How it is set.", example="node")]
    address: Annotated[str | None, about("Where it answers.", absent="none", example="https://rack-1.example:9917")] = (
        None
    )
    circuit: Annotated[
        str | None, about("The circuit of the books that it hangs on.", absent="the site itself", example="pdu-1")
    ] = None
    priority: Annotated[int, about("A higher one keeps its power for longer.", least=0, most=1000)] = 5
    token: Annotated[
        str | None,
        about(
            "Of a node, its token with the scope control; of http, what goes as bearer: credential:NAME, file:/PATH or env:NAME.",
            absent="none",
            example="credential:rack-1",
        ),
    ] = None
    ca: Annotated[
        str | None,
        about("Certificates that sign the one at the address.", absent="the system's", example="/etc/jouled/ca.pem"),
    ] = None
    command: Annotated[
        tuple[str, ...],
        about("The program of a command, with its arguments.", absent="none", example=("/usr/local/bin/oven",)),
    ] = ()
    min_w: Annotated[Watts | None, about("It is never set below this.", absent="its own", example=200.0)] = field(
        default=None, name="min"
    )
    max_w: Annotated[Watts | None, about("It is never set above this.", absent="its own", example=800.0)] = field(
        default=None, name="max"
    )
    timeout_s: Annotated[Seconds, about("How long one answer may take.", least=0.1, most=60)] = field(
        default=5.0, name="timeout"
    )
    dead_s: Annotated[
        Seconds | None,
        about(
            "From an order until its power begins to follow.", absent="as its kind is", example=2.0, least=0, most=3600
        ),
    ] = field(default=None, name="dead")
    settle_s: Annotated[
        Seconds | None,
        about("From then on until it has settled.", absent="as its kind is", example=5.0, least=0, most=3600),
    ] = field(default=None, name="settle")

    def __post_init__(self) -> None:
        if self.kind in {"node", "http"} and not self.address:
            raise RefusedError(("address",), f"is missing: a load of kind {self.kind} answers at some address")
        if self.kind == "command" and not self.command:
            raise RefusedError(
                ("command",), 'is missing: write the program and its arguments, as ["/usr/local/bin/oven"]'
            )
        if self.token is not None:
            refuse_plain("token", self.token)
        if self.min_w is not None and self.max_w is not None and self.max_w < self.min_w:
            raise RefusedError(("max",), f"{self.max_w:g} W is below min {self.min_w:g} W", others=(("min",),))


class Balance(Struct, frozen=True, forbid_unknown_fields=True):
    """The balancer of a site."""

    enabled: Annotated[bool, about("Balance the loads of this site.")] = False
    mode: Annotated[
        MODES, about("Act, ask first (an emergency does not wait), or only say what would be done.", is_live=True)
    ] = "auto"
    reserve_pct: Annotated[
        float, about("The safety margin: percent of the budget that is not aimed at.", least=0, most=50, is_live=True)
    ] = field(default=10.0, name="reserve")
    strategy: Annotated[STRATEGIES, about("How loads are chosen.", is_live=True)] = "marginal"
    cycle_s: Annotated[Seconds, about("Time between two cycles.", least=0.1, most=600, is_live=True)] = field(
        default=15.0, name="cycle"
    )
    poll_s: Annotated[
        Seconds, about("Time between two questions to a load; after an order it is less.", least=0.1, most=600)
    ] = field(default=15.0, name="poll")
    fallback_w: Annotated[
        Watts | None,
        about(
            "What the loads may draw together where the plant has not been heard of for plant.fail.",
            absent="nothing: all that can be switched off is",
            example=20_000.0,
        ),
    ] = field(default=None, name="fallback")
    limit_w: Annotated[
        Watts | None,
        about("What the contract or the breaker allows the site.", absent="none", example=250_000.0, is_live=True),
    ] = field(default=None, name="limit")
    follow_plan: Annotated[
        bool,
        about(
            "The budgets of the plan bound the site, and no longer cap this host; plan.max is then the site's.",
        ),
    ] = False
    unmanaged_w: Annotated[
        Watts,
        about("What draws from the same supply and cannot be steered, where no feed tells it.", is_live=True),
    ] = field(default=0.0, name="unmanaged")
    consumption: Annotated[
        CONSUMPTION_WORDS,
        about(
            "What the plant's feed tells as consumption: that of others, or of all, the managed loads too.",
            is_live=True,
        ),
    ] = "ignore"
    meter: Annotated[
        str | None,
        about(
            "The meter of the books that counts the managed loads together.",
            absent="none; they tell themselves",
            example="miners",
        ),
    ] = None
    emergency_pct: Annotated[
        float,
        about(
            "Above so many percent of the budget loads are shed at once, whatever they cost; written for a reserve of 10.",
            least=50,
            most=100,
            is_live=True,
        ),
    ] = field(default=96.0, name="emergency")
    reduce_pct: Annotated[
        float,
        about("Above so many percent loads are shed; written for a reserve of 10.", least=50, most=100, is_live=True),
    ] = field(default=92.0, name="reduce")
    deadband_pct: Annotated[
        float,
        about(
            "Loads are raised only so many percent of the budget below the target.", least=0.1, most=25, is_live=True
        ),
    ] = field(default=3.0, name="deadband")
    raise_after_s: Annotated[
        Seconds, about("Loads are raised after they were low for so long.", least=0, most=DAY_S, is_live=True)
    ] = field(default=300.0, name="raise_after")
    smooth_s: Annotated[
        Seconds, about("Raises go by the supply of late, smoothed over this.", least=1, most=DAY_S, is_live=True)
    ] = field(default=600.0, name="smooth")
    dwell_s: Annotated[
        Seconds, about("A load is not raised so soon after any change of it.", least=0, most=DAY_S, is_live=True)
    ] = field(default=900.0, name="dwell")
    ramp_w_per_min: Annotated[
        Watts | None,
        about("The most that is raised in a minute, in watts.", absent="no bound", example=20_000.0, is_live=True),
    ] = field(default=None, name="ramp")
    changes_per_hour: Annotated[
        int | None,
        about(
            "Changes of the site in an hour; no shed is held back by it.",
            least=1,
            most=1_000_000,
            absent="two for each load",
            example=100,
            is_live=True,
        ),
    ] = None
    load_changes_per_hour: Annotated[
        int,
        about("Changes of one load in an hour; no shed is held back by it.", least=1, most=3600, is_live=True),
    ] = 4
    parallel: Annotated[
        int, about("Changes on their way at one time, where nothing is urgent.", least=1, most=256, is_live=True)
    ] = 5
    stale_s: Annotated[Seconds, about("How old what a load says may be.", least=1, most=3600, is_live=True)] = field(
        default=60.0, name="stale"
    )
    rejected_s: Annotated[
        Seconds,
        about("A change that somebody rejected is not proposed again for so long.", most=DAY_S, least=0, is_live=True),
    ] = field(default=900.0, name="rejected")
    on_exit: Annotated[
        EXIT_WORDS,
        about(
            "What the daemon leaves behind: loads as they are, as they were found, or at their least. "
            "Giving back full power may be more than the plant has.",
            is_live=True,
        ),
    ] = "hold"
    load: Annotated[
        tuple[BalancedLoad, ...],
        about("Loads besides the miners that are found.", absent="none", allowed="[[balance.load]] tables"),
    ] = ()

    def __post_init__(self) -> None:
        if self.reduce_pct >= self.emergency_pct:
            raise RefusedError(
                ("reduce",), f"{self.reduce_pct:g} is not below balance.emergency", others=(("emergency",),)
            )
        if self.reduce_pct <= USUAL_TARGET_PCT:
            raise RefusedError(("reduce",), f"{self.reduce_pct:g} is not above the target of {USUAL_TARGET_PCT:g}")
        if not self.limit_w and self.limit_w is not None:
            raise RefusedError(("limit",), "is 0 W, at which nothing may run; leave it out where there is none")
        if self.stale_s < self.cycle_s:
            raise RefusedError(("stale",), "is shorter than balance.cycle", others=(("cycle",),))
        names = [load.name for load in self.load]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise RefusedError(("load", index, "name"), f"{name!r} is given twice; each load has a name of its own")
