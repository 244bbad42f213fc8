"""Who lives here: borrowers, suppliers, employees, owners and their kin, with accounts, habits and regular counterparties.

Everybody who may later serve as a mule, a shell or a bought supplier is an ordinary inhabitant drawn from the same lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from detectors.events import AccountKind, BorrowerType, LinkRole, PartyLink
from streams.simulate.amounts import YUAN, heavy, some_of
from streams.simulate.hubs import LISTED_SINCE_S, OTHER_BANKS, Hubs
from streams.simulate.ledger import OUR_BANK, Account
from streams.simulate.names import INDUSTRY_CODES, IdMint, firm_name, person_name, trader_name
from streams.simulate.writer import FolderWriter, instant

NO_BALANCE_PERCENT = 10
FARMERS_PER_DEALER = 30
ASLEEP_PERCENT = 35  # of the quiet ones that are picked
BALANCE_MINOR_MAX = 20_000_000 * YUAN

# median size of one payment (firms) or of a month's income (others), spread
_SCALES: dict[str, tuple[int, float]] = {
    "ENTERPRISE": (9_000 * YUAN, 1.0),
    "SELF_EMPLOYED": (2_600 * YUAN, 0.9),
    "UNREGISTERED_OPERATOR": (1_100 * YUAN, 0.8),
    "FARMER": (1_400 * YUAN, 0.7),
    "NATURAL_PERSON": (8_000 * YUAN, 0.6),
}


class Party:
    """One inhabitant. ``scale_minor``: the size of a usual payment, or a month's income of a natural person."""

    __slots__ = ("account", "broker", "customers", "is_business", "is_saver", "is_sleepy", "kind", "landlord", "old_loan_id",
                 "old_loan_minor", "owner", "party_id", "payers", "product", "scale_minor", "second", "spouse", "staff",
                 "suppliers", "weight")  # fmt: skip

    def __init__(self, party_id: str, kind: BorrowerType, account: Account, scale_minor: int) -> None:
        self.party_id = party_id
        self.kind: BorrowerType = kind
        self.is_business = kind != "NATURAL_PERSON"
        self.account = account
        self.second: Account | None = None  # another account of his, here or at another bank
        self.scale_minor = scale_minor
        self.suppliers: Sequence[Account] = ()
        self.customers: Sequence[Account] = ()
        self.staff: Sequence[Account] = ()
        self.owner: Party | None = None  # legal representative of a firm
        self.spouse: Party | None = None
        self.landlord: Account | None = None
        self.broker: Account | None = None  # set: trades securities habitually
        self.product: Account | None = None  # the wealth product he puts savings into
        self.is_saver = False
        self.payers = 0  # how many regular customers it has: the popular ones turn over more
        self.old_loan_id: str | None = None  # a loan from before the feed began
        self.old_loan_minor = 0
        self.is_sleepy = False  # an account little used: no salary, no staff, no bills
        self.weight = 1.0


