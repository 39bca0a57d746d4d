"""Defects put into clean trajectories, one kind for each rule: how the rules are proven.

A mutation takes a clean trajectory and gives one with the defect, or None where it does not apply
(there is no call to break). It writes what such a rollout would have recorded, so that a rule finds
the defect by its own means; the same seed gives the same mutation.
"""

from nexau.synth.data.checks import defects, wordings
from nexau.synth.data.checks.mutating import Mutation

MUTATIONS: dict[str, Mutation] = {
    each.__name__: each
    for each in (
        defects.unknown_tool,
        defects.schema,
        defects.unparseable,
        defects.pairing,
        defects.exact_loop,
        defects.cycle,
        wordings.text_repetition,
        wordings.empty_final,
        wordings.truncated,
        wordings.unsupported_claim,
        wordings.false_action_claim,
        wordings.ignored_error,
        defects.blind_retry,
        wordings.reward_hacking,
        wordings.oracle_leak,
        wordings.synthetic_leak,
        wordings.tool_name_leak,
        wordings.language_drift,
        defects.context_overflow,
        defects.ungrounded_argument,
        wordings.placeholder_argument,
        wordings.secrets,
        wordings.needless_tool,
        defects.delegation,
        wordings.injection_obeyed,
        defects.final_state,
        defects.time_backwards,
    )
}
"""By the rule that has to find them."""
