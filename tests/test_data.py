"""Tests files of Fashion-MNIST: reading, errors, search and download."""

import gzip
import hashlib
import http.server
import socket
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fashion_gan import data
from fashion_gan.data import fashion_mnist

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = NAMES = tuple(fashion_mnist._SHA256)


def idx(array, code=8):
    """Returns the bytes of an IDX file."""
    return struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + array.tobytes()


def fakes(num_train=5_003, num_test=2):
    """Returns IDX bytes in the format of Fashion-MNIST, by name."""
    random = np.random.default_rng(0)
    return {
        TRAIN_IMAGES: idx(random.integers(256, size=(num_train, 28, 28), dtype=np.uint8)),
        TRAIN_LABELS: idx(random.integers(10, size=num_train, dtype=np.uint8)),
        TEST_IMAGES: idx(random.integers(256, size=(num_test, 28, 28), dtype=np.uint8)),
        TEST_LABELS: idx(random.integers(10, size=num_test, dtype=np.uint8)),
    }


def store(folder, files, zipped=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / f"{name}.gz" if zipped else folder / name
        path.write_bytes(gzip.compress(content, 1, mtime=0) if zipped else content)
    return folder


@pytest.fixture
def file(tmp_path):
    return tmp_path / "some-idx"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Hides all copies of Fashion-MNIST, and returns the folder in the cache of Keras."""
    monkeypatch.delenv("FASHION_MNIST_DIR", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(fashion_mnist, "_DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setattr(fashion_mnist, "_BASE_URL", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "keras/datasets/fashion-mnist"


@pytest.fixture
def server(home, monkeypatch):
    """Yields a web server of `server.answers`: path → (status, claimed length, content)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append(self.path)
            status, length, body = server.answers[self.path]
            body = body() if callable(body) else body
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    files = fakes(num_train=3)
    monkeypatch.setattr(
        fashion_mnist, "_SHA256", {name: hashlib.sha256(c).hexdigest() for name, c in files.items()}
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    bodies = {f"/{name}.gz": gzip.compress(content, mtime=0) for name, content in files.items()}
    server.files, server.asked = files, []
    server.handle_error = lambda *_: None  # a client that hangs up is what some tests want
    server.answers = {path: (200, len(body), body) for path, body in bodies.items()}
    monkeypatch.setattr(fashion_mnist, "_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


arrays = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, max_side=5))


@settings(deadline=None)
@given(array=arrays, zipped=st.booleans())
def test_read_idx_returns_the_array_that_was_written(tmp_path_factory, array, zipped):
    path = tmp_path_factory.getbasetemp() / "round-trip.gz"  # the name does not say if it is gzip
    path.write_bytes(gzip.compress(idx(array), mtime=0) if zipped else idx(array))
    read = data.read_idx(path)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array, strict=True)


@settings(deadline=None)
@given(array=arrays, zipped=st.booleans(), draw=st.data())
def test_read_idx_reads_a_corrupt_file_or_raises_with_its_name(
    tmp_path_factory, array, zipped, draw
):
    content = bytearray(gzip.compress(idx(array), mtime=0) if zipped else idx(array))
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(content)))
        content[at : at + draw.draw(st.integers(0, 3))] = draw.draw(st.binary(max_size=3))
    path = tmp_path_factory.getbasetemp() / "corrupt"
    path.write_bytes(content)
    try:
        read = data.read_idx(path)
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert read.dtype == np.uint8 and 1 <= read.ndim <= 4


