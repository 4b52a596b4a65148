"""What must come from the operating system: Java, Maven, Redis, Python's venv.

As root on Debian and its relatives they are installed here; as an ordinary user one sentence says what to install.
What the system should not get for our sake is unpacked into the cache: Redis, whose package would start a service of
its own, and the browser that tests drive.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.native import commands
from deploy.native.errors import StackError
from deploy.native.stack import file_lock

#: The oldest Java that Kafka 4 runs on.
JAVA_VERSION = 17
JAVA_PACKAGES = ("openjdk-17-jre-headless", "openjdk-21-jre-headless", "default-jre-headless")

_APT = ("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3")


def require(*, kafka: bool, maven: bool, venv: bool) -> None:
    """Say at once, and in one sentence, everything that an ordinary user has to have installed.

    Args:
        kafka: Whether Java is needed.
        maven: Whether Maven is needed.
        venv: Whether a virtual environment has to be made.

    Raises:
        StackError: If something is missing and cannot be installed from here.
    """
    missing = {}
    if kafka and find_java() is None:
        missing[f"Java {JAVA_VERSION} or newer"] = _first_known(JAVA_PACKAGES)
    if maven and not shutil.which("mvn"):
        missing["Maven"] = "maven"
    if venv and not importlib.util.find_spec("ensurepip"):
        missing["Python's venv module"] = "python3-venv"
    if missing and not _may_install():
        variable = "KAFKA_BROKERS" if {"Maven", f"Java {JAVA_VERSION} or newer"} & set(missing) else None
        raise StackError(advice(list(missing.values()), f"missing: {', '.join(missing)}", variable))


def find_java() -> Path | None:
    """A Java that is new enough: from ``JAVA_HOME``, the path, or where Debian puts them."""
    candidates = [Path(os.environ["JAVA_HOME"], "bin/java")] if os.environ.get("JAVA_HOME") else []
    on_path = shutil.which("java")
    candidates += [Path(on_path)] if on_path else []
    candidates += sorted(Path("/usr/lib/jvm").glob("*/bin/java"), reverse=True)
    return next((java for java in candidates if _java_version(java) >= JAVA_VERSION), None)


def _java_version(java: Path) -> int:
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, errors="replace").stderr
    except OSError:
        return 0
    match = re.search(r'version "(\d+)', said)
    return int(match[1]) if match else 0


def ensure_java_and_maven(log: Path, *, maven: bool) -> Path:
    """Return a Java; install it, and Maven where asked, if they are missing.

    Raises:
        StackError: If they are missing and cannot be installed from here.
    """
    java = find_java()
    missing = [] if java else [_first_known(JAVA_PACKAGES)]
    if maven and not shutil.which("mvn"):
        missing.append("maven")
    if missing:
        install(missing, "Kafka needs Java 17 or newer, and Maven to fetch it", "KAFKA_BROKERS", log)
        java = find_java()
    if java is None:
        raise StackError(f"Java {JAVA_VERSION} or newer was not found: set JAVA_HOME")
    return java


def ensure_python_venv(log: Path) -> None:
    """Make sure that this Python can make virtual environments; Debian splits that off."""
    if not importlib.util.find_spec("ensurepip"):
        install(["python3-venv"], "Python's venv module is missing", None, log)


def ensure_redis(cache: Path, log: Path) -> None:
    """Unpack Redis into the cache unless the machine has one."""
    if find_redis(cache) is None:
        failure = advice(["redis-server"], "Redis is missing", "REDIS_URL")
        unpack(["redis-server"], cache / "redis", "usr/bin/redis-server", failure, log)


def find_redis(cache: Path) -> tuple[str, ...] | None:
    """The command that starts Redis, of the machine or from the cache."""
    on_path = shutil.which("redis-server") or shutil.which("redis-server", path="/usr/sbin:/usr/local/bin")
    if on_path:
        return (on_path,)
    unpacked = cache / "redis" / "usr" / "bin" / "redis-server"
    if not unpacked.exists():
        return None
    return ("env", f"LD_LIBRARY_PATH={library_path(cache / 'redis')}", str(unpacked))


def unpack(packages: Sequence[str], place: Path, program: str, failure: str, log: Path) -> None:
    """Unpack Debian packages, and what they need that is not installed, into a folder; the system stays as it is.

    Args:
        packages: Their names.
        place: The folder; it appears once all is in it.
        program: What has to be in it then, relative to it.
        failure: What it means when they cannot be had.
        log: File that gets what apt says.

    Raises:
        StackError: ``failure``, where this is not Debian, or the program is not in these packages.
    """
    if not _is_debian():
        raise StackError(failure)
    with file_lock(place.with_suffix(".lock"), f"another clone fetches {packages[0]}; waiting for it"):
        if not (place / program).exists():
            _unpack(packages, place, program, failure, log)


def _unpack(packages: Sequence[str], place: Path, program: str, failure: str, log: Path) -> None:
    downloads, unpacking = place.with_suffix(".download"), place.with_suffix(".new")
    (downloads / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    # Downloading takes no lock of the system's, so that an ordinary user can do it; signatures are checked.
    private = ("-o", "Debug::NoLocking=true", "-o", f"Dir::Cache={downloads}", "-o", "APT::Sandbox::User=root")
    download = [*_APT, *private, "install", "--download-only", "--no-install-recommends", *packages]
    _with_fresh_lists(download, failure, log)
    shutil.rmtree(unpacking, ignore_errors=True)
    for package in sorted((downloads / "archives").glob("*.deb")):
        unpacked = f"{package.name} could not be unpacked"
        commands.run(["dpkg-deb", "-x", package, unpacking], failure=unpacked, log=log)
    shutil.rmtree(downloads)
    if not (unpacking / program).exists():  # apt believes that it is installed, or it comes in another way
        raise StackError(failure)
    shutil.rmtree(place, ignore_errors=True)
    unpacking.rename(place)


def library_path(place: Path) -> str:
    """Where a program in a folder of `unpack` finds its libraries: the value of ``LD_LIBRARY_PATH``."""
    # A folder below: a library looks for those that are its own at their place in the system.
    below = ("*-linux-gnu*", "*-linux-gnu*/*")
    patterns = [f"{lib}/{folder}/lib*.so*" for lib in ("usr/lib", "lib") for folder in below]
    return ":".join(dict.fromkeys(str(file.parent) for pattern in patterns for file in sorted(place.glob(pattern))))


def install(packages: Sequence[str], reason: str, variable: str | None, log: Path) -> None:
    """Install Debian packages, as root.

    Args:
        packages: Their names.
        reason: Why they are needed; the beginning of the error.
        variable: Setting that does without them, if there is one.
        log: File that gets what apt says.

    Raises:
        StackError: If that cannot be done from here; it says what to install.
    """
    failure = advice(packages, reason, variable)
    if not _may_install():
        raise StackError(failure)
    with file_lock(log.with_name("apt.lock"), "waiting for apt"):
        _with_fresh_lists((*_APT, "install", "--no-install-recommends", *packages), failure, log)


def _with_fresh_lists(command: Sequence[str], failure: str, log: Path) -> None:
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        commands.run(command, failure=failure, log=log, variables=quiet)
    except StackError:
        # The lists may be absent, as in fresh containers, or older than the mirror.
        if os.getuid() != 0:
            raise StackError(failure) from None
        commands.run([*_APT, "update"], failure=failure, log=log, variables=quiet)
        commands.run(command, failure=failure, log=log, variables=quiet)


def _first_known(packages: Sequence[str]) -> str:
    known = (
        name
        for name in packages
        if _is_debian() and subprocess.run(["apt-cache", "show", name], capture_output=True).returncode == 0
    )
    return next(known, packages[0])


def _may_install() -> bool:
    return os.getuid() == 0 and _is_debian()


def _is_debian() -> bool:
    return bool(shutil.which("apt-get") and shutil.which("dpkg-deb"))


def advice(packages: Sequence[str], reason: str, variable: str | None) -> str:
    """One sentence: what is missing, the command that installs it, and the variable that does without."""
    names = " ".join(packages)
    install = f"apt-get install {names}" if os.getuid() == 0 else f"sudo apt-get install {names}"
    own = f", or set {variable} to a server that you have" if variable else ""
    return f"{reason}: {install if _is_debian() else f'install {names}'}{own}"
