"""What the operator may set. Each key says here, once, what help, file, schema and manual say of it."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import Struct, field

from jouled.config.about import DAY_S, YEAR_S, about
from jouled.config.address import UNIX, canonical, check_address, is_loopback
from jouled.config.balance import Balance
from jouled.config.books import Alerts, ApiSettings, Carbon, Load, Node, Redis, Store, Supplies
from jouled.config.caps import Caps
from jouled.config.hashes import password_problem, token_problem
from jouled.config.kubernetes import Kubernetes
from jouled.config.market import Market
from jouled.config.miners import Miners
from jouled.config.plan import Plan, Tariff, check_plan
from jouled.config.plant import Plant
from jouled.config.refused import RefusedError
from jouled.config.units import WATTS, Bytes, Hertz, Joules, Seconds, Watts

IDLE_POLICIES = Literal["ratio", "learned"]
METER_WORDS = Literal["auto", "rapl", "hwmon", "battery", "estimate", "fake"]
LEVEL_WORDS = Literal["process", "unit", "container", "pod", "vm", "user"]
LOG_LEVELS = Literal["debug", "info", "warning", "error"]
COMPAT_WORDS = Literal["kepler", "energy-service", "powercap"]
DETAIL_WORDS = Literal["coarse", "full"]
LOG_FORMATS = Literal["auto", "text", "json", "journal"]

USER_NAME_MAX = 256
# The extension reads these itself; known here too, so that --check-config finds what it would refuse.
FAKE_ZONE = re.compile(r"\s*[^=:]+(:[^=]+)?=\s*\d+(\.\d+)?\s*[Ww]?\s*(@\d+)?", re.ASCII)
READER = re.compile(r"@?[^@:,\s][^:,\s]*")


class Terminated(Struct, frozen=True, forbid_unknown_fields=True):
    """Workloads that have ended and are still on the page."""

    age_s: Annotated[Seconds, about("How long a workload that has ended stays on the page.", least=0, most=YEAR_S)] = (
        field(default=120.0, name="age")
    )
    max: Annotated[int, about("How many of them at most.", least=0, most=1_000_000)] = 500


class Estimate(Struct, frozen=True, forbid_unknown_fields=True):
    """The model's power per CPU, where no sensor can be read."""

    idle_w: Annotated[
        Watts | None,
        about("Power of one CPU at rest.", least=0, most=10_000, absent="by CPU family", example=1.5),
    ] = field(default=None, name="idle")
    max_w: Annotated[
        Watts | None,
        about("Power of one CPU at full load.", least=0.001, most=10_000, absent="by CPU family", example=4.0),
    ] = field(default=None, name="max")

    def __post_init__(self) -> None:
        if self.idle_w is not None and self.max_w is not None and self.idle_w > self.max_w:
            what = f"{WATTS.text(self.idle_w)} is above estimate.max {WATTS.text(self.max_w)}; swap them"
            raise RefusedError(("idle",), what, others=(("max",),))


class Fake(Struct, frozen=True, forbid_unknown_fields=True):
    """Made-up zones, for demonstrations and tests; only read by the meter `fake`."""

    zones: Annotated[
        tuple[str, ...],
        about(
            "Made-up zones and their power.",
            absent="package 40 W, dram 5 W",
            example=("package:0=40W", "dram:0=5W@1000000"),
            allowed='a list of "ZONE:INDEX=WATTS" or "ZONE:INDEX=WATTS@WRAP"',
        ),
    ] = ()
    seed: Annotated[int, about("What their noise begins with.", least=0, most=2**63 - 1)] = 0

    def __post_init__(self) -> None:
        for index, zone in enumerate(self.zones):
            if not FAKE_ZONE.fullmatch(zone):
                raise RefusedError(
                    ("zones", index), f"{zone!r} is no fake zone; write package:0=40W or dram:0=5W@1000000"
                )