ZIPPED = gzip.compress(idx(np.arange(200, dtype=np.uint8)), mtime=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated IDX header: expected 4 bytes. Received: 0"),
        (b"\0\0\x08", "truncated IDX header: expected 4 bytes. Received: 3"),
        (b"\0\0\x08\3\0\0\0\1", "truncated IDX header: expected 16 bytes. Received: 8"),
        (b"PNG!", r"not an IDX file: expected two zero bytes first. Received: b'PN'"),
        (idx(np.zeros(3, ">i4"), 0x0C), r"of type 0x08 \(ubyte\). Received: 0x0c \(int\)"),
        (idx(np.zeros(3, np.uint8), 0x42), r"Received: 0x42 \(unknown\)"),
        (b"\0\0\x08\0!", r"expected 1 to 4 axes, none empty. Received: shape=\(\)"),
        (idx(np.zeros((1,) * 5, np.uint8)), r"expected 1 to 4 axes.*shape=\(1, 1, 1, 1, 1\)"),
        (idx(np.zeros((0, 28), np.uint8)), r"none empty. Received: shape=\(0, 28\)"),
        (idx(np.zeros((2, 3), np.uint8))[:-1], r"truncated IDX data: expected 6 bytes.*: 5\."),
        (idx(np.zeros((2, 3), np.uint8)) + b"!", r"overlong IDX data: expected 6 bytes.*: more\."),
        (ZIPPED[:-1], "broken gzip file .*end-of-stream"),
        (ZIPPED[:40], "broken gzip file"),
        (ZIPPED[:-8] + b"\0\0\0\0" + ZIPPED[-4:], "broken gzip file .*CRC"),
        (ZIPPED[:10] + b"\xff" * 30, "broken gzip file .*invalid"),
        (ZIPPED + b"more", "broken gzip file"),
    ],
)
def test_read_idx_raises_with_the_fault_of_a_broken_file(file, content, message):
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{file}: .*{message}"):
        data.read_idx(file)


def test_find_fashion_mnist_prefers_a_given_folder(home, tmp_path, monkeypatch):
    files = dict.fromkeys(NAMES, b"")
    named, by_variable = store(tmp_path / "named", files), store(tmp_path / "variable", files)
    store(home, files)
    monkeypatch.setenv("FASHION_MNIST_DIR", str(by_variable))
    assert data.find_fashion_mnist(named) == data.find_fashion_mnist(str(named)) == named
    assert data.find_fashion_mnist() == by_variable


@pytest.mark.parametrize("zipped", [True, False])
def test_find_fashion_mnist_prefers_the_keras_cache_to_the_debian_folder(
    home, tmp_path, monkeypatch, zipped
):
    files = dict.fromkeys(NAMES, b"")
    debian = store(tmp_path / "debian", files, zipped)
    monkeypatch.setenv("FASHION_MNIST_DIR", "")  # as good as unset
    assert data.find_fashion_mnist() == debian
    store(home, files, zipped)
    assert data.find_fashion_mnist() == home


