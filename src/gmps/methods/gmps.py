"""Guided Meta-Policy Search (Mendonca et al. 2019, algorithm 1).

for each round:
    for each task i:                                                     # gather
        D_i_tr  <- episodes of pi_theta in task i
        phi_i   <- theta - alpha * grad L_PG(theta, D_i_tr)
        visited <- episodes of the mixture beta * expert_i + (1 - beta) * pi_phi_i
        D_i_val <- D_i_val + {(s, expert_i(s)) : s visited}              # aggregation
    repeat:                                                              # update
        w_t     <- pi_theta(a_t|s_t) / pi_collect(a_t|s_t)  on every D_i_tr
        phi_i   <- theta - alpha * grad L_PG(theta, D_i_tr, w)
        theta, alpha <- Adam on mean_i L_imitation(phi_i, batch of D_i_val)
    until `outer_steps` are done, or the weights have worn out

theta are an encoder and a head; the inner step moves the head alone. On pictures (section 5.3 and
appendix C) experts label states, and the learner imitates from pictures of these. In each outer
step the features of every D_i_tr are computed anew, once for all tasks, and are data to the inner
step as observations are: a gradient reaches the convolutions through the features of the labels
alone, that is through the outer loss.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from gmps.core.adapt import StepSizes, init_step_sizes, inner_batch, reweight
from gmps.core.losses import InnerBatch, alive_mean, log_probs
from gmps.core.meta_gradient import MetaParams, meta_value_and_grad
from gmps.core.nets import GaussianPolicy
from gmps.core.optimise import descend
from gmps.core.policy import Policy, encoded
from gmps.core.returns import check_without_state
from gmps.core.types import Demonstrations, Trajectories, env_steps, stack, task_count
from gmps.data.aggregate import Aggregate, sample, start_aggregate
from gmps.deploy.adaptation import gradient_share
from gmps.errors import GmpsError
from gmps.experts.base import MixtureActor
from gmps.methods.base import Gathered, Method, Metrics, Needs, mean_returns
from gmps.methods.deployed import Deployed, by_gradient
from gmps.methods.gmps_settings import GmpsConfig
from gmps.methods.imitation import (
    first_episodes,
    head_bc_loss,
    imitate,
    label_visits,
    shifted_visits,
)
from gmps.methods.inner_step import adapt_step, mean_step_size
from gmps.methods.normalisation import renormalised
from gmps.tasks.base import TaskFamily


class GmpsParams(NamedTuple):
    """What the outer loop learns."""

    policy: Policy
    #: Of the inner step, which moves the head.
    step_sizes: StepSizes

    @property
    def inner(self) -> MetaParams:
        """What the inner step concerns: the head and its step sizes."""
        return MetaParams(self.policy.head, self.step_sizes)


class GmpsState(NamedTuple):
    """Everything that training carries from round to round."""

    params: GmpsParams
    opt_state: optax.OptState
    data: Aggregate
    #: Parameters and optimiser at the start of the last round whose loss was in order.
    good: tuple[GmpsParams, optax.OptState]
    #: Lowest running mean of the imitation loss on fresh episodes; infinite before the first.
    mean_loss: Float[Array, ""]
    round: Int[Array, ""]


@dataclass(frozen=True, eq=False)
class Gmps(Method[GmpsConfig, GmpsState, Policy]):
    """GMPS on the training tasks of a world."""

    Settings: ClassVar[type] = GmpsConfig
    needs: ClassVar[Needs] = "answers"
    pictures: ClassVar[bool] = True

    @classmethod
    def require_fit(cls, config: GmpsConfig, family: TaskFamily) -> None:
        """That nothing reads the state where the learner is shown pictures."""
        if not family.has_camera:
            return
        check_without_state(config.baseline)
        if config.beta != "zero":
            raise GmpsError(
                f"beta is {config.beta!r}; an expert does not act in turn with a policy of "
                "pictures: leave it at 'zero'."
            )

    def init(self, key: Key[Array, ""], demos: Demonstrations) -> GmpsState:
        """Meta-parameters, pretrained by plain imitation of `demos`."""
        config = self.config
        key_init, key_pretrain = jax.random.split(key)
        data = start_aggregate(demos, config.capacity if self._asks else 0)
        policy, _ = imitate(
            self.untrained(key_init, demos),
            data,
            key_pretrain,
            steps=config.pretrain_steps,
            learning_rate=config.learning_rate,
            batch_size=config.pretrain_labels,
            kind=config.imitation,
        )
        if config.normalise:
            policy = renormalised(policy, demos)
        sizes = init_step_sizes(policy.head, config.step_sizes, config.step_size)
        params = GmpsParams(policy, sizes)
        opt_state = optax.adam(config.learning_rate).init(params)  # pyright: ignore[reportArgumentType]
        infinite = jnp.full((), jnp.inf, jnp.float32)
        zero = jnp.zeros((), jnp.int32)
        return GmpsState(params, opt_state, data, (params, opt_state), infinite, zero)

    def policy(self, state: GmpsState) -> Policy:
        """The policy before adaptation."""
        return state.params.policy

    def imitation_steps(self, rounds: int) -> int:
        """Before the first round, and in each block of outer steps at most."""
        return self.config.pretrain_steps + rounds * self.config.outer_steps

    def aggregate(self, state: GmpsState) -> Aggregate:
        """The experts' own trajectories, and the labels of visited states."""
        return state.data

    def adapt(self, state: GmpsState, policies: Policy, data: Trajectories) -> Policy:
        """One inner step of each task's policy on its own trajectories."""
        return adapt_step(state.params.inner, policies, self._batch(data), self.config.subset)

    def share(self, step: int) -> float:
        """Whole steps as in training, then smaller ones."""
        return gradient_share(step, self.config.inner_steps)

    def deployed(self, state: GmpsState) -> Deployed:
        """A policy-gradient step with the learned step sizes."""
        config = self.config
        return by_gradient(
            state.params.policy,
            state.params.step_sizes,
            subset=config.subset,
            whole=config.inner_steps,
            discount=config.discount,
            gae_lambda=config.gae_lambda,
            baseline=config.baseline,
        )

    def _batch(self, data: Trajectories) -> InnerBatch:
        config = self.config
        return inner_batch(
            data,
            discount=config.discount,
            gae_lambda=config.gae_lambda,
            baseline=config.baseline,
        )

    def gather(self, state: GmpsState, key: Key[Array, ""]) -> tuple[GmpsState, Gathered]:
        """Episodes before and after the inner step; the expert labels the latter."""
        config, n = self.config, task_count(self.tasks)
        *inner_keys, visit_key, label_key = jax.random.split(key, config.inner_steps + 2)
        actor = self.actor()
        policies = stack(state.params.policy, n)
        collected, batches = [], []
        for inner_key in inner_keys:
            roll = self.world.rollout(actor, policies, self.tasks, config.episodes, inner_key)
            collected.append(roll.trajectories)
            batches.append(self._batch(roll.trajectories))
            policies = adapt_step(state.params.inner, policies, batches[-1], config.subset)

        visited = self._visit(policies, expert_share(config, int(state.round)), visit_key)
        steps = {"meta": sum(map(env_steps, collected)), "evaluation": 0}
        # Where nobody labels them the visits only measure.
        steps["meta" if self._asks else "evaluation"] += env_steps(visited)
        if self._asks:
            state = state._replace(data=self._label(state.data, collected[0], visited, label_key))
        metrics = {
            **mean_returns(collected[0], visited),
            "data/labels": float(state.data.count.sum()),
            # In states that others visited; the expert's own steps are counted as steps.
            "queries/expert": float(state.data.offered.sum()),
        }
        return state, Gathered(tuple(batches), metrics, steps)

    @property
    def _asks(self) -> bool:
        """Whether the expert labels visited states."""
        return self.controller is not None and self.config.aggregate

    def _visit(self, policies: Policy, share: float, key: Key[Array, ""]) -> Trajectories:
        """Episodes of `share * expert + (1 - share) * adapted policy`."""
        actor, episodes = self.actor(), self.config.visit_episodes
        if self.controller is None or not self._asks or share == 0:
            return self.world.rollout(actor, policies, self.tasks, episodes, key).trajectories
        mixture = MixtureActor(self.controller, actor)
        beta = jnp.full(task_count(self.tasks), share, jnp.float32)
        return self.world.rollout(mixture, (beta, policies), self.tasks, episodes, key).trajectories

    def _label(
        self, data: Aggregate, before: Trajectories, visited: Trajectories, key: Key[Array, ""]
    ) -> Aggregate:
        """Add the experts' labels of the visited states."""
        assert self.controller is not None  # see `_asks`
        config, episodes = self.config, visited.alive.shape[1]
        sources = [visited, *shifted_visits(visited, config.label_others, key)]
        if config.label_before:
            sources.append(first_episodes(before, episodes))
        return label_visits(data, sources, self.tasks, self.controller)

    def learn(
        self, state: GmpsState, batches: tuple[InnerBatch, ...], key: Key[Array, ""]
    ) -> tuple[GmpsState, Metrics]:
        """A block of outer steps on the same episodes."""
        return run_block(state, batches, key, self.config)


