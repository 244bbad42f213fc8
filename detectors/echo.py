"""Echoes: whom the loan's money went to pays like sums on, soon after, to where the loan's money must not go.

An account that holds other money hides which money leaves it, and no order of booking brings that back. What it does not hide
is that the same sums went on, when, and to whom: a supervisor's check of returns to the guarantor asks for no more. It says
nothing for certain about the money itself, so ``certain`` is 0 and the severity never above MEDIUM.

With several books only the payments of accounts in the loan's own book are read. Misses sums that go on through further
accounts with money of their own, and other sums than had come.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

from detectors.accounts import DEPOSIT_KINDS, Account
from detectors.alert_record import Contribution, LookAlike, Measure
from detectors.bounds import Bounds
from detectors.detector import PAYMENT, Context, Payment
from detectors.finding import Finding
from detectors.loans import Loan, Passage
from detectors.lots import Transfer
from detectors.money import format_money
from detectors.parties import BORROWER
from detectors.public_facts import borrower_words, related
from detectors.use_rule import HITS_MAX, P, UseRule, clears
from detectors.uses import OTHER, POCKETS, PURCHASE, says
from detectors.verdict import has_business

DAY_MS = 86_400_000
ECHOES_MAX = 60
"""Payments on that are remembered per loan and typology; further ones are not looked at."""
WATCHED_SHARE_MIN = 0.02
"""Share of the loan from which a payment to a stranger is worth watching what he pays on."""
COINCIDENCES_MIN = 2
"""So many like sums, of one account or of several, are no chance, whatever business the accounts have."""
_RESTS_ON = "the sums, the parties and the time; which money they were, the payers' balances do not tell"


class EchoTerms(NamedTuple):
    """When payments on are an echo of what the loan had paid."""

    ratio_min: float  # of what the loan had paid to the account
    ratio_max: float  # more is other business, as long as nothing has been said
    days_max: int  # from a payment there to a payment on
    share_min: float  # of the loan, all accounts together
    of_trader: Literal["BREACH", "PATTERN"] | None  # what one like sum of an account with business of its own is worth


class Echo(NamedTuple):
    """What one account got from the loan and paid on."""

    payer: Account
    outs: list[Passage]
    on: list[Transfer]
    coincidences: int  # pairs of like sums; 1 where only the totals are alike

    @property
    def out_minor(self) -> int:
        return sum(hit.transfer.standing_minor for hit in self.outs)

    @property
    def on_minor(self) -> int:
        return sum(transfer.standing_minor for transfer in self.on)

    @property
    def ratio(self) -> float:
        out_minor = self.out_minor
        return self.on_minor / out_minor if out_minor else 0.0

    @property
    def attributed_minor(self) -> int:
        return min(self.on_minor, sum(hit.standing_minor() for hit in self.outs))


class EchoRule(UseRule[P]):
    """A breach typology that also reads payments by party, amount and time, where following the money finds nothing."""

    asks = frozenset({PAYMENT})
    reads_like_sums = True
    astray: ClassVar[tuple[str, str] | None] = None  # (English, Chinese): where like sums went, unless as ``destination``

    @abstractmethod
    def terms(self, loan: Loan, context: Context) -> EchoTerms:
        """When payments on are an echo."""

    @abstractmethod
    def goes_astray(self, payment: Payment, loan: Loan, context: Context) -> bool:
        """Whether a payment by somebody whom the loan had paid goes where this typology forbids."""

    def is_outflow(self, passage: Passage, context: Context) -> bool:
        """Whether a payment to a stranger is one that this typology waits on."""
        return True

    def echo_look_alikes(self, loan: Loan, echoes: Sequence[Echo], context: Context) -> tuple[LookAlike, ...]:
        """Innocent explanations that only this typology knows."""
        return ()

    def observe(self, passage: Passage, context: Context) -> tuple[Finding, ...]:
        """Note where the money goes, for like sums may go on; then judge as any typology does."""
        if self._reads(passage.loan, context) and _is_watched(passage, context) and self.is_outflow(passage, context):
            outs = passage.loan.hits.setdefault(self._out_key, [])
            if len(outs) < HITS_MAX and not any(hit is passage for hit in outs):
                outs.append(passage)
                context.watch(passage.payee, passage.loan)
        return super().observe(passage, context)

    def paid(self, payment: Payment, loans: Sequence[Loan], context: Context) -> tuple[Finding, ...]:
        """Somebody whom the loan had paid pays: is it where the loan's money must not go?"""
        found: list[Finding] = []
        for loan in loans:
            outs = [hit for hit in loan.hits.get(self._out_key, ()) if hit.payee is payment.payer]
            if not outs or not _is_stranger(payment.payer, loan, payment.transfer.event_time_ms, context):
                continue  # whose account it is may have become known since
            if payment.transfer.currency != loan.currency or not self.goes_astray(payment, loan, context):
                continue
            since_ms = payment.transfer.event_time_ms - self.terms(loan, context).days_max * DAY_MS
            known = loan.related.setdefault(self._on_key(payment, loan, context), [])
            if len(known) < ECHOES_MAX and any(hit.transfer.event_time_ms >= since_ms for hit in outs):
                known.append(payment.transfer)
                if loan.related.get(self.code) and not self._stands_already(loan):
                    echo = self._judge_echoes(loan, context)
                    found.extend([echo] if echo.stands or echo.said is not None else [])
        return tuple(found)

    def reconsider(self, loan: Loan, seqs: frozenset[int], context: Context) -> tuple[Finding, ...]:
        """Judge anew also when a payment on, or one that it answers, has been undone."""
        outs = [hit.transfer for hit in loan.hits.get(self._out_key, ())]
        if any(transfer.seq in seqs for transfer in (*loan.related.get(self.code, ()), *self._refunds(loan), *outs)):
            return self._judge_all(loan, context)
        return super().reconsider(loan, seqs, context)

    def _judge_all(self, loan: Loan, context: Context) -> tuple[Finding, ...]:
        """What the money itself did goes first."""
        followed = super()._judge_all(loan, context)
        if any(finding.stands for finding in followed) or not loan.related.get(self.code):
            return followed
        echo = self._judge_echoes(loan, context)
        return (echo,) if echo.stands or not followed else followed

    def _stands_already(self, loan: Loan) -> bool:
        """Whether the money itself was followed there: like sums add nothing to that."""
        said = loan.alerts.get(self.code)
        return said is not None and said.status == "OPEN" and self.code in loan.stood

    def _reads(self, loan: Loan, context: Context) -> bool:
        """Whether the rule set wants like sums read."""
        return bool(getattr(self.parameters(loan, context), "like_sums", False))

    @property
    def _out_key(self) -> str:
        """Where payments to those who are watched are kept, beside those that the rule counts."""
        return f"{self.code}~out"

    @property
    def _refund_key(self) -> str:
        """Where payments on that say they are refunds are kept."""
        return f"{self.code}~refund"

    def _refunds(self, loan: Loan) -> Sequence[Transfer]:
        return loan.related.get(self._refund_key, ())

    def _on_key(self, payment: Payment, loan: Loan, context: Context) -> str:
        """A payment back to where the money came from that says it is a refund is kept apart."""
        said = payment.record.reversal_flag or says(payment.record.memo, context.codes.refund_words)
        outs = [hit for hit in loan.hits[self._out_key] if hit.payee is payment.payer] if said else []
        whence = any(hit.payer is payment.payee for hit in outs)
        is_refund = whence and payment.transfer.amount_minor <= sum(hit.transfer.standing_minor for hit in outs)
        return self._refund_key if is_refund else self.code

    def _judge_echoes(self, loan: Loan, context: Context) -> Finding:
        """All accounts that paid like sums on, together; where none did, the one that paid most."""
        terms = self.terms(loan, context)
        by_payer: dict[str, list[Transfer]] = {}
        for transfer in loan.related[self.code]:
            by_payer.setdefault(transfer.payer, []).append(transfer)
        for name, on in by_payer.items():
            refunds = [transfer for transfer in self._refunds(loan) if transfer.payer == name]
            # a refund is one payment: beside larger ones that do not say so it is a part of the return
            if sum(transfer.amount_minor for transfer in refunds) <= sum(transfer.amount_minor for transfer in on):
                on.extend(refunds)
        said = loan.has_heard(self.code)  # payments made afterwards do not unsay it
        found = [_echo(loan.hits[self._out_key], name, on, terms, said) for name, on in by_payer.items()]
        like = [echo for echo, is_like in found if is_like]
        most = max((echo for echo, _ in found), key=lambda echo: echo.on_minor)
        return self._finding(loan, like or [most], bool(like), terms, context)

    def _finding(
        self, loan: Loan, echoes: list[Echo], like: bool, terms: EchoTerms, context: Context
    ) -> Finding:  # fmt: skip
        outs = sorted((hit for echo in echoes for hit in echo.outs), key=lambda hit: hit.transfer.seq)
        on = sorted((transfer for echo in echoes for transfer in echo.on), key=lambda transfer: transfer.seq)
        out_minor, on_minor = sum(echo.out_minor for echo in echoes), sum(echo.on_minor for echo in echoes)
        attributed = sum(echo.attributed_minor for echo in echoes)
        ratio = on_minor / out_minor if out_minor else 0.0
        hours = (on[-1].event_time_ms - outs[0].transfer.event_time_ms) / 3_600_000
        traded = any(echo.payer.paid_before(transfer.payee, loan.paid_ms) for echo in echoes for transfer in echo.on)
        chance = sum(echo.coincidences for echo in echoes) < COINCIDENCES_MIN
        trader = chance and has_business(context, loan, echoes[0].payer, on[-1].event_time_ms)
        further = self.echo_look_alikes(loan, echoes, context)
        by_chance = trader and terms.of_trader is None
        cleared = traded or by_chance or any(item.result == "NOT_EXCLUDED" for item in further)
        contributions = _contributions(ratio, hours, terms)
        return Finding(
            typology=self.code, loan=loan, stands=like and loan.share(attributed) >= terms.share_min and not cleared,
            hits=tuple(outs), bounds=Bounds(0, min(on_minor, out_minor), False, (_RESTS_ON,)), traced_minor=attributed,
            fifo_minor=0, severity="MEDIUM", score=round(sum(item.added for item in contributions), 4),
            destination_en=self.destination_en, destination_zh=self.destination_zh,
            account_id=echoes[0].payer.account_id if len(echoes) == 1 else None, event_time_ms=on[-1].event_time_ms,
            kind="PATTERN" if trader and terms.of_trader == "PATTERN" else None, contributions=contributions,
            related=tuple(related("paid_on", transfer) for transfer in on),
            measures=(
                Measure(name="paid_on_of_received", observed=round(ratio, 4), expected=0.0, threshold=terms.ratio_min,
                        unit="ratio"),
                Measure(name="paid_on_of_loan", observed=round(loan.share(on_minor), 4), expected=0.0,
                        threshold=terms.share_min, unit="ratio"),
                Measure(name="hours_until_paid_on", observed=round(hours, 2), expected=None, threshold=None, unit="hours"),
            ),
            look_alikes=(
                LookAlike(name="own_money", result="NOT_TESTABLE",
                          detail="the payer may have paid with other money; that does not change who paid whom how much"),
                clears("trade_before_loan", traded, "the payer had paid these accounts before the loan" if traded
                       else "the payer had not paid these accounts before the loan"),
                _business(trader, by_chance),
                *further,
            ),
            sentence=self._sentence(loan, echoes, on, (out_minor, on_minor), hours),
        )  # fmt: skip

    def _sentence(
        self, loan: Loan, echoes: list[Echo], on: Sequence[Transfer], sums: tuple[int, int], hours: float
    ) -> tuple[str, str]:  # fmt: skip
        who_en, who_zh = borrower_words(loan)
        out, went = (format_money(minor, loan.currency) for minor in sums)
        share = sums[1] / sums[0] if sums[0] else 0.0
        where_en, where_zh = self.astray or (self.destination_en, self.destination_zh)
        payers = [echo.payer.account_id for echo in echoes]
        payees = list(dict.fromkeys(transfer.payee for transfer in on))
        english = (
            f"{', '.join(payers)} got {out} from the account of loan {loan.loan_id} of {who_en}, and within {hours:.0f} hours "
            f"paid {went} ({share:.0%} of it) {where_en} ({', '.join(payees)})."
        )
        chinese = (
            f"客户{who_zh}的借据{loan.loan_id}账户向{'、'.join(payers)}支付{out}，其在{hours:.0f}小时内转出{went}"
            f"（占{share:.0%}），{where_zh}（{'、'.join(payees)}）。"
        )
        return english, chinese


