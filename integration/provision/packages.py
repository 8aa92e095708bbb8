"""Debian packages, where we may install them."""

from __future__ import annotations

import os
import shutil
import subprocess

from integration.provision.missing import Missing

_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def which(command: str) -> str | None:
    """Where a command is, the administrator's among them."""
    return shutil.which(command, path=_PATH)


def install(packages: dict[str, str], purpose: str) -> None:
    """Install packages whose commands are not here.

    Args:
        packages: From command to package.
        purpose: What they are for, and what may be done instead.

    Raises:
        Missing: We may not, or it failed.
    """
    wanted = [package for command, package in packages.items() if which(command) is None]
    if not wanted:
        return
    names = " ".join(wanted)
    if which("apt-get") is None:
        raise Missing(f"{names} must be installed {purpose}")
    if os.geteuid() != 0:
        raise Missing(f"{names} must be installed {purpose}: apt-get install {names}, as root")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-yq", "--no-install-recommends", *wanted],
    ):
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            tail = "\n".join(done.stdout.splitlines()[-10:])
            raise Missing(f"{names} could not be installed {purpose}:\n{tail}")
