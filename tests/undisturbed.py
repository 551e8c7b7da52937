"""Measuring on a machine that others use, too.

A reading is of one instant and its clock of the next: whoever is sent off the processor just between them sees
a difference that is not there. That is noise of the machine, and goes when it is measured again; what the code
does wrong is wrong each time.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

TRIES = 5


def undisturbed(test: Callable[P, R]) -> Callable[P, R]:
    """A test, with its fixtures, that holds once in so many tries: only for what is compared with a clock."""
    if inspect.iscoroutinefunction(test):

        @functools.wraps(test)
        async def in_peace(*args: P.args, **kwargs: P.kwargs) -> Any:
            for _ in range(TRIES - 1):
                try:
                    return await test(*args, **kwargs)
                except AssertionError:
                    continue
            return await test(*args, **kwargs)

        return cast("Callable[P, R]", in_peace)

    @functools.wraps(test)
    def at_rest(*args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(TRIES - 1):
            try:
                return test(*args, **kwargs)
            except AssertionError:
                continue
        return test(*args, **kwargs)

    return at_rest