def _business(trader: bool, by_chance: bool) -> LookAlike:
    """Whether the one who paid on has business of his own; a single like sum of his may be chance."""
    if not trader:
        return LookAlike(name="own_business", result="EXCLUDED", detail="few pay this account, or several sums were alike")
    result: Literal["NOT_EXCLUDED", "NOT_TESTABLE"] = "NOT_EXCLUDED" if by_chance else "NOT_TESTABLE"
    return LookAlike(name="own_business", result=result, detail="many pay this account, and one like sum may be chance")


def _is_watched(passage: Passage, context: Context) -> bool:
    """From an account of the borrower, no trifle, to a stranger who could pay on."""
    loan, at_ms = passage.loan, passage.transfer.event_time_ms
    if passage.transfer.use not in (OTHER, PURCHASE) or loan.share(passage.traced_minor) < WATCHED_SHARE_MIN:
        return False
    if not _is_stranger(passage.payee, loan, at_ms, context):
        return False
    return context.side(loan, passage.payer, at_ms) == BORROWER


def _is_stranger(account: Account, loan: Loan, at_ms: int, context: Context) -> bool:
    """Somebody's current account, as far as is known, who is not on the borrower's side."""
    if account.is_sink or account.place in POCKETS or account.kind in DEPOSIT_KINDS:
        return False
    return context.side(loan, account, at_ms) is None


