"""The tool `send_email`, which uses an SMTP server or an outbox."""