class Log(Struct, frozen=True, forbid_unknown_fields=True):
    """What the daemon says."""

    level: Annotated[LOG_LEVELS, about("How much is said.", flag="--log-level", metavar="LEVEL", is_live=True)] = "info"
    format: Annotated[
        LOG_FORMATS,
        about("In which form; auto is the journal where it listens, else text.", flag="--log-format", metavar="FORMAT"),
    ] = "auto"


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    """The listener's certificate; its files are read again on reload."""

    cert: Annotated[
        str, about("File of the certificate and its chain, PEM.", example="/etc/jouled/tls.crt", allowed="a file")
    ]
    key: Annotated[str, about("File of its private key, PEM.", example="/etc/jouled/tls.key", allowed="a file")]
    client_ca: Annotated[
        str | None,
        about(
            "File of the authorities whose certificates clients must show, PEM.",
            absent="clients need none",
            example="/etc/jouled/clients.crt",
            allowed="a file",
        ),
    ] = None

    def __post_init__(self) -> None:
        for key in ("cert", "key", "client_ca"):
            path = getattr(self, key)
            if path is not None and (not path or "\0" in path):
                raise RefusedError((key,), f"{path!r} is no file; name a PEM file")


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """What one listener's clients may take."""

    connections: Annotated[int, about("Connections at once.", least=1, most=100_000)] = 256
    head_bytes: Annotated[Bytes, about("Size of a request's head.", least=1024, most=1024 * 1024)] = field(
        default=16 * 1024, name="head"
    )
    body_bytes: Annotated[Bytes, about("Size of a request's body.", least=0, most=64 * 1024 * 1024)] = field(
        default=4 * 1024 * 1024, name="body"
    )
    idle_s: Annotated[Seconds, about("How long a connection may say nothing.", least=0.01, most=DAY_S)] = field(
        default=65.0, name="idle"
    )
    request_s: Annotated[Seconds, about("How long a request may take to arrive.", least=0.01, most=3600)] = field(
        default=30.0, name="request"
    )
    send_s: Annotated[Seconds, about("How long a client may take nothing of its answer.", least=0.01, most=3600)] = (
        field(default=10.0, name="send")
    )


class Listener(Struct, frozen=True, forbid_unknown_fields=True):
    """One place to listen, and who may read what there.

    Where neither `users` nor `tokens` is given, everybody who reaches it may read.
    """

    address: Annotated[
        str, about("HOST:PORT or unix:/PATH.", example="0.0.0.0:9917", allowed='"HOST:PORT" or "unix:/PATH"')
    ]
    tls: Annotated[Tls | None, about("Its certificate.", absent="no TLS")] = None
    users: Annotated[
        dict[str, str],
        about(
            "Names and the hashes of their passwords: scrypt$..., credential:NAME or file:/PATH.",
            absent="none",
            example={"prometheus": "credential:prometheus"},
            allowed='a table of NAME = "scrypt$...", "credential:NAME" or "file:/PATH"',
        ),
    ] = {}
    tokens: Annotated[
        tuple[str, ...],
        about(
            "Hashes of bearer tokens: sha256$..., credential:NAME or file:/PATH.",
            absent="none",
            example=("credential:token",),
            allowed='a list of "sha256$...", "credential:NAME" or "file:/PATH"',
        ),
    ] = ()
    detail: Annotated[DETAIL_WORDS, about("With full, readers here are not held to [access].")] = "coarse"
    limits: Annotated[Limits, about("What its clients may take.")] = Limits()
    plaintext: Annotated[
        bool, about("Take passwords and tokens without TLS from other machines, where the network is trusted.")
    ] = False

    def __post_init__(self) -> None:
        try:
            check_address(self.address)
        except ValueError as error:
            raise RefusedError(("address",), str(error)) from None
        self._check_secrets()
        if self.tls is not None and self.address.startswith(UNIX):
            raise RefusedError(("tls",), "a Unix socket has no TLS; remove the table", others=(("address",),))
        if self.tls is not None and self.plaintext:
            raise RefusedError(("plaintext",), "it has TLS; remove plaintext or [listen.tls]", others=(("tls",),))
        has_secrets = bool(self.users or self.tokens)
        if has_secrets and self.tls is None and not self.plaintext and not is_loopback(self.address):
            raise RefusedError(
                ("users" if self.users else "tokens",),
                f"would be sent in the clear to {self.address}; add [listen.tls], or plaintext = true on a trusted network",
                others=(("address",),),
            )

    def _check_secrets(self) -> None:
        for name, secret in self.users.items():
            # A colon would end the name in an Authorization header.
            if not name or ":" in name or not name.isprintable() or len(name) > USER_NAME_MAX:
                raise RefusedError(("users", name), "is no name; it has 1 to 256 printable characters, and no colon")
            if problem := password_problem(secret):
                raise RefusedError(("users", name), problem)
        for index, secret in enumerate(self.tokens):
            if problem := token_problem(secret):
                raise RefusedError(("tokens", index), problem)


