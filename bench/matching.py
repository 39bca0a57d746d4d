"""Does matching find the tools that a specification means? recall@5 over 75 tools of nine servers.

nexau synth catalog examples/servers/*.yaml examples/desk/agent.stdio.yaml --out tools.yaml
python -m bench.matching tools.yaml [--embeddings]
"""

import argparse
import json
import time
from pathlib import Path

from nexau.synth.agents.catalog import read_catalog
from nexau.synth.agents.matching import Matcher
from nexau.synth.agents.toolgraph import ToolGraph
from nexau.synth.similarity import Bm25, Tfidf, grams

CASES: tuple[tuple[str, str, str], ...] = (
    ("desk/issue_refund desk/approve_refund", "approve and issue a refund on an order",
     "reimburse people for what they bought"),
    ("desk/find_customers desk/get_customer", "find a customer by name or e-mail",
     "work out who is writing to us"),
    ("desk/update_address", "change a customer's address", "somebody has moved house"),
    ("desk/open_return desk/return_policy", "open a return within the return window",
     "goods are sent back because they do not fit"),
    ("desk/open_ticket desk/add_note desk/close_ticket", "open, annotate and close tickets",
     "keep track of grievances until they are settled"),
    ("desk/cancel_order desk/get_order desk/list_orders", "look at orders and cancel one",
     "withdraw a purchase before it leaves the warehouse"),
    ("desk/spending", "what a customer has paid and got back", "how valuable is this client to us"),
    ("git/git_diff git/git_diff_staged git/git_diff_unstaged git/git_show",
     "show the diff of staged and unstaged changes", "review what a colleague altered in the code"),
    ("git/git_commit git/git_add", "add files to the index and commit them",
     "persist a developer's work in the project's history"),
    ("git/git_branch git/git_create_branch git/git_checkout", "create and check out a git branch",
     "begin a separate line of development"),
    ("git/git_log", "show the git commit log", "who worked on the project lately"),
    ("time/get_current_time", "the current time in a time zone", "is it already evening in Tokyo"),
    ("time/convert_time", "convert time between time zones",
     "when would the call take place for our partners overseas"),
    ("fetch/fetch", "fetch a url from the internet", "look something up on a website"),
    ("sqlite/read_query sqlite/list_tables sqlite/describe_table",
     "list tables and run a select query", "answer questions from relational data"),
    ("sqlite/write_query sqlite/create_table", "create a table and insert rows",
     "set up storage for structured records"),
    ("sqlite/append_insight", "append a business insight to the memo",
     "write down what we concluded from the analysis"),
    ("filesystem/read_text_file filesystem/read_file filesystem/read_multiple_files",
     "read text files", "tell me what the documents say"),
    ("filesystem/directory_tree filesystem/list_directory filesystem/list_directory_with_sizes",
     "list a directory and its tree", "get an overview of how the disk is organised"),
    ("filesystem/move_file filesystem/create_directory", "move files and create directories",
     "tidy up a messy storage drive"),
    ("filesystem/search_files", "search files by pattern", "locate a document that got lost"),
    ("memory/create_entities memory/create_relations memory/add_observations",
     "create entities, relations and observations in the knowledge graph",
     "memorise facts about people and how they are connected"),
    ("memory/search_nodes memory/read_graph memory/open_nodes",
     "search nodes of the knowledge graph", "recall what we have learned before"),
    ("memory/delete_entities memory/delete_observations memory/delete_relations",
     "delete entities and relations of the graph", "forget what is no longer true"),
    ("sequential-thinking/sequentialthinking", "sequential thinking in steps with revisions",
     "reason carefully through a hard problem"),
    ("everything/get-sum", "the sum of two numbers", "do simple arithmetic"),
)  # fmt: skip
"""Tools that are meant, in the tools' own words, and in others."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--embeddings", action="store_true", help="also with the extra")
    options = parser.parse_args()
    catalog = read_catalog(options.catalog)
    facts = ToolGraph(catalog.tools).facts
    keys = [tool.key for tool in catalog.tools]
    texts = [each.text for each in facts]
    matcher = Matcher(facts)
    methods = {
        "TF-IDF on words": Tfidf(texts).rank,
        "TF-IDF on characters 3-5": Tfidf(texts, grams).rank,
        "BM25": Bm25(texts).rank,
        "words, characters and taxonomy": lambda text: [
            (m.tool, m.score) for m in matcher.rank(text)
        ],
    }
    if options.embeddings:
        import importlib  # noqa: PLC0415 - the extra may be missing

        embedder = importlib.import_module("nexau.synth.agents.embeddings").open_embedder()
        embedded = Matcher(facts, embedder)
        methods["sentence embeddings"] = lambda text: [
            (m.tool, m.score) for m in embedded.rank(text)
        ]
    for name, rank in methods.items():
        recalls: list[list[float]] = [[], []]
        began = time.process_time()
        for wanted, *said in CASES:
            names = set(wanted.split())
            for place, text in enumerate(said):
                top = {keys[tool] for tool, _ in rank(text)[:5]}
                recalls[place].append(len(names & top) / min(len(names), 5))
        spent = (time.process_time() - began) / (2 * len(CASES))
        direct, others = (round(sum(each) / len(each), 3) for each in recalls)
        print(json.dumps({"method": name, "recall@5": direct, "paraphrased": others,
                          "ms": round(spent * 1000, 2)}))  # fmt: skip


if __name__ == "__main__":
    main()
