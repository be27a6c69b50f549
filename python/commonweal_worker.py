"""Train clients of a Commonweal federation in Python.

One file, no dependency beyond NumPy; `torch` is used only by `TorchModel`. Commonweal puts this module on
the path of every trainer that it starts, so `import commonweal_worker` needs no installation::

    import commonweal_worker as cw

    def train(client, model, plan, state):
        for rows in plan.batches(client.train):
            ...                                   # change the arrays of `model` in place
        return cw.Update(model, loss=mean_loss)

    cw.run(train=train)

The protocol is described in `docs/worker-protocol.md`, how to write a trainer in `docs/writing-a-trainer.md`.
"""

import json
import mmap
import os
import queue
import random
import struct
import sys
import threading
import time
import traceback

__all__ = [
    "Cancelled", "Client", "Dataset", "Diverged", "Plan", "TorchModel", "Update",
    "classified", "dataset", "device", "regressed", "run",
]

PROTOCOL = 1
HEARTBEAT_MS = 2000
MAGIC = b"CWF1"


# --- the pipe -------------------------------------------------------------------------------------------

class _Pipe:
    """Frames to and from Commonweal. Standard output is taken away from user code before it can print."""

    def __init__(self):
        self.lock = threading.Lock()
        self.inbox = queue.SimpleQueue()
        self.data_inbox = queue.SimpleQueue()
        self.directory = os.environ.get("COMMONWEAL_WORKER_DIRECTORY", "")
        self.map_above_bytes = 1 << 62
        self.cancelled_id = 0
        self.request_id = 0
        self.last_progress = 0.0
        self.source = os.fdopen(os.dup(0), "rb", buffering=0)
        self.sink = os.dup(1)
        _widen(self.source.fileno(), self.sink)
        sys.stdout.flush()
        os.dup2(2, 1)
        sys.stdout.reconfigure(line_buffering=True)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        self.send({"type": "loading"})
        threading.Thread(target=self.read, daemon=True).start()

    def send(self, header, tensors=None):
        pieces = [] if tensors is None else _archive(tensors)
        size = sum(len(piece) for piece in pieces)
        if size > self.map_above_bytes:
            header["file"] = "reply-%d" % os.getpid()
            with open(os.path.join(self.directory, header["file"]), "xb") as file:
                for piece in pieces:
                    file.write(piece)
            pieces, size = [], 0
        text = json.dumps(header, allow_nan=False).encode()
        with self.lock:
            self.write(MAGIC + struct.pack("<IQ", len(text), size) + text)
            for piece in pieces:
                self.write(piece)

    def write(self, piece):
        piece = memoryview(piece)
        while piece:
            piece = piece[os.write(self.sink, piece):]

    def heartbeat(self):
        while True:
            self.send({"type": "heartbeat"})
            time.sleep(HEARTBEAT_MS / 1000)

    def read(self):
        """Runs in a thread of its own, so that `cancel` and the end of the pipe are seen while user code runs."""
        try:
            while True:
                magic, header_bytes, body_bytes = struct.unpack("<4sIQ", self.take(16))
                if magic != MAGIC:
                    raise ValueError("not a frame: %r" % magic)
                header = json.loads(self.take(header_bytes))
                body = self.take(body_bytes)
                kind = header["type"]
                if kind == "cancel":
                    self.cancelled_id = header["id"]
                elif kind == "shutdown":
                    break
                elif kind == "data":
                    self.data_inbox.put(header)
                else:
                    self.inbox.put((header, body))
        except EOFError:
            pass
        except Exception:
            traceback.print_exc()
        # Commonweal is gone, or wants this process to go, whatever user code is doing.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

    def take(self, size):
        taken = bytearray(size)
        rest = memoryview(taken)
        while rest:
            count = self.source.readinto(rest)
            if not count:
                raise EOFError
            rest = rest[count:]
        return taken

    def progress(self, done, total):
        if self.cancelled_id == self.request_id:
            raise Cancelled()
        now = time.monotonic()
        if now - self.last_progress > 0.25:
            self.last_progress = now
            self.send({"type": "progress", "id": self.request_id, "done": done, "total": total})