def _echo(outs: Sequence[Passage], name: str, on: list[Transfer], terms: EchoTerms, said: bool) -> tuple[Echo, bool]:
    """What an account paid on, and whether it is like what it had got: all together, one payment of them, or pair by pair.

    The reading that shows most money is taken, so that ordinary payments to the same account hide nothing.
    """
    own = [hit for hit in outs if hit.payee.account_id == name]
    whole = _after(own, on, terms)
    readings = [whole, *(_after([hit], on, terms) for hit in own), _pairs(own, on, terms)]
    ratio_max = terms.ratio_max if not said else float("inf")
    like = [one for one in readings if one.on and terms.ratio_min <= one.ratio <= ratio_max]
    if not like:
        return (whole if whole.on else whole._replace(on=on)), False
    return max(like, key=lambda one: (one.coincidences > 1, one.attributed_minor)), True


def _after(outs: list[Passage], on: Sequence[Transfer], terms: EchoTerms) -> Echo:
    """Everything that was paid on within days of one of these payments."""
    times = [hit.transfer.event_time_ms for hit in outs]
    reach_ms = terms.days_max * DAY_MS
    near = [transfer for transfer in on if any(0 <= transfer.event_time_ms - at_ms <= reach_ms for at_ms in times)]
    return Echo(outs[0].payee, outs, near, 1)


