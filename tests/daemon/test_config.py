from __future__ import annotations

import os
from pathlib import Path

import pytest

from jouled.config import DEFAULT_PATH, FILE_BYTES_MAX, Config, Listener, find, load, shapes, split_address, trace
from jouled.errors import ConfigError

TOKEN = "sha256$" + "0f" * 32


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "jouled.toml"
    path.write_text(text)
    return str(path)


def refusal(path: str | None = None, flags: dict[str, object] | None = None, **environ: str) -> str:
    with pytest.raises(ConfigError) as raised:
        load(path, flags, environ)
    return str(raised.value)


def test_without_anything_the_defaults_hold() -> None:
    config = load()
    assert config == Config()
    assert (config.interval_s, config.listen, config.meters) == (5.0, ("127.0.0.1:9917",), ("auto",))


def test_a_flag_overrides_the_environment_that_the_file_and_the_file_the_default(tmp_path: Path) -> None:
    path = written(tmp_path, 'interval = "10s"\ntop = 50\n[log]\nlevel = "error"\nformat = "json"\n')
    config = load(
        path,
        {"interval": "2s", "log.level": None, "top": None, "listen": ()},
        {"JOULED_INTERVAL": "3s", "JOULED_LOG_LEVEL": "debug"},
    )
    assert (config.interval_s, config.top) == (2.0, 50)
    assert (config.log.level, config.log.format) == ("debug", "json")
    assert config.listen == ("127.0.0.1:9917",)


def test_every_key_of_the_file(tmp_path: Path) -> None:
    config = load(
        written(
            tmp_path,
            """
            sysfs = "/host/sys"
            procfs = "/host/proc"
            interval = "1s"
            listen = ["127.0.0.1:1", { address = "[::1]:2", detail = "full" }, "unix:/run/jouled/jouled.sock"]
            state_dir = "/tmp/state"
            meters = ["rapl", "fake"]
            zones = ["package"]
            levels = ["process", "vm"]
            top = 10
            idle = "learned"
            compat = ["kepler"]
            access = { rate = "2Hz", resolution = "1uJ", privileged = ["root", "@power"] }
            terminated = { age = "5m", max = 9 }
            estimate = { idle = 1, max = "4500mW" }
            fake = { zones = ["package:0=40W"], seed = 7 }
            log = { level = "warning", format = "journal" }
            """,
        )
    )
    assert config.listen == (
        "127.0.0.1:1",
        Listener(address="[::1]:2", detail="full"),
        "unix:/run/jouled/jouled.sock",
    )
    assert (config.access.rate_hz, config.access.resolution_j) == (2.0, 1e-6)
    assert config.access.privileged == ("root", "@power")
    assert config.terminated.age_s == 300.0
    assert (config.estimate.idle_w, config.estimate.max_w) == (1.0, 4.5)
    assert config.fake.zones == ("package:0=40W",)
    assert (config.levels, config.compat) == (("process", "vm"), ("kepler",))


