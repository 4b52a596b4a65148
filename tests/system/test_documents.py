"""Every command and every code block of the documents does what is written there, on the stack that `make up` starts.

What cannot be run here is checked as far as it goes, and `NOT_RUN` says why.
"""

import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.system.documents import Command, blocks, commands, lines_not_shown, pattern_of
from tests.system.stack import ROOT, Stack, running_stack, wait_until

#: What blocks there are, and who runs them: ``http`` and ``ws`` tests/integration/test_documented.py, ``js`` the
#: browser's tests, ``python`` this file and tests/integration/test_client.py. ``text`` is nothing to run.
KINDS = {"console", "console from another moment", "python", "js", "http", "ws", "text"}
SECONDS = 60
#: A line of what is shown that is typed.
TYPED = "> "

#: Where commands find the stack: a variable, its form, the default port.
PLACES = {
    "REST_PORT": ("{}", 8080),
    "WS_PORT": ("{}", 3004),
    "KAFKA_BROKERS": ("127.0.0.1:{}", 9092),
    "REDIS_URL": ("redis://127.0.0.1:{}/0", 6379),
    "MONGO_URI": ("mongodb://127.0.0.1:{}", 27017),
}

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """What `make up` starts, with a history of four hours."""
    with running_stack("documents", 2_200) as stack:
        wait_until("the market has caught up", lambda: httpx.get(f"{stack.rest_url}/health").is_success, seconds=120)
        yield stack


@pytest.fixture(scope="module")
def environment(stack: Stack) -> dict[str, str]:
    """What makes commands find that stack, as the documents say."""
    return {
        **os.environ,
        **stack.environment,
        **{name: address.format(stack.port(default)) for name, (address, default) in PLACES.items()},
        "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "200",
    }


def here(text: str, stack: Stack) -> str:
    """A command or address of the documents, for this stack's ports and folders."""
    text = re.sub(r"\.venv/bin/", f"{ROOT / '.venv' / 'bin'}/", text)
    return re.sub(
        r"((?:localhost|127\.0\.0\.1):)(8080|3004)\b", lambda found: found[1] + str(stack.port(int(found[2]))), text
    )


