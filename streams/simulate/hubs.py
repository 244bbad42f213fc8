"""Places that half the town pays: treasury, utilities, payment institutions, brokers, products, developers, lenders, shops.

Most of them are on the bank's lists; some deliberately are not, so that a detector has to tell them by code or by degree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from detectors.events import ListEntry, ListName
from streams.simulate.ledger import OUR_BANK, Account
from streams.simulate.names import EVERYDAY_MCC, MERCHANTS, IdMint, shop_name
from streams.simulate.writer import FolderWriter, instant

OTHER_BANKS = tuple(f"B{number:02d}" for number in range(2, 15))
TREASURY_BANK = "B90"
LISTED_SINCE_S = 1_672_502_400  # 2023-01-01 in Beijing
MERCHANTS_MIN = 40
MERCHANTS_MAX = 1_500
_EVERYDAY_COPIES = 5  # shops of everyday categories for one of a rarer kind

# group: names; list (None: never listed); industry; MCC; how many of the group, from the front, are listed
_GROUPS: dict[str, tuple[Sequence[str], ListName | None, str | None, str | None, int]] = {
    "tax": (("待报解预算收入", "电子缴税待划转款项"), "HUB", "S9221", "9311", 2),
    "social": (("社会保险费专户", "住房公积金专户"), "HUB", "S9410", None, 1),
    "utilities": (("供电公司", "自来水公司", "燃气公司", "通信公司"), "HUB", "D4420", "4900", 3),
    "payroll": (("代发工资过渡户", "人力资源代发专户"), "HUB", "L7264", None, 1),
    "platforms": (("支付备付金", "电商平台结算", "聚合支付备付金"), "HUB", "J6930", None, 2),
    "brokers": (
        ("东岳证券客户交易结算资金", "海盛证券客户交易结算资金", "中川期货保证金专户", "银杉证券第三方存管", "宁辉证券结算户"),
        "SECURITIES_FIRM", "J6712", "6211", 4,
    ),
    "products": (("日日增利理财产品", "稳健季添利理财募集户", "货币基金申购专户", "积存金专户"), None, "J6720", None, 0),
    "developers": (("临江置业", "锦城房地产开发", "安居房产经纪"), "PROPERTY_FIRM", "K7010", "7013", 2),
    "lenders": (("众安小额贷款", "信惠消费金融", "易融小额贷款", "城郊农村商业银行贷款户"), "LENDER", "J6635", None, 3),
}  # fmt: skip


class Hubs:
    """The hub accounts by group, and the shops. None of them shows records of its own."""

    def __init__(self, rng: Random, mint: IdMint, loans: int) -> None:
        self._mint = mint
        self._rng = rng
        self.groups: dict[str, list[Account]] = {}
        for group, (names, _, industry, mcc, _) in _GROUPS.items():
            self.groups[group] = [self._hub(group, name, industry, mcc) for name in names]
        self.merchants = [self._merchant(rng.choice(_shop_kinds())) for _ in range(_merchant_count(loans))]
        self.merchants += [self._merchant(mcc) for mcc in MERCHANTS for _ in range(2)]
        self._by_mcc: dict[str, list[Account]] = {}
        for merchant in self.merchants:
            assert merchant.mcc is not None
            self._by_mcc.setdefault(merchant.mcc, []).append(merchant)

    def _hub(self, group: str, name: str, industry: str | None, mcc: str | None) -> Account:
        bank = TREASURY_BANK if group == "tax" else self._rng.choice((OUR_BANK, *OTHER_BANKS))
        return Account(self._mint.next("80"), name, self._mint.next("C"), bank, industry=industry, mcc=mcc)

    def _merchant(self, mcc: str) -> Account:
        bank = self._rng.choice(OTHER_BANKS)
        return Account(self._mint.next("88"), shop_name(self._rng, mcc), None, bank, mcc=mcc)

    def any(self, group: str) -> Account:
        """One of a group, the first ones more often."""
        accounts = self.groups[group]
        return accounts[int(len(accounts) * self._rng.random() ** 1.4)]

    def shop(self, kinds: Sequence[str] | None = None) -> Account:
        """A shop, of one of the merchant categories if given; some shops are far more popular than others."""
        shops = self.merchants if kinds is None else self._by_mcc[self._rng.choice(kinds)]
        return shops[int(len(shops) * self._rng.random() ** 2)]

    def listed(self) -> Iterator[tuple[ListName, Account]]:
        """Which accounts are on which list."""
        for group, (_, list_name, _, _, count) in _GROUPS.items():
            for account in self.groups[group][:count]:
                if list_name is not None:
                    yield list_name, account


def write_lists(writer: FolderWriter, hubs: Hubs, start_s: int) -> None:
    """Publish the list entries at the start of time."""
    for number, (list_name, account) in enumerate(hubs.listed()):
        entry = ListEntry(
            event_time=instant(start_s), event_id=f"LE{number:06d}", source_system="LISTS", list_name=list_name,
            account_id=account.account_id, name=account.name, bank_code=account.bank_code,
            valid_from=instant(LISTED_SINCE_S), reason="名单初始化",
        )  # fmt: skip
        writer.put("list-entries", start_s, entry)


def _merchant_count(loans: int) -> int:
    return max(MERCHANTS_MIN, min(MERCHANTS_MAX, loans // 5))


def _shop_kinds() -> tuple[str, ...]:
    return EVERYDAY_MCC * _EVERYDAY_COPIES + tuple(MERCHANTS)
