"""What `import jouled` costs and offers."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import jouled
from undisturbed import undisturbed

EXAMPLE = """
import jouled

with jouled.measure("load", scope="thread") as m:
    pass
reveal_type(m.joules)
reveal_type(m.zones["package:0"].watts)
reveal_type(m.lap("x").seconds)

@jouled.measured
def twice(number: int) -> int:
    return 2 * number

@jouled.measured("named", report=print)
async def later(text: str) -> str:
    return text

reveal_type(twice)
reveal_type(later)
reveal_type(jouled.zones()[0].index)
reveal_type(jouled.Meter().read().zones[0].joules)
reveal_type(jouled.Sampler(0.1).samples[0].watts)
reveal_type(next(jouled.snapshots(1.0)).zones[0].watts)
reveal_type(jouled.__version__)
with jouled.cap(150, for_s=60) as cap:
    reveal_type(cap.effective_w)
jouled.measure(scope="core")
"""
TYPES = [
    '"float | None"',
    '"float | None"',
    '"float"',
    '"def (number: int) -> int"',
    '"def (text: str) -> typing.Coroutine[Any, Any, str]"',
    '"str"',
    '"float"',
    '"typing.Mapping[str, float | None]"',
    '"float | None"',
    '"str"',
    '"float | None"',
]


def best_of(count: int, code: str) -> float:
    """The least user and system time of a fresh interpreter, in seconds."""
    timed = (
        "import resource, subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {code!r}], check=True)\n"
        "t = resource.getrusage(resource.RUSAGE_CHILDREN); print(t.ru_utime + t.ru_stime)"  # finer than a tick
    )
    runs = (subprocess.run([sys.executable, "-c", timed], capture_output=True, check=True) for _ in range(count))
    return min(float(run.stdout) for run in runs)


@undisturbed
def test_the_import_costs_less_than_starting_python() -> None:
    bare = best_of(5, "pass")
    # 60 ms are promised; a bare start takes 10 to 20 ms, so that no fast machine is assumed.
    assert best_of(5, "import jouled") - bare < max(0.06, 2 * bare)
    assert best_of(5, "import jouled; jouled.measure, jouled.Meter") - bare < max(0.06, 4 * bare)


def test_the_import_loads_nothing_that_is_not_asked_for() -> None:
    code = "import sys, jouled; print(sorted(name for name in sys.modules if name.startswith('jouled')))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == (
        "['jouled']\n"
    )
    code = "import sys, jouled; jouled.measure; print({'trio', 'asyncio', 'structlog', 'rich', 'msgspec'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    for name in jouled.__all__:
        found = getattr(jouled, name)
        assert name in dir(jouled)
        if name != "__version__":
            assert found.__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'joule'"):
        _ = jouled.joule  # type: ignore[attr-defined]  # what is tested


def test_the_stub_has_the_same_names() -> None:
    stub = ast.parse((Path(jouled.__file__).parent / "__init__.pyi").read_text())
    listed = [node.value for node in stub.body if isinstance(node, ast.Assign)]
    assert sorted(ast.literal_eval(listed[0])) == sorted(jouled.__all__)


def test_the_function_is_not_hidden_by_a_module_of_its_name() -> None:
    for module in ("capping", "measurement", "meter", "export", "series", "pytest_plugin"):
        import_module(f"jouled.{module}")
    assert callable(jouled.measure)
    assert callable(jouled.zones)
    assert callable(jouled.snapshots)


def test_users_see_the_types(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed")
    assert (Path(jouled.__file__).parent / "py.typed").exists()
    (tmp_path / "example.py").write_text(EXAMPLE)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file=", "example.py"]
    environ = {"PATH": "", "MYPYPATH": str(Path(jouled.__file__).parents[1])}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environ)
    lines = [line for line in done.stdout.splitlines() if line.startswith("example.py")]
    revealed = [line.partition("Revealed type is ")[2] for line in lines if "Revealed" in line]
    assert revealed == TYPES
    errors = [line for line in lines if "error" in line]
    assert len(errors) == 1, done.stdout
    assert 'Literal["process", "thread", "machine"]' in errors[0].replace("'", '"')
