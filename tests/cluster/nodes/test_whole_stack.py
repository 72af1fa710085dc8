"""The whole stack on three nodes that devenv did not make."""

import json
from pathlib import Path

import httpx

from tests.cluster.conftest import STACK
from tests.cluster.environment import CHECKOUT, FIRST_UP_S, MARK, Environment, copied, free_ports
from tests.cluster.foreign import Foreign, flags


def test_the_whole_stack_passes_its_learning_suite_on_three_nodes(foreign: Foreign, tmp_path: Path) -> None:
    root = copied(CHECKOUT, tmp_path, STACK)
    ports = dict(zip(("api", "memory", "redis", "postgres", "https"), free_ports(11)[6:], strict=True))
    env = Environment(f"t{MARK}-whole", root, ports, extra={"KUBECONFIG": str(foreign.kubeconfig)})
    namespaces = foreign.kubectl("get", "namespaces", "--output", "name")
    env.fine("down", "--yes", *flags(foreign))
    try:
        env.fine("up", *flags(foreign), within_s=FIRST_UP_S)
        assert env.plan(*flags(foreign)) == ""
        assert env.status(*flags(foreign))["ready"]
        pods = json.loads(foreign.kubectl("get", "pods", "--all-namespaces", "--output", "json"))["items"]
        ours = [p for p in pods if f"namespace/{p['metadata']['namespace']}" not in namespaces.split()]
        assert len({p["spec"]["nodeName"] for p in ours}) > 1
        # Others reach this cluster: the API asks for its token, and no Service has an address outside.
        asked = httpx.post(f"http://127.0.0.1:{ports['api']}/recall", json={"query": "x"}, trust_env=False)
        assert asked.status_code == 401
        exported = json.loads(env.fine("env", "--format", "json", *flags(foreign)))
        for name, status in (("SOMABRAIN_API_TOKEN", 403), ("SOMABRAIN_ADMIN_TOKEN", 200)):
            bearer = {"Authorization": f"Bearer {exported[name]}", "X-Tenant-ID": "nobody"}
            url = f"http://127.0.0.1:{ports['api']}/tenant"
            assert httpx.delete(url, headers=bearer, trust_env=False).status_code == status
        services = json.loads(foreign.kubectl("get", "services", "--all-namespaces", "--output", "json"))["items"]
        assert {s["spec"]["type"] for s in services} <= {"ClusterIP", "NodePort", "ExternalName"}
        assert " passed" in env.fine("test", "learning", *flags(foreign))
    finally:
        env.fine("down", "--yes", *flags(foreign))
    assert foreign.kubectl("get", "namespaces", "--output", "name") == namespaces
