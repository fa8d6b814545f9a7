"""Predicts the accuracy of untried plans: an additive Gaussian process over the tried ones.

A plan's loss, minus the logarithm of the share of accuracy that it keeps, is the sum of its options' losses
and an interaction term. Each option's prior mean is proportional to its estimate before any trial; the
interaction is proportional to the sum and correlated between similar plans. Both are Gaussian, so every
trial teaches about both (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, sections 2.7
and 5.4).
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from threadpoolctl import threadpool_limits

from merges.rule import KEEP
from search.space.additive import Estimates

_DOUBT = 2.0  # standard deviation of an option's loss, in prior means
_ROUGH_NOISE, _ROUGH_SHARE = 0.02, 0.3  # of a measured loss, where its options are taken to add up
_SHARES = (0.1, 0.2, 0.4)  # what does not add up, as a share of what does
_ALIKE = (0.5, 0.8, 0.9, 0.95)  # its correlation between plans that differ at one site
_NOISES = (0.003, 0.01, 0.03)  # standard deviation of a measured loss
_LARGEST_HARM = 4.0
_FIRST_SCALE, _LEAST_SCALE = 1.0, 1e-3
_LEAST_HARM = 1e-6
_LEAST_VARIANCE = 1e-12

MOST_PLANS = 600  # the latest: the time to learn from them grows with their cube
ENOUGH_PLANS = 10  # before anything that is predicted counts

# With matrices of some hundred plans, BLAS takes three times as long with two threads as with one.
one_thread = threadpool_limits.wrap(limits=1, user_api="blas")


@dataclass(frozen=True)
class _Kernel:
    """Covariance of the losses of plans; a plan is a row with a one for each site's option."""

    variances: np.ndarray  # of the options' losses
    rough: np.ndarray  # the options' losses as far as they add up
    sites: int
    share: float
    alike: float

    def _sizes(self, plans: np.ndarray) -> np.ndarray:
        return self.share * np.minimum(plans @ self.rough, _LARGEST_HARM)

    def between(self, some: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Covariances (some, others)."""
        likeness = self.alike ** (self.sites - some @ others.T)
        apart = np.outer(self._sizes(some), self._sizes(others)) * likeness
        return (some * self.variances) @ others.T + apart

    def own(self, plans: np.ndarray) -> np.ndarray:
        """Variances (plans,)."""
        return plans @ self.variances + self._sizes(plans) ** 2


class GaussianProcess:
    """The posterior after some trials, for one kernel and noise, with the log evidence of the trials."""

    def __init__(
        self, prior: np.ndarray, kernel: _Kernel, noise: float, tried: np.ndarray, losses: np.ndarray
    ) -> None:
        self.prior, self.kernel, self.noise, self.tried, self.measured = prior, kernel, noise, tried, losses
        covariance = kernel.between(tried, tried) + noise**2 * np.eye(len(tried))
        self.factor = cho_factor(covariance, lower=True)
        surprise = losses - tried @ prior
        self.weights = cho_solve(self.factor, surprise)
        self.evidence = float(-surprise @ self.weights / 2 - np.log(np.diag(self.factor[0])).sum())

    @classmethod
    def of(cls, prior: np.ndarray, sites: int, tried: np.ndarray, losses: np.ndarray) -> "GaussianProcess":
        """From prior means up to a common scale (options,), tried plans (trials, options) and their losses.

        The size of the interaction and of the noise are those with the largest evidence.
        """
        expected = tried @ prior
        power = float(expected @ expected)
        scale = max(float(expected @ losses) / power, _LEAST_SCALE) if power > 0 else _FIRST_SCALE
        mean = scale * prior
        variances = (_DOUBT * mean) ** 2
        rough = np.maximum(mean + _added_up(variances, tried, losses - tried @ mean, losses), 0.0)
        return max(
            (
                cls(mean, _Kernel(variances, rough, sites, share, alike), noise, tried, losses)
                for share, alike, noise in itertools.product(_SHARES, _ALIKE, _NOISES)
            ),
            key=lambda process: process.evidence,
        )

    def losses(self, plans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations of the losses of plans (plans, options)."""
        shared = self.kernel.between(plans, self.tried)
        known = np.einsum("ij,ji->i", shared, cho_solve(self.factor, shared.T))
        variances = np.maximum(self.kernel.own(plans) - known, _LEAST_VARIANCE)
        return plans @ self.prior + shared @ self.weights, np.sqrt(variances)

    def draw(self, random: np.random.Generator, boldness: float) -> np.ndarray:
        """A sample of the options' additive losses (Thompson sampling, 1933), at least 0."""
        taught = self.tried * self.kernel.variances
        mean = self.prior + taught.T @ self.weights
        covariance = np.diag(self.kernel.variances) - taught.T @ cho_solve(self.factor, taught)
        drawn = random.multivariate_normal(
            mean, boldness**2 * covariance, method="eigh", check_valid="ignore"
        )
        return np.maximum(drawn, 0.0)

    def left_out(self) -> np.ndarray:
        """The loss of every tried plan, predicted from all the others (Rasmussen and Williams, eq. 5.12)."""
        inverse = cho_solve(self.factor, np.eye(len(self.tried)))
        return np.asarray(self.measured - self.weights / np.diag(inverse))


def _added_up(
    variances: np.ndarray, tried: np.ndarray, surprise: np.ndarray, losses: np.ndarray
) -> np.ndarray:
    """Posterior of the additive part: the options' losses minus their prior means."""
    noise = _ROUGH_NOISE**2 + (_ROUGH_SHARE * losses) ** 2
    shared = variances * tried
    return np.asarray(shared.T @ np.linalg.solve(shared @ tried.T + np.diag(noise), surprise))


class AccuracyModel:
    """Predicts the accuracy of plans from the estimates of options and from tried plans."""

    def __init__(self, estimates: Estimates, accuracy: float) -> None:
        self.items = [(site, option) for site, found in estimates.items() for option in (KEEP, *found)]
        self.prior = np.array(
            [max(estimates[s][o].loss, _LEAST_HARM) if o != KEEP else 0.0 for s, o in self.items]
        )
        self.accuracy = accuracy
        self._sites = list(estimates)
        self._columns = {item: column for column, item in enumerate(self.items)}

    def rows(self, plans: Sequence[Mapping[str, str]]) -> np.ndarray:
        """Plans as rows of ones where an option is taken (plans, options); others count as kept."""
        rows = np.zeros((len(plans), len(self.items)))
        for row, plan in zip(rows, plans, strict=True):
            for site in self._sites:
                taken = site, plan.get(site, KEEP)
                row[self._columns.get(taken, self._columns[site, KEEP])] = 1.0
        return rows

    @one_thread
    def fitted(self, tried: Sequence[tuple[Mapping[str, str], float]]) -> GaussianProcess:
        """The posterior after the latest plans with these accuracies (percent).

        The untouched network loses nothing.
        """
        tried = tried[-MOST_PLANS:]
        rows = self.rows([{}, *(plan for plan, _ in tried)])
        kept = np.clip([1.0, *(accuracy / self.accuracy for _, accuracy in tried)], 1e-9, None)
        return GaussianProcess.of(
            self.prior, len(self._sites), rows, np.clip(-np.log(kept), None, _LARGEST_HARM)
        )

    def predict(self, process: GaussianProcess, plan: Mapping[str, str]) -> float:
        """Expected accuracy of a plan, in percent."""
        return self.at_best(process, plan, 0.0)

    def at_best(self, process: GaussianProcess, plan: Mapping[str, str], deviations: float) -> float:
        """Accuracy (percent) of a plan if its loss is this many standard deviations below the mean."""
        (loss,), (deviation,) = process.losses(self.rows([plan]))
        least = loss - deviations * np.hypot(deviation, process.noise)
        return self.accuracy * float(np.exp(-max(least, 0.0)))

    def left_out(self, tried: Sequence[tuple[Mapping[str, str], float]]) -> list[float]:
        """The accuracy of each of the latest plans, predicted from all the others (percent)."""
        _, *losses = self.fitted(tried).left_out()
        return [self.accuracy * float(np.exp(-loss)) for loss in losses]
