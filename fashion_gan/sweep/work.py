"""The trials of a sweep: one study, in which as many processes work as one likes."""

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

from fashion_gan.runs import summary
from fashion_gan.runs.config import Config
from fashion_gan.runs.directory import RunDirectory
from fashion_gan.sweep.space import Range, Space, grid, grid_size, suggest

if TYPE_CHECKING:
    import optuna

__all__ = ["SCORE", "SETTINGS", "Watch", "open_study", "run_worker"]

Watch = Callable[[int, Mapping[str, float]], bool]
Train = Callable[[Config, Path, Watch], Any]

SCORE = "frechet_distance"
SETTINGS = "settings"  # of a study: see `_described`
_ENDED = ("done", "collapsed")  # states of a run
_WORKERS = "workers"  # a folder for each, locked as long as it works


def open_study(
    folder: str | os.PathLike[str],
    space: Space,
    config: Config,
    seeds: Sequence[int],
    storage: str | None = None,
) -> "optuna.Study":
    """Open the sweep of a folder, or begin it.

    Lists alone make a grid, of which every point is tried; with a range, Optuna's tree-structured
    Parzen estimator chooses. A trial is pruned if its distance after an epoch is above the median
    of the others at that epoch.

    Args:
        folder: of the sweep; made when needed.
        space: settings to their values.
        config: what all trials share.
        seeds: of the trainings in a trial.
        storage: a URL of a database, or a `.log` file for Optuna's journal, which workers on many
            hosts can share; by default `FOLDER/study.db`.

    Raises:
        ImportError: if Optuna is missing.
        FileExistsError: if the folder is a file.
        ValueError: if the sweep began with another space, config or seeds, or if the storage cannot
            be opened.
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError('Sweeps need Optuna: pip install "fashion-gan[sweep]".') from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    import sqlalchemy.exc

    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file. Name a folder for the sweep.")
    storage = storage or f"sqlite:///{folder.resolve() / 'study.db'}"
    opened: Any = storage
    try:
        if not storage.endswith(".log"):
            sqlalchemy.engine.make_url(storage).get_dialect()
        folder.mkdir(parents=True, exist_ok=True)
        if storage.endswith(".log"):
            from optuna.storages.journal import JournalFileBackend

            opened = optuna.storages.JournalStorage(JournalFileBackend(storage))
        arguments = {
            "storage": opened,
            "study_name": folder.resolve().name,
            "sampler": optuna.samplers.TPESampler(constant_liar=True),
            "pruner": optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
        }
        study = optuna.create_study(**arguments)  # of several workers, one succeeds
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise ValueError(
            f"The storage {storage} cannot be opened: {error}. Give a URL such as "
            "sqlite:///study.db, or a FILE.log."
        ) from error
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(**arguments)
        before = _wait_for(lambda: study.user_attrs.get(SETTINGS))  # None: its maker was killed
        if before is not None:
            _check_same(folder, before, _described(space, config, seeds))
            return study
    for point in grid(space):
        study.enqueue_trial(point, user_attrs={"point": point}, skip_if_exists=True)
    study.set_user_attr(SETTINGS, _described(space, config, seeds))
    return study


def _described(space: Space, config: Config, seeds: Sequence[int]) -> dict[str, dict[str, str]]:
    """What makes trials comparable, as text: the values that are varied, and what all share."""
    shared = {**dataclasses.asdict(config), "seeds": ",".join(map(str, seeds))}
    del shared["seed"]
    return {
        "varied": {
            name: str(values) if isinstance(values, Range) else ",".join(map(str, values))
            for name, values in space.items()
        },
        "shared": {name: str(value) for name, value in shared.items() if name not in space},
    }


def _check_same(
    folder: Path, before: dict[str, dict[str, str]], now: dict[str, dict[str, str]]
) -> None:
    """Raise ValueError, which lists what differs, unless a sweep may go on with these settings."""
    then, new = ({**part["varied"], **part["shared"]} for part in (before, now))
    changed = [name for name in new if new[name] != then.get(name)]
    if changed:
        began, came = (" ".join(f"{n}={part.get(n)}" for n in changed) for part in (then, new))
        raise ValueError(
            f"The sweep in {folder} began with {began}. Received: {came}. Give the same settings, "
            "or another folder."
        )


def _wait_for(look: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What `look` returns once it is something, or at last nothing."""
    until = time.monotonic() + seconds
    while (found := look()) is None and time.monotonic() < until:
        time.sleep(0.1)
    return found


@contextmanager
def _study_lock(folder: Path) -> Iterator[None]:
    """One worker of this host at a time: on SQLite, Optuna may give one trial to two that ask."""
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
    """Train trials until the sweep has enough; call it in as many processes as one likes.

    A trial is a point of the space, trained with each of the seeds in a run folder of its own,
    `FOLDER/trial-0003/seed-1`. Its score is the mean over the seeds of the last quick Fréchet
    distance. What a killed worker of this host had begun goes on from its backups.

    Args:
        study: what `open_study` returned.
        folder: of the sweep.
        config: what all trials share.
        space: settings to their values.
        seeds: of the trainings in a trial.
        trials: how many make enough; by default a grid's every point, and else 20.
        train: called with a config, a run folder and what to call after each epoch, with the
            number of finished epochs and the logs, and to end the training if that returns True;
            it goes on with a run that is there.
        say: is told of each trial that ends.
    """
    import optuna

    folder = Path(folder)
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
                trial, place, dataclasses.replace(config, **settings), seeds, train
            )
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return "pruned"
        except BaseException:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise
        study.tell(trial, score)
        return f"Fréchet {score:.2f}"

    home = folder / _WORKERS / worker
    home.mkdir(parents=True, exist_ok=True)
    with RunDirectory(home).lock():
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
    trial: "optuna.Trial", place: Path, config: Config, seeds: Sequence[int], train: Train
) -> float:
    """The mean distance over the seeds, and in the trial's attributes what each reached."""
    import optuna

    reached: list[dict[str, Any]] = []

    def watch(epoch: int, logs: Mapping[str, float]) -> bool:
        if reached or SCORE not in logs:
            return False
        with suppress(ValueError):  # a worker that was killed has reported it
            trial.report(logs[SCORE], epoch)
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
        reached.append({"seed": seed, SCORE: last[SCORE], "collapsed": run.state == "collapsed"})
        trial.set_user_attr("reached", reached)
    return statistics.fmean(one[SCORE] for one in reached)


def _requeue_interrupted(study: "optuna.Study", folder: Path, say: Callable[[str], None]) -> None:
    """Enqueue again what was interrupted, or begun by workers of this host that were killed."""
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
            # Looked up again: the worker may have finished it since, and gone home.
            state = study.get_trials(deepcopy=False)[trial.number].state
            if state == states.RUNNING:
                study.tell(trial.number, state=states.FAIL)
                state = states.FAIL
        if state != states.FAIL:
            continue
        point = trial.user_attrs.get("point", trial.params)
        study.enqueue_trial(point, user_attrs={"folder": place, "point": point})
        say(f"{place} was not finished; it goes on.")
