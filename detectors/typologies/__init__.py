"""The typologies, one file each. They never import each other; adding one means adding it to :data:`TYPOLOGIES`."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from detectors.typologies.t01_securities_diversion import SecuritiesDiversion
from detectors.typologies.t02_wealth_product_diversion import WealthProductDiversion
from detectors.typologies.t05_return_to_borrower_side import ReturnToBorrowerSide
from detectors.typologies.t06_entrusted_payee_return import EntrustedPayeeReturn
from detectors.typologies.t08_loan_repays_loan import LoanRepaysLoan
from detectors.typologies.t09_cash_out import CashOut
from detectors.typologies.t12_pass_through import PassThrough
from detectors.use_rule import UseRule

TYPOLOGIES: tuple[type[UseRule[Any]], ...] = (
    SecuritiesDiversion,
    WealthProductDiversion,
    ReturnToBorrowerSide,
    EntrustedPayeeReturn,
    LoanRepaysLoan,
    CashOut,
    PassThrough,
)

PARAMETER_TYPES: dict[str, type[Struct]] = {make.code: make.Parameters for make in TYPOLOGIES}
"""Typology code -> the type of its parameters in a rule set."""
