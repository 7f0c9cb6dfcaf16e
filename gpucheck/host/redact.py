"""Masks what could name a person or a board in a recording, keeping the form and every relation.

Equal stays equal and a prefix stays a prefix: `CUDA_VISIBLE_DEVICES=GPU-8f2a` still names the masked board
whose UUID began with it. Masking applies to keys as well, so that a replay asks for, and finds, masked paths.
Host names, MAC addresses and serials are not asked for in the first place; this is for where they come along.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from typing import Any

from msgspec.structs import replace

from gpucheck.host.answer import Answer
from gpucheck.host.plain_json import parse_json
from gpucheck.host.pythons import PACKAGES, remains_of

# Kubernetes writes "kubepods-burstable-pod8f3b1c2d_…", whose letter before the digits is itself one.
_START = r"(?:(?<![0-9A-Fa-f])|(?<=pod))"
_UUID = re.compile(_START + r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f])")
# cgroup paths name containers by 64 digits; systemd and Kubernetes write a UUID with underscores
_LONG_HEX = re.compile(
    r"(?:(?<![0-9A-Za-z])|(?<=pod))(?:[0-9a-f]{64}|[0-9a-f]{32})(?![0-9A-Za-z])|"
    + _START + r"[0-9a-f]{8}(?:_[0-9a-f]{4}){3}_[0-9a-f]{12}(?![0-9A-Fa-f])"
)  # fmt: skip
# AMD's KFD writes in decimal what ROCR_VISIBLE_DEVICES calls GPU-<16 hexadecimal digits>
_KFD_ID = re.compile(r"^((?:unique_id|hive_id) )(\d{1,20})$", re.MULTILINE)
# and rocm-smi and amd-smi in hexadecimal, beside the serials of chip and board
_SMI_ID = re.compile(
    r"""("(?:unique id|asic_serial|serial number|product_serial)"\s*:\s*")(0x[0-9a-f]{1,16}(?=")|[^"]+)""",
    re.IGNORECASE,
)
_HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F]{1,16}")
_DEVICE_PREFIX = re.compile(r"\b((?:MIG-)?GPU-|MIG-)([0-9A-Fa-f][0-9A-Fa-f-]{1,34})")
_MAC = re.compile(r"(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f:])")
_SERIAL = re.compile(
    r"(<(?:serial|board_serial|chassis_serial_number|host_id|system_serial_number)>\s*)([^<\s][^<]*)|"
    r"(^[ \t]*(?:GPU |Board |Module |Chassis )?Serial(?: Number)?\s*:\s*)(\S+)",
    re.IGNORECASE | re.MULTILINE,
)
_PROCESS = re.compile(r"(<process_name>)([^<]*)(</process_name>)")
_HOME = re.compile(r"((?:/home|/Users|[A-Za-z]:\\Users)[/\\])([^/\\\s:\"']+)")
_NOT_SERIALS = frozenset({"n/a", "[n/a]", "0", "unknown", "[not supported]"})
# A user called "dev" must not turn /dev/shm into a path that a replay never asks for.
_NOT_NAMES = frozenset({
    "root", "user", "host", "localhost", "home", "nvidia", "cuda", "python", "cache", "local",
    "bin", "dev", "etc", "lib", "opt", "proc", "run", "sys", "tmp", "usr", "var", "shm",
    "bus", "class", "cgroup", "cpu", "devices", "driver", "memory", "module", "node", "pci", "system",
    "huggingface",
})  # fmt: skip
_KERNEL_LOGS = ('["dmesg"', '["journalctl"')
_PACKAGE_FOLDERS = frozenset({"site-packages", "dist-packages"})
_SOFTWARE_FOLDERS = frozenset({"/opt", "/usr/local"})  # of these only what toolkits are called is of interest
_TOOLKITS = re.compile(r"(?:cuda|rocm)(?:-[0-9.]+)?|intel")
_DEFINED_VERSION = re.compile(r"[ \t]*#[ \t]*define[ \t]+\w*(?:VERSION|MAJOR|MINOR|PATCH)\w*[ \t]")
# Of a package's metadata what a report reads: no names of authors, and of its files no more than may be missing.
_PACKAGE_LINES = {
    "METADATA": re.compile(r"Requires-Dist:"),
    "RECORD": re.compile(r"[^/,]+/(?:[^/,]+/)?(?:__init__\.py|[^/,]+\.(?:so|pyd|dll|dylib)),"),
}
# Windows' class of display adapters and the owner of UEFI's own variables, the same on every machine: a replay asks
# by these names.
_NOT_UUIDS = frozenset({"4d36e968-e325-11ce-bfc1-08002be10318", "8be4df61-93ca-11d2-aa0d-00e098032b8c"})


