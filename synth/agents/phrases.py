"""The words of the built-in writer: titles, manners and habits, by role."""

from nexau.synth.agents.hierarchy import Role, Topology

TITLES: dict[Role, tuple[str, ...]] = {
    "solo": ("assistant", "clerk", "agent", "operator", "generalist", "desk", "officer"),
    "manager": ("manager", "head", "director", "supervisor", "chief", "principal"),
    "specialist": ("specialist", "expert", "officer", "clerk", "analyst", "keeper", "agent",
                   "technician", "advisor", "handler", "steward", "practitioner"),
    "coordinator": ("coordinator", "dispatcher", "foreman", "conductor", "controller"),
    "stage": ("stage", "step", "station", "processor", "handler", "operator", "worker"),
    "relay": ("runner", "relay", "link", "forwarder", "courier", "carrier"),
    "moderator": ("moderator", "chair", "host", "convener", "facilitator"),
    "debater": ("advocate", "proponent", "skeptic", "challenger", "counsel", "panelist"),
    "judge": ("judge", "arbiter", "referee", "adjudicator", "umpire"),
    "lead": ("lead", "captain", "chief", "supervisor", "owner"),
    "planner": ("planner", "strategist", "architect", "scheduler", "designer"),
    "executor": ("executor", "implementer", "operator", "doer", "worker", "technician"),
    "critic": ("critic", "reviewer", "auditor", "inspector", "examiner"),
    "dispatcher": ("dispatcher", "distributor", "allocator", "router", "organizer"),
    "splitter": ("splitter", "itemizer", "partitioner", "lister"),
    "mapper": ("worker", "processor", "hand", "examiner", "unit"),
    "reducer": ("reducer", "collator", "summarizer", "compiler", "merger"),
    "decomposer": ("decomposer", "divider", "breakdown", "delegator"),
    "solver": ("solver", "resolver", "finisher", "investigator"),
}  # fmt: skip

STANCES = (
    ("argues for acting at once", ("You want things done. Argue for the quickest sound action and "
     "back it with what your tools show.")),
    ("argues for caution", ("You distrust quick answers. Look for what could go wrong, ask for "
     "evidence before anything is changed.")),
    ("argues from the rules", ("You care for what is allowed. Test proposals against the rules "
     "and limits that your tools reveal.")),
    ("argues for the person concerned", ("You speak for whoever is affected. Weigh proposals by "
     "what it means for them.")),
    ("argues from the figures", ("You believe in numbers. Collect amounts, counts, dates, and "
     "let them decide.")),
)  # fmt: skip
"""Of debaters: what is said of them to others, and to themselves."""

MANNERS = (
    "Work calmly and in order.",
    "Be brief: facts first, then what follows from them.",
    "Be thorough; a missed detail costs more than a second look.",
    "Prefer one well-chosen call to three hopeful ones.",
    "State plainly what you know, what you assume and what you could not find out.",
    "Keep to the task you were given, even where more could be done.",
    "Think before each call about what its result would change.",
    "Treat every figure and identifier as something that must be copied exactly.",
    "When two sources disagree, say so and name both.",
    "Leave things in a state that the next person understands.",
    "Take the shortest way that still checks its own result.",
    "Do not guess; look it up, or say that it cannot be looked up.",
)

ERRORS = (
    (
        "When a call fails, read the message, mend what it complains of and try once more; after a "
        "second failure report it word for word."
    ),
    "An error is an answer: pass on its text and code, and do not repeat the same call unchanged.",
    (
        "If a tool refuses, find out which rule it enforces before you try "
        "another way, and never work "
        "around a refusal."
    ),
    (
        "On an error, check your arguments against the tool's description first; most failures are "
        "yours."
    ),
    (
        "A refusal by a tool is final unless you were given something that lifts it. Say what was "
        "refused and why."
    ),
    "Where a call times out or the service is away, wait for nothing: report which step is open.",
)

IDENTIFIERS = (
    "Never make up an identifier; each one must come from the task or from a result.",
    "Copy names, numbers and identifiers exactly as they were returned.",
    "If an identifier is missing, look it up before anything else.",
    "Use only identifiers that you have seen; ask for one that you have not.",
)