def test_every_key_of_a_listener(tmp_path: Path) -> None:
    (listener,) = load(
        written(
            tmp_path,
            f"""
            [[listen]]
            address = "0.0.0.0:9917"
            users = {{ ann = "credential:ann", "b.c" = "scrypt$16384$8$5$c2FsdHNhbHQ=${"a2V5" * 11}" }}
            tokens = ["{TOKEN}", "file:/etc/jouled/token"]
            detail = "full"
            [listen.tls]
            cert = "c.pem"
            key = "k.pem"
            client_ca = "ca.pem"
            [listen.limits]
            connections = 9
            head = "8KiB"
            body = 0
            idle = "1m"
            request = "2s"
            send = 3
            """,
        )
    ).listeners
    assert listener.tls is not None
    assert (listener.tls.cert, listener.tls.key, listener.tls.client_ca) == ("c.pem", "k.pem", "ca.pem")
    assert set(listener.users) == {"ann", "b.c"}
    assert listener.tokens == (TOKEN, "file:/etc/jouled/token")
    limits = listener.limits
    assert (limits.connections, limits.head_bytes, limits.body_bytes) == (9, 8192, 0)
    assert (limits.idle_s, limits.request_s, limits.send_s) == (60.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('intervall = "5s"', 1, "intervall: unknown key; did you mean interval?"),
        ("\n[terminated]\nmaxx = 3", 3, "terminated.maxx: unknown key; did you mean terminated.max?"),
        ("[estimate]\nidle_w = 3", 2, "estimate.idle_w: unknown key; did you mean estimate.idle?"),
        ("[estimate]\nqqqq = 3", 2, "estimate.qqqq: unknown key; known keys: idle, max"),
        ('log_level = "info"', 1, "log_level: unknown key; did you mean levels or log.level?"),
        ('resolution = "1mJ"', 1, "resolution: unknown key; did you mean access.resolution?"),
        ('[[listen]]\naddress = "a:1"\n[listen.tsl]', 3, "listen[0].tsl: unknown key; did you mean listen[0].tls?"),
        ('meters = [\n  "auto",\n  "rappl",\n]', 3, "'rappl' is not known; did you mean rapl? allowed: auto, rapl"),
        ("meters = []", 1, "meters: is empty; name one meter at least"),
        ("meters = 3", 1, "meters: 3 is a whole number; allowed: any of auto, rapl, hwmon"),
        ("zones = [1979-05-27]", 1, "is a date or time; allowed: a list of names"),
        ('zones = [" "]', 1, "zones[0]: is empty; name a zone"),
        ('idle = "none"', 1, "idle: 'none' is not known; allowed: ratio, learned"),
        ('[log]\nlevel = "loud"', 2, "log.level: 'loud' is not known; allowed: debug, info, warning, error"),
        ("top = 0", 1, "top: 0 is out of range; allowed: a whole number from 1 to 1000000"),
        ('top = "5"', 1, "top: '5' is a string; allowed: a whole number from 1 to 1000000"),
        ("top = true", 1, "top: True is a boolean; allowed: a whole number"),
        ('sysfs = ""', 1, "sysfs: '' is no directory; name one"),
        ('interval = "5 parsecs"', 1, "interval: '5 parsecs' is not a duration; write \"500ms\""),
        ("interval = true", 1, "interval: True is not a duration"),
        ("interval = inf", 1, "interval: inf is not a duration"),
        ("interval = nan", 1, "interval: nan is not a duration"),
        ("interval = 0", 1, "interval: 0s is out of range; allowed: a duration from 100ms to 1m"),
        ('interval = "\u0663s"', 1, "is not a duration; write"),
        ("[access]\nresolution = '5W'", 2, "access.resolution: '5W' is not an energy"),
        ('[access]\nprivileged = ["a b"]', 2, "access.privileged[0]: 'a b' is no user; write alice, or @wheel"),
        ("[terminated]\nage = 1e300", 2, "s is out of range; allowed: a duration from 0 to a year"),
        ("[fake]\nseed = 9223372036854775808", 2, "from 0 to 9223372036854775807"),
        ('[fake]\nzones = ["package"]', 2, "'package' is no fake zone; write package:0=40W"),
        ("[estimate]\nidle = 9.0\nmax = '1W'", 2, "estimate.idle: 9W is above estimate.max 1W; swap them"),
        ("terminated = 3", 1, "terminated: 3 is a whole number; allowed: a table of age, max"),
        ("listen = []", 1, "listen: is empty; give at least one HOST:PORT or unix:/PATH"),
        ('[listen]\naddress = "a:1"', 1, 'it is a table; allowed: a list of "HOST:PORT", "unix:/PATH" or [[listen]]'),
        ('listen = ["::1:9917"]', 1, "listen[0]: listen address '::1:9917' is not HOST:PORT"),
        ('listen = ["a:1",\n"a:1"]', 2, "listen[1]: listen address 'a:1' is given twice; give it once"),
        ('listen = ["[::1]:7",\n"[0::1]:07"]', 2, "listen address '[0::1]:07' is given twice"),
        ('listen = ["unix:run"]', 1, "'unix:run' is not an absolute path; write unix:/run/jouled/jouled.sock"),
        ("[[listen]]\ndetail = 'full'", 1, "listen[0]: address is missing; add it"),
        ("[[listen]]\naddress = 'here'", 2, "listen[0].address: listen address 'here' is not HOST:PORT"),
        ("[[listen]]\naddress = 'a:1'\n[listen.tls]\ncert = 'c'", 3, "listen[0].tls: key is missing; add it"),
        (
            "[[listen]]\naddress = 'a:1'\n[listen.limits]\nhead = '1B'",
            4,
            "head: 1B is out of range; allowed: a size from",
        ),
        ("[[listen]]\naddress = 'a:1'\n[listen.limits]\nhead = 0.5", 4, "head: 0.5 is not a size; write"),
    ],
)
def test_a_mistake_names_file_line_key_and_what_is_allowed(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = written(tmp_path, text)
    said = refusal(path)
    assert said.startswith(f"{path}:{line}: ")
    assert message in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("top = ", "not valid TOML: Invalid value (at end of document)"),
        ("a = 1\nb = = 2", "not valid TOML: Invalid value (at line 2, column 5)"),
        ("top = " + "9" * 5000, "not valid TOML"),
        ("a = " + "[" * 5000, "not valid TOML"),
        ("#" * (FILE_BYTES_MAX + 1), "larger than 1048576 bytes; name the configuration of jouled"),
    ],
)
def test_what_is_no_settings_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    said = refusal(path)
    assert said.startswith(f"{path}: ")
    assert message in said


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refusal(str(tmp_path / "missing.toml")).endswith(
        "missing.toml: No such file or directory; check the path and that jouled may read it"
    )
    (tmp_path / "latin").write_bytes(b"# caf\xe9\n")
    assert "latin: not valid TOML: 'utf-8' codec can't decode" in refusal(str(tmp_path / "latin"))
    assert "embedded null byte; check the path" in refusal("a\0b")


