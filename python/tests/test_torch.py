"""`TorchModel` against plain PyTorch. Needs torch: python3 -m unittest discover -s python/tests -p test_torch.py"""

import unittest

import numpy as np
import torch
from torch import nn

from parent import PLAN, Parent, cw

BATCH_NORM = """
    import commonweal_worker as cw
    import torch
    from torch import nn
    def build():
        head = nn.Linear(3, 2)
        head.bias.requires_grad_(False)
        return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), head)
    net = cw.TorchModel(build, not_shared=["1.bias"])
    def train(client, model, plan, state):
        net.load(model)
        net.net.train()
        optimizer = net.optimizer(plan)
        for x, y in net.batches(client, plan):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
        return cw.Update(net.values(), loss=loss)
    @torch.no_grad()
    def evaluate(client, model, state):
        net.load(model)
        net.net.eval()
        x, y = net.examples(client.test)
        return cw.classified(net(x), y)
    cw.run(train=train, evaluate=evaluate, initial=net.initial)
"""
RANDOM = np.random.default_rng(1)
DATA = {"features": RANDOM.normal(size=(8, 4)).astype(np.float32), "labels": np.array([0, 1] * 4)}


class BatchNorm(unittest.TestCase):
    def test_buffers_are_not_shared_and_travel_as_what_they_are(self):
        with Parent(BATCH_NORM, data=DATA) as parent:
            header, values = parent.answer("initial")
            scopes = {tensor["name"]: tensor["scope"] for tensor in header["tensors"]}
            self.assertEqual(scopes, {
                "0.weight": "shared", "0.bias": "shared", "1.weight": "shared", "1.bias": "local",
                "1.running_mean": "local", "1.running_var": "local", "1.num_batches_tracked": "local",
                "2.weight": "shared", "2.bias": "frozen",
            })
            exports = {tensor["name"] for tensor in header["tensors"] if tensor["export"] == "i64"}
            self.assertEqual(exports, {"1.num_batches_tracked"})
            model = {name[len("model."):]: array for name, array in values.items()}
            header, trained = parent.answer("train", model=model, rows=range(8), batch_size=4)
            self.assertEqual((header["type"], header["steps"]), ("update", 2))
            self.assertEqual(trained["model.1.num_batches_tracked"], 2)
            self.assertTrue((trained["model.1.running_mean"] != 0).all())
            np.testing.assert_array_equal(trained["model.2.bias"], model["2.bias"])
            header, measured = parent.answer("evaluate", model=model, rows=range(8))
            self.assertEqual(len(measured["loss"]), 8)

    def test_equal_seeds_give_equal_models_and_updates(self):
        runs = []
        for _ in range(2):
            with Parent(BATCH_NORM, data=DATA) as parent:
                _, initial = parent.answer("initial")
                model = {name[len("model."):]: array for name, array in initial.items()}
                runs.append(parent.answer("train", model=model, rows=range(8))[1])
        for name, array in runs[0].items():
            np.testing.assert_array_equal(array, runs[1][name])

    def test_a_model_of_another_shape_is_named(self):
        net = cw.TorchModel(lambda: nn.Linear(2, 1))
        good = {"weight": np.zeros((1, 2), np.float32), "bias": np.zeros(1, np.float32)}
        net.load(good)
        with self.assertRaisesRegex(ValueError, "weight"):
            net.load(dict(good, weight=np.zeros((2, 1), np.float32)))
        with self.assertRaisesRegex(KeyError, "bias"):
            net.load({"weight": good["weight"]})


class Optimizers(unittest.TestCase):
    def plan(self, **optimizer):
        return cw.Plan(dict(PLAN, seed="01", optimizer=optimizer), {})

    def steps(self, optimizer_of):
        torch.manual_seed(3)
        net = cw.TorchModel(lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1)))
        optimizer = optimizer_of(net)
        for _ in range(5):
            optimizer.zero_grad()
            net(torch.ones(2, 4)).square().sum().backward()
            optimizer.step()
        return net.values()

    def test_plain_sgd_takes_the_same_steps_as_torchs(self):
        plan = self.plan(kind="sgd", momentum=0.0, nesterov=False, weight_decay=0.0)
        ours = self.steps(lambda net: net.optimizer(plan))
        torchs = self.steps(lambda net: torch.optim.SGD(net.net.parameters(), lr=plan.learning_rate))
        for name, array in ours.items():
            np.testing.assert_array_equal(array, torchs[name])

    def test_every_optimizer_of_a_plan_is_torchs(self):
        for kind, made in [
            (dict(kind="sgd", momentum=0.9, nesterov=True, weight_decay=0.1), torch.optim.SGD),
            (dict(kind="adam", beta1=0.9, beta2=0.99, epsilon=1e-8, weight_decay=0.0, decoupled=False),
             torch.optim.Adam),
            (dict(kind="adam", beta1=0.9, beta2=0.99, epsilon=1e-8, weight_decay=0.1, decoupled=True),
             torch.optim.AdamW),
            (dict(kind="adagrad", epsilon=1e-10), torch.optim.Adagrad),
        ]:
            net = cw.TorchModel(lambda: nn.Linear(2, 1))
            self.assertIs(type(net.optimizer(self.plan(**kind))), made)
        with self.assertRaisesRegex(NotImplementedError, "lion"):
            net.optimizer(self.plan(kind="lion"))


if __name__ == "__main__":
    unittest.main()
