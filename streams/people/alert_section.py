"""One alert as a section of the report: the four facts first, then the drawn trail, then the grounds."""

from __future__ import annotations

from detectors.alert_record import Alert, LoanRisk
from detectors.money import format_money
from streams.people import glossary
from streams.people.alert_parts import amount_bar, badge, money, rests_on, status, table, typology
from streams.people.figures import counted, in_words, local_time, measure_cells, plain, share, usual
from streams.people.folder import AlertHistory
from streams.people.glossary import account_name, use_both, use_name
from streams.people.markup import Html, chinese, element, join
from streams.people.subjects import further_evidence, member_rows, subject_words
from streams.people.trail import destination_words, link_steps
from streams.people.trail_drawing import draw_trail


def alert_section(history: AlertHistory, number: int, risk: LoanRisk | None, utc_offset_minutes: int) -> Html:
    """The whole section; ``number`` is the alert's place in the report and makes its anchor."""
    alert = history.current
    return element(
        "article",
        _head(alert, number),
        four_facts(alert, utc_offset_minutes),
        _sentences(alert),
        element("h4", "How much of the loan is there ", chinese("金额")),
        amount_bar(alert),
        element("p", rests_on(alert), class_="note"),
        element("h4", "The money's way ", chinese("资金路径")),
        draw_trail(alert, number, utc_offset_minutes),
        _path_notes(alert),
        _steps(alert, utc_offset_minutes),
        _members(alert, utc_offset_minutes),
        _further(alert, utc_offset_minutes),
        _checks_and_look_alikes(alert, utc_offset_minutes),
        _grounds(alert),
        _particulars(alert, utc_offset_minutes),
        _loan_state(risk),
        _history(history, utc_offset_minutes),
        class_=f"alert s-{alert.severity.lower()}",
        id=f"alert-{number}",
        aria_labelledby=f"h-{number}",
    )


def _head(alert: Alert, number: int) -> Html:
    title = element("h3", f"{number}. ", typology(alert), id=f"h-{number}")
    percentile = "" if alert.score_percentile is None else f", percentile {alert.score_percentile:g} of its kind"
    kind = glossary.KINDS[alert.kind]
    line = element(
        "p",
        badge(alert),
        " ",
        status(alert),
        f" · revision {alert.revision} · {kind.english} ",
        chinese(kind.chinese),
        f" · score {alert.score:.2f}{percentile} · ",
        element("code", alert.alert_id),
        class_="meta",
    )
    withdrawn = element("p", f"Withdrawn: {glossary.STATUSES['WITHDRAWN'].meaning}.", class_="withdrawn-note")
    back = element("a", "to the list ↑", href="#alerts", class_="back")
    return element("header", back, title, line, withdrawn if alert.status == "WITHDRAWN" else None)


def four_facts(alert: Alert, utc_offset_minutes: int) -> Html:
    """Whose money, where it went, how much for certain, what to check first."""
    subject = alert.subject
    loan = "amount unknown" if subject.loan_amount_minor is None else format_money(subject.loan_amount_minor, alert.currency)
    paid = (
        f", paid out {local_time(subject.disbursed_at, utc_offset_minutes, '%Y-%m-%d %H:%M')}" if subject.disbursed_at else ""
    )
    borrower = f"customer {subject.customer_id or 'not named'}" + (
        f", {in_words(subject.borrower_type)}" if subject.borrower_type else ""
    )
    facts = (
        ("Whose money", "谁的贷款", *_whose(alert, f"{borrower}; {loan}{paid}")),
        (
            "Where it went",
            "去向",
            destination_words(alert),
            f"by {local_time(alert.event_time, utc_offset_minutes, '%Y-%m-%d %H:%M')}",
        ),
        ("For certain", "可确定金额", *_certain(alert)),
        ("Check first", "首先核查", *_first_check(alert)),
    )
    return element(
        "dl",
        [
            element(
                "div",
                element("dt", english, " ", chinese(zh)),
                element("dd", element("strong", fact)),
                element("dd", more, class_="note"),
            )
            for english, zh, fact, more in facts
        ],
        class_="facts",
    )


