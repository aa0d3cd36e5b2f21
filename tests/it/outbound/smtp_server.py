"""Debian's aiosmtpd as a mail server for tests: it says on standard output, a JSON object a line, on which
port it listens, who connects, and what it takes. It ends when standard input does."""

import argparse
import asyncio
import email
import email.policy
import json
import logging
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult


def tell(**what):
    print(json.dumps(what), flush=True)


class Handler:
    def __init__(self, options):
        self.options = options

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if self.options.rcpt_reply:
            return self.options.rcpt_reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.options.data_reply == "silence":
            tell(event="silent")
            await asyncio.sleep(3600)
        if self.options.data_reply:
            return self.options.data_reply
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        tell(
            event="mail",
            mail_from=envelope.mail_from,
            rcpt_tos=envelope.rcpt_tos,
            smtp_utf8=envelope.smtp_utf8,
            headers=[[name, str(value)] for name, value in message.items()],
            text=message.get_content(),
            tls=server.transport.get_extra_info("sslcontext") is not None,
            login=session.auth_data,
            hello=session.host_name,
        )
        return "250 2.0.0 taken"


class Told(SMTP):
    def connection_made(self, transport):
        # A connection that turns to TLS is made twice.
        if self.transport is None:
            tell(event="connection")
        super().connection_made(transport)


def authenticator(user, password):
    def check(server, session, envelope, mechanism, data):
        good = data.login == user.encode() and data.password == password.encode()
        return AuthResult(success=good, handled=False, auth_data=data.login.decode())

    return check


async def end_with_input():
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", choices=["none", "starttls", "implicit"], default="none")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--no-utf8", action="store_true")
    parser.add_argument("--rcpt-reply")
    parser.add_argument("--data-reply")
    options = parser.parse_args()

    context = None
    if options.tls != "none":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate, options.key)
    settings = {"enable_SMTPUTF8": not options.no_utf8, "hostname": "mail.test"}
    if options.tls == "starttls":
        settings.update(tls_context=context, require_starttls=True)
    if options.user:
        settings.update(
            authenticator=authenticator(options.user, options.password),
            auth_required=True,
            auth_require_tls=options.tls == "starttls",
        )
    handler = Handler(options)
    server = await asyncio.get_running_loop().create_server(
        lambda: Told(handler, **settings),
        host="127.0.0.1",
        port=options.port,
        ssl=context if options.tls == "implicit" else None,
    )
    tell(event="listening", port=server.sockets[0].getsockname()[1])
    await end_with_input()


logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
asyncio.run(main())
