"""`make simulate-check`: what must hold, on all ten days that no rule was tuned on, second by second.

Prints a line for each day, then the means; exits with 1 where a promise does not hold.
"""

from __future__ import annotations

import sys
import time
from statistics import fmean

from simulated import HELD_OUT, hydro_day, outcome

OVER_MINUTES_MAX = 1.0
WORK_MIN = 1.04
CHANGES_MAX = 1 / 5
SECONDS_MAX = 10.0
HEADS = (
    "SEED",
    "OVER min",
    "WORST %",
    "WORK TH·h",
    "CHANGES",
    "WORK / +off",
    "CHANGES / +off",
    "WORK / +off-first",
    "s",
)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    say("  ".join(HEADS))
    rows = [_row(seed) for seed in HELD_OUT]
    means = [fmean(row[column] for row in rows) for column in range(8)]
    say("mean  " + _line(means))
    kept = (
        max(row[0] for row in rows) <= OVER_MINUTES_MAX,
        min(row[4] for row in rows) >= WORK_MIN,
        max(row[5] for row in rows) <= CHANGES_MAX,
        max(row[7] for row in rows) <= SECONDS_MAX,
    )
    names = ("time above the supply", "work", "changes", "24 h of 60 units in 10 s of a processor")
    for name, is_kept in zip(names, kept, strict=True):
        say(f"{name}: {'holds' if is_kept else 'DOES NOT HOLD'}")
    return 0 if all(kept) else 1


def _row(seed: int) -> tuple[float, ...]:
    day = hydro_day(seed)
    began_s = time.process_time()
    ours = outcome(day)
    took_s = time.process_time() - began_s
    theirs, first = outcome(day, "original-code+off"), outcome(day, "original-code+off-first")
    row = (
        ours.over_minutes,
        ours.worst_pct,
        ours.work_th_h,
        float(ours.changes),
        ours.work_th_h / theirs.work_th_h,
        ours.changes / theirs.changes,
        ours.work_th_h / first.work_th_h,
        took_s,
    )
    say(f"{seed:4}  {_line(row)}")
    return row


def _line(row: tuple[float, ...] | list[float]) -> str:
    over, worst, work, changes, more, fewer, first, took_s = row
    return f"{over:8.2f}  {worst:7.1f}  {work:9,.0f}  {changes:7.0f}  {more:11.4f}  {fewer:14.3f}  {first:17.4f}  {took_s:.1f}"


if __name__ == "__main__":
    sys.exit(main())