class Redactor:
    """Masks one recording's texts with a key of its own; two recordings of one machine do not match."""

    def __init__(self, user: str = "", host_name: str = "", key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(16)
        names = {name for name in (user, host_name, host_name.partition(".")[0]) if len(name) > 2}
        names -= _NOT_NAMES
        self._names = re.compile(
            r"(?<![0-9A-Za-z])(?:" + "|".join(re.escape(name) for name in sorted(names)) + r")(?![0-9A-Za-z])"
        ) if names else None  # fmt: skip

    def answer(self, section: str, key: str, answer: Answer[Any]) -> tuple[str, Answer[Any]]:
        """One question and its answer, masked alike."""
        if section == "dir" and key.rpartition("/")[2] in _PACKAGE_FOLDERS and isinstance(answer.value, list):
            answer = replace(answer, value=[name for name in answer.value if _is_framework(name)])
        if section == "dir" and key in _SOFTWARE_FOLDERS and isinstance(answer.value, list):
            answer = replace(answer, value=[name for name in answer.value if _TOOLKITS.fullmatch(str(name))])
        if section == "file" and key.endswith(".h") and isinstance(answer.value, str):
            lines = answer.value.splitlines(keepends=True)  # cuda.h is a mebibyte of its maker's text
            answer = replace(answer, value="".join(line for line in lines if _DEFINED_VERSION.match(line)))
        if section == "file" and ".dist-info/" in key and isinstance(answer.value, str):
            wanted = _PACKAGE_LINES.get(key.rpartition("/")[2])
            if wanted is not None:
                answer = replace(answer, value="".join(filter(wanted.match, answer.value.splitlines(keepends=True))))
        if section == "env" and key == "KUBERNETES_SERVICE_HOST" and isinstance(answer.value, str) and answer.value:
            answer = replace(answer, value="kubernetes")  # an address of the cluster; that it is set is what counts
        if section == "command" and key.startswith('["system_profiler"'):
            answer = _without_screens(answer)
        if section == "command" and key.startswith(_KERNEL_LOGS) and isinstance(answer.value, dict):
            answer = replace(answer, value={**answer.value, "stdout": _driver_lines(answer.value.get("stdout"))})
        value, detail = self._value(section, answer.value), self._key_text(section, answer.detail)
        return self._key_text(section, key), replace(answer, value=value, detail=detail)

    def text(self, text: str) -> str:
        """Masked identifiers in any text."""
        text = _UUID.sub(self._uuid, text)
        text = _LONG_HEX.sub(lambda found: self._digits(found[0]), text)
        text = _DEVICE_PREFIX.sub(self._device_prefix, text)
        text = _MAC.sub(lambda found: self._digits(found[0]), text)
        text = _SERIAL.sub(self._serial, text)
        text = _KFD_ID.sub(self._kfd_id, text)
        text = _SMI_ID.sub(self._smi_id, text)
        text = _PROCESS.sub(_program_only, text)
        return _HOME.sub(r"\g<1>user", text)

    def _key_text(self, section: str, text: str) -> str:
        """Names of people and hosts stand in paths and variables, never in what hardware says of itself."""
        masked = self.text(text)
        if self._names is not None and section in {"file", "dir", "link", "access", "disk", "python", "env"}:
            masked = self._names.sub("user", masked)
        return masked

    def _value(self, section: str, value: Any) -> Any:
        if isinstance(value, str):
            return self._key_text(section, value) if section in {"env", "link"} else self.text(value)
        if isinstance(value, list):
            return [self._value(section, item) for item in value]
        if isinstance(value, dict):
            paths = "env" if section in {"python", "system"} else section
            return {key: self._value(paths, item) for key, item in value.items()}
        return value

    def _uuid(self, found: re.Match[str]) -> str:
        return found[0] if found[0].lower() in _NOT_UUIDS else self._digits(found[0])

    def _device_prefix(self, found: re.Match[str]) -> str:
        """A shortened UUID; the full ones have been masked already and are left as they are."""
        return found[0] if len(found[2]) >= 35 else found[1] + self._digits(found[2])

    def _kfd_id(self, found: re.Match[str]) -> str:
        """A decimal id masked as its 16 hexadecimal digits are; 0 says that there is none."""
        number = int(found[2])
        return found[1] + (str(int(self._digits(f"{number:016x}"), 16)) if number else found[2])

    def _smi_id(self, found: re.Match[str]) -> str:
        """The same id in hexadecimal, masked alike; a serial in place of it as serials are."""
        if not _HEXADECIMAL.fullmatch(found[2]):
            return found[1] + (found[2] if found[2].strip().lower() in _NOT_SERIALS else self._shift(found[2]))
        number = int(found[2], 16)
        return found[1] + (f"0x{self._digits(f'{number:016x}')}" if number else found[2])

    def _serial(self, found: re.Match[str]) -> str:
        lead, serial = (found[1], found[2]) if found[1] is not None else (found[3], found[4])
        return lead + (serial if serial.strip().lower() in _NOT_SERIALS else self._shift(serial))

    def _shift(self, serial: str) -> str:
        """A serial with other digits and letters in the same places."""
        pads = hashlib.blake2b(serial.encode(), key=self._key, digest_size=64).digest()
        masked = []
        for place, letter in enumerate(serial):
            pad = pads[place % len(pads)]
            if letter.isdecimal() and letter.isascii():
                letter = str((int(letter) + pad) % 10)  # noqa: PLW2901
            elif letter.isalpha() and letter.isascii():
                base = ord("a" if letter.islower() else "A")
                letter = chr(base + (ord(letter) - base + pad) % 26)  # noqa: PLW2901
            masked.append(letter)
        return "".join(masked)

    def _digits(self, text: str) -> str:
        """Each digit replaced by one that depends on the digits before it, so that prefixes stay prefixes.

        Crypto-PAn's idea (Xu et al., 2002) on hexadecimal digits. Letters beyond f and punctuation stay.
        """
        masked, seen = [], ""
        for letter in text:
            if letter in "0123456789abcdefABCDEF":
                pad = hashlib.blake2b(seen.lower().encode(), key=self._key, digest_size=1).digest()[0]
                digit = format(int(letter, 16) ^ (pad & 15), "x")
                masked.append(digit.upper() if letter.isupper() else digit)
                seen += letter
            else:
                masked.append(letter)
        return "".join(masked)


def names_here() -> tuple[str, str]:
    """The user and host names of this machine, empty where they cannot be told: what a `Redactor` masks."""
    import getpass
    import platform

    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such variable and no such uid, in a container
        user = ""
    return user, platform.node()


def _driver_lines(log: object) -> str:
    """The lines of a kernel log that GPU drivers wrote; disks, networks and programs of others are in the rest."""
    lines = str(log).splitlines(keepends=True)
    return "".join(line for line in lines if any(word in line for word in ("NVRM", "nvidia", "amdgpu")))


def _is_framework(folder: object) -> bool:
    """Whether an installed package matters to a report; the names of all others are nobody's business."""
    start = re.split(r"-\d", str(folder), maxsplit=1)[0]
    package = start.lower().replace("_", "-")
    return str(folder).endswith((".dist-info", ".egg-info")) and (
        package in PACKAGES or remains_of(package) is not None
    )


def _without_screens(answer: Answer[Any]) -> Answer[Any]:
    """system_profiler's GPUs without their screens, which carry serial numbers and, by AirPlay, people's names."""
    if not isinstance(answer.value, dict) or not isinstance(answer.value.get("stdout"), str):
        return answer
    try:
        found = parse_json(answer.value["stdout"])
    except (ValueError, RecursionError):
        return replace(answer, value={**answer.value, "stdout": ""})  # nobody could mask what nobody can read
    gpus = found.get("SPDisplaysDataType") if isinstance(found, dict) else None
    for gpu in gpus if isinstance(gpus, list) else ():
        if isinstance(gpu, dict):
            gpu.pop("spdisplays_ndrvs", None)
    return replace(answer, value={**answer.value, "stdout": json.dumps(found, ensure_ascii=False)})


def _program_only(found: re.Match[str]) -> str:
    """A process's name without its folder and its arguments."""
    return found[1] + os.path.basename(found[2].strip().split(" ")[0]) + found[3]
