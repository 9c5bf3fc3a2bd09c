"""The PyTorch side of `benchmarks/latent_update.py`: a plain loop of outer steps with Adam.

Tasks are one batch: the network is the same for all, and a task's latent enters the first layer
beside its observations, whose product is computed once for all three losses. Adam is fused. What
gmps does beside, it does not: draw, normalise observations, keep figures. A worker process as
`torch_loop.py` describes.
"""

import torch
from torch_loop import serve

#: What is trained: network, own latents, advantage.
LEARNED = (
    *("w0", "w1", "w2", "b0", "b1", "b2"),
    *("z_mean", "z_log_std"),
    *("weight", "hidden", "bias", "out"),
)
HUBER_WIDTH = 0.5


def means(p, seen, z):
    """Mean actions `(task, n, act)` of seen observations with one latent for each task."""
    size = len(p["w0"]) - z.shape[-1]
    x = torch.relu(seen + (z @ p["w0"][size:] + p["b0"])[:, None])
    x = torch.relu(x @ p["w1"] + p["b1"])
    return x @ p["w2"] + p["b2"]


def huber(error):
    size = error.abs()
    linear = 2 * HUBER_WIDTH * size - HUBER_WIDTH**2
    return torch.where(size <= HUBER_WIDTH, error**2, linear).mean()


def inferred(p, data):
    """The inner step: `mean_e[e A(e)]` of each task."""
    centred = data["rewards"] - data["scale_mean"]
    value = (centred / data["return_std"]) @ p["weight"]
    value = value + torch.tanh((centred / data["scale_std"]) @ p["hidden"] + p["bias"]) @ p["out"]
    value = value - value.mean(1, keepdim=True)
    return (data["noise"] * value).mean(1)


def make_update(data):
    settings = {name: data[name].item() for name in ("kl_weight", "blind_weight", "rate")}
    first = {name: data[name].clone() for name in LEARNED}
    tasks = torch.arange(len(data["obs"]))[:, None]

    def update():
        p = {name: x.clone().requires_grad_() for name, x in first.items()}
        adam = torch.optim.Adam(p.values(), lr=settings["rate"], fused=True)
        zero = torch.zeros_like(p["z_mean"])
        for rows, noise in zip(data["rows"], data["own_noise"], strict=True):
            obs, act = data["obs"][tasks, rows], data["act"][tasks, rows]
            seen = obs @ p["w0"][: obs.shape[-1]]
            adapted = huber(means(p, seen, inferred(p, data)) - act)
            log_std = p["z_log_std"]
            own = huber(means(p, seen, p["z_mean"] + torch.exp(log_std) * noise) - act)
            kl = 0.5 * (torch.exp(2 * log_std) + p["z_mean"] ** 2 - 1 - 2 * log_std).sum(-1).mean()
            blind = huber(means(p, seen, zero) - act)
            loss = adapted + own + settings["kl_weight"] * kl + settings["blind_weight"] * blind
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
        return p

    return update


if __name__ == "__main__":
    serve(__doc__, make_update)
