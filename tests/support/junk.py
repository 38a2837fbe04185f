"""Generate bad input that approvers, scripts and attackers might send in place of a decision."""

from hypothesis import strategies as st

LIKELY_NAMES = st.sampled_from(
    ["approve", "reject", "request_changes", "aprove", "APPROVE", "decide", "finish", ""]
)

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=12,
)


_prefixes = st.text("0123456789abcdef", max_size=70) | st.sampled_from(
    ["", "*", "%", "00000000", "3f9a12bc4d5e"]
)

almost_decisions = st.fixed_dictionaries(
    {},
    optional={
        "by": st.sampled_from(["dana", "", " ", "rita", "da\u200bna", "\x1b[2Jdana", "d" * 101])
        | json_values,
        "plan": _prefixes | json_values,
        "decision": st.sampled_from(["approve", "reject", "request_changes", "yes"]) | json_values,
        "comment": _text | json_values,
        "signature": json_values,
        "approved": json_values,
    },
)

bad_messages = json_values | almost_decisions
bad_inputs = st.lists(bad_messages, max_size=3)