# ---- secrets ----


@pytest.mark.parametrize(
    ("listener", "message"),
    [
        ("users = { ann = 'pa55word' }", "listen[0].users.ann: is not scrypt$N$R$P$SALT$HASH, credential:NAME"),
        (f"users = {{ ann = '{TOKEN}' }}", "is the hash of a token, which is too quick to guess"),
        ("users = { ann = 'scrypt$3$8$1$c2FsdA==$" + "a2V5" * 8 + "' }", "n=3 r=8 p=1, which is out of bounds"),
        (
            "users = { ann = 'scrypt$1048576$8$1$c2FsdA==$" + "a2V5" * 8 + "' }",
            "out of bounds; make a hash with joulectl",
        ),
        ("users = { ann = 'scrypt$16384$8$1$c2FsdA==$a2V5' }", "a salt or hash of a wrong length"),
        ("users = { ann = 'scrypt$16384$8$1$c2FsdA=$" + "a2V5" * 8 + "' }", "a salt or hash of a wrong length"),
        ("users = { ann = 'credential:..' }", "make a hash with joulectl hash-secret"),
        ("users = { ann = 'file:relative' }", "make a hash with joulectl hash-secret"),
        ("users = { 'a:b' = 'credential:ann' }", "listen[0].users.a:b: is no name; it has 1 to 256"),
        ("users = { ann = 55 }", "it is a table; allowed: a table of NAME ="),
        (
            "tokens = ['pa55word']",
            "listen[0].tokens[0]: is not sha256$HEX, credential:NAME or file:/PATH; make a token",
        ),
        ("tokens = ['credential:a/b']", "listen[0].tokens[0]: is not sha256$HEX"),
    ],
)
def test_a_secret_that_is_no_hash_is_refused_and_never_shown(tmp_path: Path, listener: str, message: str) -> None:
    path = written(tmp_path, f"[[listen]]\naddress = '127.0.0.1:1'\n{listener}\n")
    said = refusal(path)
    assert said.startswith(f"{path}:3: ")
    assert message in said
    assert "pa55word" not in said


@pytest.mark.parametrize(
    ("listener", "line", "message"),
    [
        ("address = 'unix:/a'\ntls = { cert = 'c', key = 'k' }", 3, "tls: a Unix socket has no TLS; remove the table"),
        (
            "address = '0.0.0.0:1'\ntokens = ['credential:t']",
            3,
            "would be sent in the clear to 0.0.0.0:1; add [listen.tls]",
        ),
        (
            "address = 'node:1'\nusers = { a = 'credential:t' }",
            3,
            "listen[0].users: would be sent in the clear to node:1",
        ),
        ("address = 'node:1'\nplaintext = true\ntls = { cert = 'c', key = 'k' }", 3, "it has TLS; remove plaintext"),
        ("address = 'node:1'\ntls = { cert = '', key = 'k' }", 3, "tls.cert: '' is no file; name a PEM file"),
        (f"address = 'unix:/{'a' * 107}'", 2, "has 108 bytes; the kernel takes 107"),
    ],
)
def test_what_does_not_go_together_on_a_listener_is_refused(
    tmp_path: Path, listener: str, line: int, message: str
) -> None:
    path = written(tmp_path, f"[[listen]]\n{listener}\n")
    said = refusal(path)
    assert said.startswith(f"{path}:{line}: ")
    assert message in said


