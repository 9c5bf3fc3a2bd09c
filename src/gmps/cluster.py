"""A Ray cluster, where one is wanted. Nothing else imports Ray, which is an extra: `gmps[ray]`."""

import os
import sys
from typing import Any, Literal

from gmps.errors import GmpsError
from gmps.forks import expected_fork
from gmps.user_code import loaded_files

#: Where work runs: in this process, or on a Ray cluster.
Executor = Literal["here", "ray"]

#: Ray's own switch between clusters of several machines and of one, on loopback, if that is "0".
_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
#: One core for each piece of work: pieces run beside each other.
_ENVIRONMENT = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}


def connect(address: str | None = None) -> Any:
    """The module `ray`, connected to a cluster; connecting twice is connecting once.

    Args:
        address: `HOST:PORT` of an existing cluster, or `auto` for the one on this machine. By
            default a cluster of this machine alone, listening on the loopback address.

    Raises:
        GmpsError: Ray is not installed, or there is no cluster at the address.
    """
    if address is None:
        # Read when Ray is imported; otherwise it listens on all of the machine's addresses.
        os.environ.setdefault(_LOOPBACK, "0")
    try:
        import ray  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise GmpsError(
            "Work on a cluster needs the package ray, which is not installed; install gmps[ray]."
        ) from None
    for module in loaded_files():
        ray.cloudpickle.register_pickle_by_value(module)  # pyright: ignore
    if ray.is_initialized():
        return ray
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address is None:
        options |= {"include_dashboard": False}
    try:
        with expected_fork():
            ray.init(address=address, **options)
    except ConnectionError as error:
        raise GmpsError(
            f"There is no Ray cluster at {address}; start one with `ray start --head`, or leave "
            f"--address away. ({error})"
        ) from None
    return ray


def disconnect() -> None:
    """Leave the cluster, which ends where `connect` started it. Nothing happens without one."""
    ray: Any = sys.modules.get("ray")
    if ray is not None:
        ray.shutdown()


def remote(ray: Any, function: Any, retries: int = 3) -> Any:
    """A function as a Ray task of one core, started again elsewhere when its worker dies."""
    options = {"num_cpus": 1, "max_retries": retries, "runtime_env": {"env_vars": _ENVIRONMENT}}
    return ray.remote(**options)(function)