def run(text: str, environment: dict[str, str], folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a command in bash."""
    return subprocess.run(
        ["bash", "-c", text],
        cwd=ROOT if text.startswith("make ") else folder,
        # `make` has them from ``PORT_OFFSET``, and would take services that are named for the user's own.
        env={name: value for name, value in environment.items() if name not in PLACES}
        if text.startswith("make ")
        else environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where commands write what they write, one after the other."""
    return tmp_path_factory.mktemp("documents")


# -- what cannot be run, and what is checked instead ------------------------------------------------------------------


def is_understood_by_make(command: Command, environment: dict[str, str], folder: Path) -> None:
    """It would test everything within a test, break everything, or take pictures: only the words are looked at.

    Not even ``make -n``: that would run the lines which call make once more.
    """
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    words = shlex.split(command.text)
    for word in words[words.index("make") + 1 :]:
        name, is_setting, _ = word.partition("=")
        assert (f"$({name})" if is_setting else f"\n{name}:") in makefile


def has_a_configuration(command: Command, environment: dict[str, str], folder: Path) -> None:
    """It would follow a real exchange: whether that is a configuration is asked of the program that follows."""
    settings = " ".join(shlex.split(command.text)[:-2])
    checked = run(f"{settings} python -m ingest check-config", environment, folder)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def has_its_services(command: Command, environment: dict[str, str], folder: Path) -> None:
    """There is no container engine where tests run: the file has what the command names."""
    assert (ROOT / "docker-compose.yml").exists()
    for name in re.findall(r"--scale (\S+)=|exec (\S+)", command.text):
        assert f"\n  {''.join(name)}:" in (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


def knows_its_options(command: Command, environment: dict[str, str], folder: Path) -> None:
    """It takes minutes: the program is there and has the options."""
    words = shlex.split(command.text)
    module = words[words.index("-m", words.index("run") if "run" in words else 0) + 1]
    helped = run(f"python -m {module} --help", environment | {"PYTHONPATH": str(ROOT)}, folder)
    assert helped.returncode == 0, helped.stderr
    assert [word for word in words if word.startswith("--") and word not in helped.stdout] == []


Check = Callable[[Command, dict[str, str], Path], None]
#: A pattern of the command to what is checked instead of running it.
NOT_RUN: dict[str, Check] = {
    r"(\w+=\S+ )*make (test|chaos|screenshots|check)\b": is_understood_by_make,
    r"(\w+=\S+ )+make up$": has_a_configuration,
    r"docker compose ": has_its_services,
    r".*-m tests\.": knows_its_options,
}
#: Those that go on for ever: ended by Ctrl-C as soon as what is shown has come.
FOREVER = (r"\S*python -m web (tail|top)\b", r"\S*websockets ", r"python -m workers lag --watch")


def is_one_of(text: str, patterns: tuple[str, ...]) -> bool:
    return any(re.match(pattern, text) for pattern in patterns)


# -- tests ------------------------------------------------------------------------------------------------------------


def test_every_block_says_what_it_is() -> None:
    assert {(block.document.name, block.kind) for block in blocks() if block.kind not in KINDS} == set()


def test_a_pattern_demands_what_does_not_vary() -> None:
    line = '{"pair":"BTC-USD","timestamp":1795372140000,"open":92733.18,"state":"open"}'

    assert pattern_of(line).fullmatch(line.replace("92733.18", "1.5").replace('"state":"open"', '"state":"final"'))
    assert not pattern_of(line).fullmatch(line.replace("BTC", "ETH"))
    assert lines_not_shown(("a 1", "…", "b"), "a 22\nx\nb") == []
    assert lines_not_shown(("b", "a 1"), "a 22\nx\nb") == ["a 1"]


@pytest.mark.parametrize("command", list(commands()), ids=lambda command: f"{command.document}: {command.text[:60]}")
def test_a_command_does_what_is_shown(
    command: Command, stack: Stack, environment: dict[str, str], folder: Path
) -> None:
    for pattern, check in NOT_RUN.items():
        if re.match(pattern, command.text):
            check(command, environment, folder)
            return
    if is_one_of(command.text, FOREVER):
        output = follow(command, stack, environment, folder)
    else:
        ended = run(here(command.text, stack), environment, folder)
        # Status 1 says that something is not as it should be.
        assert ended.returncode in ({0, 1} if command.is_another_moment else {0}), ended.stdout + ended.stderr
        output = ended.stdout

    if not command.is_another_moment:
        assert lines_not_shown(printed(command), as_documented(output, stack)) == [], output


def follow(command: Command, stack: Stack, environment: dict[str, str], folder: Path) -> str:
    """What such a command has printed when everything that is shown has come; typed is what is shown behind ``> ``."""
    typed = [line for line in command.output if line.startswith(TYPED)]
    # Some of them are made for terminals, and say nothing to a pipe before it is full.
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        shlex.split(here(command.text, stack)), cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    output = ""
    deadline = time.monotonic() + SECONDS
    try:
        os.write(ours, "".join(line.removeprefix(TYPED) + "\n" for line in typed).encode())
        while lines_not_shown(printed(command), as_documented(output, stack)) and time.monotonic() < deadline:
            if select.select([ours], [], [], 1.0)[0]:
                try:
                    output += os.read(ours, 65536).decode(errors="replace")
                except OSError:  # it has ended
                    break
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(ours)
    return output


def printed(command: Command) -> tuple[str, ...]:
    """What is shown below a command without what is typed into it."""
    return tuple(line for line in command.output if not line.startswith(TYPED))


def as_documented(output: str, stack: Stack) -> str:
    """Output as the documents show it: without a terminal's codes, with the default ports."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[78]|\r", "", output)
    plain = plain.replace(str(stack.port(8080)), "8080").replace(str(stack.port(3004)), "3004")
    # `make up` names whichever pair had a candle first.
    return re.sub(r"(\?pair=|subscribe,)[A-Z]+-[A-Z]+", r"\1BTC-USD", plain)


def test_the_python_of_the_readme_runs(stack: Stack, environment: dict[str, str]) -> None:
    (block,) = (block for block in blocks() if block.kind == "python" and block.document.name == "README.md")
    text = block.text.replace("since=", f'url="{stack.rest_url}", ws_url="{stack.ws_url}", since=')
    with subprocess.Popen(
        [sys.executable, "-u", "-c", text], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.kill()

    assert re.fullmatch(r"(BTC|ETH)-USD \d{13} [\d.]+ (open|provisional|final|corrected)\n", first)
