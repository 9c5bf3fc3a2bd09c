"""The PyTorch side of `benchmarks/maml_update.py`: a plain loop over tasks with `create_graph`.

The trust-region step on the policies after one inner step: the KL's gradient is differentiated
once with its graph kept, and each product with the Fisher matrix is one more backward pass through
that graph. A worker process as `torch_loop.py` describes.
"""

import torch
from torch_loop import NAMES, policy_mean, serve

MAX_KL, ITERATIONS, DAMPING, SHRINK, TRIES = 0.01, 10, 1e-2, 0.8, 15
#: The inner step leaves the standard deviation as it is.
MOVES = NAMES[:-1]


def log_probs(log_std, means, act):
    z = (act - means) * torch.exp(-log_std)
    return -0.5 * (z * z + 1.8378770664093453).sum(-1) - log_std.sum()


def ratio_loss(log_std, means, data):
    ratio = torch.exp(log_probs(log_std, means, data["act"]) - data["log_prob"])
    return -(ratio * data["advantage"]).mean()


def kl(old, log_std, means):
    """Mean of KL(old || new) over samples, in nats."""
    old_means, old_log_std = old
    ratio = torch.exp(2 * (old_log_std - log_std))
    shift = ((old_means - means) * torch.exp(-log_std)) ** 2
    return (log_std - old_log_std + 0.5 * (ratio + shift - 1)).sum(-1).mean()


def adapted_means(params, step_sizes, before, after, create_graph):
    """Means in the states of `after`, by the policy that took one inner step on `before`."""
    inner = ratio_loss(params[-1], policy_mean(params, before["obs"]), before)
    step = torch.autograd.grad(inner, params[:-1], create_graph=create_graph)
    moved = [p - a * g for p, a, g in zip(params[:-1], step_sizes[:-1], step, strict=True)]
    return policy_mean([*moved, params[-1]], after["obs"])


def flatten(tensors):
    return torch.cat([t.reshape(-1) for t in tensors])


def conjugate_gradient(product, b, tolerance=1e-10):
    x, residual, direction = torch.zeros_like(b), b.clone(), b.clone()
    size = residual @ residual
    limit = tolerance * size
    for _ in range(ITERATIONS):
        if size <= limit:
            break
        image = product(direction)
        along = size / (direction @ image)
        x += along * direction
        residual -= along * image
        new_size = residual @ residual
        direction = residual + new_size / size * direction
        size = new_size
    return x


def outer_step(params, step_sizes, tasks):
    """Loss before, its gradient, and the step, as flat vectors; parameters, then step sizes."""
    free = [*params, *step_sizes[:-1]]
    n = len(tasks)

    loss, gradient = 0.0, torch.zeros(sum(p.numel() for p in free))
    old, kl_gradients = [], []
    for before, after in tasks:
        means = adapted_means(params, step_sizes, before, after, create_graph=True)
        log_std = params[-1]
        old.append((means.detach(), log_std.detach()))
        outer = ratio_loss(log_std, means, after) / n
        gradient += flatten(torch.autograd.grad(outer, free, retain_graph=True))
        loss += outer.item()
        divergence = kl(old[-1], log_std, means) / n
        kl_gradients.append(flatten(torch.autograd.grad(divergence, free, create_graph=True)))

    def product(vector):
        total = DAMPING * vector
        for kl_gradient in kl_gradients:
            total += flatten(torch.autograd.grad(kl_gradient @ vector, free, retain_graph=True))
        return total

    direction = conjugate_gradient(product, -gradient)
    full = torch.sqrt(2 * MAX_KL / (direction @ product(direction))) * direction
    del kl_gradients

    sizes = [p.numel() for p in free]
    step, share = torch.zeros_like(full), 1.0
    for _ in range(TRIES):
        moved = [
            (p + share * s.view_as(p)).detach().requires_grad_()
            for p, s in zip(free, full.split(sizes), strict=True)
        ]
        new_params = moved[: len(params)]
        new_step_sizes = [*moved[len(params) :], step_sizes[-1]]
        new_loss, distance = 0.0, 0.0
        for (before, after), old_task in zip(tasks, old, strict=True):
            means = adapted_means(new_params, new_step_sizes, before, after, create_graph=False)
            with torch.no_grad():
                log_std = new_params[-1]
                new_loss += ratio_loss(log_std, means, after).item() / n
                distance += kl(old_task, log_std, means).item() / n
        if new_loss < loss and distance <= MAX_KL:
            step = share * full
            break
        share *= SHRINK
    return {"loss": torch.tensor(loss), "gradient": gradient, "step": step}


def make_update(arrays):
    params = [arrays[name].requires_grad_() for name in NAMES]
    step_sizes = [arrays[f"alpha_{name}"].requires_grad_() for name in NAMES]
    fields = ("obs", "act", "advantage", "log_prob")
    tasks = [
        tuple({f: arrays[f"{when}_{f}"][i] for f in fields} for when in ("before", "after"))
        for i in range(len(arrays["before_obs"]))
    ]
    return lambda: outer_step(params, step_sizes, tasks)


if __name__ == "__main__":
    serve(__doc__, make_update)
