"""The tool `send_email`: to an SMTP server, or into an outbox."""