def expert_share(config: GmpsConfig, round_: int) -> float:
    """beta_j of round j (from 0): the probability that the expert acts."""
    match config.beta:
        case "zero":
            return 0.0
        case "linear":
            return max(0.0, 1.0 - round_ / config.beta_rounds)
        case "geometric":
            return math.exp(-round_ / config.beta_rounds)
    raise GmpsError(f"beta is {config.beta!r}; it must be 'zero', 'linear' or 'geometric'.")


class _Block(NamedTuple):
    """Carry of the outer loop: parameters, and the episodes encoded and weighted by them."""

    params: GmpsParams
    opt_state: optax.OptState
    batches: tuple[InnerBatch, ...]
    step: Int[Array, ""]
    ess: Float[Array, ""]
    kl: Float[Array, ""]
    first_loss: Float[Array, ""]
    loss: Float[Array, ""]


def run_block(
    state: GmpsState, batches: tuple[InnerBatch, ...], key: Key[Array, ""], config: GmpsConfig
) -> tuple[GmpsState, Metrics]:
    """Outer steps until the block is done, its weights have worn out, or the loss collapsed.

    Args:
        state: where to start from.
        batches: the episodes before each inner step.
        key: draws the labels of each step.
        config: settings.
    """
    optimiser = optax.adam(config.learning_rate)

    def step(block: _Block) -> _Block:
        labelled = sample(state.data, config.labels, jax.random.fold_in(key, block.step))
        loss, gradient = outer_gradient(block.params, block.batches, labelled, config)
        if not config.learn_std:
            gradient = eqx.tree_at(
                lambda g: g.policy.head.log_std, gradient, replace_fn=jnp.zeros_like
            )
        params, opt_state = descend(optimiser, gradient, block.opt_state, block.params)
        weighted, ess, kl = weigh_batches(params, batches, config)
        first = jnp.where(block.step == 0, loss, block.first_loss)
        return _Block(params, opt_state, weighted, block.step + 1, ess, kl, first, loss)

    def goes_on(block: _Block) -> Array:
        fresh = (block.ess >= config.min_ess) & (block.kl <= config.max_kl)
        return (block.step < config.outer_steps) & fresh & ~collapsed(block.first_loss)

    def collapsed(first_loss: Array) -> Array:
        return ~(first_loss <= config.collapse_factor * state.mean_loss)

    weighted, ess, kl = weigh_batches(state.params, batches, config)
    zero = jnp.zeros((), jnp.float32)
    start = _Block(
        state.params, state.opt_state, weighted, jnp.zeros((), jnp.int32), ess, kl, zero, zero
    )
    # The first loss is the loss on fresh episodes: it tells whether the last block went wrong.
    block = jax.lax.while_loop(goes_on, step, start)
    bad = collapsed(block.first_loss)
    choose = partial(jax.tree.map, lambda a, b: jnp.where(bad, a, b))
    good = choose(state.good, (state.params, state.opt_state))
    params, opt_state = choose(state.good, (block.params, block.opt_state))
    moved = 0.9 * state.mean_loss + 0.1 * block.first_loss
    # The mean never rises: otherwise it would follow a slow decline and never notice.
    mean = jnp.where(
        jnp.isinf(state.mean_loss), block.first_loss, jnp.minimum(state.mean_loss, moved)
    )
    metrics = {
        "loss/imitation": block.first_loss,
        "loss/block_end": block.loss,
        "block/steps": block.step,
        "block/ess": block.ess,
        "block/kl": block.kl,
        "block/collapsed": bad,
        "policy/std": params.policy.action_std.mean(),
        "policy/step_size": mean_step_size(params.step_sizes),
    }
    state = GmpsState(
        params=params,
        opt_state=opt_state,
        data=state.data,
        good=good,
        mean_loss=jnp.where(bad, state.mean_loss, mean),
        round=state.round + 1,
    )
    return state, metrics


