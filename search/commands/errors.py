"""Errors that a user can mend (exit code 2), and errors of the work itself (exit code 1)."""

from latency_models.bench import ModelError
from latency_models.emulation.emulator import EmulatorError
from latency_models.kit import AnswerError, NotMeasurableError
from latency_models.predict import UnknownKernelError
from latency_models.remote.heard import AddressError, BoardError
from latency_models.table import TableError
from latency_models.target import TargetError
from merges.rule import MergeError
from training.errors import BadInputError, DivergedError, ExportError, SearchFailedError

BAD_INPUT = (
    BadInputError,
    ModelError,
    TargetError,
    TableError,
    AnswerError,
    AddressError,
    UnknownKernelError,
)
FAILED = (
    SearchFailedError,
    MergeError,
    NotMeasurableError,
    BoardError,
    EmulatorError,
    ExportError,
    DivergedError,
    OSError,
    MemoryError,
)
