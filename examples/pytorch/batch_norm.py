"""Batch norm without sharing its running means: FedBN's buffers (Li et al. 2021), for the embedded digits."""

import commonweal_worker as cw
import torch
from torch import nn
from torch.nn import functional as F


def build():
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(),
        nn.Linear(64, 10),
    )


net = cw.TorchModel(build)  # buffers are not shared; not_shared=["2.*"] keeps all of batch norm local


def train(client, model, plan, state):
    net.load(model)
    net.net.train()
    optimizer = net.optimizer(plan)
    losses = []
    for x, y in net.batches(client, plan):
        if len(x) > 1:  # batch norm knows no variance of one row
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
    return cw.Update(net.values(), loss=torch.stack(losses).mean())


@torch.no_grad()
def evaluate(client, model, state):
    net.load(model)
    net.net.eval()
    x, y = net.examples(client.test)
    return cw.classified(net(x), y)


cw.run(train=train, evaluate=evaluate, initial=net.initial)
