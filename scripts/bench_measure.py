#!/usr/bin/env python3
"""What `jouled.measure` costs beyond reading the sensors, and what importing it does."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import jouled

ROUNDS = 7
BLOCKS = 2_000
MEASURE_MAX_US = 60.0
IMPORT_MAX_MS = 60.0


def us_each(call: Callable[[], object]) -> float:
    """Microseconds of one call: the least mean of some rounds, since whatever disturbs only adds."""
    means = []
    for _ in range(ROUNDS):
        begun_ns = time.perf_counter_ns()
        for _ in range(BLOCKS):
            call()
        means.append((time.perf_counter_ns() - begun_ns) / BLOCKS / 1e3)
    return min(means)


def block(meter: jouled.Meter, scope: str) -> Callable[[], None]:
    def run() -> None:
        with jouled.measure(scope=scope, meter=meter):  # type: ignore[arg-type]  # one of the three below
            pass

    return run


def beyond_reads_us(meter: jouled.Meter, scope: str) -> tuple[float, float]:
    """Enter and exit beyond the two sensor reads, and one read."""
    read_us = us_each(lambda: meter.read(with_load=scope == "machine"))
    return us_each(block(meter, scope)) - 2 * read_us, read_us


def import_ms(code: str) -> float:
    """Of a fresh interpreter, beyond a bare one."""

    def start_ms(code: str) -> float:
        begun_s = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return (time.perf_counter() - begun_s) * 1e3

    bare = min(start_ms("pass") for _ in range(ROUNDS))
    return min(start_ms(code) for _ in range(ROUNDS)) - bare


def main() -> None:
    for word in ("fake", "estimate"):
        meter = jouled.Meter(meters=[word])
        for scope in ("process", "thread", "machine"):
            beyond_us, read_us = beyond_reads_us(meter, scope)
            verdict = "PASS" if beyond_us <= MEASURE_MAX_US else "MISS"
            label = f"measure({scope}) on {word}, beyond reads"
            print(f"  {label:<46}{beyond_us:>8.1f} us (a read {read_us:.1f} us)  <= {MEASURE_MAX_US:.0f} us  {verdict}")
    for code in ("import jouled", "import jouled; jouled.measure; jouled.Meter"):
        cost_ms = statistics.median(import_ms(code) for _ in range(3))
        verdict = "PASS" if cost_ms <= IMPORT_MAX_MS else "MISS"
        print(f"  {code:<46}{cost_ms:>8.1f} ms  <= {IMPORT_MAX_MS:.0f} ms  {verdict}")


if __name__ == "__main__":
    main()
