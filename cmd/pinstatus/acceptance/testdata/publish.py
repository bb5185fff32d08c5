"""Publishes events to pinstatus, knowing nothing but the NATS protocol and the contract.

Usage: publish.py HOST PORT

Prints the stream sequence of each acknowledgement.
"""

import datetime
import json
import socket
import sys
import urllib.parse


class Publisher:
    """A connection to NATS that publishes and waits for JetStream's acknowledgement."""

    def __init__(self, host, port):
        self.file = socket.create_connection((host, port), timeout=60).makefile("rwb")
        info = self.file.readline()
        if not info.startswith(b"INFO "):
            raise RuntimeError(f"the server greets with {info!r}")
        self.send(b"CONNECT ", json.dumps({
            "verbose": False, "pedantic": True, "lang": "python", "version": "0",
            "protocol": 1, "headers": True, "no_responders": True,
        }).encode(), b"\r\nSUB _INBOX.python 1\r\n")

    def send(self, *parts):
        self.file.write(b"".join(parts))
        self.file.flush()

    def publish(self, subject, payload, headers=()):
        """Returns the sequence of the acknowledgement."""
        if headers:
            block = "NATS/1.0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers) + "\r\n"
            block = block.encode()
            self.send(f"HPUB {subject} _INBOX.python {len(block)} {len(block) + len(payload)}\r\n".encode(),
                      block, payload, b"\r\n")
        else:
            self.send(f"PUB {subject} _INBOX.python {len(payload)}\r\n".encode(), payload, b"\r\n")
        ack = self.receive()
        if "seq" not in ack:
            raise RuntimeError(f"refused: {ack}")
        return ack["seq"]

    def receive(self):
        while True:
            line = self.file.readline()
            word = line.split()
            if not word:
                raise RuntimeError("the server closed the connection")
            if word[0] == b"PING":
                self.send(b"PONG\r\n")
            elif word[0] == b"MSG":
                payload = self.file.read(int(word[-1]) + 2)
                return json.loads(payload)
            elif word[0] == b"HMSG":
                raise RuntimeError(f"nobody stores it: {self.file.read(int(word[-1]) + 2)!r}")
            elif word[0] == b"-ERR":
                raise RuntimeError(line)


def token(identifier):
    """An id as a subject token."""
    return "".join(chr(b) if chr(b).isascii() and (chr(b).isalnum() or chr(b) in "_-") else f"%{b:02X}"
                   for b in identifier.encode())


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat()  # 2026-11-21T10:00:04.123456+00:00


def structured(event_id, event_type, data):
    return json.dumps({
        "specversion": "1.0", "id": event_id, "source": "python", "type": event_type,
        "time": now(), "tenant": "acme", "newer-than-1.0": [1, {"a": None}], "data": data,
    }).encode()  # non-ASCII characters become \u escapes


def binary(event_id, event_type, **more):
    attributes = {"specversion": "1.0", "id": event_id, "source": "python", "type": event_type,
                  "time": now(), "tenant": "acme", **more}
    return [("Ce-" + name, urllib.parse.quote(value, safe=":/+ ")) for name, value in attributes.items()]


def main():
    nats = Publisher(sys.argv[1], int(sys.argv[2]))
    code, account = "py.1", "zoë"
    sms = {"pinId": code, "messageId": "m1", "status": "MESSAGE_ACCEPTED", "price": {"amount": "0.10", "currency": "EUR"}}
    attempt = {"accountId": account, "pinType": "Parental", "outcome": "SUCCEEDED"}

    # Structured mode: without any header, and with one that says so.
    sequences = [nats.publish(f"pinstatus.events.sms.acme.{token(code)}", structured("py-1", "pinstatus.sms.status.v1", sms))]
    sms["status"] = "MESSAGE_DELIVERED"
    delivered = structured("py-2", "pinstatus.sms.status.v1", sms)
    sequences.append(nats.publish(
        f"pinstatus.events.sms.acme.{token(code)}", delivered,
        [("content-type", "application/cloudevents+json; charset=UTF-8")]))

    # Binary mode: attributes as headers, data as payload, in UTF-8.
    sequences.append(nats.publish(
        f"pinstatus.events.voice.acme.{token(code)}",
        json.dumps({"pinId": code, "callId": "c1", "status": "PROCESSED", "durationSeconds": 12}).encode(),
        binary("py 3 é", "pinstatus.voice.status.v1", subject=code, datacontenttype="application/json")))
    sequences.append(nats.publish(
        f"pinstatus.events.account.acme.{token(account)}",
        json.dumps({"accountId": account}, ensure_ascii=False).encode(),
        binary("py-4", "pinstatus.account.provisioned.v1", subject=account)))
    sequences.append(nats.publish(
        f"pinstatus.events.attempt.acme.{token(account)}",
        json.dumps(attempt, ensure_ascii=False).encode(), binary("py-5", "pinstatus.attempt.v1")))

    # The same event again, as publishers do that did not see its acknowledgement.
    sequences.append(nats.publish(f"pinstatus.events.sms.acme.{token(code)}", delivered))
    print("\n".join(map(str, sequences)))


main()
