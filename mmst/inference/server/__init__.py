"""`mmst serve`: one model folder behind the OpenAI completions protocol."""