def test_find_fashion_mnist_raises_when_a_given_folder_lacks_files(home, tmp_path, monkeypatch):
    files = dict.fromkeys(NAMES, b"")
    store(home, files)
    partial = store(tmp_path / "partial", {n: b"" for n in NAMES if n != TRAIN_LABELS})
    with pytest.raises(FileNotFoundError, match=f"^folder='{partial}' lacks {TRAIN_LABELS}. Point"):
        data.find_fashion_mnist(partial)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"^folder='' lacks {', '.join(NAMES)}. Point fold"):
        data.find_fashion_mnist("")
    monkeypatch.setenv("FASHION_MNIST_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="^FASHION_MNIST_DIR='.*nowhere' is not a folder. "):
        data.find_fashion_mnist()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        data.load_fashion_mnist()


def test_find_fashion_mnist_downloads_missing_files_once(server, home):
    store(home, {TRAIN_LABELS: b"already here"}, zipped=False)
    umask = (home / TRAIN_LABELS).stat().st_mode
    assert data.find_fashion_mnist() == data.find_fashion_mnist() == home
    wanted = [n for n in NAMES if n != TRAIN_LABELS]
    assert server.asked == [f"/{name}.gz" for name in wanted]
    assert sorted(p.name for p in home.iterdir()) == sorted(
        [TRAIN_LABELS, *(f"{name}.gz" for name in wanted)]
    )
    for name in wanted:
        assert gzip.decompress((home / f"{name}.gz").read_bytes()) == server.files[name]
        assert (home / f"{name}.gz").stat().st_mode == umask
    assert (home / TRAIN_LABELS).read_bytes() == b"already here"


BROKEN_DOWNLOADS = {
    "interrupted": (lambda body: (200, len(body), body[:-9]), "retrieval incomplete"),
    "truncated": (lambda body: (200, len(body) - 9, body[:-9]), "broken gzip file"),
    "wrong content": (
        lambda body: (200, len(ZIPPED), ZIPPED),
        f"{TEST_IMAGES}.gz has content of SHA-256 [0-9a-f]{{64}}, expected [0-9a-f]{{64}}",
    ),
    "a login page": (lambda body: (200, 6, b"<html>"), "has content of SHA-256"),
    "not there": (lambda body: (404, 0, b""), "404 -- Not Found"),
}


@pytest.mark.parametrize("case", BROKEN_DOWNLOADS)
def test_find_fashion_mnist_keeps_no_file_of_a_bad_download(server, home, case):
    answer, message = BROKEN_DOWNLOADS[case]
    path = f"/{TEST_IMAGES}.gz"  # the third to be asked for
    good = server.answers[path]
    server.answers[path] = answer(good[2])
    with pytest.raises(FileNotFoundError, match=message):
        data.find_fashion_mnist()
    assert sorted(p.name for p in home.iterdir()) == [f"{TRAIN_IMAGES}.gz", f"{TRAIN_LABELS}.gz"]

    server.answers[path] = good
    assert data.find_fashion_mnist() == home
    assert (home / f"{TEST_IMAGES}.gz").read_bytes() == good[2]


def test_find_fashion_mnist_raises_after_the_timeout_of_a_silent_server(server, home, monkeypatch):
    waiting = threading.Event()
    path = f"/{TRAIN_IMAGES}.gz"
    server.answers[path] = (200, 1, lambda: waiting.wait(20) and b"!")
    monkeypatch.setattr(fashion_mnist, "_TIMEOUT", 0.1)
    with pytest.raises(FileNotFoundError, match="timed out"):
        data.find_fashion_mnist()
    waiting.set()
    assert list(home.iterdir()) == []
    assert socket.getdefaulttimeout() is None


def test_find_fashion_mnist_supports_concurrent_downloads(server, home):
    path, found = f"/{TRAIN_IMAGES}.gz", []
    status, length, body = server.answers[path]

    def meanwhile():  # another process, seen from here: its files appear, its folder is at work
        store(home, server.files)
        (home / ".partial-other").mkdir()
        return body

    server.answers[path] = (status, length, meanwhile)
    threads = [
        threading.Thread(target=lambda: found.append(data.find_fashion_mnist())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [home] * 4
    assert sorted(p.name for p in home.iterdir()) == sorted(
        [".partial-other", *(f"{name}.gz" for name in NAMES)]
    )
    for name in NAMES:
        assert gzip.decompress((home / f"{name}.gz").read_bytes()) == server.files[name]
    assert socket.getdefaulttimeout() is None


def test_find_fashion_mnist_raises_with_each_place_and_its_failure(home, tmp_path):
    store(home, {n: b"" for n in NAMES if n != TEST_LABELS})
    with pytest.raises(FileNotFoundError) as caught:
        data.find_fashion_mnist()
    first, in_cache, in_debian, in_network, remedy = str(caught.value).split("\n")
    assert first == "Fashion-MNIST was not found. Tried:"
    assert in_cache == f"  {home}: lacks {TEST_LABELS}"
    assert in_debian == f"  {tmp_path / 'debian'}: is not a folder"
    assert in_network.startswith(
        "  http://127.0.0.1:9: URL fetch failure on http://127.0.0.1:9/t10k"
    )
    assert "Connection refused" in in_network
    assert remedy.startswith(
        "Run `make data` or `apt-get install dataset-fashion-mnist`, or set FA"
    )


def test_find_fashion_mnist_raises_when_the_cache_is_not_writable(home, tmp_path):
    (tmp_path / "keras").write_text("no folder")
    with pytest.raises(FileNotFoundError, match="Not a directory.*\nRun `make data`"):
        data.find_fashion_mnist()


@pytest.mark.parametrize("zipped", [True, False])
def test_load_fashion_mnist_holds_out_the_last_5000_training_images(tmp_path, zipped):
    files = fakes(num_train=5_003, num_test=2)
    loaded = data.load_fashion_mnist(store(tmp_path / "fakes", files, zipped), verify=False)
    images = np.frombuffer(files[TRAIN_IMAGES], np.uint8, offset=16).reshape(5_003, 28, 28, 1)
    labels = np.frombuffer(files[TRAIN_LABELS], np.uint8, offset=8)
    np.testing.assert_array_equal(loaded.train_images, images[:3], strict=True)
    np.testing.assert_array_equal(loaded.train_labels, labels[:3], strict=True)
    np.testing.assert_array_equal(loaded.validation_images, images[3:], strict=True)
    np.testing.assert_array_equal(loaded.validation_labels, labels[3:], strict=True)
    assert loaded.test_images.shape == (2, 28, 28, 1)
    assert loaded.test_labels.tobytes() == files[TEST_LABELS][8:]


@pytest.mark.parametrize("name", NAMES)
def test_load_fashion_mnist_raises_for_other_content_unless_verify_is_false(
    tmp_path, monkeypatch, name
):
    files = fakes()
    sums = {n: hashlib.sha256(c).hexdigest() for n, c in files.items()}
    monkeypatch.setattr(fashion_mnist, "_SHA256", sums)
    folder = store(tmp_path / "fakes", files)
    data.load_fashion_mnist(folder)

    other = files[name][:-1] + bytes([files[name][-1] ^ 1])
    store(folder, {name: other})
    found = hashlib.sha256(other).hexdigest()
    with pytest.raises(
        ValueError,
        match=f"{folder / name}.gz has content of SHA-256 {found}, expected {sums[name]}. Delete",
    ):
        data.load_fashion_mnist(folder)
    data.load_fashion_mnist(folder, verify=False)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (TRAIN_LABELS, np.zeros(5_002), r"one train label for each of 5003 images.*\(5002,\)"),
        (TEST_LABELS, np.zeros((2, 1)), r"one t10k label for each of 2 images.*\(2, 1\)"),
        (TEST_IMAGES, np.zeros((2, 28, 27)), r"t10k images as \(n, 28, 28\).*\(2, 28, 27\)"),
        (TRAIN_IMAGES, np.zeros((5_003, 784)), r"train images as \(n, 28, 28\).*\(5003, 784\)"),
    ],
)
def test_load_fashion_mnist_raises_when_images_and_labels_differ(tmp_path, name, array, message):
    files = {**fakes(), name: idx(array.astype(np.uint8))}
    with pytest.raises(ValueError, match=f"fakes: expected {message}"):
        data.load_fashion_mnist(store(tmp_path / "fakes", files), verify=False)


def test_load_fashion_mnist_raises_for_too_few_images(tmp_path):
    folder = store(tmp_path / "fakes", fakes(num_train=5_000))
    with pytest.raises(ValueError, match=r"more than 5,000 training images.*Received: 5,000\."):
        data.load_fashion_mnist(folder, verify=False)
    assert len(data.load_fashion_mnist(store(folder, fakes(5_001)), verify=False).train_images) == 1


def test_load_fashion_mnist_does_not_import_tensorflow(tmp_path):
    folder = store(tmp_path / "fakes", fakes())
    code = (
        "import sys; sys.modules.update(tensorflow=None, keras=None)\n"
        "from fashion_gan import data; data.load_fashion_mnist(sys.argv[1], verify=False)"
    )
    subprocess.run([sys.executable, "-c", code, folder], check=True, timeout=60)


def test_load_fashion_mnist_returns_the_complete_read_only_data():
    real = data.load_fashion_mnist()
    for part, n in (("train", 55_000), ("validation", 5_000), ("test", 10_000)):
        images, labels = getattr(real, f"{part}_images"), getattr(real, f"{part}_labels")
        assert (images.shape, images.dtype) == ((n, 28, 28, 1), np.uint8)
        assert (labels.shape, labels.dtype) == ((n,), np.uint8)
        assert np.unique(labels).tolist() == list(range(len(data.CLASS_NAMES)))
        assert not images.flags.writeable and not labels.flags.writeable
    counts = np.bincount(np.append(real.train_labels, real.validation_labels))
    assert counts.tolist() == [6_000] * 10
    assert data.CLASS_NAMES[real.train_labels[0]] == "Ankle boot"
    assert data.CLASS_NAMES[real.test_labels[1]] == "Pullover"
