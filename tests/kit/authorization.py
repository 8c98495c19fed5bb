"""Texts with an Authorization header, in every form in which one turns up; no word of its value may stay."""

import json
from typing import Final

SECRET: Final = "planted"
"""Part of each word of a credential here."""
VALUES: Final = [
    "planted",
    "Bearer planted-1.x~y+z/==",
    "Basic cGxhbnRlZA-planted=",
    "Token planted",
    "token token=\"planted\", nonce='planted'",
    "Negotiate   planted==",
    "NTLM\tplanted",
    'Digest username="planted", realm="", uri="/a, b; c", response = "planted one", qop=planted',
    "AWS4-HMAC-SHA256 Credential=planted/eu, SignedHeaders=host;x-planted, Signature=planted",
    "Sign-In planted with planted and planted",
    'Odd "planted one" {planted} (planted)planted it\'s-planted',
    "Odd planted,planted;planted",
]
"""As HTTP sends them."""


def forms(value: str) -> list[str]:
    """Texts that show a header with `value`. None of another header's is in it."""
    named = {"Authorization": value, "Accept": "*/*"}
    raw = f"GET / HTTP/1.1\r\nauthorization:{value}\r\nAccept: */*\r\n"
    return [
        f"Authorization: {value}",
        raw,
        raw.replace(":", ": ").replace("\n", "\n  "),
        repr(raw),
        repr(raw.encode()),
        f"> AUTHORIZATION = {value}\n> Accept: */*",
        f"map[Authorization:[{value}]",
        json.dumps(named),
        json.dumps(named, indent=2),
        json.dumps(named, separators=(",", ":")).lower(),
        json.dumps(json.dumps(named)),
        json.dumps({"was": repr(named)}),
        json.dumps([{"name": "Authorization", "value": value}]),
        json.dumps({"Authorization": [value, value]}),
        repr(named),
        repr(list(named.items())),
        repr([(name.encode(), text.encode()) for name, text in named.items()]),
        repr({"HTTP_AUTHORIZATION": value}),
        repr({"Proxy-Authorization": value}),
        repr(named)[: -len("', 'Accept': '*/*'}")],
    ]
