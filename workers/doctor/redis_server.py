"""Is Redis what jobs and the live side need: writable, never evicting, kept on disk?"""

import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

import redis

from workers.broker import NAMESPACE
from workers.clients import redis_client
from workers.doctor.findings import Finding, broken, clock, ok, warning
from workers.live import CHANNELS
from workers.policies import POLICIES

#: ``BLMOVE``, by which idle workers wait, is of this version.
MIN_VERSION: Final = (6, 2)
_FULL: Final = 0.9
_MIB: Final = 1024 * 1024
#: One step, so that nothing stays behind whatever ends it.
_WRITE: Final = """
redis.call('SET', KEYS[1], '1', 'PX', '1000')
redis.call('PUBLISH', ARGV[1], '')
return redis.call('DEL', KEYS[1])
"""


def find_in_redis(subject: str, url: str, variable: str, *, has_jobs: bool) -> Iterator[Finding]:
    """Look at a Redis.

    Args:
        subject: What it is called in findings.
        url: Where it is.
        variable: The setting that says so.
        has_jobs: Whether the jobs are in it, and not the live side alone.
    """
    with redis_client(url, retries=0) as client:
        try:
            before = time.time()
            seconds, micros = client.time()
            after = time.time()
            info: Mapping[str, Any] = client.info()
        except redis.RedisError as error:
            yield broken(subject, f"does not answer: {error}", f"start it, or correct {variable}")
            return
        yield judge_server(subject, info)
        yield judge_memory(f"{subject} memory", info)
        yield judge_persistence(f"{subject} on disk", info)
        yield _find_permission(client, f"{subject} permissions", has_jobs=has_jobs)
        yield clock(f"{subject} clock", seconds + micros / 1e6 - (before + after) / 2)
        if has_jobs:
            yield _find_failed_jobs(client)


def judge_server(subject: str, info: Mapping[str, Any]) -> Finding:
    """What its version and its role say. Pure, as the other judgements are."""
    version = str(info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < MIN_VERSION:
        expected = ".".join(map(str, MIN_VERSION))
        return broken(subject, f"version {version}, expected {expected} or newer", "install a newer one")
    if info["role"] != "master":
        found = f"version {version}, a replica of {info.get('master_host')}: it takes no writes"
        return broken(subject, found, "name the primary instead")
    return ok(subject, f"version {version}")


def judge_memory(subject: str, info: Mapping[str, Any]) -> Finding:
    """Whether jobs and live candles might be evicted, or refused, to save memory."""
    policy, used, most = str(info["maxmemory_policy"]), int(info["used_memory"]), int(info["maxmemory"])
    amount = f"{used / _MIB:.0f} MiB used" + (f" of {most / _MIB:.0f}" if most else ", without a limit")
    if policy != "noeviction":
        found = (
            f"maxmemory-policy={policy}, expected noeviction: jobs and live candles are removed to make room; {amount}"
        )
        return broken(subject, found, "set it: CONFIG SET maxmemory-policy noeviction, and in redis.conf")
    if most and used > most * _FULL:
        return warning(subject, f"noeviction, {amount}: writes are refused when it is full", "raise maxmemory")
    return ok(subject, f"noeviction, {amount}")


def judge_persistence(subject: str, info: Mapping[str, Any]) -> Finding:
    """Whether a restart of Redis empties the live side, and whether the disk takes what is written."""
    if int(info["aof_enabled"]) and info["aof_last_write_status"] != "ok":
        return broken(
            subject, "the last write to the append-only file failed: writes are refused", "make room on its disk"
        )
    if info["rdb_last_bgsave_status"] != "ok":
        found = "the last snapshot failed: writes may be refused (stop-writes-on-bgsave-error)"
        return broken(subject, found, "make room on its disk, and memory for a fork")
    if not int(info["aof_enabled"]):
        found = (
            "appendonly=no: a restart forgets the live candles of the last minutes, and clients have to read them anew"
        )
        return warning(subject, found, "set it: CONFIG SET appendonly yes, and in redis.conf")
    return ok(subject, "appendonly=yes")


def _find_permission(client: "redis.Redis", subject: str, *, has_jobs: bool) -> Finding:
    # Names like those that are written in earnest, as permissions may be bound to them.
    token = uuid.uuid4().hex
    keys = [f"{NAMESPACE}:doctor:{token}"] if has_jobs else []
    try:
        for key in (*keys, f"live:{{doctor|{token}}}"):
            client.eval(_WRITE, 1, key, CHANNELS.replace("*", "{doctor}"))
    except redis.RedisError as error:
        advice = f"let this user write, publish and run scripts for keys of {NAMESPACE}:*, done:* and live*"
        return broken(subject, f"a script that writes was refused: {error}", advice)
    return ok(subject, "a script wrote, published and removed a key")


def _find_failed_jobs(client: "redis.Redis") -> Finding:
    queues = sorted({policy.queue for policy in POLICIES.values() if policy.queue})
    failed = {queue: client.zcard(f"{NAMESPACE}:{queue}.XQ") for queue in queues}
    waiting = sum(client.llen(f"{NAMESPACE}:{queue}") for queue in queues)
    found = ", ".join(f"{count:,} of {queue}" for queue, count in failed.items() if count)
    if found:
        advice = (
            "see the workers' logs for the cause; the bridges have repeated them, and after a day they are forgotten"
        )
        return warning("failed jobs", found, advice)
    return ok("failed jobs", f"none; {waiting:,} wait")