def _widen(*pipes):
    """Lets a small model through in one piece, where the system can."""
    try:
        import fcntl
        for pipe in pipes:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)
    except (ImportError, AttributeError, OSError):
        pass


# Before NumPy and anything else that may print or take long.
_pipe = _Pipe() if "COMMONWEAL_WORKER" in os.environ else None

import numpy as np  # noqa: E402


def _started():
    if _pipe is None:
        raise RuntimeError(
            "this program is started by Commonweal: name it in [simulation.trainers] of a job file and run "
            "`commonweal simulate job.toml`")
    return _pipe


# --- safetensors ----------------------------------------------------------------------------------------

_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1", "BOOL": "?",
}
_NAMES = {np.dtype(code).newbyteorder("="): name for name, code in _TYPES.items()}


def _archive(tensors):
    """The pieces of a safetensors file; no array is copied that is contiguous already."""
    arrays = {}
    for name, array in tensors.items():
        array = np.asarray(array)
        if array.dtype not in _NAMES:
            raise TypeError("tensor %r has elements of type %s; use one of %s"
                            % (name, array.dtype, ", ".join(sorted(str(kind) for kind in _NAMES))))
        arrays[name] = array if array.flags.c_contiguous else array.copy()
    header, offset, pieces = {}, 0, []
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].itemsize):
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape),
                        "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
        if array.nbytes:
            pieces.append(memoryview(array.reshape(-1)).cast("B"))
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return [struct.pack("<Q", len(text)) + text] + pieces


