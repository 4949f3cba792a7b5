"""The command line: ``seamark COMMAND``. Options are declared here; each command's work lies in its own module.

All but ``seamark dns`` and ``seamark proxy``, which ``seamark/__main__.py`` sends their own way.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

import seamark
from seamark.cli import apiserver, guest
from seamark.cli.affinity import app as affinity_app
from seamark.cli.compile import app as compile_app
from seamark.cli.corefile import app as corefile_app
from seamark.cli.datadir import DataDir, default_directory
from seamark.cli.errors import UserError, medium_error
from seamark.cli.explain import app as explain_app
from seamark.cli.upoptions import parse_given

app = typer.Typer(name="seamark", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
image_app = typer.Typer(no_args_is_help=True, help="Images the nodes of a cluster can run.")
app.add_typer(image_app, name="image")
app.add_typer(compile_app, name="compile")
app.add_typer(corefile_app, name="corefile")
app.add_typer(affinity_app, name="affinity")
app.add_typer(explain_app, name="explain")
app.command()(guest.controllers)
app.command()(guest.scheduler)

DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Where the cluster lives.", show_default="/var/lib/seamark, ~/.local/share/seamark"
    ),
]

InsecureOption = Annotated[
    list[str] | None,
    typer.Option("--insecure-registry", metavar="HOST[:PORT]", help="A registry that speaks plain HTTP; repeatable."),
]

MirrorOption = Annotated[
    list[str] | None,
    typer.Option("--registry-mirror", metavar="HOST=URL", help="Asked before the registry HOST; repeatable."),
]


def _data(path: Path | None) -> DataDir:
    return DataDir((path or default_directory()).absolute())


@app.callback()
def root() -> None:
    """Kubernetes service discovery: registry, names, virtual IPs, environment variables.

    \b
    Examples:
      seamark up --nodes 3 --detach
      export KUBECONFIG=$(mktemp); seamark kubeconfig > $KUBECONFIG
      kubectl get nodes
      seamark down
    """


@app.command()
def up(
    context: typer.Context,
    nodes: Annotated[int | None, typer.Option(help="Number of nodes; 0 = API server and controllers alone.")] = None,
    isolated: Annotated[bool, typer.Option("--isolated", help="Nodes are network namespaces (the default).")] = False,
    host: Annotated[bool, typer.Option("--host", help="The machine itself is the one node (root).")] = False,
    data_dir: DataDirOption = None,
    kubeconfig: Annotated[Path | None, typer.Option(help="Where to write the administrator's kubeconfig.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return when the cluster is ready.")] = False,
    port: Annotated[
        int | None, typer.Option(help="Port of the API server on 127.0.0.1 (first free from 6443).")
    ] = None,
    service_cidr: Annotated[str | None, typer.Option(help="Range of ClusterIPs (10.96.0.0/12).")] = None,
    pod_cidr: Annotated[str | None, typer.Option(help="Range of pod addresses, a /24 a node (10.244.0.0/16).")] = None,
    cluster_domain: Annotated[str | None, typer.Option(help="DNS domain of the cluster (cluster.local).")] = None,
    cluster_dns: Annotated[str | None, typer.Option(help="ClusterIP of the DNS (10.96.0.10).")] = None,
    node_local_dns: Annotated[
        bool | None,
        typer.Option("--node-local-dns/--no-node-local-dns", help="DNS on every node itself, untranslated (no)."),
    ] = None,
    pull: Annotated[
        bool | None,
        typer.Option("--pull/--no-pull", help="Pull images from registries, over the machine's network (no)."),
    ] = None,
    insecure_registry: InsecureOption = None,
    registry_mirror: MirrorOption = None,
    static_pods: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run the pods of the manifests in this folder; those of node1 in DIR/node1."),
    ] = None,
    eviction_hard: Annotated[
        str | None, typer.Option(metavar="THRESHOLDS", help="As kubelet's: memory.available<100Mi,…; empty for none.")
    ] = None,
    oci_runtime: Annotated[
        str | None, typer.Option(metavar="PROGRAM", help="What runs containers, by runc's command line (runc).")
    ] = None,
    image_gc: Annotated[
        str | None, typer.Option(metavar="HIGH,LOW", help="Percent of the disk at which pulled images go (85,80).")
    ] = None,
    disable_kube_proxy: Annotated[
        bool | None, typer.Option("--disable-kube-proxy", help="Nodes without service proxy: run another one there.")
    ] = None,
    advertise_address: apiserver.AdvertiseAddress = None,
    controllers: Annotated[
        str | None, typer.Option(metavar="LIST", help="As kube-controller-manager's: *,-job-controller (*).")
    ] = None,
    max_requests_inflight: apiserver.MaxRequests = None,
    max_mutating_requests_inflight: apiserver.MaxMutating = None,
    audit_log_path: apiserver.AuditLogPath = None,
    audit_policy_file: apiserver.AuditPolicyFile = None,
    audit_log_maxsize: apiserver.AuditLogMaxsize = None,
    audit_log_maxbackup: apiserver.AuditLogMaxbackup = None,
) -> None:
    """Bring a cluster up: in the foreground until Ctrl-C, or detached.

    \b
    Examples:
      seamark up
      seamark up --nodes 3 --detach
      seamark up --data-dir /tmp/second --cluster-domain example.internal
    """
    given = parse_given(context.params)
    data = _data(data_dir)
    if detach:
        from seamark.cli.background import start_in_background

        start_in_background(data)
        return
    from seamark.cli.up import UpOptions, run_up

    run_up(UpOptions(data, (kubeconfig or data.kubeconfig).absolute(), given))


@app.command()
def down(
    data_dir: DataDirOption = None,
    purge: Annotated[bool, typer.Option("--purge", help="Remove the data directory as well.")] = False,
) -> None:
    """Take a cluster down: pods end, nothing of ours stays on the machine; data is kept unless --purge."""
    from seamark.cli.down import run_down

    run_down(_data(data_dir), purge=purge)


@app.command()
def status(
    data_dir: DataDirOption = None,
    output: Annotated[str, typer.Option("--output", "-o", help="text or json.")] = "text",
) -> None:
    """Say what runs. Exit status 0 when the cluster answers, 3 when it is down."""
    from seamark.cli.status import run_status

    raise typer.Exit(run_status(_data(data_dir), output=output))


@app.command()
def kubeconfig(
    data_dir: DataDirOption = None,
    token: Annotated[bool, typer.Option("--token", help="A bearer token instead of a client certificate.")] = False,
) -> None:
    """Print the administrator's kubeconfig."""
    from seamark.cli.status import administrator_kubeconfig

    print(administrator_kubeconfig(_data(data_dir), token=token), end="")


