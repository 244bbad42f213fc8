"""An alert in one plain sentence, in English and in Chinese."""

from __future__ import annotations

import math

from detectors.detector import Described
from detectors.finding import Finding
from detectors.money import format_money


def sentences(finding: Finding, detector: Described) -> tuple[str, str]:
    """What happened in one sentence: (English, Chinese)."""
    if not finding.stands:
        return _withdrawal(finding, detector)
    if finding.sentence is not None:
        return finding.sentence
    loan = finding.loan
    assert loan is not None, f"a finding of {finding.typology} about no loan brings no sentence"
    currency = loan.currency
    standing = [hit for hit in finding.hits if hit.transfer.standing_minor]
    whole, traced = format_money(loan.amount_minor, currency), format_money(finding.traced_minor, currency)
    share = f"{loan.share(finding.traced_minor):.0%}"
    when_en, when_zh = when(loan.hours_since_payout(max(hit.transfer.event_time_ms for hit in standing)))
    count, between = len(standing), max(hit.hops for hit in standing) - 1
    way_en = way_zh = ""
    if between and finding.account_id is None:
        way_en = f" through {plural(between, 'account')} in between"
        way_zh = f"，中间经过{between}个账户"
    sure_en, sure_zh = certainty(finding)
    english = (
        f"Of loan {loan.loan_id} ({whole}) of {loan.borrower_id or 'an unnamed customer'}, {traced} ({share}) went "
        f"{finding.destination_en}, within {when_en} of the payout, in {plural(count, 'payment')}{way_en}; {sure_en}."
    )
    chinese = (
        f"客户{loan.borrower_id or '（未载明）'}的借据{loan.loan_id}（{whole}）放款后{when_zh}内，{traced}（{share}）"
        f"{finding.destination_zh}，共{count}笔支付{way_zh}；{sure_zh}。"
    )
    return english, chinese


def certainty(finding: Finding) -> tuple[str, str]:
    """How sure the traced amount is, as the end of a sentence."""
    about, certain_minor = finding.about, finding.bounds.certain_minor
    if not certain_minor:
        return (
            "none of it provably so, since other money was or may have been there",
            "因存在或可能存在其他资金，尚无可以确定的金额",
        )
    if certain_minor >= finding.traced_minor:
        return "all of it for certain", "全部金额均可确定"
    certain, share = format_money(certain_minor, about.currency), f"{about.share(certain_minor):.0%}"
    return f"at least {certain} ({share}) for certain", f"其中可以确定的不少于{certain}（{share}）"


def _withdrawal(finding: Finding, detector: Described) -> tuple[str, str]:
    who_en, who_zh = _whom(finding)
    innocent = [item.name for item in finding.look_alikes if item.result == "NOT_EXCLUDED"]
    if finding.hits and not any(hit.transfer.standing_minor for hit in finding.hits):
        why_en, why_zh = "the payments were reversed", "相关支付已被冲正"
    elif innocent:
        why_en = f"not excluded: {', '.join(name.replace('_', ' ') for name in innocent)}"
        why_zh = f"不能排除{'、'.join(LOOK_ALIKES_ZH.get(name, name) for name in innocent)}"
    elif not finding.hits:
        why_en, why_zh = "what it rested on was taken back", "所依据的事项已撤销"
    else:
        why_en, why_zh = "too little of the loan is left there", "留存金额已低于规则标准"
    what = detector.name.lower().replace("_", " ")
    english = f"Withdrawn: what is now known of {who_en} no longer shows {what} ({why_en})."
    chinese = f"撤回：就目前所知，{who_zh}不再构成“{detector.name_zh}”（{why_zh}）。"
    return english, chinese


def _whom(finding: Finding) -> tuple[str, str]:
    if finding.group is not None:
        count = len(finding.group.loans)
        around = finding.group.account_id
        return (f"{plural(count, 'loan')} around account {around}", f"账户{around}周围的{count}笔贷款")
    loan = finding.loan
    assert loan is not None, f"a finding of {finding.typology} is about nobody"
    return (
        f"loan {loan.loan_id} of {loan.borrower_id or 'an unnamed customer'}",
        f"客户{loan.borrower_id or '（未载明）'}的借据{loan.loan_id}",
    )


LOOK_ALIKES_ZH = {
    "own_money": "自有资金支付",
    "own_habit": "既有投资习惯",
    "firm_is_customer": "证券公司为其客户",
    "approved_hedging": "经批准的套期保值",
    "parking_before_payment": "付款前短暂停放",
    "refund": "退款",
    "trade_before_loan": "放款前已有往来",
    "beyond_ratio": "金额超出比例",
    "cash_pool": "集团资金池",
    "wages": "工资",
    "approved_renewal": "经批准的续贷",
    "revolving_line": "循环额度",
    "approved_cash_use": "经批准的现金使用",
    "keeps_a_margin": "留有差额",
    "known_entrusted_payee": "既有的受托支付收款人",
    "own_business": "自身经营往来",
    "cash_habit": "既有取现习惯",
    "house_loan": "住房贷款",
    "decoration_loan": "装修贷款",
    "refunded_purchase": "购房款已退回",
    "purchase_cycle": "放款前已有的采购周期",
    "channel_cap": "渠道限额",
    "stage_payments": "工程进度款",
    "single_payment": "仅有单笔付款",
    "required_margin": "合同要求的保证金",
    "waiting": "付款前短暂等待",
    "amounts_differ": "各笔金额不相近",
    "two_way_trade": "双向贸易",
    "group_treasury": "集团资金归集",
    "known_payee": "放款前已有往来的收款人",
    "own_line_of_business": "与借款人同业",
    "too_few_sums": "笔数不足",
    "atm_cap": "取款机限额",
    "short_purpose": "短期用途",
    "relative": "亲属关系",
    "seasonal_firm": "季节性经营",
    "opened_for_the_loan": "为贷款新开账户",
    "new_branch": "新设分支机构",
    "self_employed_supplier": "个体供应商",
    "honest_start_up": "正常初创企业",
    "plaintiff": "原告身份",
    "revoked_or_settled": "已撤销或已结案",
    "same_name_only": "仅为同名",
    "dealer_of_many": "众多客户的经销商",
    "hub": "枢纽账户",
    "wholesaler_or_platform": "批发商或平台",
    "insurer_or_notary": "保险或公证机构",
    "family_or_guarantor": "亲属或担保人",
    "customer_pays_in_time": "客户按时付款",
    "holiday": "节假日",
    "season": "淡旺季",
    "conversion": "个转企",
    "late_report": "迟报后移出",
    "approved_refinancing": "经批准的再融资",
    "genuine_sale": "真实房屋买卖",
    "unlike_amounts": "金额不符",
    "rent": "租金",
    "approved_intercompany": "经批准的关联方借款",
    "repays_own_debt": "归还自身债务",
    "allow_list": "白名单",
}


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    >>> plural(1, "loan"), plural(3, "loan")
    ('1 loan', '3 loans')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def when(hours: float) -> tuple[str, str]:
    """A span of time in words (English, Chinese), rounded up: what took an hour and a half did not happen within one."""
    minutes = max(1, math.ceil(hours * 60))
    if minutes < 60:
        return plural(minutes, "minute"), f"{minutes}分钟"
    if hours <= 72:
        return plural(math.ceil(hours), "hour"), f"{math.ceil(hours)}小时"
    return plural(math.ceil(hours / 24), "day"), f"{math.ceil(hours / 24)}天"