@pytest.mark.parametrize(
    "listener",
    [
        "address = '127.0.0.1:1'\ntokens = ['credential:t']",
        "address = '[::1]:1'\ntokens = ['credential:t']",
        "address = 'localhost:1'\ntokens = ['credential:t']",
        "address = 'unix:/run/jouled/jouled.sock'\ntokens = ['credential:t']",
        "address = '0.0.0.0:1'\ntokens = ['credential:t']\nplaintext = true",
        "address = '0.0.0.0:1'\ntokens = ['credential:t']\ntls = { cert = 'c', key = 'k' }",
        "address = '0.0.0.0:1'",
    ],
)
def test_what_goes_together_on_a_listener_is_taken(tmp_path: Path, listener: str) -> None:
    assert len(load(written(tmp_path, f"[[listen]]\n{listener}\n")).listeners) == 1


# ---- the environment ----


def test_each_key_has_a_variable_of_its_own() -> None:
    variables = [key.variable for key in shapes.config_keys()]
    assert len(set(variables)) == len(variables)
    assert {"JOULED_INTERVAL", "JOULED_LOG_LEVEL", "JOULED_ESTIMATE_IDLE", "JOULED_STATE_DIR"} <= set(variables)


def test_the_environment_sets_lists_numbers_and_quantities() -> None:
    config = load(
        environ={
            "JOULED_LISTEN": "127.0.0.1:9917, unix:/run/jouled/jouled.sock",
            "JOULED_ESTIMATE_IDLE": "2W",
            "JOULED_TERMINATED_MAX": "7",
            "JOULED_ACCESS_PRIVILEGED": "root,@power",
            "JOULED_TOP": "",
            "PATH": "/bin",
        }
    )
    assert config.listen == ("127.0.0.1:9917", "unix:/run/jouled/jouled.sock")
    assert (config.estimate.idle_w, config.terminated.max, config.top) == (2.0, 7, None)
    assert config.access.privileged == ("root", "@power")


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("JOULED_INTERVAL", "soon", "JOULED_INTERVAL: 'soon' is not a duration; write"),
        ("JOULED_INTERVALL", "5s", "JOULED_INTERVALL: unknown variable; did you mean JOULED_INTERVAL?"),
        ("JOULED_QQQQQQQQQQQQQ", "", "JOULED_QQQQQQQQQQQQQ: unknown variable; joulectl config default names"),
        ("JOULED_TOP", "many", "JOULED_TOP: 'many' is not a whole number; allowed: a whole number from 1 to"),
        ("JOULED_TOP", "-1", "JOULED_TOP: -1 is out of range; allowed: a whole number from 1 to 1000000"),
        ("JOULED_METERS", "rapl,rappl", "JOULED_METERS: 'rappl' is not known; did you mean rapl?"),
        ("JOULED_LISTEN", "here", "JOULED_LISTEN: listen address 'here' is not HOST:PORT"),
        ("JOULED_SYSFS", "a\0b", "JOULED_SYSFS: 'a\\x00b' is no directory"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(variable: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(environ={variable: text})
    assert str(raised.value).startswith(message)


def test_variables_of_the_client_and_of_kubernetes_are_left_alone() -> None:
    others = {
        "JOULED_URL": "unix:/x",
        "JOULED_TOKEN": "t",
        "JOULED_CONFIG": "/x",
        # Of a Kubernetes service named jouled, in every pod of its namespace.
        "JOULED_SERVICE_HOST": "10.0.0.1",
        "JOULED_SERVICE_PORT": "9917",
        "JOULED_SERVICE_PORT_HTTP": "9917",
        "JOULED_PORT": "tcp://10.0.0.1:9917",
        "JOULED_PORT_9917_TCP_ADDR": "10.0.0.1",
    }
    assert load(environ=others) == Config()


# ---- blame ----


def test_a_mistake_in_a_flag_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "top = 1")
    assert refusal(path, {"interval": "soon"}).startswith("--interval: 'soon' is not a duration")


def test_what_does_not_go_together_is_blamed_on_whoever_said_the_last_of_it(tmp_path: Path) -> None:
    path = written(tmp_path, "[estimate]\nidle = 9")
    said = refusal(path, JOULED_ESTIMATE_MAX="1W")
    assert said == "JOULED_ESTIMATE_MAX: estimate.idle: 9W is above estimate.max 1W; swap them"


def test_every_value_knows_where_it_comes_from(tmp_path: Path) -> None:
    path = written(tmp_path, 'top = 3\n[log]\nlevel = "error"\nformat = "json"\n[[listen]]\naddress = "a:1"\n')
    traced = trace(path, {"top": "5"}, {"JOULED_LOG_LEVEL": "debug"})
    assert traced.origin(("top",)) == "--top"
    assert traced.origin(("log", "level")) == "JOULED_LOG_LEVEL"
    assert traced.origin(("log", "format")) == f"{path}:4"
    assert traced.origin(("listen", 0, "address")) == f"{path}:6"
    assert traced.origin(("interval",)) == "default"


def test_an_address_named_again_by_flag_or_variable_keeps_its_access_rules(tmp_path: Path) -> None:
    path = written(
        tmp_path, '[[listen]]\naddress = "127.0.0.1:1"\ntokens = ["credential:t"]\n[[listen]]\naddress = "b:2"\n'
    )
    for config in (
        load(path, {"listen": ("c:3", "127.0.0.1:1")}),
        load(path, None, {"JOULED_LISTEN": "c:3,127.0.0.1:1"}),
    ):
        assert config.listeners == [Listener(address="c:3"), Listener(address="127.0.0.1:1", tokens=("credential:t",))]
    traced = trace(path, {"listen": ("c:3", "127.0.0.1:1")})
    assert traced.origin(("listen",)) == "--listen"
    assert traced.origin(("listen", 1, "tokens")) == f"{path}:3"


@pytest.mark.parametrize("spelled", ["[0:0::1]:1", "[::0001]:01"])
def test_an_address_in_another_spelling_is_the_same_address(tmp_path: Path, spelled: str) -> None:
    path = written(tmp_path, '[[listen]]\naddress = "[::1]:1"\ntokens = ["credential:t"]\n')
    assert load(path, {"listen": (spelled,)}).listeners == [Listener(address="[::1]:1", tokens=("credential:t",))]


# ---- which file ----


def test_the_usual_file_is_read_where_it_is_and_no_other_is_named(tmp_path: Path) -> None:
    usual = written(tmp_path, "top = 1")
    absent = str(tmp_path / "absent.toml")
    below_a_file = f"{usual}/jouled.toml"
    assert find(None, {}, usual) == usual
    assert find(None, {}, absent) is None
    assert find(None, {}, below_a_file) is None
    assert find(None, {"JOULED_CONFIG": "other.toml"}, usual) == "other.toml"
    assert find("flag.toml", {"JOULED_CONFIG": "other.toml"}, usual) == "flag.toml"
    assert find("", {"JOULED_CONFIG": "other.toml"}, usual) is None
    assert find(None, {"JOULED_CONFIG": ""}, usual) is None
    assert DEFAULT_PATH == "/etc/jouled/jouled.toml"


def test_a_usual_file_that_cannot_be_looked_at_is_refused_not_ignored(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    found = find(None, {}, str(loop))
    assert found == str(loop)
    assert f"{os.strerror(40)}; check the path" in refusal(found)


# ---- addresses ----


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1:9917", ("127.0.0.1", 9917)), ("[::1]:0", ("::1", 0)), ("node.example:80", ("node.example", 80))],
)
def test_addresses(address: str, expected: tuple[str, int]) -> None:
    assert split_address(address) == expected


@pytest.mark.parametrize(
    "address", ["", ":9917", "9917", "host", "host:", "host:http", "host:65536", "host:" + "0" * 5000, "[]:1", "[::1]"]
)
def test_what_is_not_an_address(address: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        split_address(address)


def test_port_0_may_be_asked_for_more_than_once() -> None:
    assert len(load(None, {"listen": ("127.0.0.1:0", "127.0.0.1:0")}).listeners) == 2
