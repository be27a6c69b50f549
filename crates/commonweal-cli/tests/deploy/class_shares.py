"""A trainer without any library: it learns the share of each of ten classes. Its tensors are declared in an order that
is not that of their names, and one of them stays with each client."""

import json
import math
import os
import struct
import sys

CODES = {"F32": "f", "F64": "d", "I64": "q", "U32": "I"}
IN, OUT = sys.stdin.buffer, sys.stdout.buffer
TENSORS = [
    {"name": "z.shares", "shape": [10], "scope": "shared", "export": "f32"},
    {"name": "a.rounds", "shape": [], "scope": "local", "export": "i64"},
]


def unpack(body):
    if not body:
        return {}
    (size,) = struct.unpack("<Q", body[:8])
    header = json.loads(body[8 : 8 + size])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        if entry["dtype"] in CODES:
            code = CODES[entry["dtype"]]
            count = (end - begin) // struct.calcsize("<" + code)
            tensors[name] = list(struct.unpack(f"<{count}{code}", body[begin:end]))
    return tensors


def pack(tensors):
    header, data = {}, b""
    for name, (dtype, shape, values) in tensors.items():
        piece = struct.pack(f"<{len(values)}{CODES[dtype]}", *values)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def send(header, tensors=None):
    text, body = json.dumps(header).encode(), pack(tensors) if tensors else b""
    OUT.write(b"CWF1" + struct.pack("<IQ", len(text), len(body)) + text + body)
    OUT.flush()


def receive():
    head = IN.read(16)
    if len(head) < 16:
        sys.exit()
    _, header_bytes, body_bytes = struct.unpack("<4sIQ", head)
    return json.loads(IN.read(header_bytes)), unpack(IN.read(body_bytes))


def model(shares, rounds):
    return {"model.a.rounds": ("I64", [], [rounds]), "model.z.shares": ("F32", [10], shares)}


def labels(directory):
    send({"type": "data"})
    answer, _ = receive()
    if answer["file"] is None:
        return []
    with open(os.path.join(directory, answer["file"]), "rb") as file:
        return unpack(file.read())["labels"]


hello, _ = receive()
send({"type": "hello", "protocol": 1, "capabilities": ["train", "evaluate", "initial"]})
LABELS = None
while True:
    request, tensors = receive()
    kind = request["type"]
    if kind == "shutdown":
        sys.exit()
    if kind == "initial":
        first = int(request["seed"][:4], 16) / 65536
        send({"type": "initial", "id": request["id"], "tensors": TENSORS}, model([first] + [0.1] * 9, 7))
        continue
    if LABELS is None:
        LABELS = labels(hello["directory"])
    shares = tensors["model.z.shares"]
    if kind == "train":
        rows = [LABELS[row] for row in tensors["rows.train"]]
        found = [math.fsum(label == one for label in rows) / len(rows) for one in range(10)]
        shares = [old + request["learning_rate"] * (new - old) for old, new in zip(shares, found)]
        reply = {"type": "update", "id": request["id"], "steps": 1, "examples": len(rows), "loss": shares[0]}
        send(reply, model(shares, tensors["model.a.rounds"][0] + 1))
    else:
        rows = [LABELS[row] for row in tensors["rows.test"]]
        best = shares.index(max(shares))
        send(
            {"type": "metrics", "id": request["id"]},
            {
                "loss": ("F32", [len(rows)], [abs(1 - shares[label]) for label in rows]),
                "label": ("I64", [len(rows)], rows),
                "predicted": ("I64", [len(rows)], [best] * len(rows)),
            },
        )
