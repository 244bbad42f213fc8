"""T02 WEALTH_PRODUCT_DIVERSION: loan money buys wealth products, funds, insurance or gold."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from detectors.alert_record import LookAlike
from detectors.detector import Context
from detectors.finding import Finding
from detectors.loans import Loan, Passage
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


class WealthProductDiversion(UseRule[Parameters]):
    """Purchases of wealth products with loan money.

    A purchase redeemed within ``parking_days_max`` was parked: the alert is withdrawn when the money is back.
    """

    code = "T02"
    name = "WEALTH_PRODUCT_DIVERSION"
    name_zh = "挪用购买理财"
    uses = None  # redemptions carry the class of the account they go to
    Parameters = Parameters
    destination_en = "wealth products"
    destination_zh = "理财产品"
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
        bought_ms = min(hit.transfer.event_time_ms for hit in hits)
        parked = sum(
            hit.standing_minor() for hit in redemptions
            if hit.transfer.event_time_ms - bought_ms <= rules.parking_days_max * DAY_MS
        )  # fmt: skip
        still = loan.share(weighed.traced_minor - parked)
        innocent = parked > 0 and still < rules.share_min
        detail = f"{parked} minor units of it were redeemed within {rules.parking_days_max} days; {still:.1%} of the loan remains"
        return (clears("parking_before_payment", innocent, detail),)

    def judge(self, loan: Loan, hits: list[Passage], context: Context) -> Finding:
        """Only purchases are weighed; redemptions are tested as a look-alike."""
        purchases = [hit for hit in hits if hit.payer.place != WEALTH]
        return super().judge(loan, purchases, context)
