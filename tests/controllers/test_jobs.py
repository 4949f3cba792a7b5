"""Jobs and CronJobs through the real API in memory."""

from __future__ import annotations

from typing import Any

from seamark.machinery.clock import format_time
from seamark.machinery.gvr import CRONJOBS, JOBS, PODS
from seamark.model.meta import ObjectKey

TEMPLATE = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "seamark.local/host"}]}}


def job(name: str, **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": TEMPLATE, **spec}}


async def finish_all(cluster: Any, phase: str, *, count: int) -> None:
    """As soon as there are ``count`` running pods, all of them end."""
    for pod in await running(cluster, count):
        await cluster.nodes[pod.spec.node_name].finish(pod.key, phase)


async def running(cluster: Any, count: int) -> Any:
    async def enough() -> Any:
        found = [pod for pod in await cluster.pods() if pod.status.phase == "Running"]
        return found if len(found) == count else []

    return await cluster.eventually(enough, f"{count} running pods")


async def finished(cluster: Any, name: str, condition: str) -> Any:
    async def done() -> Any:
        found = await cluster.client.get(JOBS, name, namespace="default")
        types = [c["type"] for c in found["status"].get("conditions") or ()]
        return found if condition in types else None

    return await cluster.eventually(done, f"{name} {condition}")


async def test_job_runs_to_completion_and_counts_every_pod(cluster: Any) -> None:
    await cluster.client.create(JOBS, job("work", completions=3, parallelism=2))
    await finish_all(cluster, "Succeeded", count=2)
    await finish_all(cluster, "Succeeded", count=1)
    done = await finished(cluster, "work", "Complete")
    assert done["status"]["succeeded"] == 3
    assert done["status"]["completionTime"] == format_time(cluster.clock.time())
    assert done["status"]["uncountedTerminatedPods"] == {}
    pods = await cluster.client.list(PODS, namespace="default")
    assert len(pods) == 3
    assert not any(pod["metadata"].get("finalizers") for pod in pods)
    assert {pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] for pod in pods} == {"work"}


async def test_indexed_job_gives_every_index_a_name_and_a_variable(cluster: Any) -> None:
    await cluster.client.create(JOBS, job("work", completions=2, parallelism=2, completionMode="Indexed"))
    await running(cluster, 2)
    pods = await cluster.client.list(PODS, namespace="default")
    assert sorted(pod["spec"]["hostname"] for pod in pods) == ["work-0", "work-1"]
    (variable,) = pods[0]["spec"]["containers"][0]["env"]
    assert variable["name"] == "JOB_COMPLETION_INDEX"
    await finish_all(cluster, "Succeeded", count=2)
    done = await finished(cluster, "work", "Complete")
    assert done["status"]["completedIndexes"] == "0,1"


async def test_job_that_fails_too_often_deletes_what_still_runs(cluster: Any) -> None:
    await cluster.client.create(JOBS, job("work", completions=2, parallelism=2, backoffLimit=0))
    (first, _) = await running(cluster, 2)
    await cluster.nodes[first.spec.node_name].finish(first.key, "Failed")
    done = await finished(cluster, "work", "Failed")
    assert done["status"]["failed"] == 2  # the other was told to go
    assert [pod.metadata.name for pod in await cluster.pods()] == [first.metadata.name]


async def test_pods_of_a_deleted_job_go_although_nobody_counts_them(cluster: Any) -> None:
    await cluster.client.create(JOBS, job("work"))
    await running(cluster, 1)
    await cluster.client.delete(JOBS, "work", namespace="default", options={"propagationPolicy": "Background"})
    await cluster.ready_pods(0)


async def test_finished_job_goes_after_its_ttl(cluster: Any) -> None:
    await cluster.client.create(JOBS, job("work", ttlSecondsAfterFinished=30))
    await finish_all(cluster, "Succeeded", count=1)
    await finished(cluster, "work", "Complete")
    await cluster.pass_time(35)

    async def gone() -> bool:
        return not await cluster.list_all("jobs") and not await cluster.pods()

    await cluster.eventually(gone, "no Job and no pods")


async def test_cronjob_makes_jobs_and_remembers_them(cluster: Any) -> None:
    spec = {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": TEMPLATE}}, "successfulJobsHistoryLimit": 1}
    meta = {"name": "tick", "namespace": "default"}
    await cluster.client.create(CRONJOBS, {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta, "spec": spec})
    names = []
    for _ in range(2):
        await cluster.pass_time(60)
        await finish_all(cluster, "Succeeded", count=1)

        async def done() -> Any:
            jobs = await cluster.list_all("jobs")
            found = [j for j in jobs if j["metadata"]["name"] not in names and j["status"].get("completionTime")]
            return found if len(jobs) == 1 else None

        (made,) = await cluster.eventually(done, "the younger Job alone, complete")
        names.append(made["metadata"]["name"])
        assert ObjectKey("default", made["metadata"]["ownerReferences"][0]["name"]) == ObjectKey("default", "tick")
    found = await cluster.client.get(CRONJOBS, "tick", namespace="default")
    assert found["status"]["lastScheduleTime"] and found["status"]["lastSuccessfulTime"]