OUTPUTS = (
    "Answer in at most five sentences, the result first.",
    "Answer with a short list: what was asked, what was found, what was done, what is open.",
    "Answer as a JSON object with the keys `result`, `evidence` and `open`.",
    "Answer with the result in one line, then the identifiers it rests on.",
    "Answer as a table where there is more than one item, otherwise in one sentence.",
    "Answer with the facts in the order in which you found them, then a conclusion.",
    "Answer in plain words for somebody who has seen none of the tools.",
    "Answer with what changed, with the values before and after, and nothing else.",
)

IDENTITY = (
    "You are {title}.",
    "You are {title}, {place}.",
    "Your role: {title}, {place}.",
    "You work as {title}.",
    "As {title}, you answer for {focus}.",
    "You are {title}. Your field is {focus}.",
)

PURPOSE = (
    "The whole group serves this purpose: {spec}",
    "What all of this is for: {spec}",
    "The assignment behind every task is: {spec}",
    "Keep the purpose in mind: {spec}",
    "Everything here is done for one end: {spec}",
)

HANDED = (
    "{parent} gives you one task at a time; you see nothing else of the conversation.",
    "Your tasks come from {parent}. Whatever is not in the task, you do not know.",
    "{parent} calls you with a task and reads your answer, nothing in between.",
    "You are asked by {parent} alone, and answer it alone.",
)

TOOLS_INTRO = (
    "Your tools:",
    "You can use:",
    "At your disposal:",
    "What you can call:",
    "Tools, and what each is for:",
)

DISTRACTORS_INTRO = (
    "You can also reach {names}, which your work rarely needs.",
    "Within reach too, but for other work: {names}.",
    "Leave {names} alone unless the task itself asks for it.",
)

FLOWS_INTRO = ("How they fit together:", "In what order:", "What leads to what:")

FLOW = (
    "`{source}` gives the {given} that `{target}` asks for.",
    "Call `{source}` before `{target}`: its {given} is needed there.",
    "Take the {given} for `{target}` from `{source}`.",
)

WRITES = (
    "{names} change things for good. Call them once, with checked values, and confirm the result.",
    "Before you call {names}, look at the present state; afterwards, look again.",
    "Use {names} only when the task clearly asks for it.",
    "Every call of {names} leaves a trace: name it in your answer.",
)

READS = (
    "None of your tools changes anything, so look as often as it helps.",
    "You only look things up; leave changes to others.",
    "You change nothing. If a change is needed, say which.",
)

PROTOCOLS: dict[Topology, tuple[str, ...]] = {
    "single": ("Do all of it yourself.",),
    "team": (
        (
            "Split each task by field and give every part to the one whose field "
            "it is. Independent "
            "parts go out in the same turn. Put their answers together yourself."
        ),
        (
            "Decide who is needed, ask only those, and give each all that it must "
            "know. Then write one "
            "answer from theirs."
        ),
        (
            "Hand on whatever somebody below you can do better; keep the whole in "
            "view and check that "
            "the answers agree."
        ),
    ),
    "pipeline": (
        (
            "Run the stages in the order in which they are listed. Give each the task and what the "
            "stage before it returned. Stop where a stage reports that it cannot go on."
        ),
        (
            "Each task passes through all stages, first to last. What one returns "
            "is the input of the "
            "next; never skip one without saying so."
        ),
    ),
    "relay": (
        "Do your own part, then hand on to the next in line with all that you have found.",
        (
            "Finish what your tools allow, then pass the task and your results on; "
            "return what comes "
            "back, with your own part in front."
        ),
    ),
    "debate": (
        (
            "Put the question to all sides in the same turn. Then give each the "
            "other sides' answers "
            "for a reply, once. Give everything to the judge and return the "
            "verdict with its reason."
        ),
        (
            "Hear every side separately, let each answer the strongest point "
            "against it, then let the "
            "judge decide. You do not take sides."
        ),
        (
            "Ask the sides, collect their evidence, and let the judge choose. "
            "Where the judge is not "
            "sure, hold one more round."
        ),
    ),
    "planning": (
        (
            "Ask the planner for steps, give each step to an executor, and the "
            "outcome to the critic. "
            "When the critic objects, have the step done again, at most twice."
        ),
        (
            "No step is taken without a plan and none is accepted without the "
            "critic. Pass objections "
            "back word for word."
        ),
    ),
    "map-reduce": (
        (
            "Find the items, give each to a worker of its kind, as many as "
            "possible in the same turn, "
            "and let all answers be combined into one at the end."
        ),
        (
            "Treat every item alike and apart from the others; combine only when "
            "all are done, and say "
            "which could not be done."
        ),
    ),
    "decomposition": (
        (
            "Divide the problem into parts that can be solved on their own, give "
            "each to the one below "
            "you that suits it, and join the solutions. Solve nothing that you can hand on."
        ),
        (
            "Cut the problem until each part is one that somebody below can finish. Check that the "
            "parts together are the whole."
        ),
        (
            "First write down the parts, then delegate them, then test the joined "
            "answer against the "
            "problem as it was given."
        ),
    ),
}

