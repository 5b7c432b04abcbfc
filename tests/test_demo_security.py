"""Tests the page of `fashion-gan explore` with other websites, uploads, signals and proxies."""

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse

import pytest

pytest.importorskip("gradio")

COMMAND = ("-m", "fashion_gan")
WATCHED = """
import sys

LOOPBACK = ("127.0.0.1", "::1", "localhost")
LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")


def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto"):
        host = arguments[1][0]
    elif event in LOOKUPS:
        host = arguments[0]
    else:
        return
    if host not in LOOPBACK:
        with open(sys.argv[-1], "a") as log:
            log.write(f"{event} {host}\\n")
        raise OSError(f"{event} {host}")


sys.addaudithook(watch)

from fashion_gan.cli.main import main

sys.exit(main(sys.argv[1:-1]))
"""
"""A program that runs a command, and writes connections beyond loopback to its last argument."""
TERMINATED = """
import os, signal, sys
from fashion_gan import demo


def previous(*_):
    sys.exit("The previous handler was called.")


def announce(message):
    print(message)
    if message != "The page is closed.":
        os.kill(os.getpid(), signal.SIGTERM)


signal.signal(signal.SIGTERM, previous)
demo.serve(demo.open_source("dense"), "dense", browser=False, announce=announce)
print(signal.getsignal(signal.SIGTERM) is previous)
print(os.environ["GRADIO_TEMP_DIR"], os.environ.get("no_proxy"))
"""
"""A program that serves a page, terminates itself, and says what is restored."""


@contextlib.contextmanager
def served(*options, program=COMMAND, log=()):
    """Yields the process of a page and its address."""
    command = [sys.executable, "-u", *program, "explore", "dense", "--no-browser", *options, *log]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, **streams) as process:
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                address = re.search(r"The page: http://(\S+)/", line)
                if address:
                    break
            else:
                raise RuntimeError("".join(lines))
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield process, address[1]
        finally:
            process.terminate()


def request(address, method="GET", path="/", body=None, host=None, **headers):
    """Status and content of an answer."""
    connection = http.client.HTTPConnection(address, timeout=30)
    with contextlib.closing(connection):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Host": host or address, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()


def generate(address):
    """Returns the PNG file of the image that the page shows at first."""
    _, config = request(address, path="/config")
    calls = {call["api_name"]: call for call in json.loads(config)["dependencies"]}
    values = [0, "any", 4, *[0] * (len(calls["one"]["inputs"]) - 3)]
    event = {"data": values, "fn_index": calls["one"]["id"], "session_hash": "test"}
    join = {"Content_Type": "application/json", "Origin": f"http://{address}"}
    status, _ = request(address, "POST", "/gradio_api/queue/join", json.dumps(event), **join)
    assert status == 200
    _, stream = request(address, path="/gradio_api/queue/data?session_hash=test")
    (url,) = re.findall(r'"url": ?"([^"]+/image\.png)"', stream.decode())[:1]
    status, content = request(address, path=urllib.parse.urlsplit(url).path)
    assert status == 200 and content.startswith(b"\x89PNG")
    return content


@pytest.fixture(scope="module")
def address():
    with served() as (_, address):
        yield address


def assert_answers_own_address_alone(address, names):
    """Requests under one of the names, and from its origin, are answered. Others get 403."""
    port = address.rpartition(":")[2]
    for name in names:
        own = f"{name}:{port}"
        assert request(address, host=own)[0] == 200, own
        assert request(address, path="/config", host=own, Origin=f"http://{own}")[0] == 200, own
    own = f"{names[0]}:{port}"
    for host in ("evil.example", f"evil.example:{port}", names[0], f"{names[0]}:1", f"x.{own}"):
        assert request(address, host=host) == (403, b""), host
        rebound = request(address, path="/config", host=host, Origin=f"http://{host}")
        assert rebound == (403, b""), host
    for origin in ("http://evil.example", "null", f"https://{own}", f"http://{names[0]}:1"):
        assert request(address, path="/config", host=own, Origin=origin) == (403, b""), origin
        preflight = {"Origin": origin, "Access_Control_Request_Method": "POST"}
        join = request(address, "OPTIONS", "/gradio_api/queue/join", host=own, **preflight)
        assert join == (403, b""), origin


def test_page_answers_only_its_own_address(address):
    assert_answers_own_address_alone(address, ["127.0.0.1", "localhost", "[::1]", "LocalHost"])
    generate(address)


def test_page_answers_names_of_this_machine_when_bound_to_all_addresses():
    with served("--host", "0.0.0.0") as (_, address):
        names = ["localhost", "127.0.0.1", "0.0.0.0", socket.gethostname()]
        assert_answers_own_address_alone(address, names)


def test_page_answers_its_address_on_ipv6_and_removes_its_images_on_sigterm(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with served("--host", "::1") as (process, address):
        assert_answers_own_address_alone(address, ["[::1]", "localhost"])
        generate(address)
        assert list(tmp_path.glob("fashion-gan-explore-*/*/image.png"))
        for _ in range(2):  # a second signal does not interrupt the removal
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not list(tmp_path.glob("fashion-gan-explore-*"))


@pytest.mark.parametrize("size", [None, 0, 1000, 5_000_000])
@pytest.mark.parametrize("path", ["upload", "upload/", "component_server", "process_recording"])
def test_page_rejects_uploads_of_any_size(address, path, size):
    header = 'Content-Disposition: form-data; name="files"; filename="a.txt"'
    part = "" if size is None else f"--XX\r\n{header}\r\n\r\n{'A' * size}\r\n"
    form = {"Content_Type": "multipart/form-data; boundary=XX"}
    answer = request(address, "POST", f"/gradio_api/{path}", f"{part}--XX--\r\n", **form)
    assert answer == (403, b"")


def test_serve_restores_the_handler_and_environment_after_sigterm(monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", "before")
    monkeypatch.delenv("no_proxy", raising=False)
    done = subprocess.run([sys.executable, "-c", TERMINATED], capture_output=True, text=True)
    assert done.stdout.splitlines()[1:] == ["The page is closed.", "True", "before None"]
    assert done.returncode == 0, done.stderr


def test_serve_connects_only_to_loopback_when_a_proxy_is_set(tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://192.0.2.1:3128")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    log = tmp_path / "connections.txt"
    with served(program=("-c", WATCHED), log=[log]) as (process, address):
        assert request(address)[0] == 200
        generate(address)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not log.exists(), log.read_text()
    assert not list(tmp_path.glob("fashion-gan-explore-*")), "one signal is enough"
