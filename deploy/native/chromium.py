"""The browser that tests and pictures are made with: the machine's Chromium, else Debian's, unpacked into the cache."""

import ctypes
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.native import commands, system_packages
from deploy.native.errors import StackError

#: What the program that drives the browser (Playwright's) needs beside it.
DRIVER_LIBRARY, DRIVER_PACKAGE = "libatomic.so.1", "libatomic1"
#: The browser and a font: without any, a page would show boxes for letters.
PACKAGES = ("chromium", "fonts-dejavu-core", DRIVER_PACKAGE)
#: The program itself; Debian's ``/usr/bin/chromium`` is a script that looks for it at its place in the system.
PROGRAM = "usr/lib/chromium/chromium"

#: Fonts of the machine, if it has any, beside those that were unpacked.
_FONTS = """<?xml version="1.0"?>
<fontconfig>
<dir>{place}/usr/share/fonts</dir>
<dir>/usr/share/fonts</dir>
<cachedir>{place}/fontconfig</cachedir>
<alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
<alias><family>serif</family><prefer><family>DejaVu Serif</family></prefer></alias>
<alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
"""


@dataclass(frozen=True)
class Chromium:
    """A browser that can be started."""

    executable: Path
    #: What its environment, and that of its driver, needs beside what is there.
    variables: Mapping[str, str]


def find(cache: Path) -> Chromium | None:
    """The Chromium of the machine, or the one in the cache."""
    if on_path := shutil.which("chromium"):
        return Chromium(Path(on_path), {})
    place = cache / "chromium"
    if not (place / PROGRAM).exists():
        return None
    return Chromium(
        place / PROGRAM,
        {"LD_LIBRARY_PATH": system_packages.library_path(place), "FONTCONFIG_FILE": str(place / "fonts.conf")},
    )


def ensure(cache: Path, log: Path) -> None:
    """Unpack Chromium into the cache unless the machine has one.

    Raises:
        StackError: If there is none and it cannot be had as a Debian package; it says what to install.
    """
    place = cache / "chromium"
    found = find(cache)
    if found is not None:
        if not found.variables and not _loads(DRIVER_LIBRARY):
            reason = f"{DRIVER_LIBRARY}, which Playwright needs to drive Chromium, is missing"
            system_packages.install([DRIVER_PACKAGE], reason, None, log)
        return
    failure = system_packages.advice(["chromium"], "Chromium, which the tests of the web page need, is missing", None)
    system_packages.unpack(PACKAGES, place, PROGRAM, failure, log)
    (place / "fonts.conf").write_text(_FONTS.format(place=place), encoding="utf-8")
    unpacked = find(cache)
    assert unpacked is not None
    try:
        commands.run([unpacked.executable, "--version"], failure=failure, log=log, variables=unpacked.variables)
    except StackError:  # it needs something of the system that is not here
        shutil.rmtree(place)
        raise


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
