"""Runs the trials of a sweep, one study that any number of processes can share."""

import dataclasses
import os
import shutil
import socket
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fashion_gan.files import create_dir_or_undo
from fashion_gan.runs import summary
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory
from fashion_gan.runs.scores import SCORE_LABELS, watched_score
from fashion_gan.runtime import has_imagenet_weights
from fashion_gan.sweep.space import Range, Space, grid, grid_size, suggest
from fashion_gan.sweep.storage import check_storage, connect, storage_errors, write_errors

if TYPE_CHECKING:
    import optuna

__all__ = ["SETTINGS", "Watch", "metric_name", "open_study", "run_worker"]

Watch = Callable[[int, Mapping[str, float]], bool]
Train = Callable[[Config, Path, Watch], Any]

"""Function that trains a config in a run folder, see `run_worker`."""
SETTINGS = "settings"  # attribute of a study, see `_described`
_ENDED = ("done", "collapsed")  # states of finished runs
_WORKERS = "workers"  # holds a folder for each worker, locked while the worker runs


def open_study(
    folder: str | os.PathLike[str],
    space: Space,
    config: Config,
    seeds: Sequence[int],
    storage: str | None = None,
) -> "optuna.Study":
    """Opens the sweep of a folder, or creates it.

    If all settings have lists of values, every point of the grid is tried. If a setting has a
    range, Optuna's tree-structured Parzen estimator chooses the points. A trial is pruned if its
    distance after an epoch is above the median of the other trials at that epoch.

    Args:
        folder: Folder of the sweep. Created if needed.
        space: Settings to vary, with their values.
        config: Config that all trials share.
        seeds: Seeds of the trainings in each trial.
        storage: URL of a database, or path of a `.log` file for Optuna's journal, which workers on
            several hosts can share. Defaults to `FOLDER/study.db`.

    Raises:
        ImportError: If Optuna is not installed.
        FileExistsError: If the folder is a file.
        ValueError: If the sweep began with another space, config or seeds; if the storage is
            damaged or locked, cannot be opened, or is empty although the folder has trials. Nothing
            changes in these cases.
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError('Sweeps need Optuna: pip install "fashion-gan[sweep]".') from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file. Name a folder for the sweep.")
    with create_dir_or_undo(folder):
        own_storage = f"sqlite:///{folder.resolve() / 'study.db'}"
        storage = storage or own_storage
        name = _study_name(folder, storage, storage == own_storage)
        settings = _described(space, config, seeds)
        with storage_errors(storage):
            arguments: Any = {
                "storage": connect(storage),
                "study_name": name,
                "sampler": optuna.samplers.TPESampler(constant_liar=True),
                "pruner": optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
            }
            study, is_new = _load_or_create(**arguments)
            study.get_trials(deepcopy=False)  # finds damage that the file check misses
            # None if the process that created the study was killed.
            before = None if is_new else _wait_for(lambda: study.user_attrs.get(SETTINGS))
            then = before and {**before["varied"], **before["shared"]}
        if then:
            _check_same(folder, then, {**settings["varied"], **settings["shared"]})
            return study
        with storage_errors(storage):
            for point in grid(space):
                study.enqueue_trial(point, user_attrs={"point": point}, skip_if_exists=True)
            metric = metric_name(config, space)
            study.set_user_attr(SETTINGS, {**settings, "metric": metric})
    return study


def _load_or_create(**arguments: Any) -> "tuple[optuna.Study, bool]":
    """Returns a study and whether this process created it; loading writes nothing."""
    import optuna

    with suppress(KeyError):
        return optuna.load_study(**arguments), False
    try:
        return optuna.create_study(**arguments), True
    except optuna.exceptions.DuplicatedStudyError:  # another worker created it first
        return optuna.load_study(**arguments), False


def _study_name(folder: Path, storage: str, is_own: bool) -> str:
    """Checks the storage of a folder and returns the name of its study.

    Args:
        folder: Folder of the sweep.
        storage: URL of a database, or path of a journal.
        is_own: Whether the storage is in the folder and moves with it.
    """
    name = folder.resolve().name
    has_trials = any(folder.glob("trial-*"))  # before listing studies, as others may create one
    names = check_storage(storage)
    if names is None:
        return name
    if is_own and len(names) == 1:
        return names[0]
    if has_trials and name not in names:
        raise ValueError(
            f"The storage {storage} holds no study {name}, but {folder} holds trials of one. "
            "Restore the storage, or name another folder."
        )
    return name


def metric_name(config: Config, space: Space) -> str:
    """Returns the name of the metric that scores a trial.

    Your own images are scored in ImageNet features if these are installed, and in pixel space
    otherwise.

    Args:
        config: Config that all trials share.
        space: Settings to vary, with their values.
    """
    if "data" in space:
        config = dataclasses.replace(config, data=str(space["data"]))
    return watched_score(config, ("kernel_distance",) if has_imagenet_weights() else ())


def _described(space: Space, config: Config, seeds: Sequence[int]) -> dict[str, dict[str, str]]:
    """Returns the varied values and the shared settings as text, to check that trials compare."""
    shared = {**dataclasses.asdict(config), "seeds": ",".join(map(str, seeds))}
    del shared["seed"]
    return {
        "varied": {
            name: str(values) if isinstance(values, Range) else ",".join(map(str, values))
            for name, values in space.items()
        },
        "shared": {name: str(value) for name, value in shared.items() if name not in space},
    }


def _check_same(folder: Path, then: dict[str, str], new: dict[str, str]) -> None:
    """Raises a ValueError that lists the differences if a sweep cannot continue with `new`."""
    changed = [name for name in new if new[name] != then.get(name)]
    if changed:
        began, came = (" ".join(f"{n}={part.get(n)}" for n in changed) for part in (then, new))
        raise ValueError(
            f"The sweep in {folder} started with {began}. Received: {came}. Pass the same "
            "settings, or another folder."
        )


def _wait_for(look: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Calls `look` until its result is not None or the time is up, and returns the result."""
    until = time.monotonic() + seconds
    while (found := look()) is None and time.monotonic() < until:
        time.sleep(0.1)
    return found


