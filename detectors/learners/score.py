"""The score of one payment, as given before anything was learned from it."""

from __future__ import annotations

from array import array

from msgspec import Struct

from detectors.learners.peers import ALL


class Contribution(Struct, frozen=True):
    """What one feature did to a score. ``usual`` is what the feature mostly is; ``weight`` is in log-odds and adds up.

    ``peers`` names the peer group in which ``usual`` is usual; None: among recent payments.
    """

    feature: str
    value: float
    usual: float
    weight: float
    peers: str | None = None


class PaymentScore(Struct, frozen=True, gc=False):
    """How suspicious a payment from account to account is, from 0 to 1; a rank within its day more than a probability."""

    txn_id: str
    event_time_ms: int
    payer: str
    payee: str
    amount_minor: int
    score: float
    vector: bytes  # the features as 32-bit floats, in the order of detectors.learners.features.NAMES
    rank: float | None = None  # where the score stood among the recent ones, 0 to 100; None: nobody wanted ranks
    peers: str = ALL  # the peer group that the payee was compared with

    @property
    def percentile(self) -> float:
        """The rank, where there is one."""
        assert self.rank is not None, f"payment {self.txn_id} was scored without a rank"
        return self.rank

    @property
    def features(self) -> tuple[float, ...]:
        """The features as numbers."""
        return tuple(array("f", self.vector))


class LoanScore(Struct, frozen=True):
    """How suspicious the use of a loan's money is, from 0 to 1: said each time that it rises.

    It is the highest score of a payment that carried the loan's money, divided by the payment's hop: what the borrower does
    says more of the loan than what those do whom he has paid.
    """

    loan_id: str
    event_time_ms: int
    score: float