class Town:
    """All inhabitants and how to pick among them."""

    def __init__(self, rng: Random, mint: IdMint, loans: int) -> None:
        self.rng = rng
        self.mint = mint
        self.hubs = Hubs(rng, mint, loans)
        self.links: list[tuple[str, str, LinkRole]] = []
        self.strangers = [self._stranger() for _ in range(max(60, loans // 3))]
        self.outside_firms = [self._outside_firm() for _ in range(max(30, loans // 4))]
        self.persons = [self._person() for _ in range(max(60, loans * 6 // 10))]
        self.firms: list[Party] = []
        for _ in range(max(24, loans // 4)):
            self.firms.append(self._business("ENTERPRISE" if rng.random() < 0.7 else "SELF_EMPLOYED"))
        self.dealers = [self._business("ENTERPRISE") for _ in range(max(2, loans // 10 // FARMERS_PER_DEALER + 1))]
        self.sleepers = [self._sleeper() for _ in range(max(20, loans // 3))]
        self.borrowers: list[Party] = []
        for firm in [*self.firms, *self.dealers, *(party for party in self.sleepers if party.is_business)]:
            self._settle(firm)

    # --- making inhabitants -----------------------------------------------------------------------------------------

    def _stranger(self) -> Account:
        bank = self.rng.choice(OTHER_BANKS)
        return Account(self.mint.next("62"), person_name(self.rng), self.mint.next("C"), bank, "PERSONAL_I")

    def _outside_firm(self) -> Account:
        industry = self.rng.choice(INDUSTRY_CODES)
        bank = self.rng.choice(OTHER_BANKS)
        return Account(self.mint.next("44"), firm_name(self.rng, industry), self.mint.next("C"), bank, industry=industry)

    def _own_account(self, party_id: str, name: str, kind: AccountKind, industry: str | None, balance_minor: int) -> Account:
        series = "62" if kind.startswith("PERSONAL") else "44"
        return Account(
            self.mint.next(series), name, party_id, OUR_BANK, kind, ours=True, industry=industry,
            balance_minor=min(BALANCE_MINOR_MAX, balance_minor), shows_balance=self.rng.randrange(100) >= NO_BALANCE_PERCENT,
        )  # fmt: skip

    def _person(self) -> Party:
        rng = self.rng
        median, spread = _SCALES["NATURAL_PERSON"]
        income = heavy(rng, median, spread, 2_000 * YUAN, 200_000 * YUAN)
        party_id = self.mint.next("C")
        name = person_name(rng)
        balance = heavy(rng, income * 7 // 10, 1.5, 10 * YUAN, BALANCE_MINOR_MAX)
        person = Party(party_id, "NATURAL_PERSON", self._own_account(party_id, name, "PERSONAL_I", None, balance), income)
        if rng.random() < 0.12:
            person.second = self._second(person, "PERSONAL_II" if rng.random() < 0.5 else "PERSONAL_I")
        person.landlord = rng.choice(self.strangers) if rng.random() < 0.3 else None
        self._give_savings(person, 0.25)
        person.weight = rng.lognormvariate(0.0, 0.8)
        return person

    def _business(self, kind: BorrowerType) -> Party:
        rng = self.rng
        median, spread = _SCALES[kind]
        scale = heavy(rng, median, spread, 200 * YUAN, 120_000 * YUAN)
        industry = rng.choice(INDUSTRY_CODES) if kind != "FARMER" else "A0111"
        party_id = self.mint.next("C")
        firm = kind == "ENTERPRISE"
        if firm:
            name = firm_name(rng, industry)
        else:
            name = trader_name(rng, industry) if kind == "SELF_EMPLOYED" and rng.random() < 0.5 else person_name(rng)
        account_kind: AccountKind = "BASIC" if firm else "PERSONAL_I"
        balance = heavy(rng, scale * 4, 1.3, 50 * YUAN, BALANCE_MINOR_MAX)
        known_industry = industry if rng.random() < 0.8 else None
        party = Party(party_id, kind, self._own_account(party_id, name, account_kind, known_industry, balance), scale)
        if rng.random() < 0.35:
            party.second = self._second(party, "GENERAL" if firm else "PERSONAL_II")
        self._give_savings(party, 0.10)
        party.weight = 2.2 * rng.lognormvariate(0.0, 0.7)
        return party

    def _sleeper(self) -> Party:
        """A second-hand account, a firm just founded: little traffic and little money, mostly innocent."""
        party = self._person() if self.rng.random() < 0.5 else self._business("ENTERPRISE")
        party.is_sleepy = True
        party.weight *= 0.05
        party.account.balance_minor //= 40
        return party

    def _second(self, party: Party, kind: AccountKind) -> Account:
        """Another account of the same party, one in four at another bank."""
        name = party.account.name
        if self.rng.random() < 0.25:
            return Account(self.mint.next("44"), name, party.party_id, self.rng.choice(OTHER_BANKS))
        balance = some_of(self.rng, party.account.balance_minor, 50, 800)
        return self._own_account(party.party_id, name, kind, party.account.industry, balance)

    def _give_savings(self, party: Party, share: float) -> None:
        if self.rng.random() < share:
            self.make_investor(party)
        if self.rng.random() < share * 1.2:
            self.make_saver(party)

    def make_investor(self, party: Party) -> None:
        """He trades securities from now on."""
        party.broker = party.broker or self.hubs.any("brokers")

    def make_saver(self, party: Party) -> None:
        """He puts savings into a wealth product from now on."""
        party.is_saver = True
        party.product = party.product or self.hubs.any("products")

    def _settle(self, party: Party) -> None:
        """Give a business its suppliers, customers, staff, landlord and owner."""
        rng = self.rng
        makers = [self.popular_firm() for _ in range(rng.randint(2, 6))]
        for maker in makers:
            maker.payers += 1
        outside = [self.outside_firm() for _ in range(rng.randint(1, 4))]
        party.suppliers = tuple(firm.account for firm in makers if firm is not party) + tuple(outside)
        buyers = [self.popular_firm().account for _ in range(rng.randint(0, 2))]
        party.customers = tuple(a for a in buyers if a is not party.account) + tuple(
            self.outside_firm() if rng.random() < 0.6 else self.stranger() for _ in range(rng.randint(3, 8))
        )
        party.landlord = rng.choice(self.outside_firms) if rng.random() < 0.5 else rng.choice(self.strangers)
        party.staff = tuple(self.stranger() if rng.random() < 0.4 else self.person().account for _ in range(rng.randint(0, 5)))
        if party.kind == "ENTERPRISE":
            self._give_owner(party)
        elif rng.random() < 0.5:
            self._marry(party)
        if party.kind == "FARMER":
            party.suppliers = (rng.choice(self.dealers).account, *party.suppliers)

    def _give_owner(self, firm: Party) -> None:
        rng = self.rng
        firm.owner = self.person()
        self.links.append((firm.party_id, firm.owner.party_id, "LEGAL_REP"))
        controller = firm.owner if rng.random() < 0.6 else self.person()
        self.links.append((firm.party_id, controller.party_id, "CONTROLLER"))
        if rng.random() < 0.4:
            self._marry(firm.owner)
        if self.firms and rng.random() < 0.08:
            self.links.append((firm.party_id, rng.choice(self.firms).party_id, "GROUP_MEMBER"))

    def _marry(self, party: Party) -> None:
        if party.spouse is None:
            party.spouse = self.person()
            if party.spouse is party:
                party.spouse = None
                return
            self.links.append((party.party_id, party.spouse.party_id, "SPOUSE"))

    def new_borrower(self, kind: BorrowerType) -> Party:
        """One more inhabitant, who will take a loan."""
        party = self._person() if kind == "NATURAL_PERSON" else self._business(kind)
        if kind == "NATURAL_PERSON":
            if self.rng.random() < 0.4:
                self._marry(party)
        else:
            self._settle(party)
        if self.rng.random() < 0.2:
            party.old_loan_id = self.mint.next("L")
            party.old_loan_minor = heavy(self.rng, party.scale_minor * 12, 0.8, 5_000 * YUAN, 3_000_000 * YUAN)
        self.borrowers.append(party)
        return party

    def deposit_account(self, party: Party, kind: AccountKind) -> Account:
        """One more account of a party, still empty, such as a time deposit."""
        return self._own_account(party.party_id, party.account.name, kind, None, 0)

    # --- picking ----------------------------------------------------------------------------------------------------

    def builder(self) -> Account:
        """A building firm, at another bank when none is here."""
        here = [account for account in self.outside_firms if account.industry == "E5011"]
        return self.rng.choice(here) if here else self.outside_firm()

    def group_pool(self, party: Party) -> Party:
        """The firm that keeps the cash of this party's group: always the same one."""
        others = [firm for firm in self.dealers if firm is not party]
        return others[len(party.party_id) % len(others)]

    def popular_firm(self) -> Party:
        """A firm, heavily skewed to a few (Zipf-like)."""
        return self.firms[int(len(self.firms) * self.rng.random() ** 2.5)]

    def outside_firm(self) -> Account:
        """A firm with another bank, skewed as well."""
        return self.outside_firms[int(len(self.outside_firms) * self.rng.random() ** 2)]

    def person(self) -> Party:
        """Any person with an account here."""
        return self.rng.choice(self.persons)

    def stranger(self) -> Account:
        """Any person with another bank."""
        return self.rng.choice(self.strangers)

    def quiet(self, asleep_percent: int = ASLEEP_PERCENT) -> Party:
        """A person or a firm of less than usual traffic: one who sleeps, or the least busy of three."""
        if self.rng.randrange(100) < asleep_percent:
            return self.rng.choice(self.sleepers)
        pool = self.persons if self.rng.random() < 0.55 else self.firms
        return min((self.rng.choice(pool) for _ in range(3)), key=_quietness)

    def all_parties(self) -> list[Party]:
        """Everybody with an account here."""
        return self.persons + self.firms + self.dealers + self.sleepers + self.borrowers


def _quietness(party: Party) -> float:
    return party.weight + party.payers


def write_links(writer: FolderWriter, town: Town, start_s: int) -> None:
    """Publish the links known at the start of time."""
    for number, (party_id, other, role) in enumerate(town.links):
        link = PartyLink(
            event_time=instant(start_s), event_id=f"PL{number:08d}", source_system="CRM", party_id=party_id,
            other_party_id=other, role=role, valid_from=instant(LISTED_SINCE_S),
        )  # fmt: skip
        writer.put("party-links", start_s, link)
