"""What plants' feeds say, as bytes, and the reading that follows; or the error that names what to mend."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answering import answering
from jouled.balance.site.supply import Reading
from jouled.config.plant import Plant, Pointers
from jouled.errors import ConfigError
from jouled.http import AnswerError, BusyError, MissingError, QuestionError, TroubleError, UnreachableError
from jouled.signals.plant import aggregator, pointed
from jouled.signals.plant.file import FileReading, parsed
from jouled.signals.plant.http_json import HttpJson
from jouled.signals.plant.mock import Mock
from jouled.signals.plant.protocol import Secrets
from jouled.signals.plant.registry import open_source, secrets_of

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
POINTERS = Pointers(generation="/plant/kw", timestamp="/plant/at")


def source(value: float | None, at: str | None = "2026-03-04T12:00:00Z", status: str = "success") -> dict[str, Any]:
    return {"source_timestamp": at, "status": status, "value_mw": value}


def answer(**parts: Any) -> bytes:
    reading = {
        "id": 7,
        "plant_id": "hydro-1",
        "collection_timestamp": "2026-03-04T12:00:01Z",
        "generation": {"turbine-1": source(90.0), "turbine-2": source(60.0)},
        "consumption": {"container-1": source(20.0)},
        "totals": {"generation_mw": 150.0, "consumption_mw": 20.0, "exported_mw": 5.0},
        "trust": {"confidence_score": 0.97, "status": "trusted", "summary": "fine"},
    }
    return json.dumps({"reading": {**reading, **parts}}).encode()


def read(body: bytes, unit: str = "kW") -> Reading:
    return aggregator.parse(body, "GET http://x", plant="hydro-1", unit=unit)


def test_the_whole_of_an_answer_is_read() -> None:
    assert read(answer()) == Reading(
        generation_w=150_000.0,
        sourced_at=NOW,
        consumption_w=20_000.0,
        exported_w=5_000.0,
        confidence=0.97,
        id="7",
        sources=(
            ("generation", "turbine-1", 90_000.0),
            ("generation", "turbine-2", 60_000.0),
            ("consumption", "container-1", 20_000.0),
        ),
        collected_at=NOW + timedelta(seconds=1),
    )


@pytest.mark.parametrize(("unit", "power_w"), [("W", 150.0), ("kW", 150_000.0), ("MW", 150_000_000.0)])
def test_what_value_mw_means_is_for_the_settings_to_say(unit: str, power_w: float) -> None:
    assert read(answer(), unit).generation_w == power_w


def test_the_oldest_of_the_sources_and_the_collection_is_its_time_in_any_zone() -> None:
    times = {"a": source(90.0, "2026-03-04T12:59:30+01:00"), "b": source(60.0, "2026-03-04T14:00:00+02:00")}
    assert read(answer(generation=times)).sourced_at == NOW - timedelta(seconds=30)
    assert read(answer(collection_timestamp="2026-03-04T11:00:00Z")).sourced_at == NOW - timedelta(hours=1)


def test_sources_that_are_far_from_the_collection_are_said() -> None:
    old = {"a": source(90.0, "2026-03-04T11:50:00Z"), "b": source(60.0)}
    reading = read(answer(generation=old))
    assert reading.sourced_at == NOW - timedelta(minutes=10)
    assert reading.notes == ("its sources are up to 601 s apart from its collection: the oldest time counts",)


@pytest.mark.parametrize(
    ("broken", "note"),
    [
        (source(60.0, status="timeout"), "b is left out: its status is timeout"),
        (source(None), "b is left out: it has no value"),
        (source(60.0, None), "b is left out: nobody knows from when it is"),
    ],
)
def test_a_source_that_was_not_read_is_left_out_and_said(broken: dict[str, Any], note: str) -> None:
    reading = read(answer(generation={"a": source(90.0), "b": broken}))
    assert reading.generation_w == 90_000.0
    assert reading.notes == (note,)


def test_of_the_sum_and_its_own_total_the_lower_generation_and_the_higher_consumption_count() -> None:
    totals = {"generation_mw": 120.0, "consumption_mw": 40.0}
    reading = read(answer(totals=totals))
    assert (reading.generation_w, reading.consumption_w) == (120_000.0, 40_000.0)
    assert "the lower one counts" in reading.notes[0]
    assert read(answer(totals={"generation_mw": 150.5})).generation_w == 150_000.0


def test_without_sources_its_total_counts_and_the_time_of_its_collection() -> None:
    reading = read(answer(generation={}, consumption=None))
    assert (reading.generation_w, reading.sourced_at) == (150_000.0, NOW + timedelta(seconds=1))


def test_what_it_does_not_tell_is_not_zero() -> None:
    reading = read(answer(consumption=None, totals=None, trust=None, id=None))
    assert (reading.consumption_w, reading.exported_w, reading.confidence, reading.id) == (None, None, None, None)
    failed = read(answer(consumption={"container-1": source(20.0, status="error")}, totals=None))
    assert failed.consumption_w is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not the answer"),
        (b"null", "not the answer"),
        (b"<html>", "a page for browsers"),
        (b'{"reading":null}', "not the answer"),
        (b'{"reading":{"plant_id":"hydro-2"}}', "is of plant 'hydro-2'"),
        (answer(generation={}, totals=None), "tells no generation"),
        (answer(generation={"a": source(9.0, status="error")}), "none of its sources"),
        (answer(generation={"a": source(9.0, "2026-03-04T12:00:00")}), "has no zone"),
        (answer(generation={"a": source(9.0, "yesterday")}), "is no time"),
        (answer(generation={"a": {"value_mw": "9"}}), "not the answer"),
        (answer(generation={str(n): source(1.0) for n in range(300)}), "300 sources are more"),
        (answer(generation={}, consumption=None, collection_timestamp=None), "from when it is"),
        (b"[" * 100_000, "not the answer"),
    ],
)
def test_an_answer_that_is_none_is_refused_whole(body: bytes, words: str) -> None:
    with pytest.raises(AnswerError, match=words) as caught:
        read(body)
    assert len(str(caught.value)) < 600


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["reading", "generation", "totals", "trust", "plant", "kw", "at"]), inner)
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_a_feed_sends_is_a_reading_or_an_error_of_its_own(body: bytes) -> None:
    for parse in (
        lambda: read(body),
        lambda: pointed.parse(body, "x", POINTERS, "kW"),
        lambda: parsed(body, "x", Pointers(), "kW", NOW),
        lambda: parsed(body, "x", POINTERS, "kW", NOW),
    ):
        try:
            found: Reading = parse()  # type: ignore[no-untyped-call]  # of this file
        except AnswerError:
            continue
        assert found.sourced_at.tzinfo is not None


def pointed_at(document: Any, **pointers: str) -> Reading:
    body = json.dumps({"plant": {"kw": 80.0, "at": "2026-03-04T12:00:00Z"}, **document}).encode()
    return pointed.parse(body, "x", Pointers(generation="/plant/kw", timestamp="/plant/at", **pointers), "kW")


def test_everything_is_found_where_the_pointers_say() -> None:
    document = {"draws": [1, {"a/b": 20.5}], "out": "5", "trust": 0.9, "ups": "ON", "n": 12}
    pointers = {
        "consumption": "/draws/1/a~1b",
        "exported": "/out",
        "confidence": "/trust",
        "battery": "/ups",
        "id": "/n",
    }
    assert pointed_at(document, **pointers) == Reading(
        80_000.0, NOW, consumption_w=20_500.0, exported_w=5_000.0, confidence=0.9, id="12", is_on_battery=True
    )


def test_what_is_null_or_not_there_is_not_known() -> None:
    reading = pointed_at(
        {"draws": None, "list": [1]}, consumption="/draws", exported="/nowhere/at/all", confidence="/list/7"
    )
    assert (reading.consumption_w, reading.exported_w, reading.confidence) == (None, None, None)


def test_without_pointers_a_file_or_a_message_names_things_as_the_settings_do() -> None:
    body = b'{"generation":80,"timestamp":"2026-03-04T11:59:00Z","battery":true,"consumption":null}\n'
    expected = Reading(80_000.0, NOW - timedelta(minutes=1), is_on_battery=True)
    assert parsed(body, "f", Pointers(), "kW", NOW) == expected
    assert pointed.parse(body, "m", Pointers(), "kW", NOW) == expected
    assert pointed.parse(b'{"generation":80}', "m", Pointers(), "kW", NOW) == Reading(80_000.0, NOW)
    with pytest.raises(AnswerError, match="generation: there is nothing"):
        pointed.parse(b'{"kw":80}', "m", Pointers(), "kW", NOW)


@pytest.mark.parametrize("at", [1772625600, 1772625600000, "1772625600.00", 1772625600.0])
def test_seconds_and_milliseconds_since_1970_are_times(at: object) -> None:
    body = json.dumps({"plant": {"kw": 80, "at": at}}).encode()
    assert pointed.parse(body, "x", POINTERS, "kW").sourced_at == NOW


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"plant": {"at": "2026-03-04T12:00:00Z"}}, "generation: there is nothing"),
        ({"plant": {"kw": "much", "at": "2026-03-04T12:00:00Z"}}, "generation: 'much' is no number"),
        ({"plant": {"kw": True, "at": "2026-03-04T12:00:00Z"}}, "generation: 'True' is no number"),
        ({"plant": {"kw": 80}}, "timestamp: there is nothing"),
        ({"plant": {"kw": 80, "at": "2026-03-04T12:00:00"}}, "has no zone"),
        ({"plant": {"kw": 80, "at": True}}, "is no time"),
        ({"plant": {"kw": 80, "at": {}}}, "is no time"),
        ({"plant": {"kw": 80, "at": 12}}, "is no time"),
        ({"plant": {"kw": 80, "at": "nan"}}, "is no time"),
    ],
)
def test_what_is_not_as_the_pointers_say_names_the_pointer(document: Any, words: str) -> None:
    with pytest.raises(AnswerError, match=words):
        pointed.parse(json.dumps(document).encode(), "x", POINTERS, "kW")


@pytest.mark.parametrize("document", [{}, {"ups": None}, {"ups": "perhaps"}, {"ups": 7}])
def test_a_battery_that_is_to_be_told_and_is_not_makes_no_reading(document: Any) -> None:
    with pytest.raises(AnswerError, match="battery"):
        pointed_at(document, battery="/ups")


@pytest.mark.parametrize(
    ("text", "power_w", "at"),
    [
        ("80.5\n", 80_500.0, NOW),
        ("2026-03-04T11:59:00Z,80\n", 80_000.0, NOW - timedelta(minutes=1)),
        ("# by hand\n2026-03-04T11:58:00Z,70\n2026-03-04T11:59:00Z,80\n", 80_000.0, NOW - timedelta(minutes=1)),
        ("generation,timestamp,confidence\n80,1772625540,0.9\n", 80_000.0, NOW - timedelta(minutes=1)),
        ("\ufeffTimestamp, Generation\r\n2026-03-04T11:59:00Z, 80\r\n", 80_000.0, NOW - timedelta(minutes=1)),
    ],
)
def test_lines_of_a_file_are_read_and_the_last_one_counts(text: str, power_w: float, at: datetime) -> None:
    reading = parsed(text.encode(), "f", Pointers(), "kW", NOW)
    assert (reading.generation_w, reading.sourced_at) == (power_w, at)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "80",
        "2026-03-04T11:59:00Z,8",
        "# nothing\n",
        "generation\n",
        "a,b,c\n",
        "much\n",
        "timestamp,generation\n1\n",
    ],
)
def test_a_file_that_is_being_written_or_holds_none_is_refused(text: str) -> None:
    with pytest.raises(AnswerError):
        parsed(text.encode(), "f", Pointers(), "kW", NOW)


async def test_a_file_is_read_whether_it_is_written_in_place_or_moved_there(tmp_path: Path) -> None:
    file = tmp_path / "reading.json"
    feed = FileReading(file, POINTERS, "kW")
    with pytest.raises(UnreachableError, match=r"check plant\.file"):
        await feed.fetch(NOW)
    file.write_text(json.dumps({"plant": {"kw": 80, "at": "2026-03-04T12:00:00Z"}}))
    assert (await feed.fetch(NOW)).generation_w == 80_000.0
    other = tmp_path / "other"
    other.write_text(json.dumps({"plant": {"kw": 70, "at": "2026-03-04T12:00:05Z"}}))
    other.rename(file)
    assert (await feed.fetch(NOW)).generation_w == 70_000.0
    file.write_text('{"plant": {"kw": 7')
    with pytest.raises(AnswerError):
        await feed.fetch(NOW)
    file.write_text("x" * 300_000)
    with pytest.raises(AnswerError, match="leave only the latest reading"):
        await feed.fetch(NOW)


async def test_when_a_file_was_written_is_its_time_only_where_it_holds_none(tmp_path: Path) -> None:
    file = tmp_path / "reading"
    file.write_text("80\n")
    os.utime(file, (NOW.timestamp() - 90, NOW.timestamp() - 90))
    assert (await FileReading(file, Pointers(), "kW").fetch(NOW)).sourced_at == NOW - timedelta(seconds=90)
    file.write_text("2026-03-04T11:00:00Z,80\n")
    assert (await FileReading(file, Pointers(), "kW").fetch(NOW)).sourced_at == NOW - timedelta(hours=1)


async def test_a_pipe_or_a_folder_in_place_of_a_file_is_no_trap(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(UnreachableError):
            await FileReading(path, Pointers(), "kW").fetch(NOW)


@pytest.mark.parametrize(
    ("user", "secrets", "header"),
    [
        (None, Secrets(), None),
        (None, Secrets(key="a-key"), "Bearer a-key"),
        ("ann", Secrets(password="a-password"), "Basic YW5uOmEtcGFzc3dvcmQ="),
    ],
)
async def test_a_feed_is_asked_as_nobody_with_a_key_or_with_a_password(
    user: str | None, secrets: Secrets, header: str | None
) -> None:
    with answering() as server:
        server.tell("/now", json.dumps({"plant": {"kw": 80, "at": "2026-03-04T12:00:00Z"}}).encode())
        feed = HttpJson(f"{server.url}/now?site=3", POINTERS, "kW", secrets, user=user)
        assert (await feed.fetch(NOW)).generation_w == 80_000.0
        await feed.aclose()
        assert server.asked[0].headers.get("authorization") == header
        assert server.asked[0].query == {"site": "3"}


@pytest.mark.parametrize(
    ("status", "kind", "fix"),
    [
        (404, MissingError, "check plant.url and plant.id"),
        (400, QuestionError, "check plant.id and plant.url"),
        (301, QuestionError, "set plant.url"),
        (429, BusyError, "make plant.poll longer"),
        (503, TroubleError, "it is asked again"),
        (202, AnswerError, "without a reading"),
    ],
)
async def test_each_refusal_says_what_to_set(status: int, kind: type[Exception], fix: str) -> None:
    with answering() as server:
        server.tell("/now", b'{"error":"a-key is not what it was"}', status, headers={"location": "http://elsewhere/"})
        feed = HttpJson(f"{server.url}/now", POINTERS, "kW", Secrets(key="a-key"))
        with pytest.raises(kind, match=fix) as caught:
            await feed.fetch(NOW)
        await feed.aclose()
        assert "a-key" not in str(caught.value)
        assert len(server.asked) == 1


async def test_the_mock_is_the_same_for_a_seed_and_within_what_is_rated() -> None:
    one, same, other = Mock(50_000.0, 3), Mock(50_000.0, 3), Mock(50_000.0, 4)
    day = [NOW + timedelta(minutes=10 * step) for step in range(144)]
    powers_w = [(await one.fetch(at)).generation_w for at in day]
    assert powers_w == [(await same.fetch(at)).generation_w for at in day]
    assert powers_w != [(await other.fetch(at)).generation_w for at in day]
    assert 15_000 < min(powers_w) < 30_000 < max(powers_w) < 50_000


def test_keys_come_from_where_the_settings_point_and_are_never_shown(tmp_path: Path) -> None:
    (tmp_path / "plant").write_text("a-key-of-the-plant\n")
    settings = Plant(kind="aggregator", url="https://x", id="hydro-1", unit="kW", key="credential:plant")
    kept = secrets_of(settings, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert kept.key == "a-key-of-the-plant"
    made = open_source(settings, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert "a-key" not in repr(kept) + repr(made) + made.where
    with pytest.raises(ConfigError, match=r"^plant\.key: credential:plant: systemd has handed over no credentials"):
        secrets_of(settings, {})
    for bad in ("", "two\nlines"):
        (tmp_path / "plant").write_text(bad)
        with pytest.raises(ConfigError, match=r"^plant\.key: "):
            secrets_of(settings, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
