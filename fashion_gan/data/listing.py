"""Lists the images of a folder or an archive, with the classes and parts of its layout."""

import bisect
import csv
import io
import json
import os
import re
import stat
import threading
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fashion_gan.data.byte_limit import check_bytes

__all__ = ["PARTS", "SUFFIXES", "Listing", "list_folder", "list_parquet", "list_zip"]

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".webp", ".tif", ".tiff"),
    *(".avif", ".pgm", ".ppm", ".pnm"),
)
"""Suffixes of image files, in lower case."""

PARTS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""Names of folders that are parts of a collection, not classes."""

_HIDDEN = ("__macosx", "thumbs.db", "desktop.ini", "@eadir")
_TABLES = ("dataset.json", "labels.csv", "metadata.csv")  # StyleGAN uses the first
_NAME_COLUMNS = ("file_name", "filename", "file", "image", "path", "name", "id")
_LABEL_COLUMNS = ("label", "labels", "class", "category", "target", "class_name")
_TABLE_LIMIT = 256 * 2**20  # bytes of a table of labels

Source = str | bytes


@dataclass
class Listing:
    """Lists the encoded images of a collection.

    Attributes:
        place: Folder or archive, for messages.
        names: Names of the images, relative to the place, in order.
        read: Thread-safe function from the index of an image to its path or its content.
        labels: Class name of each image, or None without classes.
        parts: Part of each image, "train", "validation" or "test". None if the layout has no parts.
        skipped: Names of the skipped files, by reason.
        notes: Sentences on how the layout was interpreted.
        num_bytes: Number of bytes of all encoded images.
        key: Names, sizes and times of the files, which change with the files.
    """

    place: Path
    names: list[str]
    read: Callable[[int], Source]
    labels: list[str] | None = None
    parts: list[str] | None = None
    skipped: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    num_bytes: int = 0
    key: Any = ()


def list_folder(folder: Path) -> Listing:
    """Lists the images below a folder, and follows symbolic links.

    Raises:
        OSError: If the folder cannot be read.
        ValueError: If the folder holds no images, or its layout is ambiguous.
    """
    files: dict[str, os.stat_result] = {}
    skipped: dict[str, list[str]] = {}
    _walk(folder, "", files, skipped, (_identity(os.stat(folder)),))
    names = _choose(files, skipped)

    def read_table(name: str) -> bytes:
        size = files[name].st_size
        check_bytes(folder / name, size, _TABLE_LIMIT)
        return (folder / name).read_bytes()

    listing = _understand(folder, names, files, read_table, skipped)
    paths = [os.path.join(folder, name) for name in listing.names]
    listing.read = paths.__getitem__
    status = [files[name] for name in listing.names]
    listing.num_bytes = sum(s.st_size for s in status)
    listing.key = [(s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in status]
    return listing


def list_zip(path: Path, max_bytes: int | None = None) -> Listing:
    """Lists the images of a `.zip` file like those of a folder, without unpacking it to disk.

    Args:
        path: Path of the archive.
        max_bytes: Limit on the bytes of the images. Defaults to the limit of `check_bytes`.

    Raises:
        OSError: If the archive cannot be opened.
        ValueError: If the archive is damaged or encrypted, holds no images, names a file outside of
            itself, or declares more than the limit.
    """
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} cannot be read: {error}. Download it again.") from error
    entries = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
    for name, entry in entries.items():
        if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or ":" in name[:3]:
            raise ValueError(
                f"Expected names within the archive. Received: {path} with {name!r}. Do not "
                "unpack it. Download it from a source that you trust."
            )
        if entry.flag_bits & 1:
            raise ValueError(
                f"Expected an archive without encryption. Received: {path}. Unpack it first."
            )
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(
                f"Expected stored or deflated files. Received: {path}, in which {name!r} is "
                "compressed by another method. Unpack it first."
            )
    check_bytes(path, sum(entry.file_size for entry in entries.values()), max_bytes)
    skipped: dict[str, list[str]] = {}
    visible = {name: entry for name, entry in entries.items() if not _skip(name, skipped)}
    lock = threading.Lock()

    def read_entry(name: str) -> bytes:
        entry = entries[name]
        try:
            with lock, archive.open(entry) as stream:
                return stream.read(entry.file_size)
        except Exception as error:  # zipfile and zlib raise many types for damaged files
            raise ValueError(f"it is damaged in the archive: {error}") from error

    def read_table(name: str) -> bytes:
        check_bytes(f"{name} in {path}", entries[name].file_size, _TABLE_LIMIT)
        return read_entry(name)

    names = _choose(visible, skipped)
    listing = _understand(path, names, visible, read_table, skipped)
    listing.read = lambda index: read_entry(listing.names[index])
    listing.num_bytes = sum(entries[name].file_size for name in listing.names)
    status = path.stat()
    listing.key = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return listing


def list_parquet(paths: Sequence[Path], place: Path) -> Listing:
    """Lists the images of parquet files as Hugging Face's `datasets` writes them.

    A column of structs with `bytes` holds the encoded images. An integer or text column holds the
    labels. The prefix of a file's name, as in `train-00000-of-00001.parquet`, names its part.

    Args:
        paths: Paths of the files.
        place: Folder or file, for messages.

    Raises:
        ImportError: If pyarrow is not installed.
        ValueError: If a file is damaged or holds no such column.
    """
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ImportError(
            "Parquet files need pyarrow. Install it: pip install 'fashion-gan[parquet]'"
        ) from error

    groups: list[tuple[Any, int, str]] = []
    firsts: list[int] = []
    names: list[str] = []
    labels: list[str] = []
    parts: list[str] = []
    for path in paths:
        try:
            file = parquet.ParquetFile(path)
            image, label, classes = _parquet_columns(file.schema_arrow)
        except Exception as error:
            raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
        part = PARTS.get(re.split(r"[-_.]", path.name)[0].lower(), "train")
        for group in range(file.num_row_groups):
            firsts.append(len(names))
            groups.append((file, group, image))
            rows = file.metadata.row_group(group).num_rows
            names += [f"{path.name} row {len(names) + i}" for i in range(rows)]
            parts += rows * [part]
            if label is not None:
                values = file.read_row_group(group, columns=[label])[label].to_pylist()
                labels += [
                    classes[v] if classes and isinstance(v, int) and v < len(classes) else str(v)
                    for v in values
                ]
    if not names:
        raise ValueError(f"Expected images in {place}. Received: none.")
    lock = threading.Lock()
    held: dict[int, Any] = {}

    def read(index: int) -> bytes:
        at = bisect.bisect_right(firsts, index) - 1
        with lock:
            if at not in held:
                file, group, image = groups[at]
                held.clear()
                held[at] = file.read_row_group(group, columns=[image])[image]
            row = held[at][index - firsts[at]].as_py()
        content = row if isinstance(row, bytes) else row["bytes"]
        if content is None:
            raise ValueError("its row contains no bytes")
        return content

    several = set(parts) != {"train"}
    return Listing(
        place,
        names,
        read,
        labels or None,
        parts if several else None,
        notes=_part_notes(parts) if several else [],
        num_bytes=sum(p.stat().st_size for p in paths),
        key=[(str(p.name), p.stat().st_size, p.stat().st_mtime_ns) for p in paths],
    )


def _parquet_columns(schema: Any) -> tuple[str, str | None, list[str] | None]:
    """Returns the names of the image and label columns, and the class names."""
    from pyarrow import types

    features: Any = {}
    raw = (schema.metadata or {}).get(b"huggingface")
    if raw:
        features = json.loads(raw).get("info", {}).get("features", {})
    images = [
        f.name
        for f in schema
        if types.is_binary(f.type)
        or types.is_struct(f.type)
        and f.type.get_field_index("bytes") >= 0
    ]
    labels = [
        f.name
        for f in schema
        if f.name in (*_LABEL_COLUMNS, "fine_label", "coarse_label")
        and (types.is_integer(f.type) or types.is_string(f.type))
    ]
    if not images:
        raise ValueError(f"no column holds encoded images; there are {schema.names}")
    label = labels[0] if labels else None
    classes = features.get(label, {}).get("names") if label else None
    return images[0], label, classes


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _walk(
    folder: Path,
    prefix: str,
    files: dict[str, os.stat_result],
    skipped: dict[str, list[str]],
    above: tuple[tuple[int, int], ...],
) -> None:
    """Collects the regular files below a folder, and follows links to other folders."""
    with os.scandir(os.path.join(folder, prefix)) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = prefix + entry.name
            if _skip(name, skipped):
                continue
            try:
                status = entry.stat()
            except OSError:
                skipped.setdefault("links that lead nowhere", []).append(name)
                continue
            if stat.S_ISDIR(status.st_mode):
                if _identity(status) in above:
                    skipped.setdefault("links to a folder above", []).append(name)
                else:
                    _walk(folder, f"{name}/", files, skipped, (*above, _identity(status)))
            elif stat.S_ISREG(status.st_mode):
                files[name] = status
            else:
                skipped.setdefault("pipes, sockets and devices", []).append(name)


def _skip(name: str, skipped: dict[str, list[str]]) -> bool:
    """Returns whether a file or folder is hidden, and records it in `skipped` if it is."""
    hidden = any(p.startswith(".") or p.lower() in _HIDDEN for p in name.split("/"))
    if hidden:
        skipped.setdefault("hidden files and folders", []).append(name)
    return hidden


def _choose(files: Iterable[str], skipped: dict[str, list[str]]) -> list[str]:
    """Returns the sorted names of images, and records other files by suffix in `skipped`."""
    names = []
    for name in sorted(files):
        suffix = os.path.splitext(name)[1].lower()
        base = name.rpartition("/")[2].lower()
        if suffix in SUFFIXES:
            names.append(name)
        elif base not in _TABLES:
            skipped.setdefault(f"files that end in {suffix}" if suffix else "files", []).append(
                name
            )
    return names


def _understand(
    place: Path,
    names: list[str],
    files: Mapping[str, Any],
    read_table: Callable[[str], bytes],
    skipped: dict[str, list[str]],
) -> Listing:
    """Returns the listing of named images, with the classes and parts of the layout."""
    if not names:
        rest = "; ".join(f"{len(some)} {why}" for why, some in skipped.items())
        raise ValueError(
            f"Expected images ({', '.join(SUFFIXES)}) in {place}. Received: "
            f"{rest or 'an empty folder'}. Name the folder that holds the images."
        )
    listing = Listing(place, names, lambda index: "", skipped=skipped)
    root = _common_folder(names)
    below = [name[len(root) :].split("/") for name in names]
    folders = {parts[0].lower() for parts in below if len(parts) > 1}
    are_parts = folders <= set(PARTS) and all(len(parts) > 1 for parts in below)
    if are_parts and len(folders) > 1 and "train" in {PARTS[f] for f in folders}:
        listing.parts = [PARTS[parts[0].lower()] for parts in below]
        listing.notes += _part_notes(listing.parts)
        below = [parts[1:] for parts in below]
    in_folders = [len(parts) > 1 for parts in below]
    tables = [folder + name for folder in {root: None, "": None} for name in _TABLES]
    table = next((name for name in tables if name in files), None)
    labels = _read_labels(table, read_table, listing) if table else None
    if labels is not None:
        listing.labels = labels
    elif any(in_folders):
        if not all(in_folders):
            outside = [name for name, inside in zip(names, in_folders, strict=True) if not inside]
            raise ValueError(
                "Expected all images in sub-folders, one for each class, or none. Received: "
                f"{len(names) - len(outside)} in sub-folders of {place} and {len(outside)} outside "
                f"of them, such as {outside[0]}. Move these into a sub-folder or out of {place}."
            )
        classes = [parts[0] for parts in below]
        if len(set(classes)) > 1:
            listing.labels = classes
    return listing


def _part_notes(parts: Sequence[str]) -> list[str]:
    counts = {part: parts.count(part) for part in ("train", "validation", "test") if part in parts}
    words = ", ".join(f"{count:,} {part}" for part, count in counts.items())
    return [
        f"The layout has parts: {words}. The first is used for training. The others are held out."
    ]


def _common_folder(names: Sequence[str]) -> str:
    """Returns the deepest folder, with a slash, that contains all names."""
    root = os.path.commonprefix([name.rpartition("/")[0] + "/" for name in names])
    root = root[: root.rfind("/") + 1]
    return root if root != "/" else ""


def _read_labels(
    table: str, read_table: Callable[[str], bytes], listing: Listing
) -> list[str] | None:
    """Returns the label of each image from a table, or None if the table has no labels.

    Raises:
        ValueError: If the table is damaged, or an image is missing from it.
    """
    place, names = listing.place, listing.names
    try:
        content = read_table(table).decode("utf-8-sig")
        rows = _json_labels(content) if table.endswith(".json") else _csv_labels(content)
    except (ValueError, csv.Error, RecursionError) as error:
        raise ValueError(
            f"{table} in {place} cannot be read: {error}. Repair or remove it."
        ) from error
    if rows is None:
        listing.skipped.setdefault("tables without a column of labels", []).append(table)
        return None
    folder = table[: table.rfind("/") + 1]
    keys = [(name.removeprefix(folder), name.rpartition("/")[2]) for name in names]
    labels = [rows.get(path, rows.get(base)) for path, base in keys]
    missing = [name for name, label in zip(names, labels, strict=True) if label is None]
    if missing:
        raise ValueError(
            f"Expected a label for each image in {table}. Received: none for {len(missing)} of "
            f"{len(names)} images in {place}, such as {missing[0]}. Add them or remove the table."
        )
    listing.notes.append(f"The classes are those of {table}.")
    known = {key for pair in keys for key in pair}
    if absent := [name for name in rows if name not in known]:
        listing.skipped.setdefault(f"rows of {table} without an image", []).extend(absent)
    return [str(label) for label in labels]


def _json_labels(content: str) -> dict[str, str] | None:
    """Returns the labels of StyleGAN's `dataset.json`."""
    labels = json.loads(content).get("labels") if content.lstrip().startswith("{") else None
    if not labels:
        return None
    if not all(isinstance(row, list) and len(row) == 2 for row in labels):
        raise ValueError("its labels are not pairs of a name and a class")
    if not all(type(row[1]) is int for row in labels):
        raise ValueError("its labels are not integers")
    return {str(name): str(label) for name, label in labels}


def _csv_labels(content: str) -> dict[str, str] | None:
    """Returns the labels of a table with a column of names and a column of labels."""
    reader = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    columns = {str(name).strip().lower(): name for name in reader.fieldnames or ()}
    name = next((columns[c] for c in _NAME_COLUMNS if c in columns), None)
    label = next((columns[c] for c in _LABEL_COLUMNS if c in columns), None)
    if name is None or label is None:
        return None
    return {
        str(row[name]).removeprefix("./").replace("\\", "/"): str(row[label]).strip()
        for row in reader
    }
