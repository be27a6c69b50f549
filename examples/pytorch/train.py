"""The 2NN of McMahan et al. 2017 (784-200-200-10), trained by PyTorch."""

import commonweal_worker as cw
import torch
from torch import nn
from torch.nn import functional as F


def build():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10)
    )


net = cw.TorchModel(build)


def train(client, model, plan, state):
    net.load(model)
    optimizer = net.optimizer(plan)
    losses = []
    for x, y in net.batches(client, plan):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return cw.Update(net.values(), loss=torch.stack(losses).mean())


@torch.no_grad()
def evaluate(client, model, state):
    net.load(model)
    x, y = net.examples(client.test)
    return cw.classified(net(x), y)


cw.run(train=train, evaluate=evaluate, initial=net.initial)