@contextmanager
def _study_lock(folder: Path) -> Iterator[None]:
    """Excludes other workers of this host, as Optuna on SQLite may assign a trial twice."""
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(RunDirectory(folder).lock())
                break
            except BlockingIOError:
                time.sleep(0.05)
        yield


def run_worker(
    study: "optuna.Study",
    folder: str | os.PathLike[str],
    config: Config,
    space: Space,
    seeds: Sequence[int],
    trials: int | None = None,
    *,
    train: Train,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Trains trials until the sweep has enough; any number of processes may call it.

    A trial is a point of the space. It is trained with each seed in a separate run folder, such as
    `FOLDER/trial-0003/seed-1`. Its score is the mean over the seeds of the last quick distance, see
    `metric_name`. Trials of a killed worker of this host resume from their backups.

    Args:
        study: Study from `open_study`.
        folder: Folder of the sweep.
        config: Config that all trials share.
        space: Settings to vary, with their values.
        seeds: Seeds of the trainings in each trial.
        trials: Number of trials in the sweep. Defaults to all points of a grid, or to 20 with a
            range.
        train: Function that trains a config. Its arguments are the config, the run folder and a
            function to call after each epoch with the number of finished epochs and the logs. It
            must end the training if that function returns True, and resume an existing run.
        say: Function that is called with a line on each trial that ends.

    Raises:
        TimeoutError: If the journal has a stale lock.
        ValueError: If the database cannot be written.
    """
    import optuna

    folder = Path(folder)
    metric = metric_name(config, space)
    size = grid_size(space)
    wanted = trials or size or 20
    worker = f"{socket.gethostname()}-{os.getpid()}"

    def done() -> int:
        over = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
        return len(study.get_trials(deepcopy=False, states=over))

    def ask() -> "optuna.Trial | None":
        waiting = (optuna.trial.TrialState.WAITING,)
        if done() >= wanted or (size and not study.get_trials(deepcopy=False, states=waiting)):
            return None
        trial = study.ask()
        place = trial.user_attrs.get("folder", f"trial-{trial.number:04d}")
        trial.set_user_attr("folder", place)
        trial.set_user_attr("worker", worker)
        return trial

    def run(trial: "optuna.Trial") -> str:
        settings = {name: suggest(trial, name, values) for name, values in space.items()}
        place = folder / trial.user_attrs["folder"]
        try:
            score = _train_seeds(
                trial, place, dataclasses.replace(config, **settings), seeds, metric, train
            )
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return "pruned"
        except BaseException:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise
        study.tell(trial, score)
        return f"{SCORE_LABELS[metric]} {score:.3g}"

    home = folder / _WORKERS / worker
    home.mkdir(parents=True, exist_ok=True)
    with RunDirectory(home).lock(), write_errors(folder):
        with _study_lock(folder):
            _requeue_interrupted(study, folder, say)
        while True:
            with _study_lock(folder):
                trial = ask()
            if trial is None:
                break
            result = run(trial)
            values = trial.params.values()
            numbers = (f"{v:.3g}" if isinstance(v, float) else str(v) for v in values)
            chosen = ", ".join(map(" ".join, zip(trial.params, numbers, strict=True)))
            say(f"[{done()}/{wanted}] {chosen}: {result}")


def _train_seeds(
    trial: "optuna.Trial",
    place: Path,
    config: Config,
    seeds: Sequence[int],
    metric: str,
    train: Train,
) -> float:
    """Returns the mean distance over the seeds, and stores each result in the trial."""
    import optuna

    reached: list[dict[str, Any]] = []

    def watch(epoch: int, logs: Mapping[str, float]) -> bool:
        if reached or metric not in logs:
            return False
        with suppress(ValueError):  # a killed worker may have reported it already
            trial.report(logs[metric], epoch)
        return bool(trial.should_prune())

    for seed in seeds:
        folder = place / f"seed-{seed}"
        if not RunDirectory(folder).exists() or summary.summarize_run(folder).state not in _ENDED:
            train(dataclasses.replace(config, seed=seed), folder, watch)
        shutil.rmtree(RunDirectory(folder).backup_dir, ignore_errors=True)
        run = summary.summarize_run(folder)
        if run.epochs < config.epochs:
            raise optuna.TrialPruned
        last = summary.read_history(folder)[-1]
        reached.append({"seed": seed, metric: last[metric], "collapsed": run.state == "collapsed"})
        trial.set_user_attr("reached", reached)
    return statistics.fmean(one[metric] for one in reached)


def _requeue_interrupted(study: "optuna.Study", folder: Path, say: Callable[[str], None]) -> None:
    """Enqueues interrupted trials again, including those of killed workers of this host."""
    import optuna

    states = optuna.trial.TrialState
    newest = {t.user_attrs["folder"]: t for t in study.trials if "folder" in t.user_attrs}
    for place, trial in newest.items():
        state = trial.state
        if state == states.RUNNING:
            worker = trial.user_attrs.get("worker", "")
            ours = worker.startswith(f"{socket.gethostname()}-")
            if not ours or RunDirectory(folder / _WORKERS / worker).is_locked():
                continue
            # The worker may have finished the trial and exited since the first look.
            state = study.get_trials(deepcopy=False)[trial.number].state
            if state == states.RUNNING:
                study.tell(trial.number, state=states.FAIL)
                state = states.FAIL
        if state != states.FAIL:
            continue
        point = trial.user_attrs.get("point", trial.params)
        study.enqueue_trial(point, user_attrs={"folder": place, "point": point})
        say(f"{place} was not finished; it is resumed.")
