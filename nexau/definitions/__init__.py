"""What a rollout runs, as values: agents, prompts, tools, servers, and the files that say so."""