class Access(Struct, frozen=True, forbid_unknown_fields=True):
    """How finely those may read who are not privileged: energy in fine grain tells of secrets that a
    processor works with (PLATYPUS, CVE-2020-8694).
    """

    rate_hz: Annotated[
        Hertz, about("How often they may read the counters themselves.", least=0.001, most=10_000, is_live=True)
    ] = field(default=10.0, name="rate")
    resolution_j: Annotated[
        Joules, about("The grain of the energy they are told; 0 for none.", least=0, most=1000, is_live=True)
    ] = field(default=0.001, name="resolution")
    privileged: Annotated[
        tuple[str, ...],
        about(
            "Users who are not held to this on a Unix socket, and may set caps there; @NAME for a group.",
            absent="nobody",
            allowed='a list of "USER" or "@GROUP"',
            is_live=True,
        ),
    ] = ("root",)

    def __post_init__(self) -> None:
        for index, reader in enumerate(self.privileged):
            if not READER.fullmatch(reader):
                raise RefusedError(("privileged", index), f"{reader!r} is no user; write alice, or @wheel for a group")


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything the daemon is told. The file's keys are these names without their units."""

    # Below 100 ms the scans would cost more than they tell; in more than a minute the counter of a
    # large processor could wrap twice, which nobody would see.
    interval_s: Annotated[
        Seconds,
        about("Time between scans.", flag="--interval", metavar="TIME", least=0.1, most=60, is_live=True),
    ] = field(default=5.0, name="interval")
    listen: Annotated[
        tuple[str | Listener, ...],
        about(
            "Serve here; in the file an entry may also be a table, [[listen]].",
            flag="--listen",
            metavar="HOST:PORT|unix:/PATH",
            allowed='a list of "HOST:PORT", "unix:/PATH" or [[listen]] tables',
        ),
    ] = ("127.0.0.1:9917",)
    meters: Annotated[
        tuple[METER_WORDS, ...], about("What to measure with: the first that works.", flag="--meter", metavar="NAME")
    ] = ("auto",)
    zones: Annotated[
        tuple[str, ...],
        about(
            "Only these zones: package, core, uncore, dram, psys or another name of the hardware.",
            flag="--zone",
            metavar="CLASS",
            absent="all",
            example=("package", "dram"),
            allowed="a list of names",
        ),
    ] = ()
    levels: Annotated[
        tuple[LEVEL_WORDS, ...] | None,
        about(
            "Only these levels of workloads; in the file [] for none.",
            flag="--level",
            metavar="LEVEL",
            absent="all",
            example=("unit", "container"),
        ),
    ] = None
    top: Annotated[
        int | None,
        about(
            'Export only the N largest of each level, and those of them that have just ended; the rest is reason="other".',
            flag="--top",
            metavar="N",
            least=1,
            most=1_000_000,
            absent="all",
            example=20,
        ),
    ] = None
    idle: Annotated[IDLE_POLICIES, about("How idle power is told from active.", flag="--idle", metavar="POLICY")] = (
        "ratio"
    )
    compat: Annotated[
        tuple[COMPAT_WORDS, ...],
        about(
            "Serve the families of these programs too, or take the variables of powercap.",
            flag="--compat",
            metavar="WORD",
            absent="none",
            example=("kepler",),
        ),
    ] = ()
    state_dir: Annotated[
        str,
        about("Where state is kept.", flag="--state-dir", metavar="DIR", allowed="a directory"),
    ] = "/var/lib/jouled"
    sysfs: Annotated[str, about("Where sysfs is mounted.", flag="--sysfs", metavar="DIR", allowed="a directory")] = (
        "/sys"
    )
    procfs: Annotated[str, about("Where procfs is mounted.", flag="--procfs", metavar="DIR", allowed="a directory")] = (
        "/proc"
    )
    access: Annotated[Access, about("How finely those may read who are not privileged.")] = Access()
    terminated: Annotated[Terminated, about("Workloads that have ended.")] = Terminated()
    estimate: Annotated[Estimate, about("The model, where no sensor can be read.")] = Estimate()
    fake: Annotated[Fake, about("Made-up zones, for the meter fake.")] = Fake()
    log: Annotated[Log, about("What the daemon says.")] = Log()
    node: Annotated[Node, about("What this host is in the books.")] = Node()
    store: Annotated[Store, about("Where the books are kept.")] = Store()
    api: Annotated[ApiSettings, about("What one client of the API may do.")] = ApiSettings()
    carbon: Annotated[Carbon, about("Where carbon intensity comes from.")] = Carbon()
    alerts: Annotated[Alerts, about("Who is told of events.")] = Alerts()
    supplies: Annotated[Supplies, about("Batteries and UPSes that are read by themselves.")] = Supplies()
    load: Annotated[Load, about("When loads call for something, and what can do it.")] = Load()
    redis: Annotated[Redis, about("Shares the stream among several daemons.")] = Redis()
    caps: Annotated[Caps, about("Power limits: whether they are written, and what is left behind.")] = Caps()
    market: Annotated[Market, about("Where prices come from.")] = Market()
    tariff: Annotated[Tariff, about("What this site pays for a kWh.")] = Tariff()
    plan: Annotated[Plan, about("How power follows market and carbon.")] = Plan()
    plant: Annotated[Plant, about("The plant that feeds this site.")] = Plant()
    balance: Annotated[Balance, about("Keeps the site's loads within its supply.")] = Balance()
    miners: Annotated[Miners, about("Miners of this site.")] = Miners()
    kubernetes: Annotated[Kubernetes, about("Annotations of this node in a cluster.")] = Kubernetes()

    def __post_init__(self) -> None:
        for key in ("sysfs", "procfs", "state_dir"):
            directory = getattr(self, key)
            if not directory or "\0" in directory:
                raise RefusedError((key,), f"{directory!r} is no directory; name one, or leave the key out")
        for index, zone in enumerate(self.zones):
            if not zone.strip():
                raise RefusedError(("zones", index), "is empty; name a zone, or leave it out")
        if not self.meters:
            raise RefusedError(("meters",), "is empty; name one meter at least, or leave the key out")
        self._check_listen()
        check_plan(self)
        for index, load in enumerate(self.balance.load if self.balance.enabled else ()):
            if load.kind == "host" and not self.caps.enabled:
                raise RefusedError(
                    ("balance", "load", index, "kind"),
                    "host is this host's power limits, which take caps.enabled = true",
                    others=(("caps", "enabled"),),
                )

    def _check_listen(self) -> None:
        if not self.listen:
            raise RefusedError(("listen",), "is empty; give at least one HOST:PORT or unix:/PATH")
        seen = set()
        for index, entry in enumerate(self.listen):
            address = entry if isinstance(entry, str) else entry.address
            try:
                check_address(address)
            except ValueError as error:
                raise RefusedError(("listen", index), str(error)) from None
            same = canonical(address) if len(self.listen) > 1 else None
            if same is not None and same in seen:
                raise RefusedError(("listen", index), f"listen address {address!r} is given twice; give it once")
            seen.add(same)

    @property
    def listeners(self) -> list[Listener]:
        """All of `listen`, each as a table."""
        return [Listener(entry) if isinstance(entry, str) else entry for entry in self.listen]