def _tensors(body):
    """Arrays that share the memory of `body`: writable, and as long-lived."""
    if not len(body):
        return {}
    start = 8 + struct.unpack("<Q", body[:8])[0]
    tensors = {}
    for name, entry in json.loads(bytes(body[8:start])).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            kind = np.dtype(_TYPES[entry["dtype"]])
            flat = np.frombuffer(body, kind, (end - begin) // kind.itemsize, start + begin)
            tensors[name] = flat.reshape(entry["shape"])
    return tensors


def _mapped(name, access):
    with open(os.path.join(_pipe.directory, name), "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=access)


def _under(tensors, prefix):
    return {name[len(prefix):]: array for name, array in tensors.items() if name.startswith(prefix)}


# --- what a trainer sees --------------------------------------------------------------------------------

class Cancelled(Exception):
    """The result is not wanted any more. Leave it uncaught."""


class Diverged(Exception):
    """Raise it when the loss is no number any more: the client is refused and named, the round goes on."""

    def __init__(self, step=0):
        super().__init__("diverged at step %d" % step)
        self.step = step


class Client:
    """Whose rows they are. `name`, `round`, `seed` (an integer) and row numbers `train` and `test`."""

    def __init__(self, header, tensors):
        self.name = header["client"]
        self.round = header["round"]
        self.seed = int(header["seed"], 16)
        nothing = np.empty(0, np.int64)
        self.train = tensors.get("rows.train", nothing)
        self.test = tensors.get("rows.test", nothing)


class Plan:
    """How to train: `epochs`, `steps`, `batch_size`, `learning_rate`, `optimizer`, `class_weights`.

    `optimizer` is a dict such as `{"kind": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}`;
    `steps` (local steps instead of epochs), `batch_size` (`None`: all rows) and `class_weights` may be `None`.
    """

    def __init__(self, header, tensors):
        self.epochs = header["epochs"]
        self.steps = header["steps"]
        self.batch_size = header["batch_size"]
        self.learning_rate = header["learning_rate"]
        self.optimizer = header["optimizer"]
        self.class_weights = tensors.get("class_weights")
        self.seed = int(header["seed"], 16)
        self.steps_done = 0

    def batches(self, rows):
        """Yields the row numbers of each step: every epoch in a new order, which follows from the seed.

        Tells Commonweal the progress, and ends the work if it is not wanted any more.
        """
        for block in self._blocks(rows, 1):
            yield block

    def _blocks(self, rows, batches):
        """Like `batches`, so many batches at a time."""
        order = np.random.default_rng(self.seed)
        size = min(self.batch_size or len(rows), len(rows))
        per_epoch = -(-len(rows) // size)
        total = self.steps or self.epochs * per_epoch
        done = 0
        while done < total:
            shuffled = order.permutation(rows)
            for first in range(0, len(rows), size * batches):
                count = min(batches, total - done)
                if not count:
                    return
                block = shuffled[first:first + size * count]
                yield block
                done += -(-len(block) // size)
                self.steps_done = done
                _pipe.progress(done, total)


class Update:
    """What training gave: the changed `model` and, if known, the mean training `loss`.

    `state` is a dict of arrays that this client gets back in its next round; it never leaves the client.
    `examples` is how many the loss is the mean of (an example counts once an epoch).
    """

    def __init__(self, model, loss=None, state=None, examples=None):
        self.model = model
        self.loss = loss
        self.state = state or {}
        self.examples = examples


def classified(logits, labels):
    """What `evaluate` returns for classes: a row of logits (or log-probabilities) and a label an example."""
    logits = _array(logits, np.float64)
    labels = _array(labels, np.int64)
    logits = logits - logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(logits).sum(axis=1))
    measured = {
        "loss": log_sums - np.take_along_axis(logits, labels[:, None], 1)[:, 0],
        "label": labels,
        "predicted": logits.argmax(axis=1).astype(np.int64),
    }
    if logits.shape[1] == 2:
        measured["score"] = np.exp(logits[:, 1] - log_sums)
    return measured


def regressed(predicted, target):
    """What `evaluate` returns for numbers; the loss is the squared error."""
    predicted = _array(predicted, np.float64).reshape(-1)
    target = _array(target, np.float64).reshape(-1)
    return {"loss": (predicted - target) ** 2, "predicted": predicted, "target": target}


def _array(values, kind):
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values, kind)


def device():
    """The device that this worker was dealt, such as `"cuda:0"`, or `None`."""
    return os.environ.get("COMMONWEAL_DEVICE")


class Dataset:
    """The job's data set under its row numbers, read and scaled by Commonweal; memory-mapped."""

    def __init__(self, tensors):
        self.tensors = tensors

    def features(self, rows):
        """`float32`, scaled, one row each; token numbers (`int64`) for text."""
        if "tokens" in self.tensors:
            return self.tensors["tokens"][rows, :-1].astype(np.int64)
        features = self.tensors["features"][rows]
        if "features_scale" in self.tensors:
            channels = (-1,) + (1,) * (features.ndim - 2)
            features = features.astype(np.float32)
            features *= self.tensors["features_scale"].reshape(channels)
            features += self.tensors["features_offset"].reshape(channels)
        return features

    def targets(self, rows):
        """Class numbers (`int64`), values (`float32`), or the token after each token."""
        if "tokens" in self.tensors:
            return self.tensors["tokens"][rows, 1:].astype(np.int64)
        if "labels" in self.tensors:
            return self.tensors["labels"][rows].astype(np.int64)
        return self.tensors["values"][rows]


_dataset = None


def dataset():
    """The job's `Dataset`, fetched on first use."""
    global _dataset
    if _dataset is None:
        _started().send({"type": "data"})
        name = _pipe.data_inbox.get()["file"]
        if name is None:
            raise RuntimeError("Commonweal has no data set to hand over here: read the files yourself")
        _dataset = Dataset(_tensors(_mapped(name, mmap.ACCESS_READ)))
    return _dataset


# --- PyTorch --------------------------------------------------------------------------------------------

class TorchModel:
    """A `torch.nn.Module` that travels: `build()` makes it, `not_shared` names what stays with the client.

    Parameters are shared, or frozen if they need no gradient. Buffers (the running means of batch norm)
    are not shared unless `share_buffers`; patterns such as `"head.*"` in `not_shared` add parameters to
    them. Uses one thread: Commonweal runs one process a worker, and threads inside a small step lose.
    """

    def __init__(self, build, not_shared=(), share_buffers=False):
        import torch
        torch.set_num_threads(1)
        self.torch = torch
        self.build = build
        self.not_shared = not_shared
        self.share_buffers = share_buffers
        self.device = torch.device(device() or "cpu")
        self.net = build().to(self.device)
        self.tensors = self.net.state_dict(keep_vars=True)

    def __call__(self, inputs):
        return self.net(inputs)

    def initial(self, seed):
        """A freshly built model's values and scopes: `run(initial=model.initial)`."""
        self.torch.manual_seed(seed & (1 << 63) - 1)
        return {name: (tensor.detach().cpu().numpy(), self.scope(name, tensor))
                for name, tensor in self.build().state_dict(keep_vars=True).items()}

    def scope(self, name, tensor):
        from fnmatch import fnmatchcase
        is_buffer = not isinstance(tensor, self.torch.nn.Parameter)
        if any(fnmatchcase(name, pattern) for pattern in self.not_shared):
            return "local"
        if is_buffer:
            return "shared" if self.share_buffers else "local"
        return "shared" if tensor.requires_grad else "frozen"

    def load(self, values):
        """Copies a model that arrived into the module, every tensor by name and shape."""
        if values.keys() != self.tensors.keys():
            differ = sorted(values.keys() ^ self.tensors.keys())
            raise KeyError("the module and the job's model differ in %s" % ", ".join(differ))
        with self.torch.no_grad():
            for name, tensor in self.tensors.items():
                array = values[name]
                if tensor.shape != array.shape:
                    raise ValueError("%s has shape %s in the module, %s in the job's model"
                                     % (name, tuple(tensor.shape), array.shape))
                tensor.copy_(self.torch.from_numpy(array))

    def values(self):
        """The module's values as arrays, which share its memory on a CPU."""
        return {name: tensor.detach().cpu().numpy() for name, tensor in self.tensors.items()}

    def examples(self, rows):
        """Features and targets of `rows` as tensors on the worker's device."""
        return tuple(self.torch.from_numpy(np.ascontiguousarray(array)).to(self.device)
                     for array in (dataset().features(rows), dataset().targets(rows)))

    def batches(self, client, plan):
        """Yields features and targets of each step. Rows are gathered many steps at a time."""
        size = min(plan.batch_size or len(client.train), len(client.train))
        for block in plan._blocks(client.train, max(1, 4096 // size)):
            features, targets = self.examples(block)
            yield from zip(features.split(size), targets.split(size))

    def optimizer(self, plan):
        """The plan's optimizer over the module's parameters."""
        kind = dict(plan.optimizer)
        name = kind.pop("kind")
        parameters = [tensor for tensor in self.net.parameters() if tensor.requires_grad]
        optim = self.torch.optim
        if name == "sgd":
            if not any(kind.values()):
                return _PlainSgd(self.torch, parameters, plan.learning_rate)
            return optim.SGD(parameters, lr=plan.learning_rate, **kind)
        if name == "adam":
            make = optim.AdamW if kind["decoupled"] else optim.Adam
            return make(parameters, lr=plan.learning_rate, betas=(kind["beta1"], kind["beta2"]),
                        eps=kind["epsilon"], weight_decay=kind["weight_decay"])
        if name == "adagrad":
            return optim.Adagrad(parameters, lr=plan.learning_rate, eps=kind["epsilon"])
        raise NotImplementedError("the optimizer %r" % name)


class _PlainSgd:
    """`torch.optim.SGD` without momentum and decay: the same steps at a fifth of the bookkeeping."""

    def __init__(self, torch, parameters, learning_rate):
        self.no_grad = torch.no_grad
        self.parameters = parameters
        self.learning_rate = learning_rate

    def zero_grad(self):
        for parameter in self.parameters:
            parameter.grad = None

    def step(self):
        with self.no_grad():
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter.add_(parameter.grad, alpha=-self.learning_rate)


# --- requests -------------------------------------------------------------------------------------------

def run(train=None, evaluate=None, initial=None):
    """Serves Commonweal's requests until it is done. Does not return.

    - `train(client, model, plan, state)` → `Update`
    - `evaluate(client, model, state)` → `classified(logits, labels)` or `regressed(predicted, target)`
    - `initial(seed)` → dict of `name: array` or `name: (array, "shared" | "local" | "frozen")`, for
      `model.kind = "external"`

    `model` is a dict of arrays by name, which may be changed; `state` is what the client's last `Update`
    kept, at first `{}`. Arrays live until the function returns.
    """
    pipe = _started()
    functions = {"train": train, "evaluate": evaluate, "initial": initial}
    header, _ = pipe.inbox.get()
    if header["protocol"] != PROTOCOL:
        print("commonweal_worker speaks protocol %d" % PROTOCOL, file=sys.stderr)
    pipe.directory = header["directory"]
    pipe.map_above_bytes = header["map_above_bytes"]
    pipe.send({"type": "hello", "protocol": PROTOCOL, "heartbeat_ms": HEARTBEAT_MS,
               "capabilities": [name for name, function in functions.items() if function]})
    threading.Thread(target=pipe.heartbeat, daemon=True).start()
    while True:
        header, body = pipe.inbox.get()
        answer = {"id": header["id"]}
        pipe.request_id = header["id"]
        pipe.last_progress = time.monotonic()
        try:
            if "file" in header:
                body = _mapped(header["file"], mmap.ACCESS_COPY)
            _seed(int(header["seed"], 16))
            answer, tensors = _answer(functions[header["type"]], header, _tensors(body))
            answer["id"] = header["id"]
            pipe.send(answer, tensors)
        except Cancelled:
            pipe.send(dict(answer, type="error", code="cancelled"))
        except Diverged as error:
            pipe.send(dict(answer, type="error", code="diverged", step=error.step))
        except NotImplementedError as error:
            pipe.send(dict(answer, type="error", code="unsupported", text=str(error)))
        except Exception as error:
            traceback.print_exc()
            text = "%s: %s" % (type(error).__name__, error)
            pipe.send(dict(answer, type="error", code="failed", text=_where(error) + text))


def _answer(function, header, tensors):
    kind = header["type"]
    if kind == "initial":
        return _declared(function(int(header["seed"], 16)))
    client = Client(header, tensors)
    model, state = _under(tensors, "model."), _under(tensors, "state.")
    if kind == "evaluate":
        return {"type": "metrics"}, function(client, model, state)
    plan = Plan(header, tensors)
    update = function(client, model, plan, state)
    if not isinstance(update, Update):
        raise TypeError("`train` must return a commonweal_worker.Update, not %s" % type(update).__name__)
    answer = {"type": "update", "steps": plan.steps_done}
    if update.loss is not None:
        loss = float(update.loss)
        if not np.isfinite(loss):
            raise Diverged(plan.steps_done)
        answer["loss"] = loss
        answer["examples"] = len(client.train) if update.examples is None else int(update.examples)
    kept = {"model." + name: array for name, array in update.model.items()}
    kept.update(("state." + name, array) for name, array in update.state.items())
    return answer, kept


def _declared(model):
    tensors, values = [], {}
    for name, array in model.items():
        array, scope = array if isinstance(array, tuple) else (array, "shared")
        array = np.asarray(array)
        whole = np.issubdtype(array.dtype, np.integer)
        values["model." + name] = array.astype(np.int64 if whole else np.float32)
        tensors.append({"name": name, "shape": list(array.shape), "scope": scope,
                        "export": "i64" if whole else "f32"})
    return {"type": "initial", "tensors": tensors}, values


def _seed(seed):
    """The usual generators follow from the task's seed: the same training gives the same bytes again."""
    random.seed(seed)
    np.random.seed(seed & 0xffffffff)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed & (1 << 63) - 1)


def _where(error):
    """The line of user code that failed."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    return "%s:%d: " % (frames[-1].filename, frames[-1].lineno) if frames else ""
