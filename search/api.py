"""The commands as Python functions: search, front, plan, merged, train, export.

Fields have the names of the commands' flags (``max_latency`` is ``--max-latency``) and their defaults.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from search import run
from search.config import SearchConfig
from search.deploy import export as exporting
from search.deploy import train as training
from search.deploy.export import NOT_JUDGED, Wanted
from search.deploy.exported import Exported
from search.deploy.train import Training
from search.deploy.trained import Trained
from search.evaluation.fine_tuned import FineTuned
from search.results.front import Front
from search.results.joined import front_of_all
from search.results.planfile import PlanFile
from search.results.selection import select
from search.study import recorded
from search.study.recorded import Recorded
from search.study.storage import database
from training.errors import BadInputError
from training.progress import Note, Session, Watch, silent, unsaid
from training.store import WeightStore
from training.trust import require_trusted
from training.workbench import workbench

_HOME = Path("studies")


@dataclass(frozen=True)
class Study:
    """A study made by ``search``, or an existing one given by its name.

    Attributes
    ----------
    name : the study's name, as for ``front --study``
    home : folder of studies, teachers and learned layers
    storage : URL of the database; None for SQLite in `home`
    """

    name: str
    home: str | Path = _HOME
    storage: str | None = None

    @property
    def url(self) -> str:
        """URL of the database."""
        return database(self.storage, Path(self.home))


def search(
    home: str | Path = _HOME,
    storage: str | None = None,
    watch: Watch = silent,
    note: Note = unsaid,
    **fields: Any,
) -> Study:
    """Search for merges that make a network fast on a target and keep its accuracy.

    Parameters
    ----------
    home : folder of studies, teachers and learned layers
    storage : URL of the study database; None for SQLite in `home`
    watch, note : called with progress, and with messages
    fields : options of the command ``search``: model="resnet18", data="imagefolder:photos", budget=50 ...

    Raises
    ------
    BadInputError, TargetError, UnknownKernelError
        The request cannot be met; nothing was trained.
    SearchFailedError
        Trials kept failing, none finished, or the database was lost.
    """
    home = Path(home)
    found = run.search(SearchConfig.of(**fields), database(storage, home), Session(home, watch, note))
    return Study(found.study_name, home, storage)


def front(study: Study | Sequence[Study]) -> Front:
    """The Pareto front of a study, or of several together, from the database alone.

    Raises
    ------
    BadInputError
        There is no such study, none of its trials has finished, or several are of different networks, targets
        or data.
    """
    return front_of_all(_recorded(study))


def _recorded(studies: Study | Sequence[Study]) -> list[Recorded]:
    several = [studies] if isinstance(studies, Study) else list(studies)
    if not several or not all(isinstance(study, Study) for study in several):
        raise BadInputError(f"expected a Study or several, not {studies!r}; rebirth.Study(NAME) opens one")
    return [recorded.read(study.name, study.url) for study in several]


def plan(
    study: Study | Sequence[Study],
    trial: int | None = None,
    max_drop: float | None = None,
    max_latency: str | None = None,
    speedup: float | None = None,
    after_training: bool = False,
) -> PlanFile:
    """One plan of a study: a trial's, or the best on its front (or that of several) within one limit.

    Parameters
    ----------
    max_drop : points of accuracy, before training or, with `after_training`, after it: as trained by
        ``finish`` of the search, or estimated from the plans that were
    max_latency : ``40ms``, or ``50%`` of the untouched network's

    Raises
    ------
    BadInputError
        Not exactly one of the four is given, or no plan meets it.
    """
    found = _recorded(study)
    point = select(front_of_all(found), trial, max_drop, max_latency, speedup, after_training)
    return PlanFile.of_trial(next(one for one in found if one.name == point.study), point)


def merged(
    study: Study, plan: PlanFile, watch: Watch = silent, note: Note = unsaid, trust: bool = False
) -> nn.Module:
    """A plan's network with the weights that the study judged: learned layers after a short fine-tune.

    Returns
    -------
    a module that takes preprocessed images, (count, channels, height, width)

    Raises
    ------
    BadInputError
        The plan was made for another network, or the study names code and there is no `trust` in it.
    """
    record = recorded.read(study.name, study.url).record
    if plan.narrow != record.model.narrow:
        raise BadInputError(
            f"the plan has `narrow` {plan.narrow}, and study {study.name!r} {record.model.narrow}; give the "
            f"study that the plan is of: {plan.study or 'it is of none'}"
        )
    setup = record.model.model_copy(update=NOT_JUDGED)
    require_trusted(setup, (), trust)
    bench = workbench(setup, Session(Path(study.home), watch, note), plan.fitted)
    fitted = plan.fitted(bench.network)
    if record.model.zero_shot:
        return bench.network.ended(bench.network.merged(fitted))
    judging = FineTuned(bench, record.proxy, WeightStore(Path(study.home) / "bank"))
    return bench.network.ended(judging.network_of(fitted))


def train(
    plan: PlanFile,
    out: str | Path,
    home: str | Path = _HOME,
    watch: Watch = silent,
    note: Note = unsaid,
    **fields: Any,
) -> Trained:
    """Train a plan's network fully; the same call resumes after the last finished epoch.

    Parameters
    ----------
    out : folder of the run: checkpoints, weights, result
    fields : options of the command ``train``: epochs=10, recipe="ours", data="imagefolder:photos" ...

    Raises
    ------
    BadInputError
        The plan does not fit the network, or `out` holds a run of another plan.
    """
    setup, how = Training.of(plan, fields)
    return training.train(plan, setup, how, Path(out), Session(Path(home), watch, note))


def export(
    run: str | Path,
    out: str | Path,
    threads: int = 1,
    home: str | Path = _HOME,
    watch: Watch = silent,
    note: Note = unsaid,
    trust: bool = False,
    **fields: Any,
) -> Exported:
    """Write a trained run as ONNX, check its answers, and time it beside the original on this machine.

    Fields say where the run's network and images are now, if they have moved, as flags of ``export`` do.

    Raises
    ------
    BadInputError
        The folder holds no finished run, or its plan names code and there is no `trust` in it.
    ExportError
        The file answers differently from the network; it is not left behind.
    """
    wanted = Wanted(Path(out), None, threads)
    return exporting.export_run(Path(run), wanted, Session(Path(home), watch, note), fields, trust)
