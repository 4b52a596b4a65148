"""What the documents say about settings and processes is what there is."""

import re
from pathlib import Path

import yaml

from web.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_of_settings_names_every_setting() -> None:
    table = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")

    named = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", table))

    assert {name.upper() for name in Settings.model_fields} - named == set()


def test_every_command_in_the_table_of_processes_is_a_service_of_the_compose_file() -> None:
    document = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = document[document.index("## What runs") : document.index("## What to watch")]
    commands = {
        command for row in re.findall(r"^\|.*\|$", table, re.MULTILINE) for command in re.findall(r"`(\S+ [^`]+)`", row)
    }
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]

    started = [
        " ".join(service["command"]) for service in services.values() if service.get("image") == "crypto-streams"
    ]

    assert len(commands) == len(started) == 11
    assert all(any(line.startswith(command) for line in started) for command in commands), commands


def test_links_in_the_documents_lead_somewhere() -> None:
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]

    broken = [
        f"{document.name}: {target}"
        for document in documents
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8"))
        if not (document.parent / target).resolve().exists()
    ]

    assert broken == []
