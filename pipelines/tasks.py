"""Sets how a step runs: its CPU and memory, its retries, and whether its result is cached."""

from kfp import dsl


def with_resources(task: dsl.PipelineTask, *, cpu: str, memory: str) -> None:
    """Request half of the CPU and memory a step may use at most.

    Args:
        task: the step.
        cpu: limit in cores.
        memory: limit in Kubernetes units, e.g. "2G".
    """
    size, unit = int(memory[:-1]), memory[-1]
    task.set_cpu_request(f"{int(cpu) * 500}m").set_cpu_limit(cpu)
    task.set_memory_request(f"{size * 500}M" if unit == "G" else memory).set_memory_limit(memory)


def with_retries(*tasks: dsl.PipelineTask) -> None:
    """Try steps again: after 15 s, then after 30 s. Servers pause, and nodes go away."""
    for task in tasks:
        task.set_retry(num_retries=2, backoff_duration="15s", backoff_factor=2)


def without_cache(*tasks: dsl.PipelineTask) -> None:
    """Run steps anew every time, whatever their inputs."""
    for task in tasks:
        task.set_caching_options(enable_caching=False)
