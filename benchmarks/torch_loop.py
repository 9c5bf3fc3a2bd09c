"""The PyTorch side of `benchmarks/meta_update.py`: a plain loop over tasks with `create_graph`.

It runs in its own interpreter (PyTorch is no dependency of gmps) as a worker that speaks one line
at a time: it reads the inputs from `INPUTS.npz`, prints `ready`, and for each line `go` on its
standard input does one update and prints the seconds it took; for `save FILE` it also writes the
loss and the gradients. Started by the benchmark; by hand:

    echo go | python benchmarks/torch_loop.py INPUTS.npz --threads 2
"""

import argparse
import math
import sys
import time

import numpy as np
import torch

#: The order of the parameters in every list below.
NAMES = ("w0", "w1", "w2", "b0", "b1", "b2", "bias_transform", "log_std")


def policy_mean(params, obs):
    w0, w1, w2, b0, b1, b2, bias_transform, _ = params
    size = obs.shape[-1]
    x = torch.relu(torch.addmm(bias_transform @ w0[size:] + b0, obs, w0[:size]))
    x = torch.relu(torch.addmm(b1, x, w1))
    return torch.addmm(b2, x, w2)


def inner_loss(params, obs, act, scale):
    """`-mean_t[w_t log pi(a_t|s_t) A_t]`; `scale` is `-w_t A_t / n` of each step."""
    log_std = params[-1]
    z = (act - policy_mean(params, obs)) * torch.exp(-log_std)
    log_prob = -0.5 * (z * z).sum(-1) - log_std.sum() - 0.5 * act.shape[-1] * math.log(2 * math.pi)
    return (scale * log_prob).sum()


def meta_update(params, step_sizes, data):
    """Loss and the gradients with respect to the parameters and the step sizes."""
    total = 0.0
    gradients = [torch.zeros_like(p) for p in (*params, *step_sizes)]
    n_tasks = len(data["obs"])
    for i in range(n_tasks):
        scale = -data["weight"][i] * data["advantage"][i] / data["advantage"][i].numel()
        inner = inner_loss(params, data["obs"][i], data["act"][i], scale)
        step = torch.autograd.grad(inner, params, create_graph=True)
        adapted = [p - a * g for p, a, g in zip(params, step_sizes, step, strict=True)]
        error = policy_mean(adapted, data["demo_obs"][i]) - data["demo_act"][i]
        loss = (error * error).mean() / n_tasks
        task = torch.autograd.grad(loss, (*params, *step_sizes), allow_unused=True)
        for total_gradient, gradient in zip(gradients, task, strict=True):
            if gradient is not None:
                total_gradient += gradient
        total += loss.item()
    return total, gradients


def serve(description, make_update):
    """Answer the benchmark. `make_update` makes of the input arrays a function without arguments
    that computes the named results."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("inputs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with np.load(args.inputs, allow_pickle=False) as file:
        arrays = {name: torch.from_numpy(file[name]).to(args.device) for name in file.files}
    update = make_update(arrays)
    update()
    print("ready", torch.__version__, flush=True)
    for line in sys.stdin:
        command, *rest = line.split()
        start = time.perf_counter()
        results = update()
        if args.device != "cpu":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        if command == "save":
            results = {name: torch.as_tensor(x).detach().cpu() for name, x in results.items()}
            np.savez(rest[0], **{name: x.numpy() for name, x in results.items()})
        print(seconds, flush=True)


def make_update(arrays):
    params = [arrays[name].requires_grad_() for name in NAMES]
    step_sizes = [arrays[f"alpha_{name}"].requires_grad_() for name in NAMES]

    def update():
        loss, gradients = meta_update(params, step_sizes, arrays)
        names = [*NAMES, *(f"alpha_{name}" for name in NAMES)]
        return {"loss": np.float32(loss), **dict(zip(names, gradients, strict=True))}

    return update


if __name__ == "__main__":
    serve(__doc__, make_update)
