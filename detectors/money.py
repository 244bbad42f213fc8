"""Money: whole minor units of an ISO 4217 currency.

An amount is an ``int`` named ``*_minor`` (fen, cents, yen); no float ever touches one. The exponent says how many decimal
digits a minor unit stands behind the major one: 2 for CNY, 0 for JPY, 3 for KWD.
"""

from __future__ import annotations

AMOUNT_MINOR_MAX = 10**15
"""Largest amount of one record, in minor units (ten trillion yuan): beyond it a figure is a mistake, not money."""

_TWO_DECIMALS = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP
COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IRR
JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK
NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT
TOP TRY TTD TWD TZS UAH USD USN UZS VED VES WST XCD YER ZAR ZMW ZWG ZWL
""".split()
_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split()
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND".split()
_FOUR_DECIMALS = "CLF UYW".split()

EXPONENTS: dict[str, int] = {
    **dict.fromkeys(_TWO_DECIMALS, 2),
    **dict.fromkeys(_NO_DECIMALS, 0),
    **dict.fromkeys(_THREE_DECIMALS, 3),
    **dict.fromkeys(_FOUR_DECIMALS, 4),
}
"""ISO 4217 code -> exponent."""


def format_money(amount_minor: int, currency: str) -> str:
    """The amount as people write it.

    >>> format_money(8_900_000, "CNY")
    'CNY 89,000.00'
    >>> format_money(-1500, "JPY")
    'JPY -1,500'
    """
    exponent = EXPONENTS.get(currency, 0)
    sign = "-" if amount_minor < 0 else ""
    major, minor = divmod(abs(amount_minor), 10**exponent)
    fraction = f".{minor:0{exponent}d}" if exponent else ""
    return f"{currency} {sign}{major:,}{fraction}"


def split_minor(amount_minor: int, weights: list[int]) -> list[int]:
    """Divide an amount by integer weights so that nothing is lost: the one place where money is divided.

    Largest remainder (Hamilton); a tie goes to the earlier share.

    >>> split_minor(100, [1, 1, 1])
    [34, 33, 33]
    """
    total = sum(weights)
    assert total > 0 and min(weights) >= 0, f"weights {weights} do not divide {amount_minor}"
    shares = [amount_minor * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(amount_minor * weights[i] % total), i))
    for i in by_remainder[: amount_minor - sum(shares)]:
        shares[i] += 1
    return shares
