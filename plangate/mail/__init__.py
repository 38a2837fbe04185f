"""Compose emails and send them over SMTP, for the tool `send_email` and for notices.

May import the domain, `plangate.host_names` and aiosmtplib.
"""
