"""`@measured`: each call of a function."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

import pytest

import jouled
from burning import burn
from jouled.measurement import Result
from undisturbed import undisturbed

pytestmark = pytest.mark.usefixtures("fake_default")


def test_without_arguments_a_line_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    @jouled.measured
    def fib(number: int) -> int:
        burn(0.001)
        return number

    assert fib(7) == 7
    assert fib.__name__ == "fib"
    line = capsys.readouterr().err
    assert ".fib: " in line
    assert line.endswith(", process, fake\n")


def test_results_go_where_they_are_wanted_also_of_calls_that_fail() -> None:
    results: list[Result] = []

    @jouled.measured("work", scope="machine", report=results.append)
    def work(is_bad: bool = False) -> None:
        burn(0.001)
        if is_bad:
            raise KeyError

    work()
    with pytest.raises(KeyError):
        work(is_bad=True)
    assert [(result.name, result.scope) for result in results] == [("work", "machine")] * 2
    assert all(result.joules for result in results)


@undisturbed
def test_recursive_calls_are_each_measured() -> None:
    results: list[Result] = []

    @jouled.measured("down", report=results.append)
    def down(depth: int) -> None:
        burn(0.002)
        if depth:
            down(depth - 1)

    down(3)
    energies = [result.joules for result in results]
    assert energies == sorted(energies)  # type: ignore[type-var]  # a fake host is always known
    assert len(energies) == 4


def test_methods_coroutines_and_generators_are_measured_to_their_end() -> None:
    results: list[Result] = []

    class Worker:
        @jouled.measured("method", report=results.append)
        def method(self) -> str:
            return "done"

        @jouled.measured("coroutine", report=results.append)
        async def coroutine(self) -> str:
            await asyncio.sleep(0.01)
            return "done"

        @jouled.measured("generator", report=results.append)
        def generator(self) -> Iterator[int]:
            burn(0.01)
            yield 1
            burn(0.01)
            yield 2

        @jouled.measured("stream", report=results.append)
        async def stream(self) -> AsyncIterator[int]:
            await asyncio.sleep(0.01)
            yield 1

    async def read() -> list[int]:
        return [item async for item in worker.stream()]

    worker = Worker()
    assert worker.method() == "done"
    assert inspect.iscoroutinefunction(Worker.coroutine)
    assert asyncio.run(worker.coroutine()) == "done"
    assert list(worker.generator()) == [1, 2]
    assert asyncio.run(read()) == [1]
    by_name: dict[str, Any] = {result.name: result for result in results}
    assert list(by_name) == ["method", "coroutine", "generator", "stream"]
    assert by_name["coroutine"].seconds >= 0.01
    assert by_name["generator"].cpu_seconds >= 0.02
    assert by_name["stream"].seconds >= 0.01


def test_what_is_sent_and_thrown_into_an_asynchronous_generator_arrives() -> None:
    results: list[Result] = []
    seen: list[object] = []

    @jouled.measured(report=results.append)
    async def steps() -> AsyncGenerator[int, str]:
        try:
            seen.append((yield 1))
            yield 2
        except KeyError as error:
            seen.append(error)
            yield 3
        finally:
            seen.append("closed")

    async def read() -> list[int]:
        made = steps()
        found = [await anext(made), await made.asend("sent"), await made.athrow(KeyError("thrown"))]
        await made.aclose()
        return found

    assert asyncio.run(read()) == [1, 2, 3]
    assert [str(one) for one in seen] == ["sent", "'thrown'", "closed"]
    assert len(results) == 1
