"""Mails as bytes and over SMTP, for the tool `send_email` and for notices."""
