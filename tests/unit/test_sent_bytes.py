"""Only the approved bytes are sent: the final bytes of mails and calls are parsed and compared.

This tests a sample, on this Python and on 3.13 if it is installed; to test all cases, use
``PLANGATE_TEST_TIMES=25 make test ARGS=tests/unit/test_sent_bytes.py``.
"""

import ipaddress
import json
import os
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import h11
import idna
import pytest

from activities.tools.http import addresses
from activities.tools.http.addresses import is_public
from activities.tools.http.wire import difference, is_whole
from plangate.mail.wire import composed, difference_on_the_wire
from plangate.mail.wire import difference as mail_difference
from tests.support import wire_cases
from tests.support.times import times

pytestmark = pytest.mark.timeout(900)  # enough for all cases; the sample takes seconds
CASES = times(400)
ROOT = Path(__file__).parents[2]


def other_python() -> str | None:
    """Return a working Python 3.13, if this machine has one."""
    places = sorted(Path.home().glob(".pyenv/versions/3.13*/bin/python3.13"))
    for program in (*map(str, places), shutil.which("python3.13")):
        if program and not subprocess.run([program, "-c", ""], check=False, capture_output=True).returncode:
            return program
    return None


def output_of(program: str, folder: Path, *arguments: str) -> str:
    """Return the output of a bare interpreter that has only this code, idna and h11."""
    for package in (idna, h11):
        assert package.__file__
        (folder / package.__name__).symlink_to(Path(package.__file__).parent)
    environment = {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [program, "-W", "error", *arguments], check=True, capture_output=True, text=True, env=environment
    )
    return done.stdout


@pytest.fixture
def python_3_13() -> str:
    program = other_python()
    if program is None:
        pytest.skip("Python 3.13 is not installed here, so it was not tested")
    return program


def test_mails_and_calls_in_twenty_scripts_are_sent_as_approved():
    assert len(wire_cases.SCRIPTS) >= 20
    assert wire_cases.differences(CASES, seed=1) == []


def test_mails_and_calls_are_sent_as_approved_on_python_3_13_too(python_3_13, tmp_path):
    result = json.loads(output_of(python_3_13, tmp_path, "tests/support/wire_cases.py", str(CASES), "2"))

    assert result["python"].startswith("3.13.")
    assert (result["mails"], result["calls"], result["differences"]) == (CASES, CASES, [])


@pytest.mark.parametrize(
    "subject",
    [
        "Überweisung von 12 000 € an die Firma Müller für die Lieferung der Maschinen im Dezember an Werk 2",
        "Просим подтвердить перевод на сумму 12 000 рублей по договору поставки оборудования от 1 мая",
        "a  b   c " + "d" * 80 + "  é",
        "=?utf-8?q?", "€" * 200,
    ],
)  # fmt: skip
def test_a_long_subject_keeps_its_spaces(subject):
    email = replace(wire_cases.sample_email(random.Random(0)), subject=subject)
    content = composed(email)

    assert mail_difference(content, email) is None
    assert max(map(len, content.split(b"\r\n"))) <= 78 or "@" in content.decode()
    assert all(len(word) <= 75 for word in content.decode().split() if word.startswith("=?"))


def test_any_difference_in_a_mail_is_detected():
    email = replace(wire_cases.sample_email(random.Random(3)), body="12 000 EUR\n.\n", subject="12 000 €")
    content = composed(email)
    data = wire_cases.on_the_wire(content)
    assert difference_on_the_wire(data, email) is None

    copied = replace(email, cc=("erik@b.example",))
    copies = wire_cases.on_the_wire(composed(copied))
    assert difference_on_the_wire(copies, copied) is None
    changed_part = difference_on_the_wire(copies, replace(copied, cc=("eve@evil.example",)))
    assert changed_part == "the copies"
    for name in ("sender", "to", "cc", "subject", "body", "date", "message_id"):
        value: Any = getattr(email, name)
        other: Any = (
            (*value, "eve@evil.example") if isinstance(value, tuple) else value.replace("0", "1", 1) + "x"
        )
        changed: dict[str, Any] = {name: other}
        assert difference_on_the_wire(data, replace(email, **changed)), name
    assert difference_on_the_wire(data.replace(b"\r\n..\r\n", b"\r\n.\r\n"), email)
    assert difference_on_the_wire(data.removesuffix(b".\r\n"), email)
    assert difference_on_the_wire(data.replace(b"\r\n\r\n", b"\r\nBcc: eve@evil.example\r\n\r\n", 1), email)
    assert difference_on_the_wire(data.replace(b"\r\n", b"\n"), email)
    assert BytesParser().parsebytes(content)["Bcc"] is None


