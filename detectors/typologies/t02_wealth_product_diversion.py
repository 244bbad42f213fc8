"""T02 WEALTH_PRODUCT_DIVERSION: loan money buys wealth products, funds, insurance or gold."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from detectors.alert_record import LookAlike
from detectors.detector import Context
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.money import format_money
from detectors.use_rule import UseRule, clears
from detectors.uses import WEALTH
from detectors.verdict import Weighed

DAY_MS = 86_400_000


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are proposals; a rule set overrides them."""

    share_min: Annotated[float, Meta(gt=0, le=1)] = 0.20
    window_days: Annotated[int, Meta(ge=1, le=3650)] = 15
    hops_max: Annotated[int, Meta(ge=1, le=100)] = 4
    parking_days_max: Annotated[int, Meta(ge=0, le=365)] = 5  # redeemed within: parked before a payment, not invested
    bridge_days: Annotated[int, Meta(ge=0, le=365)] = 30  # bought before, the funder repaid after; 0: no bridges


class WealthProductDiversion(UseRule[Parameters]):
    """Purchases of wealth products with loan money.

    A purchase redeemed within ``parking_days_max`` was parked: the alert is withdrawn when the money is back, and stands
    again when it buys again. Misses what is bought at another bank; a redemption into another account of the customer is not
    linked to the purchase.
    """

    code = "T02"
    name = "WEALTH_PRODUCT_DIVERSION"
    name_zh = "挪用购买理财"
    uses = None  # redemptions carry the class of the account they go to
    bridged_uses = frozenset({WEALTH})
    Parameters = Parameters
    destination_en = "into wealth products"
    destination_zh = "用于购买理财产品"
    checks = (
        "Read the product's term and the holder in the purchase record",
        "Look for a dated payment to a supplier that the money waits for",
        "Compare with the customer's purchases before the loan",
    )
    measures = ("watch for redemption", "ask for proof of use after review", "stop further drawings", "early repayment")

    def counts(self, passage: Passage, context: Context) -> bool:
        if passage.payer.place == WEALTH:
            return self.code in passage.loan.hits
        if passage.transfer.use != WEALTH:
            return False
        rules = self.parameters(passage.loan, context)
        hours = passage.loan.hours_since_payout(passage.transfer.event_time_ms)
        return passage.hops <= rules.hops_max and hours <= rules.window_days * 24

    def share_min(self, loan: Loan, hits: list[Passage], context: Context) -> float:
        return self.parameters(loan, context).share_min

    def look_alikes(self, loan: Loan, hits: list[Passage], weighed: Weighed, context: Context) -> tuple[LookAlike, ...]:
        rules = self.parameters(loan, context)
        redemptions = [hit for hit in loan.hits.get(self.code, ()) if hit.payer.place == WEALTH]
        parked = sum(_parked_minor(hit, rules.parking_days_max) for hit in redemptions)
        parked -= _bought_again_minor(
            hits, {hit.transfer.seq for hit in redemptions if _parked_minor(hit, rules.parking_days_max)}
        )
        still = loan.share(weighed.traced_minor - parked)
        innocent = parked > 0 and still < rules.share_min
        back = format_money(max(0, parked), loan.account.currency)
        days = f"{rules.parking_days_max} days"
        detail = f"{back} of it was redeemed within {days} and not invested again; {still:.1%} of the loan remains"
        return (clears("parking_before_payment", innocent, detail),)

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """Only purchases are weighed; redemptions are tested as a look-alike."""
        purchases = [hit for hit in hits if hit.payer.place != WEALTH]
        return super().judge(loan, purchases, context)


def _parked_minor(redemption: Passage, days_max: int) -> int:
    """How much of a redemption had been bought at most ``days_max`` days before."""
    quick = sum(
        parcel.amount_minor for parcel in redemption.parcels
        if parcel.trail.parent is not None
        and redemption.transfer.event_time_ms - parcel.trail.parent.transfer.event_time_ms <= days_max * DAY_MS
    )  # fmt: skip
    return min(quick, redemption.transfer.standing_minor)


def _bought_again_minor(purchases: list[Passage], redeemed_seqs: set[int]) -> int:
    """How much of the purchases was paid with money from these redemptions."""
    again = 0
    for hit in purchases:
        parcels = sum(
            parcel.amount_minor for parcel in hit.parcels
            if any(transfer.seq in redeemed_seqs for transfer in parcel.trail.transfers())
        )  # fmt: skip
        again += min(parcels, hit.transfer.standing_minor)
    return again
