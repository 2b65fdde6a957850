"""Sends each operation that takes a body one of an unknown kind, and broken ones: a 4xx problem answers each."""

import json
import sys
import urllib.error
import urllib.request

base, token = sys.argv[1:]
document = json.load(urllib.request.urlopen(f"{base}/openapi.json"))
KINDS = ["text/plain", "application/xml", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "x"]
BODIES = [b"", b"{", b"[]", b"null", b'"', b"{\"a\": 1,}", b"\x00", b"\xff\xfe{}", b"[" * 5000, b'{"a":' * 5000]
UNKNOWN_ID = "0190b0a0-0000-7000-8000-000000000001"
sent = 0
wrong = []


def send(method, path, kind, body):
    global sent
    sent += 1
    headers = {
        "authorization": f"Bearer {token}",
        "content-type": kind,
        "if-match": "*",
        "idempotency-key": f"body-{sent}",
        "basket-token": "none",
    }
    request = urllib.request.Request(base + path, data=body, method=method, headers=headers)
    try:
        answer = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        answer = error
    media = answer.headers.get("content-type")
    if not 400 <= answer.status < 500 or media != "application/problem+json":
        wrong.append(f"{method} {path}, {kind}, {body[:20]!r}: {answer.status} {media}")


for path, item in document["paths"].items():
    for method, operation in item.items():
        if list(operation.get("requestBody", {}).get("content", {})) != ["application/json"]:
            continue
        address = "/".join(UNKNOWN_ID if part.startswith("{") else part for part in path.split("/"))
        for kind in KINDS:
            send(method.upper(), address, kind, b"{}")
        for body in BODIES:
            send(method.upper(), address, "application/json", body)

print(f"{sent} requests with unknown kinds of bodies or broken ones, {len(wrong)} not refused")
for line in wrong:
    print("not ok -", line)
sys.exit(bool(wrong) or not sent)
