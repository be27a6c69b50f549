"""Commonweal's side of the protocol, as far as tests of Python workers need it."""

import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import textwrap

PYTHON = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PYTHON))

import commonweal_worker as cw  # noqa: E402
import numpy as np  # noqa: E402

SEED = "ab" * 32
PLAN = {
    "epochs": 1, "steps": None, "batch_size": 2, "learning_rate": 0.5,
    "optimizer": {"kind": "sgd", "momentum": 0.0, "nesterov": False, "weight_decay": 0.0},
}


class Parent:
    """A worker process that runs `code`, greeted already."""

    def __init__(self, code, map_above_bytes=1 << 20, data=None):
        self.folder = tempfile.TemporaryDirectory()
        self.id = 0
        script = os.path.join(self.folder.name, "train.py")
        with open(script, "w") as file:
            file.write(textwrap.dedent(code))
        self.data = data
        if data is not None:
            self.write_file("data.safetensors", data)
        self.process = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=dict(os.environ, PYTHONPATH=str(PYTHON), COMMONWEAL_WORKER="0",
                     COMMONWEAL_WORKER_DIRECTORY=self.folder.name, PYTHONDONTWRITEBYTECODE="1"))
        self.send({"type": "hello", "protocol": 1, "trainer": "test", "slot": 0, "device": None,
                   "directory": self.folder.name, "map_above_bytes": map_above_bytes})
        self.hello = self.receive()[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.stderr = self.process.stderr.read().decode()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        self.folder.cleanup()

    def write_file(self, name, tensors):
        with open(os.path.join(self.folder.name, name), "wb") as file:
            for piece in cw._archive(tensors):
                file.write(piece)

    def send(self, header, tensors=None, file=None):
        body = b"" if tensors is None else b"".join(bytes(piece) for piece in cw._archive(tensors))
        if file:
            self.write_file(file, tensors)
            header, body = dict(header, file=file), b""
        text = json.dumps(header).encode()
        self.process.stdin.write(b"CWF1" + struct.pack("<IQ", len(text), len(body)) + text + body)
        self.process.stdin.flush()

    def receive(self, skip=("heartbeat", "loading", "progress")):
        while True:
            magic, header_bytes, body_bytes = struct.unpack("<4sIQ", self.process.stdout.read(16))
            assert magic == b"CWF1", magic
            header = json.loads(self.process.stdout.read(header_bytes))
            body = self.process.stdout.read(body_bytes)
            if "file" in header:
                with open(os.path.join(self.folder.name, header["file"]), "rb") as file:
                    body = file.read()
                os.remove(file.name)
            if header["type"] == "data":
                self.send({"type": "data", "file": "data.safetensors" if self.data else None})
            elif header["type"] not in skip:
                return header, cw._tensors(body)

    def ask(self, kind, model=None, state=None, rows=(4, 5, 6), file=None, **header):
        self.id += 1
        tensors = {"rows.train": np.array(rows, np.int64), "rows.test": np.array(rows, np.int64)}
        tensors.update(("model." + name, array) for name, array in (model or {}).items())
        tensors.update(("state." + name, array) for name, array in (state or {}).items())
        subject = {"type": kind, "id": self.id, "task": kind + "-1", "round": 1, "client": "a", "seed": SEED,
                   "metrics": ["loss"], "classes": 2}
        self.send({**PLAN, **subject, **header}, tensors, file)

    def answer(self, kind, **asked):
        self.ask(kind, **asked)
        return self.receive()