@app.command(context_settings={"ignore_unknown_options": True})
def shell(
    node: Annotated[str, typer.Argument(help="master1, node1, …")],
    command: Annotated[list[str] | None, typer.Argument(help="What to run; a shell when absent.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Run a command, or a shell, inside a node's network namespace.

    \b
    Examples:
      seamark shell node1
      seamark shell master1 -- curl -s 10.96.0.1:443
    """
    from seamark.cli.shell import run_shell

    run_shell(_data(data_dir), node, command or [os.environ.get("SHELL", "/bin/sh")])


@app.command()
def version() -> None:
    """Print the version."""
    print(f"seamark {seamark.__version__}")


@image_app.command("build-pod-test")
def image_build_pod_test(
    data_dir: DataDirOption = None,
    name: Annotated[str, typer.Option(help="The image's name.")] = "192.168.10.33:80/k8s/pod_test:v0.1",
) -> None:
    """Build the tutorial's image from what is on this machine."""
    from seamark.cli.image import run_build_pod_test

    run_build_pod_test(_data(data_dir), name)


@image_app.command("load")
def image_load(
    file: Annotated[Path, typer.Argument(help="docker save or OCI archive.")], data_dir: DataDirOption = None
) -> None:
    """Load images from an archive."""
    from seamark.cli.image import run_load

    run_load(_data(data_dir), file)


@image_app.command("pull")
def image_pull(
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="As in a pod's image field.")],
    data_dir: DataDirOption = None,
    insecure_registry: InsecureOption = None,
    registry_mirror: MirrorOption = None,
    username: Annotated[
        str, typer.Option(help="For the registry; the password is read from SEAMARK_REGISTRY_PASSWORD.")
    ] = "",
) -> None:
    """Pull images from their registries, over the machine's network.

    \b
    Examples:
      seamark image pull docker.io/library/nginx:1.27
      seamark image pull --insecure-registry registry.lan:5000 registry.lan:5000/web:1
    """
    from seamark.cli.image import PullOptions, run_pull

    options = PullOptions(tuple(insecure_registry or ()), username, tuple(registry_mirror or ()))
    run_pull(_data(data_dir), names, options)


@image_app.command("save")
def image_save(
    name: Annotated[str, typer.Argument(help="As `seamark image list` shows it.")],
    file: Annotated[Path, typer.Argument(help="The archive to write.")],
    data_dir: DataDirOption = None,
) -> None:
    """Write an image to an archive that `seamark image load`, docker and other tools read."""
    from seamark.cli.image import run_save

    run_save(_data(data_dir), name, file)


@image_app.command("build")
def image_build(
    name: Annotated[str, typer.Argument(help="The name of the image to make.")],
    folder: Annotated[
        Path, typer.Option("--folder", "-f", metavar="DIR", help="Its root filesystem, or its top layer.")
    ],
    base: Annotated[str, typer.Option("--from", metavar="IMAGE", help="An image that lies below the folder.")] = "",
    entrypoint: Annotated[list[str] | None, typer.Option(help="A word of the entrypoint; repeatable.")] = None,
    cmd: Annotated[list[str] | None, typer.Option(help="A word of the command; repeatable.")] = None,
    env: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Repeatable.")] = None,
    workdir: Annotated[str, typer.Option(help="Where the program starts.")] = "",
    user: Annotated[str, typer.Option(metavar="USER[:GROUP]", help="Who it runs as.")] = "",
    data_dir: DataDirOption = None,
) -> None:
    """Make an image of a folder.

    \b
    Examples:
      seamark image build hello:1 -f ./rootfs --entrypoint /hello
      seamark image build site:2 -f ./html --from docker.io/library/nginx:1.27
    """
    from seamark.cli.image import run_build

    changes = {"Entrypoint": entrypoint, "Cmd": cmd, "Env": env, "WorkingDir": workdir, "User": user}
    run_build(_data(data_dir), name, folder, base=base, changes=changes)


@image_app.command("rm")
def image_rm(
    names: Annotated[list[str], typer.Argument(metavar="NAME…")],
    data_dir: DataDirOption = None,
) -> None:
    """Forget images. Layers that no image has any more go with them, as soon as no pod uses them."""
    from seamark.cli.image import run_rm

    run_rm(_data(data_dir), names)


@image_app.command("list")
def image_list(
    data_dir: DataDirOption = None,
    output: Annotated[str, typer.Option("--output", "-o", help="text or json.")] = "text",
) -> None:
    """List the images of a data directory."""
    from seamark.cli.image import run_list

    run_list(_data(data_dir), output=output)


def main() -> None:
    try:
        app()
    except (UserError, OSError) as error:
        told = medium_error(error) if isinstance(error, OSError) else error
        if told is None:
            raise
        print(f"seamark {told}", file=sys.stderr)
        sys.exit(1)