def outer_gradient(
    params: GmpsParams,
    batches: tuple[InnerBatch, ...],
    labelled: Demonstrations,
    config: GmpsConfig,
) -> tuple[Float[Array, ""], GmpsParams]:
    """Imitation loss after the inner steps, and the gradient of the whole outer loss.

    Args:
        params: where.
        batches: inner batches of features.
        labelled: what experts did in observations, and pictures where there is a camera.
        config: settings.
    """
    policy = params.policy
    shown, pull_back = jax.vjp(lambda encoder: encoded(encoder, labelled).obs, policy.encoder)
    shown = labelled._replace(obs=shown, frames=None)
    (loss, _), (head, step_sizes), towards = meta_value_and_grad(
        params.inner,
        batches,
        shown,
        subset=config.subset,
        first_order=config.first_order,
        imitation=config.imitation,
    )
    if config.blind_weight:
        before = jax.grad(
            lambda head, obs: head_bc_loss(head, shown._replace(obs=obs), config.imitation), (0, 1)
        )(policy.head, shown.obs)
        head, towards = jax.tree.map(
            lambda g, b: g + config.blind_weight * b, (head, towards), before
        )
    (encoder,) = pull_back(towards)
    return loss, GmpsParams(Policy(encoder, head), step_sizes)


def weigh_batches(
    params: GmpsParams, batches: tuple[InnerBatch, ...], config: GmpsConfig
) -> tuple[tuple[InnerBatch, ...], Float[Array, ""], Float[Array, ""]]:
    """The batches of all tasks with features and weights of the present policy; their least
    effective sample size; the KL from the collecting policy."""
    shown = tuple(encoded(params.policy.encoder, batch) for batch in batches)
    weighted = jax.vmap(
        lambda b: reweight(*params.inner, b, subset=config.subset, clip=config.weight_clip)
    )(shown)
    ess = jnp.stack([effective_sample_size(b) for b in weighted]).min()
    return weighted, ess, _collect_kl(params.policy.head, shown[0])


def effective_sample_size(batch: InnerBatch) -> Float[Array, ""]:
    """(sum w)^2 / (n sum w^2) in (0, 1], averaged over tasks (Kong 1992)."""
    weight = jnp.where(batch.alive, batch.weight, 0.0)
    axes = tuple(range(1, weight.ndim))
    n = jnp.maximum(batch.alive.sum(axes), 1)
    return jnp.mean(weight.sum(axes) ** 2 / (n * jnp.maximum((weight**2).sum(axes), 1e-30)))


def _collect_kl(head: GaussianPolicy, batch: InnerBatch) -> Float[Array, ""]:
    """KL(collecting policy || policy) in nats: the mean of w - 1 - log w, never negative."""
    log_ratio = jax.vmap(partial(log_probs, head))(batch.obs, batch.act) - batch.log_prob
    return alive_mean(jnp.expm1(log_ratio) - log_ratio, batch.alive)
