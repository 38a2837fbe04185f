"""The tools `create_ticket` and `comment_ticket`, on GitHub or Jira."""
