"""What tools are for, in the many words that people have for it.

A specification says "reimburse the traveller", a tool says `issue_refund`: no letter in common.
The taxonomy names capabilities; a text has one when it uses a word of it. It is small and general
on purpose: what a catalog's own words say counts more (`nexau.synth.agents.matching`).
"""

from nexau.synth.words import raw_words, stem

_WORDS = {
    # what is done
    "find": "find search lookup locate discover seek query filter identify track who which",
    "read": "read get show view open fetch retrieve see inspect look describe detail display check",
    "list": "list all overview browse enumerate catalog inventory every",
    "create": "create add new make register open start establish set introduce compose draft",
    "change": "change update edit modify correct amend fix adjust alter revise rename overwrite",
    "delete": "delete remove drop erase discard purge forget clear clean prune retire",
    "move": "move transfer relocate shift migrate reorganize sort tidy rearrange organize",
    "copy": "copy duplicate backup replicate clone archive snapshot preserve",
    "compare": "compare diff difference delta versus contrast change deviation",
    "undo": "undo revert reset rollback restore cancel abort withdraw back unstage",
    "approve": "approve authorise authorize sign confirm accept grant permit review audit consent",
    "refuse": "refuse reject deny decline block forbid suspend freeze",
    "compute": "compute calculate sum total average count aggregate statistic analyse analyze math "
    "report figure number measure arithmetic plus add",
    "convert": "convert translate transform exchange compress encode format zip shrink",
    "send": "send notify message mail email inform tell announce contact reply alert publish post",
    "download": "download fetch web url page website internet online link article http browse site",
    "plan": "plan schedule arrange organise organize book reserve appointment calendar slot",
    "think": "think reason reflect deliberate step hypothesis ponder analyse solve reasoning",
    "monitor": "monitor watch observe progress status health alert subscribe follow log logging",
    "save": "save store write persist keep record note remember memorise memorize",
    "recall": "recall remember memory know knowledge learned fact recollect",
    # what it is done to
    "money": "money pay refund reimburse price cost charge invoice payment amount fee billing "
    "debit credit compensation spend spending spent budget dollar cent cash bill repay",
    "order": "order purchase buy basket checkout delivery shipment parcel item product goods",
    "return": "return send-back returned rma exchange back",
    "customer": "customer client buyer user account member person people patron guest patient "
    "subscriber profile shopper",
    "address": "address street city postal residence home moved location house",
    "ticket": "ticket complaint issue case request incident problem support bug grievance",
    "rule": "rule policy regulation terms entitlement condition window limit compliance law",
    "file": "file document folder directory path disk text media image picture photo storage drive",
    "version": "git commit branch repository repo version code source revision merge history "
    "checkout staged codebase software developer programmer",
    "database": "database sql table query row column record relational select schema data",
    "graph": "graph entity relation node edge knowledge network link connection observation",
    "time": "time clock date timezone hour today now zone when moment day schedule",
    "environment": "environment variable setting configuration config system parameter",
    "weather": "weather temperature forecast rain wind humidity climate",
    "insight": "insight memo finding conclusion discovery takeaway observation lesson",
    "text": "text string echo message word sentence phrase repeat",
    "book": "book title author isbn loan library borrow reader copy novel",
    "flight": "flight airline airport seat passenger travel trip ticket booking plane journey",
    "bank": "bank account transaction dispute card transfer balance statement fraud chargeback",
    "stock": "stock warehouse inventory shelf bin supplier pallet quantity replenish shipment",
    "course": "course class lesson teacher student timetable school room subject exam pupil",
    "energy": "energy grid power plant load substation outage generator voltage consumption meter",
    "news": "news article story editor headline publish press newsroom journalist draft",
    "health": "health clinic doctor patient appointment insurance treatment medical prescription",
    "staff": "staff employee worker team shift personnel payroll manager roster hire colleague",
    "contract": "contract agreement lease tenant clause signature legal party renewal",
    "vehicle": "vehicle car truck fleet driver route rental mileage garage",
    "room": "room hotel booking reservation guest check-in stay accommodation bed",
    "food": "food restaurant menu dish recipe ingredient meal kitchen table",
    "property": "property house apartment estate listing landlord rent building tenant",
    "event": "event concert venue attendee session conference registration ticket speaker",
    "animal": "animal pet veterinarian species breed shelter vet zoo",
    "security": "security access permission role password token vulnerability credential login",
    "model": "machine learning model training experiment dataset evaluation metric",
}


def _taxonomy() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for name, text in _WORDS.items():
        for word in {name, *text.split()}:
            for part in raw_words(word):
                found.setdefault(stem(part), set()).add(name)
    return {word: frozenset(names) for word, names in found.items()}


CAPABILITIES: tuple[str, ...] = tuple(_WORDS)
_BY_WORD = _taxonomy()


def capabilities(text: str) -> dict[str, float]:
    """The capabilities that a text speaks of, and how surely: a word that stands for several
    counts a part for each."""
    found: dict[str, float] = {}
    for word in dict.fromkeys(stem(each) for each in raw_words(text)):
        names = _BY_WORD.get(word, frozenset())
        for name in sorted(names):
            found[name] = found.get(name, 0.0) + 1 / len(names)
    return found
