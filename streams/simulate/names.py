"""What people, firms and payments are called, and the codes that go with them. No name depends on what its bearer will do."""

from __future__ import annotations

from random import Random

_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉萍红娥玲芬燕彩春菊兰凤洁梅琳素云莲真环雪荣爱妹香月莺媛瑞凡佳"
_TOWNS = ("青石", "临川", "安和", "东岭", "西塘", "南浦", "北桥", "云溪", "长坪", "白沙", "宁河", "丰泽", "石湾", "江口")
_FIRST = "恒鑫瑞宏泰盛隆昌永兴嘉顺达诚信德润丰裕茂荣金汇通利源华远新天"
_SECOND = "盛达隆源发泰和昌茂丰业展通润成兴辉阳旺祥"

INDUSTRIES = {
    "A0111": "粮食种植", "C1311": "粮油加工", "C1810": "服装", "C2110": "家具", "C3311": "金属结构", "C3823": "电气设备",
    "E5011": "装饰工程", "F5127": "农副产品", "F5137": "五金建材", "F5164": "建材贸易", "F5171": "农资", "F5176": "机电设备",
    "F5211": "百货", "F5273": "家电", "G5430": "货运", "H6210": "餐饮", "I6513": "软件", "L7259": "广告", "O8111": "汽车服务",
}  # fmt: skip
"""GB/T 4754 code -> the trade in a firm's name."""
INDUSTRY_CODES = tuple(INDUSTRIES)

MERCHANTS = {
    "5411": "超市", "5812": "餐厅", "5541": "加油站", "5722": "电器城", "5311": "百货商场", "5651": "服饰店", "5912": "药房",
    "8062": "医院", "8220": "学院", "7011": "酒店", "5511": "汽车销售", "1520": "装修工程", "5712": "家居城", "5732": "数码店",
    "5944": "珠宝行", "6051": "汇兑服务", "5065": "电子器材", "5039": "建材批发",
}  # fmt: skip
"""MCC -> the word in a shop's name."""
EVERYDAY_MCC = ("5411", "5812", "5541", "5651", "5912", "5311", "7011")
DURABLE_MCC = ("5722", "8062", "8220", "5511", "1520", "5712", "5732", "5944")
CASH_LIKE_MCC = ("5944", "6051", "5065", "5039")


def person_name(rng: Random) -> str:
    """A surname and one or two characters."""
    given = rng.choice(_GIVEN) + (rng.choice(_GIVEN) if rng.random() < 0.7 else "")
    return rng.choice(_SURNAMES) + given


def masked(name: str) -> str:
    """The name as another bank's statement shows it."""
    return name[:1] + "**"


def firm_name(rng: Random, industry: str) -> str:
    """A limited company of a trade."""
    return f"{rng.choice(_TOWNS)}{rng.choice(_FIRST)}{rng.choice(_SECOND)}{INDUSTRIES[industry]}有限公司"


def shop_name(rng: Random, mcc: str) -> str:
    """A shop of a merchant category."""
    return f"{rng.choice(_TOWNS)}{rng.choice(_FIRST)}{rng.choice(_SECOND)}{MERCHANTS[mcc]}"


def trader_name(rng: Random, industry: str) -> str:
    """A one-person business of a trade."""
    return f"{rng.choice(_TOWNS)}{rng.choice(_SURNAMES)}记{INDUSTRIES[industry]}经营部"


class IdMint:
    """Hands out ids: running numbers of one series stirred by a seeded walk, so that an id tells nothing but its series."""

    def __init__(self, rng: Random) -> None:
        self._offset = rng.randrange(10**9)
        self._count: dict[str, int] = {}

    def next(self, series: str) -> str:
        """``series`` and ten digits, never the same twice."""
        count = self._count[series] = self._count.get(series, 0) + 1
        # 387,420,489 = 3**18 has no factor with 10**10 in common: the walk meets every number once
        return f"{series}{(self._offset + count * 387_420_489) % 10**10:010d}"