def test_any_difference_in_a_call_is_detected():
    rng = random.Random(5)
    for _ in range(50):
        call, _ = wire_cases.call(rng)
        call = replace(
            call, headers={**call.headers, "x-request-id": "7"}, content=b'{"a":1}', json_body={"a": 1}
        )
        raw = wire_cases.bytes_of(call)
        assert is_whole(raw)
        assert difference(raw, call) is None
        others: dict[str, Any] = {
            "method": "GET",
            "url": call.url + "x",
            "headers": {**call.headers, "x-request-id": "8"},
            "content": b'{"a":2}',
            "json_body": {"a": True},
        }
        for name, other in others.items():
            replaced: dict[str, Any] = {name: other}
            assert difference(raw, replace(call, **replaced)), name
        line = f"host: {call.authority}\r\n".encode()
        for changed in (
            raw.replace(line, b"host: evil.example\r\n"),
            raw.replace(line, line + b"x-http-method-override: DELETE\r\n"),
            raw.replace(line, line + line),
            raw.replace(line, line + b"transfer-encoding: chunked\r\n"),
            raw.replace(b" HTTP/1.1", b"/../x HTTP/1.1"),
            raw.replace(b"\r\n", b"\n", 1),
            raw + b"GET / HTTP/1.1\r\n\r\n",
        ):
            assert difference(changed, call)


# Addresses

NOT_PUBLIC = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.0.192",
    "192.0.0.170", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.1.1", "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::8.8.8.8", "::127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a83f:8110", "64:ff9b:1::808:808", "100::1",
    "100:0:0:1::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:3::1",
    "2001:4:112::1", "2001:10::1",
    "2001:20::1", "2001:30::1", "2001:1ff:ffff::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::",
    "2620:4f:8000::1", "3fff::1", "3fff:fff:ffff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254",
    "fd20:ce::254", "fe80::1", "fe80::1%1", "fe80::5efe:808:808", "fec0::1", "ff02::1", "ff0e::1",
    "2606:4700::5efe:a00:1", "2606:4700::200:5efe:7f00:1", "2606:4700::200:5efe:808:808",
)  # fmt: skip
PUBLIC = (
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "168.63.129.15", "168.63.129.17", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.0",
    "192.0.3.0", "192.167.255.255", "198.17.255.255", "198.20.0.0", "223.255.255.255", "64:ff9b::808:808",
    "2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700::1111", "2a00:1450:4001::1", "3ffe:ffff::1",
    "3fff:1000::1",
)  # fmt: skip


def classified(texts: tuple[str, ...]) -> dict[str, bool]:
    return {text: is_public(ipaddress.ip_address(text)) for text in texts}


def test_special_addresses_and_metadata_services_are_not_public():
    assert classified(NOT_PUBLIC) == dict.fromkeys(NOT_PUBLIC, False)


def test_neighbouring_addresses_and_the_rest_of_the_internet_are_public():
    assert classified(PUBLIC) == dict.fromkeys(PUBLIC, True)


def test_another_python_version_classifies_every_address_alike(python_3_13, tmp_path):
    rng = random.Random(9)
    edges = [
        int(edge) + step
        for network in map(ipaddress.ip_network, (*addresses.SPECIAL_V4, *addresses.SPECIAL_V6))
        for edge in (network[0], network[-1])
        for step in (-1, 0, 1)
    ]
    numbers = [*edges, *(rng.getrandbits(bits) for bits in (32, 128) for _ in range(2000))]
    some = (
        *NOT_PUBLIC,
        *PUBLIC,
        *(str(ipaddress.ip_address(number)) for number in numbers if number >= 0 and number < 2**128),
    )
    code = (
        "import json, sys, ipaddress; from activities.tools.http.addresses import is_public; "
        "print(json.dumps([is_public(ipaddress.ip_address(text)) for text in json.loads(sys.argv[1])]))"
    )
    there = json.loads(output_of(python_3_13, tmp_path, "-c", code, json.dumps(some)))

    assert there == [is_public(ipaddress.ip_address(text)) for text in some]


def test_the_classification_does_not_depend_on_the_interpreter():
    source = Path(addresses.__file__).read_text().partition('"""\n\n')[2]

    assert sys.version_info >= (3, 11)
    assert not [
        name for name in ("is_global", "is_private", "is_reserved", "is_link_local") if name in source
    ]
