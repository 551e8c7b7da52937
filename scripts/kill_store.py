"""kill -9 while the store is written, again and again: what was acknowledged is there, once, and the books are sound.

python scripts/kill_store.py [--rounds 20] [--engine sqlite|postgresql] [--threads 8] [--seed 1]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import killing


def main() -> None:
    parser = argparse.ArgumentParser(description="kill -9 the store's writer, and look what is left")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--engine", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--threads", type=int, default=killing.THREADS)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    for engine in asked.engine or ["sqlite", "postgresql"]:
        with tempfile.TemporaryDirectory() as folder:
            if engine == "sqlite":
                url = f"sqlite:///{folder}/killed.sqlite"
            else:
                from stores import shared_postgres

                url = shared_postgres().address(shared_postgres().create())
            rounds = killing.run(url, asked.rounds, asked.seed, asked.threads)
        writes, seconds = sum(each.acknowledged for each in rounds), sum(each.seconds for each in rounds)
        print(
            f"{engine}: {len(rounds)} kills, {writes:,} acknowledged writes ({writes / seconds:,.0f}/s), "
            f"none lost, none doubled, check clean (seed {asked.seed})"
        )


if __name__ == "__main__":
    main()
