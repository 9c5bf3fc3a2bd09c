"""Explore, record, adapt and act where gmps does not run: numpy and safetensors, nothing else.

`gmps export RUN --out policy/` writes a meta-policy; on the robot's computer:

    import gmps.deploy

    meta = gmps.deploy.load("policy/")
    for episode in meta.explore(10):
        obs, done = robot.reset(), False
        while not done:
            obs, reward, done = robot.step(episode.act(obs))
            episode.record(reward, obs)
    policy = meta.adapt()
    action = policy(obs)

See `docs/deploy.md`.
"""

from gmps.deploy.adapted import AdaptedPolicy, load_policy
from gmps.deploy.episode import Episode
from gmps.deploy.episodes import RecordedEpisode, read_episodes, write_episode
from gmps.deploy.folder import save
from gmps.deploy.meta_policy import MetaPolicy, load

__all__ = [
    "AdaptedPolicy",
    "Episode",
    "MetaPolicy",
    "RecordedEpisode",
    "load",
    "load_policy",
    "read_episodes",
    "save",
    "write_episode",
]