DUTIES: dict[Role, tuple[str, ...]] = {
    "planner": (
        (
            "Turn a task into numbered steps. Each step names who does it, with "
            "which values, and how "
            "one sees that it is done."
        ),
        (
            "Plan only; others act. Say what must be known first, what can be done "
            "at once, and what "
            "could go wrong."
        ),
    ),
    "critic": (
        (
            "Look for what is missing, unproven or against the rules. Name each "
            "fault with the step it "
            "is in; if there is none, say `accepted`."
        ),
        (
            "Check results against the task, figure by figure. You approve nothing that you cannot "
            "trace to a result."
        ),
    ),
    "judge": (
        (
            "Weigh the evidence, not the eloquence. Give one verdict, the two "
            "facts that decide it, "
            "and what would change your mind."
        ),
        (
            "Decide between the positions you are given. Where the evidence does not allow it, say "
            "what is missing."
        ),
    ),
    "splitter": (
        (
            "List the items that a task is about, one a line, each with all that "
            "is needed to work on "
            "it alone."
        ),
    ),
    "reducer": (
        (
            "Combine the answers for single items into one: totals, differences, "
            "exceptions. Lose no "
            "item, and mark those without an answer."
        ),
    ),
}

SUMMARIES: dict[Role, tuple[str, ...]] = {
    "manager": ("Directs work on {focus}.", "Takes tasks about {focus} and has them done.",
                "Is responsible for {focus} as a whole."),
    "specialist": ("{Doing}.", "The one to ask about {focus}: {doing}.", "Knows {focus}; {doing}.",
                   "Handles {focus}. Can {able}."),
    "coordinator": ("Runs tasks about {focus} through its stages.",
                    "Moves work on {focus} from stage to stage."),
    "stage": ("Stage {number}: {doing}.", "Step {number} of the line; {doing}.",
              "Does the part of {focus} as step {number}: can {able}."),
    "relay": ("Takes {focus} and hands on the rest; {doing}.", "Next in line: {doing}."),
    "moderator": ("Has questions about {focus} argued and decided.",
                  "Holds debates on {focus} and returns the verdict."),
    "debater": ("{Stance}, with an eye on {focus}.", "On {focus}, {stance}; {doing}."),
    "judge": ("Decides between positions on {focus}.", "Gives the verdict in debates on {focus}."),
    "lead": ("Has tasks about {focus} planned, done and reviewed.",
             "Answers for {focus}, from plan to review."),
    "planner": ("Plans work on {focus}, step by step.", "Turns tasks about {focus} into steps."),
    "executor": ("Carries out steps: {doing}.", "Does what the plan says about {focus}.",
                 "{Doing}, one step at a time."),
    "critic": ("Reviews results about {focus}.", "Finds faults in work on {focus}."),
    "dispatcher": ("Has many items of {focus} worked on at once.",
                   "Spreads {focus} over workers and combines what they find."),
    "splitter": ("Lists the items of a task about {focus}.",),
    "mapper": ("Works on one item: {doing}.", "Takes a single item of {focus}. Can {able}.",
               "For items of {focus}: {doing}."),
    "reducer": ("Combines answers about {focus} into one.", "Sums up results on {focus}."),
    "decomposer": ("Divides problems of {focus} and joins the solutions.",
                   "Breaks tasks about {focus} into parts."),
    "solver": ("Solves parts that concern {focus}: {doing}.", "{Doing}.",
               "Finishes one part of {focus}. Can {able}."),
    "solo": ("Does all work on {focus}.",),
}  # fmt: skip
"""What others are told of an agent."""
