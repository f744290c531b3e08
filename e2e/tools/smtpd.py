"""An SMTP server for tests. It demands STARTTLS and the account user / $SMTPD_PASSWORD before it takes a mail.

Usage: smtpd.py CERTIFICATE KEY. The first line of its output is its port; each mail is one line of JSON after that.
It ends when its standard input does.
"""

import asyncio
import email
import email.policy
import json
import logging
import os
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult


class Mailbox:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        told = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": mail["subject"],
            "id": mail["message-id"],
            "text": mail.get_content(),
            "tls": session.ssl is not None,
            "user": getattr(session.auth_data, "login", b"").decode(),
        }
        print(json.dumps(told), flush=True)
        return "250 taken"


def judge(server, session, envelope, mechanism, data):
    is_right = data.login == b"user" and data.password == os.environ["SMTPD_PASSWORD"].encode()
    return AuthResult(success=is_right, handled=False, auth_data=data)


def talk(context):
    return SMTP(
        Mailbox(),
        hostname="localhost",
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=judge,
    )


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: talk(context), "127.0.0.1", 0)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


# Clients that turn away are what the tests are about.
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
asyncio.run(main())
