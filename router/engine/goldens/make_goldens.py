#!/usr/bin/env python3
"""Makes fastgrnn.json: steps of EdgeML's own FastGRNN cell, and the same in double precision.

Run by hand when a shape is added; the output is committed. EdgeML's cell is the reference, the
double precision transcription shows how exact a single precision cell can be.

    apt-get install python3-torch                          # Debian's, it belongs to /usr/bin/python3
    python3 -m pip install --no-deps --target /tmp/edgeml edgeml-pytorch==0.3.0
    PYTHONPATH=/tmp/edgeml /usr/bin/python3 make_goldens.py > fastgrnn.json
"""

import json
import sys

import numpy
import torch
from edgeml_pytorch.graph.rnn import FastGRNNCell

SHAPES = [(5, 8), (12, 16), (8, 16)]
CELLS_A_SHAPE = 5
STEPS = [1, 2, 8, 64]
SEED = 20261123


def sigmoid(value):
    return 1.0 / (1.0 + numpy.exp(-value))


def parameters(random, inputs, hidden):
    """Weights larger than EdgeML's initial ones, so that gates open and close."""
    draw = lambda size, *shape: numpy.round(random.normal(0.0, size, shape), 4).astype(numpy.float32)
    return {
        "W": draw(0.5, hidden, inputs),
        "U": draw(0.4, hidden, hidden),
        "bias_gate": draw(1.0, 1, hidden),
        "bias_update": draw(1.0, 1, hidden),
        "zeta": numpy.round(random.uniform(-1.0, 2.0, (1, 1)), 4).astype(numpy.float32),
        "nu": numpy.round(random.uniform(-5.0, -3.0, (1, 1)), 4).astype(numpy.float32),
    }


def edgeml(weights, inputs, hidden, sequence):
    cell = FastGRNNCell(inputs, hidden, gate_nonlinearity="sigmoid", update_nonlinearity="tanh")
    with torch.no_grad():
        for name, value in weights.items():
            getattr(cell, name).copy_(torch.from_numpy(value))
        state = torch.zeros(1, hidden)
        for row in sequence:
            state = cell(torch.from_numpy(row).unsqueeze(0), state)
            yield state[0].numpy().astype(numpy.float64)


def exact(weights, hidden, sequence):
    w, u, bias_gate, bias_update, zeta, nu = (weights[name].astype(numpy.float64) for name in weights)
    scale, translation = sigmoid(zeta[0, 0]), sigmoid(nu[0, 0])
    state = numpy.zeros(hidden)
    for row in sequence.astype(numpy.float64):
        sums = w @ row + u @ state
        gate = sigmoid(sums + bias_gate[0])
        update = numpy.tanh(sums + bias_update[0])
        state = gate * state + (scale * (1.0 - gate) + translation) * update
        yield state


def decimals(values, digits):
    return [float(f"{value:.{digits}g}") for value in numpy.ravel(values)]


def main():
    random = numpy.random.default_rng(SEED)
    cases, worst = [], 0.0
    for inputs, hidden in SHAPES:
        for _ in range(CELLS_A_SHAPE):
            weights = parameters(random, inputs, hidden)
            sequence = numpy.round(random.normal(0.0, 1.0, (max(STEPS), inputs)), 3).astype(numpy.float32)
            theirs = list(edgeml(weights, inputs, hidden, sequence))
            ours = list(exact(weights, hidden, sequence))
            worst = max(worst, *(numpy.abs(a - b).max() for a, b in zip(theirs, ours)))
            cases.append({
                "inputs": inputs,
                "hidden": hidden,
                **{name: decimals(value, 6) for name, value in weights.items()},
                "x": decimals(sequence, 6),
                "h": [
                    {"step": step, "edgeml": decimals(theirs[step - 1], 9), "exact": decimals(ours[step - 1], 12)}
                    for step in STEPS
                ],
            })
    print(f"largest difference of EdgeML from double precision: {worst:.2e}", file=sys.stderr)
    print("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]")


if __name__ == "__main__":
    main()
