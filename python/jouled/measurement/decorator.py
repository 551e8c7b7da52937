"""`measured`: the energy of each call of a function."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, cast, overload

from jouled.measurement.block import measure
from jouled.measurement.result import Result, Scope
from jouled.meter import Meter

P = ParamSpec("P")
R = TypeVar("R")

Report = Callable[[Result], object]


def to_stderr(result: Result) -> None:
    """One line, as `str(result)` has it."""
    print(result, file=sys.stderr)  # noqa: T201  (what was asked for)


@overload
def measured(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def measured(
    name: str | None = None,
    /,
    *,
    scope: Scope = "process",
    edge: bool = False,
    meter: Meter | None = None,
    report: Report = to_stderr,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def measured(
    function: Callable[P, R] | str | None = None,
    /,
    *,
    scope: Scope = "process",
    edge: bool = False,
    meter: Meter | None = None,
    report: Report = to_stderr,
) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
    """Measures each call of a function and hands the Result to `report`: by default a line on standard error.

    `@measured` or `@measured("name", scope=..., report=results.append)`; functions, methods, coroutine
    functions and generators, recursive and in many threads. A call that raises is reported too.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        label = str(name or getattr(function, "__qualname__", repr(function)))

        def begin() -> Any:
            return _Reported(label, scope, edge, meter, report)

        return _wrapped(function, begin)

    if callable(function):
        name = None
        return decorate(function)
    name = function
    return decorate


class _Reported:
    """A measurement that is reported at its end, whatever ended it."""

    def __init__(self, name: str, scope: Scope, edge: bool, meter: Meter | None, report: Report) -> None:
        self._measurement = measure(name, scope=scope, edge=edge, meter=meter)
        self._report = report

    def __enter__(self) -> None:
        self._measurement.start()

    def __exit__(self, *error: object) -> None:
        self._report(self._measurement.stop())

    async def __aenter__(self) -> None:
        await self._measurement.__aenter__()

    async def __aexit__(self, *error: object) -> None:
        await self._measurement.__aexit__(None, None, None)
        self._report(self._measurement.result)


_END = object()


async def _stepped(step: Awaitable[Any]) -> Any:
    """What an asynchronous generator yields next, or `_END`."""
    try:
        return await step
    except StopAsyncIteration:
        return _END


def _wrapped(  # noqa: C901  (one wrapper for each kind of function)
    function: Callable[P, R], begin: Callable[[], Any]
) -> Callable[P, R]:
    """A generator's energy is all from its first step to its end, also what its reader spends between."""
    plain: Callable[..., Any] = function
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(*args: Any, **more: Any) -> Any:
            async with begin():
                return await plain(*args, **more)

        return cast(Callable[P, R], call_async)
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def iterate_async(*args: Any, **more: Any) -> Any:
            async with begin(), contextlib.aclosing(plain(*args, **more)) as steps:
                step = steps.__anext__()
                while (item := await _stepped(step)) is not _END:
                    try:
                        sent = yield item
                    except GeneratorExit:
                        raise
                    # What its reader sends or throws in is for the function, as with `yield from`.
                    except BaseException as error:  # noqa: BLE001  (passed on whatever it is)
                        step = steps.athrow(error)
                    else:
                        step = steps.asend(sent)

        return cast(Callable[P, R], iterate_async)
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def iterate(*args: Any, **more: Any) -> Any:
            with begin():
                return (yield from plain(*args, **more))

        return cast(Callable[P, R], iterate)

    @functools.wraps(function)
    def call(*args: P.args, **more: P.kwargs) -> R:
        with begin():
            return function(*args, **more)

    return call
