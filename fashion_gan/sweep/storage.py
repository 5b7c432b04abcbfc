"""Checks and opens the storage of a sweep, a database or a journal."""

import json
import shlex
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

__all__ = ["JournalLock", "check_storage", "connect", "storage_errors", "write_errors"]

_STALE_SECONDS = 30.0
_CREATE_STUDY = 0  # operation code in Optuna's journal
_RESTORE = "Restore it, or name another storage or folder."
_UNLOCK = "Wait, or end the process that locks it."


def check_storage(storage: str) -> list[str] | None:
    """Returns the names of the studies in a storage, without changing it.

    Args:
        storage: URL of a database, or path of a journal that ends in `.log`.

    Returns:
        Names of the studies, or None for a database on a server.

    Raises:
        ValueError: If the storage is locked, damaged, of an unknown kind or in a missing folder.
    """
    import sqlalchemy

    if storage.endswith(".log"):
        return _check_file(storage, Path(storage), _list_journal)
    try:
        url = sqlalchemy.engine.make_url(storage)
        url.get_dialect()
    except sqlalchemy.exc.ArgumentError as error:
        raise ValueError(
            f"The storage {storage} cannot be opened: {_reason(error)}. Pass a URL such as "
            "sqlite:///study.db, or a FILE.log."
        ) from error
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return _check_file(storage, Path(str(url.database)), _list_sqlite)


def connect(storage: str) -> Any:
    """Returns the storage in a form that Optuna accepts.

    Args:
        storage: Storage that `check_storage` accepts.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if not storage.endswith(".log"):
        return storage
    lock: Any = JournalLock(Path(storage))
    return JournalStorage(JournalFileBackend(storage, lock))


@contextmanager
def storage_errors(storage: str) -> Iterator[None]:
    """Converts every error while a storage is opened into a ValueError that names the storage."""
    try:
        yield
    except ImportError:  # the database driver is missing
        raise
    except Exception as error:  # damaged content may raise anything
        raise _storage_error(f"The storage {storage} cannot be opened", error) from error


@contextmanager
def write_errors(folder: Path) -> Iterator[None]:
    """Converts an error while a sweep writes its database into a ValueError."""
    import optuna
    import sqlalchemy

    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        subject = f"The storage of the sweep in {folder} cannot be written"
        raise _storage_error(subject, error) from error


class JournalLock:
    """Locks Optuna's journal, and raises TimeoutError for a stale lock.

    Only one of this lock and Optuna's own locks can be held at a time. Optuna's locks remove a
    stale lock or wait for it forever.

    Args:
        journal: Path of the journal.
    """

    def __init__(self, journal: Path) -> None:
        self.journal = journal.absolute()
        self.path = Path(f"{self.journal}.lock")

    def acquire(self) -> bool:
        """Acquires the lock, and waits for it if necessary.

        Raises:
            TimeoutError: If another process has held the lock for half a minute.
        """
        seen: float | None = None
        since = time.monotonic()
        while True:
            try:
                self.path.symlink_to(self.journal)
                return True
            except FileExistsError:
                created = self._created()
            if created is None or created != seen:
                seen, since = created, time.monotonic()
            else:
                self._check_age(created, time.monotonic() - since)
            time.sleep(0.01)

    def release(self) -> None:
        """Releases the lock."""
        self.path.unlink(missing_ok=True)

    def _created(self) -> float | None:
        try:
            return self.path.lstat().st_mtime
        except FileNotFoundError:
            return None

    def _check_age(self, created: float, waited: float) -> None:
        age = max(time.time() - created, waited)
        if age > _STALE_SECONDS and waited > 2:  # clocks of hosts may differ
            raise TimeoutError(
                f"Expected a journal that is locked only briefly. Received: {self.path}, which "
                f"is {_duration(age)} old. Unless its worker still writes, remove it: "
                f"rm {shlex.quote(str(self.path))}"
            )


def _check_file(storage: str, path: Path, list_studies: Any) -> list[str]:
    if not path.parent.is_dir():
        raise ValueError(
            f"The storage {storage} cannot be opened: there is no folder {path.parent}. Create "
            "it, or name another storage."
        )
    with storage_errors(storage):
        return list_studies(path)


def _list_sqlite(path: Path) -> list[str]:
    if not path.exists():
        return []
    # With mode=ro, SQLite could not roll back an incomplete write of a killed worker.
    uri = f"{path.absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        (damage,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if damage != "ok":
            raise ValueError("the database is damaged")
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        if ("studies",) not in tables:
            return []
        return [name for (name,) in connection.execute("SELECT study_name FROM studies")]


def _list_journal(path: Path) -> list[str]:
    lock = JournalLock(path)
    lock.acquire()
    try:
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    finally:
        lock.release()
    names = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            is_study = record["op_code"] == _CREATE_STUDY
            if not line.endswith(b"\n"):
                raise ValueError
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"line {number} is not a record of Optuna's journal") from None
        if is_study:
            names.append(record["study_name"])
    return names


def _storage_error(subject: str, error: Exception) -> ValueError:
    if isinstance(error, TimeoutError):  # raised by `JournalLock`
        return ValueError(str(error))
    reason = _reason(error)
    return ValueError(f"{subject}: {reason}. {_UNLOCK if 'locked' in reason else _RESTORE}")


def _reason(error: BaseException) -> str:
    """Returns the first line of the root cause of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).splitlines() or [""]
    return lines[0].rstrip(".") if type(error) is not KeyError else f"{lines[0]} is missing"


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