def _members(alert: Alert, utc_offset_minutes: int) -> Html | None:
    rows = member_rows(alert, utc_offset_minutes)
    if not rows:
        return None
    more = f" and {counted(alert.subject.members_left_out, 'further loan')}" if alert.subject.members_left_out else ""
    heads = ("loan", "customer", "amount and payout", "in question")
    return _details(f"The group's loans{more}", table(heads, rows))


def _further(alert: Alert, utc_offset_minutes: int) -> Html | None:
    lines = list(further_evidence(alert, utc_offset_minutes))
    return _details("It also rests on", table(("beside the money's way",), [(line,) for line in lines])) if lines else None


def _whose(alert: Alert, borrower: str) -> tuple[str, str]:
    if alert.subject.kind == "LOAN":
        return f"loan {alert.subject.loan_id or 'not named'}", borrower
    together = alert.subject.loan_amount_minor
    return subject_words(alert), "" if together is None else f"together {format_money(together, alert.currency)}"


def _certain(alert: Alert) -> tuple[str, str]:
    more = f"attributed {money(alert, alert.traced_estimate_minor)}"
    if alert.traced_min_minor:
        return money(alert, alert.traced_min_minor), more
    return "nothing: other money was or may have been there", more


def _first_check(alert: Alert) -> tuple[str, str]:
    first = alert.recommended_checks[0] if alert.recommended_checks else "no check is recommended"
    return first, "No customer contact before review."


def _sentences(alert: Alert) -> Html:
    return join(
        element("p", alert.sentence_en, class_="sentence"), element("p", alert.sentence_zh, class_="sentence", lang="zh")
    )


def _path_notes(alert: Alert) -> Html:
    notes = []
    if alert.left_bank:
        notes.append("Part of the money left the accounts seen here; what happened to it there is not known.")
    if alert.path_steps_left_out:
        notes.append(f"{counted(alert.path_steps_left_out, 'further payment')} that carried less: not listed in the alert.")
    return join([element("p", note, class_="note") for note in notes])


def _steps(alert: Alert, utc_offset_minutes: int) -> Html:
    rows: list[tuple[object, ...]] = [
        (
            number,
            link.step.hop,
            local_time(link.step.event_time, utc_offset_minutes),
            account_name(link.step.payer),
            account_name(link.step.payee),
            format_money(link.step.amount_minor, alert.currency),
            format_money(link.step.traced_minor, alert.currency),
            share(link.step.traced_minor, alert.subject.loan_amount_minor),
            use_name(link.step.use),
            ", ".join(f"#{feeder + 1}" for feeder in link.feeders[-5:]),
            link.step.txn_id,
        )
        for number, link in enumerate(link_steps(alert.path), start=1)
    ]
    heads = (
        "#",
        "hop",
        "time",
        "payer",
        "payee",
        "amount",
        "of which loan money",
        "of the loan",
        "class of use",
        "fed by",
        "txn id",
    )
    return _details(f"Every payment of the path ({len(rows)})", table(heads, rows, frozenset({0, 1, 5, 6, 7})))


def _checks_and_look_alikes(alert: Alert, utc_offset_minutes: int) -> Html:
    checks = element(
        "div",
        element("h4", "What to check ", chinese("建议核查")),
        element("ol", [element("li", text) for text in alert.recommended_checks]),
        element("h4", "Measures, the mildest first ", chinese("建议措施")),
        element("ol", [element("li", text) for text in alert.recommended_measures]),
        element(
            "p", element("strong", "No customer contact before review. "), chinese("审核前不得联系客户。"), class_="no-contact"
        ),
    )
    tested = [_look_alike(alert, index, utc_offset_minutes) for index in range(len(alert.look_alikes))]
    others = element(
        "div",
        element("h4", "Look-alikes tested ", chinese("相似情形检验")),
        element("ul", tested, class_="look-alikes") if tested else element("p", "None were tested.", class_="note"),
    )
    return element("div", checks, others, class_="two")


def _look_alike(alert: Alert, index: int, utc_offset_minutes: int) -> Html:
    item = alert.look_alikes[index]
    result = glossary.LOOK_ALIKE_RESULTS[item.result]
    label = glossary.LOOK_ALIKES.get(item.name, in_words(item.name))
    return element(
        "li",
        element(
            "span", result.english, " ", chinese(result.chinese), class_=f"result r-{item.result.lower().replace('_', '-')}"
        ),
        f" {label}",
        element("div", plain(item.detail, alert.currency, utc_offset_minutes), class_="note"),
    )


