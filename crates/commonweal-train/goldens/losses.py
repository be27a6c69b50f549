"""Losses of PyTorch for tests/torch.rs: `python losses.py` writes losses-torch-VERSION.csv here.

Needs torch and numpy. Every case starts from values that both sides compute, and takes STEPS steps on one
batch; the file has the loss before each step.
"""

import pathlib

import numpy as np
import torch
from torch import nn

STEPS = 20


def stream(key, count):
    """`count` numbers in [-1, 1): SplitMix64 of Steele et al. 2014, seeded with key << 32."""
    with np.errstate(over="ignore"):
        z = (np.uint64(key) << np.uint64(32)) + np.uint64(0x9E3779B97F4A7C15) * np.arange(
            1, count + 1, dtype=np.uint64
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2.0**23 - 1.0


def initialise(module):
    """Values of stream 1 in the order of the state dict; matrices divided by the root of their inputs."""
    state = module.state_dict()
    values = stream(1, sum(tensor.numel() for tensor in state.values()))
    at = 0
    for name, tensor in state.items():
        count = tensor.numel()
        inputs = count // tensor.shape[0]
        scale = 1.0 / np.sqrt(float(inputs)) if tensor.dim() > 1 else 0.1
        part = (values[at : at + count] * scale).astype(np.float32)
        state[name] = torch.from_numpy(part.reshape(tensor.shape))
        at += count
    module.load_state_dict(state)


class Lstm(nn.LSTM):
    def forward(self, x):
        return super().forward(x)[0]


class Last(nn.Module):
    def forward(self, x):
        return x[:, -1]


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


def mlp():
    return nn.Sequential(
        nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10)
    )


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(3136, 512),
        nn.ReLU(),
        nn.Linear(512, 10),
    )


def characters():
    return nn.Sequential(
        nn.Embedding(50, 8),
        Lstm(8, 64, batch_first=True),
        Lstm(64, 64, batch_first=True),
        nn.Linear(64, 50),
    )


def layers():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.GroupNorm(4, 8),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 24),
        nn.LayerNorm(24),
        nn.GELU(),
        Residual(nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 24)),
        nn.Sigmoid(),
        nn.Linear(24, 5),
    )


def series():
    return nn.Sequential(Lstm(6, 16, batch_first=True), Last(), nn.Linear(16, 4))


def sgd(rate, **options):
    return lambda parameters: torch.optim.SGD(parameters, lr=rate, **options)


WEIGHTS = [0.5, 2.0, 1.0, 1.5, 0.25, 1.0, 3.0, 1.0, 0.75, 1.0]
CROSS_ENTROPY = nn.CrossEntropyLoss()
MLP = (mlp, (784,), 10, 10, CROSS_ENTROPY)

# name: module, shape of an example, examples, classes (0: a value; negative: tokens), loss, optimizer
CASES = {
    "softmax": (lambda: nn.Sequential(nn.Linear(784, 10)), (784,), 6, 10, CROSS_ENTROPY, sgd(0.1)),
    "logistic": (lambda: nn.Sequential(nn.Linear(13, 1)), (13,), 8, 2, nn.BCEWithLogitsLoss(), sgd(0.1)),
    "linear": (lambda: nn.Sequential(nn.Linear(13, 1)), (13,), 8, 0, nn.MSELoss(), sgd(0.05)),
    "mlp": (*MLP, sgd(0.1)),
    "mlp-decay": (*MLP, sgd(0.1, weight_decay=0.01)),
    "mlp-momentum": (*MLP, sgd(0.02, momentum=0.9)),
    "mlp-nesterov": (*MLP, sgd(0.02, momentum=0.9, nesterov=True, weight_decay=0.01)),
    "mlp-adam": (*MLP, lambda p: torch.optim.Adam(p, lr=1e-3, weight_decay=0.01)),
    "mlp-adamw": (*MLP, lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.1)),
    "mlp-adagrad": (*MLP, lambda p: torch.optim.Adagrad(p, lr=0.01, weight_decay=0.01)),
    "mlp-weights": (*MLP[:4], nn.CrossEntropyLoss(weight=torch.tensor(WEIGHTS)), sgd(0.1)),
    "cnn": (cnn, (1, 28, 28), 10, 10, CROSS_ENTROPY, sgd(0.1)),
    "lstm": (characters, (20,), 4, -50, CROSS_ENTROPY, sgd(1.0)),
    "layers": (layers, (3, 8, 8), 10, 5, CROSS_ENTROPY, sgd(0.1)),
    "series": (series, (12, 6), 10, 4, CROSS_ENTROPY, sgd(0.5)),
}


def batch(shape, examples, classes):
    """Inputs of stream 2; the class is the place of the largest of an example's first values.

    Texts follow the rule t -> (7 t + 3) mod vocabulary with every fifth token drawn.
    """
    if classes < 0:
        drawn = np.floor((stream(2, examples * (shape[0] + 1)) + 1.0) / 2.0 * -classes)
        text = drawn.astype(np.int64)
        for at in range(len(text)):
            if at % 5:
                text[at] = (7 * text[at - 1] + 3) % -classes
        text = torch.from_numpy(text.reshape(examples, shape[0] + 1))
        return text[:, :-1], text[:, 1:]
    values = stream(2, examples * int(np.prod(shape)))
    inputs = torch.from_numpy(values.astype(np.float32).reshape(examples, *shape))
    first = inputs.reshape(examples, -1)
    if classes == 0:
        return inputs, first[:, :1]
    return inputs, first[:, :classes].argmax(1)


def losses(module, shape, examples, classes, loss_of, optimizer):
    module = module()
    initialise(module)
    inputs, goal = batch(shape, examples, classes)
    step = optimizer(module.parameters())
    for _ in range(STEPS):
        outputs = module(inputs)
        if classes < 0:
            outputs, flat = outputs.flatten(0, 1), goal.flatten()
        elif isinstance(loss_of, nn.BCEWithLogitsLoss):
            flat = goal.float().unsqueeze(1)
        else:
            flat = goal
        loss = loss_of(outputs, flat)
        step.zero_grad()
        loss.backward()
        step.step()
        yield loss.item()


def main():
    torch.set_num_threads(1)
    version = torch.__version__.split("+")[0]
    lines = ["case,step,loss"]
    for name, case in CASES.items():
        lines += [f"{name},{step},{loss:.9g}" for step, loss in enumerate(losses(*case), 1)]
    path = pathlib.Path(__file__).with_name(f"losses-torch-{version}.csv")
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
