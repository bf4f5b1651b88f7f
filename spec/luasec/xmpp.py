"""Two users of XMPP servers log in by slixmpp; the first writes to the second, who answers.

    xmpp.py CA MECHANISM VERSION JID PORT JID PORT

MECHANISM is SASL's, or "any". VERSION is the highest of TLS: "1.2" or "1.3". Prints what was
negotiated, and the answer.
"""
import asyncio
import ssl
import sys

from slixmpp import ClientXMPP

CA, MECHANISM, VERSION = sys.argv[1:4]


class User(ClientXMPP):
    def __init__(self, jid):
        mechanism = None if MECHANISM == "any" else MECHANISM
        super().__init__(jid, "secret", sasl_mech=mechanism)
        self.ca_certs = CA
        self.ssl_context.check_hostname = False  # a server here has the name of another
        if VERSION == "1.2":
            self.ssl_context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.ready = asyncio.get_event_loop().create_future()
        self.answer = asyncio.get_event_loop().create_future()
        self.add_event_handler("session_start", self.on_start)
        self.add_event_handler("failed_all_auth", lambda _: self.fail("no mechanism"))
        self.add_event_handler("message", self.on_message)

    def fail(self, why):
        if not self.ready.done():
            self.ready.set_exception(RuntimeError(why))

    async def on_start(self, _):
        self.send_presence()
        await self.get_roster()
        print(self.boundjid.bare, self["feature_mechanisms"].mech.name, self.socket.version())
        self.ready.set_result(True)

    def on_message(self, message):
        if message["type"] == "error":
            self.answer.set_result("error: " + str(message["error"]))
        elif message["body"].startswith("answer: "):
            self.answer.set_result(message["body"])
        else:
            message.reply("answer: " + message["body"]).send()


async def main():
    users = []
    for jid, port in (sys.argv[4:6], sys.argv[6:8]):
        user = User(jid)
        if hasattr(user, "enable_direct_tls"):  # slixmpp 1.9 and later
            user.enable_direct_tls = user.enable_plaintext = False
            user.connect("127.0.0.1", int(port))
        else:
            user.connect(("127.0.0.1", int(port)), use_ssl=False, force_starttls=True)
        await asyncio.wait_for(user.ready, 20)
        users.append(user)
    users[0].send_message(mto=users[1].boundjid, mbody="hello", mtype="chat")
    print(await asyncio.wait_for(users[0].answer, 20))
    for user in users:
        await user.disconnect()

asyncio.run(main())
