"""A mail server in its own process: it stores each email before it acknowledges it."""

import asyncio
import json
import os
import sys
from email import policy
from email.parser import BytesParser
from pathlib import Path
from random import Random

from aiosmtpd.smtp import SMTP, Envelope, Session

_PARSER = BytesParser(policy=policy.default)


class StoringHandler:
    """Writes one line for each email, then responds slowly, so that it can be killed in between."""

    def __init__(self, path: Path, rng: Random) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._rng = rng

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Store one email."""
        del server, session
        content = envelope.content or b""
        mail = _PARSER.parsebytes(content.encode() if isinstance(content, str) else content)
        stored = {
            "to": envelope.rcpt_tos,
            "id": mail["Message-ID"],
            "subject": mail["Subject"],
        }
        self._file.write(json.dumps(stored) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        await asyncio.sleep(self._rng.uniform(0, 0.05))
        return "250 stored"


async def serve(port: int, path: Path) -> None:
    """Serve until killed."""
    handler = StoringHandler(path, Random(port))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, enable_SMTPUTF8=True), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