def _pairs(outs: list[Passage], on: Sequence[Transfer], terms: EchoTerms) -> Echo:
    """Payments on, each with the earliest payment of a like sum before it that no other one answers."""
    paired: list[tuple[Passage, Transfer]] = []
    for transfer in on:
        for hit in outs:
            hours_ms = transfer.event_time_ms - hit.transfer.event_time_ms
            got = hit.transfer.standing_minor
            near = 0 <= hours_ms <= terms.days_max * DAY_MS and not any(hit is taken for taken, _ in paired)
            if near and terms.ratio_min * got <= transfer.standing_minor <= min(1.0, terms.ratio_max) * got:
                paired.append((hit, transfer))
                break
    return Echo(outs[0].payee, [hit for hit, _ in paired], [transfer for _, transfer in paired], len(paired))


def _contributions(ratio: float, hours: float, terms: EchoTerms) -> tuple[Contribution, ...]:
    values = {
        "paid_by_the_loan": (1.0, 0.3),
        "amount_match": (max(0.0, 1.0 - abs(1.0 - ratio)), 0.3),
        "speed": (max(0.0, 1.0 - hours / max(1, terms.days_max * 24)), 0.1),
    }
    return tuple(
        Contribution(feature=name, value=round(value, 4), weight=weight, added=round(round(value, 4) * weight, 4))
        for name, (value, weight) in values.items()
    )
