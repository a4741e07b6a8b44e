"""Writes gradients.json: a tier network with made-up numbers and the gradients PyTorch computes for it.

python gradients.py > gradients.json   (torch 2.x, float64)
"""

import json

import torch

HIDDEN, STATISTICS, INPUTS, HEADS = 16, 15, 8, 3
# In the order in which the trainer lays its parameters out.
SHAPES = [
    (HIDDEN, STATISTICS), (HIDDEN,), (HIDDEN, INPUTS), (HIDDEN, HIDDEN), (HIDDEN,), (HIDDEN,), (1,), (1,),
    (HEADS, HIDDEN), (HEADS,),
]


def loss(parameters, statistics, steps, targets):
    h0_weight, h0_bias, w, u, bias_gate, bias_update, zeta, nu, head_weight, head_bias = parameters
    state = torch.tanh(h0_weight @ statistics + h0_bias)
    for step in steps:
        total = w @ step + u @ state
        gate = torch.sigmoid(total + bias_gate)
        update = torch.tanh(total + bias_update)
        state = gate * state + (torch.sigmoid(zeta) * (1 - gate) + torch.sigmoid(nu)) * update
    logits = head_weight @ state + head_bias
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)


def case(steps):
    parameters = [0.5 * torch.randn(shape, dtype=torch.float64) for shape in SHAPES]
    for parameter in parameters:
        parameter.requires_grad_()
    statistics = torch.randn(STATISTICS, dtype=torch.float64)
    inputs = torch.randn(steps, INPUTS, dtype=torch.float64)
    targets = torch.rand(HEADS, dtype=torch.float64)
    value = loss(parameters, statistics, inputs, targets)
    value.backward()
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = lambda tensors: torch.cat([tensor.detach().flatten() for tensor in tensors]).tolist()
    return {
        "parameters": flat(parameters),
        "statistics": statistics.tolist(),
        "steps": inputs.tolist(),
        "targets": targets.tolist(),
        "loss": value.item(),
        "gradient": flat(gradients),
    }


torch.manual_seed(5)
print(json.dumps({"torch": torch.__version__, "cases": [case(steps) for steps in range(4)]}))
