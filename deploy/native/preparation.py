"""What comes before a start: ports that are free, programs that are installed, data that are laid out."""

from collections.abc import Sequence
from pathlib import Path

from deploy.native import commands, downloads, leftovers, programs, system_packages, venv
from deploy.native.errors import StackError
from deploy.native.ports import describe_listener, is_free, listeners
from deploy.native.programs import Program
from deploy.native.progress import side_by_side
from deploy.native.stack import Stack


def check_ports(stack: Stack, wanted: Sequence[Program]) -> None:
    """See whether each program can have its ports, or has them already.

    Raises:
        StackError: If two programs want the same port, or somebody else has one.
    """
    owners: dict[int, str] = {}
    for program in wanted:
        for port in program.ports:
            if port in owners:
                raise StackError(
                    f"{program.name} and {owners[port]} would both listen on port {port}: change one of them"
                )
            owners[port] = program.name
    mine = {str(each.pid) for each in leftovers.find(stack)}
    for port, name in owners.items():
        if not is_free(port) and not listeners(port) & mine:
            raise StackError(
                f"port {port}, for {name}, is taken by {describe_listener(port)}: stop it, "
                f"or run this stack beside it: PORT_OFFSET={stack.ports.offset + 100} make up"
            )


def set_up(stack: Stack) -> None:
    """Install what is missing: our Python packages and the services.

    Raises:
        StackError: If something cannot be had; it says what to install by hand.
    """
    log = stack.setup_log
    kafka = "kafka" in stack.uses
    system_packages.require(kafka=kafka, maven=kafka and not downloads.kafka_libs().is_dir(), venv=not venv.works())
    tasks = {"installing the Python packages": lambda: venv.ensure("run", venv.RUN_REQUIREMENTS, log)}
    if kafka:
        tasks["fetching Kafka"] = lambda: downloads.ensure_kafka(log)
    if "redis" in stack.uses:
        tasks["fetching Redis"] = lambda: system_packages.ensure_redis(downloads.cache_dir(), log)
    if "mongo" in stack.uses:
        tasks["fetching and building the MongoDB-compatible server"] = lambda: downloads.ensure_mongo(log)
    side_by_side(tasks)


def prepare_data(stack: Stack) -> None:
    """Make the folders of data and logs, and what the services need in them, where it is missing.

    Raises:
        StackError: If a service cannot prepare its data.
    """
    for folder in programs.owned_folders(stack):
        folder.mkdir(parents=True, exist_ok=True)
    if "mongo" in stack.uses:
        stack.mongo_dir.mkdir(parents=True, exist_ok=True)

    def prepare(script: Path, action: str, name: str) -> None:
        commands.run(
            ["bash", script, action],
            failure=f"the data of {name} could not be prepared",
            log=stack.setup_log,
            variables=programs.service_environment(stack, name),
        )

    tasks = {}
    if "kafka" in stack.uses:
        tasks["preparing Kafka's data"] = lambda: prepare(downloads.KAFKA_SCRIPT, "format", "kafka")
    if "mongo" in stack.uses:
        tasks["preparing PostgreSQL's data"] = lambda: prepare(downloads.MONGO_SCRIPT, "init", "postgres")
    if tasks:
        side_by_side(tasks)
