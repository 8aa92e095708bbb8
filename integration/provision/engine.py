"""Starts a container engine as a plain process, and ends it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from integration.provision.missing import Missing
from integration.provision.packages import install, which
from integration.services import engine

if TYPE_CHECKING:
    from collections.abc import Callable

_STATE = Path("/run/tieline-engine")
_PIDFILE = _STATE / "pid"
_LOG = _STATE / "log"
_TIMEOUT = 30.0
# The machine stays as it is: no bridge but the tests' own, no rule of a firewall, no forwarding.
# Ports on loopback are published by the engine's proxy, which needs none of these.
_OPTIONS = ("--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false")


def provide(say: Callable[[str], None]) -> subprocess.Popen[bytes] | None:
    """See to it that an engine answers.

    Its images are where the engine keeps them on this machine, and outlive it.

    Args:
        say: Is told what is going on.

    Returns:
        The process, if it was started here.

    Raises:
        Missing: There is none, and we cannot start one.
    """
    reason = engine.unreachable()
    if reason is None:
        say(f"the engine at {engine.address()} answers")
        return None
    if "DOCKER_HOST" in os.environ:
        raise Missing(f"{reason}, and DOCKER_HOST names it: start it, or unset DOCKER_HOST")
    if os.geteuid() != 0:
        raise Missing(f"{reason}, and only root may start one: start it, or call this as root")
    if which("dockerd") is None and which("apt-get") is None:
        raise Missing(f"{reason}: install Docker and start it")
    say(f"{reason}; starting one, after what it takes is installed")
    install({"dockerd": "docker.io"}, "to run servers in containers")
    if engine.unreachable() is None:
        # Installing it may have been enough.
        return None
    return _start()


def stop() -> bool:
    """End the engine that `provide` started, if it did.

    Returns:
        Whether there was one.

    Raises:
        TimeoutError: It did not end.
    """
    pid = _ours()
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _TIMEOUT
    while _ours() is not None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the engine (process {pid}) did not stop in {_TIMEOUT} s")
        time.sleep(0.05)
    shutil.rmtree(_STATE)
    return True


def _start() -> subprocess.Popen[bytes]:
    dockerd = which("dockerd")
    assert dockerd
    _STATE.mkdir(mode=0o700, exist_ok=True)
    with _LOG.open("w") as log:
        process = subprocess.Popen(
            [dockerd, *_OPTIONS, "--pidfile", str(_PIDFILE)],
            # dockerd starts containerd and others, which it looks up.
            env=os.environ | {"PATH": os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin"))},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + _TIMEOUT
    while engine.unreachable():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            tail = "\n".join(_LOG.read_text(errors="replace").splitlines()[-10:])
            raise Missing(f"the engine did not start:\n{tail}")
        time.sleep(0.1)
    return process


def _ours() -> int | None:
    """The process that we started, if it lives.

    Its number may be another's by now, and one that has ended may be a zombie, without a command.
    """
    try:
        pid = int(_PIDFILE.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ValueError):
        return None
    return pid if str(_PIDFILE).encode() in command else None
