from pathlib import Path

import pytest

from deploy.native import chromium, system_packages
from deploy.native.errors import StackError


def make_file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return path


@pytest.fixture
def bare_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the path, empty: a machine without a browser, and without apt."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_a_chromium_of_the_machine_is_used_as_it_is(tmp_path: Path, bare_path: Path) -> None:
    installed = make_file(bare_path / "chromium")
    make_file(tmp_path / "cache/chromium" / chromium.PROGRAM)

    found = chromium.find(tmp_path / "cache")

    assert found == chromium.Chromium(installed, {})


@pytest.mark.usefixtures("bare_path")
def test_an_unpacked_chromium_is_started_with_its_libraries_and_fonts(tmp_path: Path) -> None:
    place = tmp_path / "chromium"
    program = make_file(place / chromium.PROGRAM)
    library = make_file(place / "usr/lib/x86_64-linux-gnu/libnss3.so").parent

    found = chromium.find(tmp_path)

    fonts = str(place / "fonts.conf")
    assert found == chromium.Chromium(program, {"LD_LIBRARY_PATH": str(library), "FONTCONFIG_FILE": fonts})


@pytest.mark.usefixtures("bare_path")
def test_where_there_is_no_chromium_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(StackError) as caught:
        chromium.ensure(tmp_path / "cache", tmp_path / "log")

    said = "Chromium, which the tests of the web page need, is missing: install chromium"
    assert str(caught.value) == said
    assert chromium.find(tmp_path / "cache") is None


def test_libraries_are_found_in_both_places_and_below_them(tmp_path: Path) -> None:
    for file in ("lib/x86_64-linux-gnu/libz.so.1", "usr/lib/x86_64-linux-gnu/pulseaudio/libpulsecommon-16.1.so"):
        make_file(tmp_path / file)
    for file in (
        "usr/lib/x86_64-linux-gnu/libnss3.so",
        "usr/lib/x86_64-linux-gnu/icons/a.png",
        "usr/lib/chromium/b.so",
    ):
        make_file(tmp_path / file)

    folders = system_packages.library_path(tmp_path).split(":")

    assert folders == [
        str(tmp_path / folder)
        for folder in ("usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/pulseaudio", "lib/x86_64-linux-gnu")
    ]
