"""Data of the services: prepared once, copied for each run, on small disks of their own where that is possible."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.native import commands, downloads, programs, system_packages
from deploy.native.stack import Stack

#: Room on the disks of Redis and of Kafka's log, MiB; much more than a run needs.
DISK_MIB = {"redis": 64, "kafka": 256}


class Data:
    """The folders of one stack's services."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.disks = {"redis": stack.run_dir / "redis", "kafka": stack.run_dir / "kafka" / "log"}
        #: Where the MongoDB-compatible server's data are, and where an older copy of them goes.
        self.mongo = stack.mongo_dir / "run"
        self.older_mongo = stack.mongo_dir / "older"
        #: Why a disk cannot be filled up, None if it can.
        self.no_disks: str | None = None

    @property
    def _templates(self) -> dict[str, Path]:
        return {"kafka": self._stack.run_dir / "template-kafka", "mongo": self._stack.mongo_dir / "template"}

    @contextmanager
    def templates(self) -> Iterator[None]:
        """Format Kafka's log and make PostgreSQL's cluster once; gone again afterwards, with everything else."""
        self.remove()
        self._stack.logs.mkdir(parents=True, exist_ok=True)
        try:
            self._prepare(downloads.KAFKA_SCRIPT, "format", "kafka", {"DATA": str(self._templates["kafka"])})
            self._prepare(downloads.MONGO_SCRIPT, "init", "postgres", {"STATE": str(self._templates["mongo"])})
            yield
        finally:
            self.remove()
            for template in self._templates.values():
                shutil.rmtree(template, ignore_errors=True)
            if (link := self._stack.run_dir / "mongo").is_symlink():
                shutil.rmtree(link.resolve(), ignore_errors=True)
                link.unlink()

    def _prepare(self, script: Path, action: str, name: str, variables: Mapping[str, str]) -> None:
        commands.run(
            ["bash", script, action],
            failure=f"the data of {name} could not be prepared",
            log=self._stack.setup_log,
            variables={**programs.service_environment(self._stack, name), **variables},
        )

    def copy(self) -> None:
        """Fresh data for one run."""
        self.remove()
        for name, disk in self.disks.items():
            disk.mkdir(parents=True)
            self._mount(disk, DISK_MIB[name])
        copy_tree(self._templates["kafka"] / "log", self.disks["kafka"])
        copy_tree(self._templates["mongo"], self.mongo)

    def _mount(self, folder: Path, mebibytes: int) -> None:
        if os.getuid() != 0:
            self.no_disks = "only root can mount a small disk"
            return
        command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            self.no_disks = f"a small disk cannot be mounted: {done.stderr.strip()}"

    def remove(self) -> None:
        """Delete the data of a run; nothing may use them any more."""
        for disk in self.disks.values():
            if os.path.ismount(disk):
                subprocess.run(["umount", str(disk)], check=True)
        for folder in (*self.disks.values(), self._stack.run_dir / "kafka", self.mongo, self.older_mongo):
            shutil.rmtree(folder, ignore_errors=True)


def fetch_services(log: Path) -> None:
    """Have the programs of all services in the cache, as `make up` does.

    Raises:
        StackError: Naming what could not be had.
    """
    downloads.ensure_kafka(log)
    system_packages.ensure_redis(downloads.cache_dir(), log)
    downloads.ensure_mongo(log)


def copy_tree(source: Path, target: Path) -> None:
    """Copy what is in a folder, owners included (PostgreSQL's files are not root's)."""
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)


def empty(folder: Path) -> None:
    """Delete what is in a folder, but not the folder: it may be a disk."""
    for each in folder.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
