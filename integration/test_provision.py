"""What a machine lacks is said in one sentence, with the way to get it; nothing is done to it."""

from __future__ import annotations

import os
import subprocess

import pytest

import integration.__main__ as entry
from integration.provision import engine, images, packages
from integration.provision.missing import Missing
from integration.services import engine as engine_client
from integration.services.images import CONSUL, POSTGRES, local

SILENT = "no Docker engine answers at unix:///nonexistent"
# Where no command is, not even apt-get.
BARE = "/nonexistent"


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without an engine; commands that would change it are out of reach."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(engine_client, "unreachable", lambda: SILENT)
    monkeypatch.setattr(packages, "_PATH", BARE)


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who is not root."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The administrator."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def sentence(call) -> str:
    """What is missing."""
    with pytest.raises(Missing) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.usefixtures("user")
def test_only_root_starts_an_engine() -> None:
    """Another user is told what to do."""
    said = sentence(lambda: engine.provide(print))
    assert said == f"{SILENT}, and only root may start one: start it, or call this as root"


@pytest.mark.usefixtures("root")
def test_only_debian_has_the_package() -> None:
    """Elsewhere Docker is to be installed by hand."""
    said = sentence(lambda: engine.provide(print))
    assert said == f"{SILENT}: install Docker and start it"


@pytest.mark.usefixtures("user")
def test_only_root_installs_packages(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """Another user is told the command, for the packages that are missing alone."""
    for command in ("apt-get", "here"):
        (tmp_path / command).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / command).chmod(0o755)
    monkeypatch.setattr(packages, "_PATH", str(tmp_path))
    wanted = {"here": "one", "there": "two", "nowhere": "three"}
    said = sentence(lambda: packages.install(wanted, "to see"))
    assert said == "two three must be installed to see: apt-get install two three, as root"
    packages.install({"here": "one"}, "to see")


@pytest.mark.usefixtures("root")
def test_a_package_that_cannot_be_installed(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """What apt-get said is the reason."""
    (tmp_path / "apt-get").write_text("#!/bin/sh\necho no room left; exit 1\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setattr(packages, "_PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Missing, match=r"two could not be installed to see:\nno room left"):
        packages.install({"there": "two"}, "to see")


def test_the_choice_of_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """The official one comes first, then the one that is built; a variable leaves no choice."""
    monkeypatch.delenv("INTEGRATION_POSTGRES_IMAGE", raising=False)
    assert POSTGRES.choices == ("postgres:17", local())
    monkeypatch.setenv("INTEGRATION_POSTGRES_IMAGE", "mine:1")
    assert POSTGRES.choices == ("mine:1",)
    assert CONSUL.choices[0].startswith("hashicorp/consul")


def test_a_registry_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is out of reach is not asked for the next image; what is built serves all."""
    here: set[str] = set()
    asked = []
    built = []
    monkeypatch.setattr(
        images.images, "find", lambda image: next(filter(here.__contains__, image.choices), None)
    )
    monkeypatch.setattr(images, "_pull", lambda name: asked.append(name) or "out of reach")
    monkeypatch.setattr(images, "_build", lambda image, _: built.append(image) or here.add(local()))
    for image in images.images.ALL:
        monkeypatch.delenv(image.variable, raising=False)
    images.provide(lambda _: None)
    assert (asked, built) == (["postgres:17"], [POSTGRES])
    # All are here now.
    images.provide(lambda _: None)
    assert (len(asked), len(built)) == (1, 1)


@pytest.mark.parametrize("ended", [False, True])
def test_an_engine_that_others_use_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, *, ended: bool
) -> None:
    """A run ends although the engine that it started goes on for another one; else it is reaped."""
    monkeypatch.setattr(engine_client, "unreachable", lambda: "no engine" if ended else None)
    with subprocess.Popen(["sleep", "0" if ended else "60"]) as process:
        entry.reap(process)
        assert (process.returncode is not None) == ended
        process.kill()
