"""The documents that are made from the settings say what the settings are."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jouled.config import Config, Listener, document, load, shapes, trace
from jouled.config.shapes import Key

ROOT = Path(__file__).parents[2]


def uncommented(text: str) -> str:
    return re.sub(r"^#(?=\S)", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "text"),
    [("systemd/jouled.toml", document.example()), ("docs/man/jouled.toml.5.md", document.manual())],
)
def test_the_files_are_what_the_settings_say(name: str, text: str) -> None:
    assert (ROOT / name).read_text() == text, "mend it with: python scripts/settings_documents.py --fix"


def test_every_key_says_what_it_is() -> None:
    for key in (*shapes.config_keys(), *shapes.listener_keys()):
        assert key.description.endswith("."), key.dotted
        assert shapes.allowed(key), key.dotted
    for key in shapes.fields_of(Config).values():
        assert key.description, key.name


def test_every_default_is_in_the_range_that_is_said() -> None:
    for key in (*shapes.config_keys(), *shapes.listener_keys()):
        least, most = key.extra.get("least"), key.extra.get("most")
        if least is not None and key.default is not None:
            assert least <= key.default <= most, key.dotted


def test_the_example_as_it_is_sets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "jouled.toml"
    path.write_text(document.example())
    assert load(str(path)) == Config()


def test_the_example_without_its_marks_is_every_key_and_valid(tmp_path: Path) -> None:
    path = tmp_path / "jouled.toml"
    # Both ways to say where to listen at once cannot be.
    path.write_text(uncommented(document.example().replace("#listen = ", "# listen = ")))
    config = load(str(path))
    table = tomllib.loads(path.read_text())
    for key in shapes.config_keys():
        if key.path != ("listen",):
            assert has(table, key), key.dotted
            if document.has_value(key.default):
                assert key.value_in(config) == key.default, key.dotted
    (listener,) = config.listeners
    for key in shapes.listener_keys():
        assert has(table["listen"][0], key), key.dotted
        if key.path[0] == "limits":
            assert key.value_in(listener) == key.default, key.dotted


def test_each_line_of_the_example_can_lose_its_mark_alone(tmp_path: Path) -> None:
    path = tmp_path / "jouled.toml"
    text = document.example()
    of_config = text[: text.index("#[[listen]]")]
    marks = [match.start() for match in re.finditer(r"^#(?=\S)", of_config, re.MULTILINE)]
    assert len(marks) == len([key for key in shapes.config_keys() if shapes.only_tables(key) is None])
    for at in marks:
        other = text[:at] + text[at + 1 :]
        if text.startswith("#strategies", at):  # which needs somebody who tells prices
            other = other.replace("\n#providers", "\nproviders")
        path.write_text(other)
        load(str(path))


def has(table: dict[str, Any], key: Key) -> bool:
    for step in key.path[:-1]:
        table = table[step]
    return key.name in table


# ---- schema ----


def test_the_schema_knows_every_key_and_no_other() -> None:
    definitions = json.loads(document.schema())["$defs"]

    def check(struct: type[msgspec.Struct]) -> None:
        definition = definitions[struct.__name__]
        assert definition["additionalProperties"] is False
        assert set(definition["properties"]) == set(shapes.fields_of(struct))
        for key in shapes.fields_of(struct).values():
            assert definition["properties"][key.name]["description"] == key.description
            inner = key.struct or shapes.entry_struct(key.hint)
            if inner is not None:
                check(inner)

    check(Config)


def test_the_schema_takes_quantities_as_text_and_as_numbers_and_no_null() -> None:
    text = document.schema().decode()
    properties = json.loads(text)["$defs"]["Config"]["properties"]
    interval = properties["interval"]
    assert interval["type"] == ["number", "string"]
    assert (interval["minimum"], interval["maximum"], interval["default"]) == (0.1, 60, 5)
    assert re.search(interval["pattern"], "500ms")
    assert not re.search(interval["pattern"], "5 parsecs")
    assert properties["top"]["type"] == "integer"
    assert "null" not in text


# ---- README ----


def test_the_readme_table_has_every_flag_with_its_key_and_default() -> None:
    rows = document.readme_table().splitlines()
    for key in shapes.config_keys():
        found = [row for row in rows if f"| `{key.dotted}` |" in row]
        if not key.flag:
            assert not found
            continue
        (row,) = found
        assert f"`{key.flag} {key.metavar}".rstrip().replace("|", "\\|") in row
        assert document.default_words(key) in row
    assert all(row.replace("\\|", "").count("|") == 5 for row in rows)


# ---- what is in force ----


def test_what_is_in_force_is_toml_that_gives_the_same_again(tmp_path: Path) -> None:
    path = tmp_path / "jouled.toml"
    path.write_text(
        """
        listen = ["127.0.0.1:1", { address = "b:2", tokens = ["credential:t"], tls = { cert = "c", key = "k" } }]
        top = 3
        sysfs = "/a \\"b\\" \\u007f"
        terminated = { age = "90s" }
        """
    )
    traced = trace(str(path), {"interval": "2s"}, {"JOULED_LOG_LEVEL": "error"})
    text = document.in_force(traced)
    again = tmp_path / "again.toml"
    again.write_text(text)
    config = load(str(again))
    assert config.listeners == traced.config.listeners
    assert msgspec.structs.replace(config, listen=traced.config.listen) == traced.config
    lines = [re.sub(r" +# ", " # ", line) for line in text.splitlines()]
    assert 'interval = "2s" # --interval' in lines
    assert 'level = "error" # JOULED_LOG_LEVEL' in lines
    assert f"top = 3 # {path}:3" in lines
    assert "# zones: all # default" in lines
    assert f'address = "127.0.0.1:1" # {path}:2' in lines
    assert f'tokens = ["credential:t"] # {path}:2' in lines
    assert 'head = "16KiB" # default' in lines


def test_hashes_of_secrets_are_not_shown(tmp_path: Path) -> None:
    hashed = "scrypt$16384$8$5$c2FsdHNhbHQ=$" + "a2V5" * 11
    listener = Listener(
        address="127.0.0.1:1", users={"ann": hashed, "b c": "credential:b"}, tokens=("sha256$" + "0f" * 32,)
    )
    path = tmp_path / "jouled.toml"
    path.write_text(
        f"[[listen]]\naddress = '{listener.address}'\ntokens = ['{listener.tokens[0]}']\n"
        f"users = {{ ann = '{hashed}', 'b c' = 'credential:b' }}\n"
    )
    text = document.in_force(trace(str(path)))
    assert 'users = { ann = "(hidden)", "b c" = "credential:b" }' in text
    assert 'tokens = ["(hidden)"]' in text
    assert "0f0f" not in text
    assert "a2V5" not in text