def _grounds(alert: Alert) -> Html:
    measures: list[tuple[object, ...]] = [measure_cells(measure, alert.currency) for measure in alert.measures]
    score: list[tuple[object, ...]] = [
        (in_words(item.feature), f"{item.value:.4g}", usual(item), f"{item.weight:.4g}", f"{item.added:+.4f}")
        for item in alert.contributions
    ]
    right = frozenset({1, 2, 3, 4})
    return element(
        "div",
        _details(
            "Measured against what was to be expected", table(("measure", "observed", "expected", "threshold"), measures, right)
        ),
        _details(
            f"How the score {alert.score:.2f} came about", table(("feature", "value", "usual", "weight", "adds"), score, right)
        ),
        class_="two",
    )


def _particulars(alert: Alert, utc_offset_minutes: int) -> Html:
    subject, rules = alert.subject, alert.rule_set
    verified = "" if rules.verified else " (its legal source was not read in the original: thresholds are proposals)"
    rows: list[tuple[object, ...]] = [
        (name, value)
        for name, value in (
            ("contract", subject.contract_id),
            ("product", subject.product_class),
            ("purpose", subject.purpose_text),
            ("purpose code", subject.purpose_code),
            ("branch", subject.org_id),
            ("account manager", subject.account_manager_id),
            ("account in question", subject.account_id),
            ("rule set", f"{rules.rule_set_id} {rules.version}, in force from {rules.effective_from}{verified}"),
            ("why this rule set", rules.why),
            ("method", alert.method),
            ("detector", alert.detector),
            ("model", alert.model_version),
            ("last transfer counted", local_time(alert.event_time, utc_offset_minutes)),
            ("scored at event time", local_time(alert.scored_time, utc_offset_minutes)),
            ("configuration digest", alert.configuration_digest),
            ("evidence digest (SHA-256)", alert.evidence_digest),
        )
        if value
    ]
    return _details("Loan, rule set and provenance", table(("particular", "value"), rows))


def _loan_state(risk: LoanRisk | None) -> Html:
    if risk is None:
        return Html("")
    rows: list[tuple[object, ...]] = [("paid out", risk.paid_out_minor), ("still in accounts seen", risk.held_minor)]
    rows += [(f"left to {use_both(use)}", amount) for use, amount in risk.left_minor.items()]
    rows += [("repaid", risk.repaid_minor), ("reversed", risk.reversed_minor)]
    rows += [(f"no longer followed (limit: {in_words(limit)})", amount) for limit, amount in risk.dropped_minor.items()]
    shown: list[tuple[object, ...]] = [
        (place, format_money(amount, risk.currency), share(amount, risk.paid_out_minor))
        for place, amount in rows
        if isinstance(amount, int)
    ]
    note = element(
        "p",
        f"Risk state {risk.state.lower()}, score {risk.score:.2f}; "
        f"{'reviewed' if risk.human_reviewed else 'not yet reviewed'} by a person; "
        f"{'usable' if risk.usable_for_pricing else 'not usable'} for pricing.",
        class_="note",
    )
    return _details(
        "Where the whole loan is now", join(note, table(("place", "amount", "of the loan"), shown, frozenset({1, 2})))
    )


def _history(history: AlertHistory, utc_offset_minutes: int) -> Html:
    current = history.current
    rows: list[tuple[object, ...]] = [
        (
            f"{item.revision}{' (holds)' if item is current else ''}",
            local_time(item.scored_time, utc_offset_minutes),
            item.status.lower(),
            item.severity.lower(),
            money(item, item.traced_min_minor),
            money(item, item.traced_estimate_minor),
            item.sentence_en,
        )
        for item in (*history.earlier, current)
    ]
    heads = ("revision", "time", "status", "severity", "certain", "attributed", "sentence")
    prior = element("p", "Earlier alerts on this customer: ", ", ".join(current.prior_alerts)) if current.prior_alerts else None
    return _details(
        f"Revisions ({len(rows)}) and earlier alerts ({len(current.prior_alerts)})", join(prior, table(heads, rows))
    )


def _details(title: str, content: Html) -> Html:
    return element("details", element("summary", title), content)
