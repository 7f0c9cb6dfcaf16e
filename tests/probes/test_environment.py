"""The chosen Python environment itself."""

import pytest

from gpucheck.probes.environment import probe_environment
from tests.fake_source import fake_host

OWN = {"python": {"version": "3.12.1", "prefix": "/opt/own", "executable": "/opt/own/bin/python3.12"}}
VENV = {"/p/.venv/pyvenv.cfg": "home = /usr/bin\nversion_info = 3.11.7\nuv = 0.13.9\n"}


def described(interpreter=None, **given):
    """(path, interpreter, python, chosen_by, made_by)."""
    found = probe_environment(fake_host(**given), interpreter)
    assert found.issues == ()
    one = found.facts
    return one and (one.path, one.interpreter, one.python, one.chosen_by, one.made_by)


def test_given():
    """--python wins over what is active."""
    found = described("/p/.venv/bin/python", env={"VIRTUAL_ENV": "/other"}, files=VENV, system=OWN)
    assert found == ("/p/.venv", "/p/.venv/bin/python", "3.11", "--python", "uv")


def test_a_bare_name():
    """Nothing but the interpreter's name is known of it."""
    assert described("python3") == (None, "python3", None, "--python", None)


@pytest.mark.parametrize(
    ("variables", "chosen_by"),
    [({"VIRTUAL_ENV": "/p/.venv"}, "VIRTUAL_ENV"), ({"CONDA_PREFIX": "/p/.venv"}, "CONDA_PREFIX"),
     ({"VIRTUAL_ENV": "/p/.venv", "CONDA_PREFIX": "/conda"}, "VIRTUAL_ENV")],
)  # fmt: skip
def test_active(variables, chosen_by):
    """The active virtual environment, else conda's."""
    found = described(env=variables, files=VENV, system=OWN)
    assert found == ("/p/.venv", "/p/.venv/bin/python", "3.11", chosen_by, "uv")


def test_our_own():
    """Nothing is active: the Python that gpucheck runs in."""
    assert described(system=OWN) == ("/opt/own", "/opt/own/bin/python3.12", "3.12", None, None)
    assert described() is None


def test_conda():
    """There is a history in every environment that it makes."""
    answers = {("access", "r /conda/conda-meta/history"): True}
    found = described(env={"CONDA_PREFIX": "/conda"}, answers=answers, system=OWN)
    assert found == ("/conda", "/conda/bin/python", None, "CONDA_PREFIX", "conda")


def test_windows():
    """The interpreter is in Scripts there, and at the top in an environment of conda."""
    assert described(env={"VIRTUAL_ENV": "C:\\v"})[1] == "C:\\v\\Scripts\\python.exe"
    assert described(env={"CONDA_PREFIX": "C:\\c"})[1] == "C:\\c\\python.exe"
