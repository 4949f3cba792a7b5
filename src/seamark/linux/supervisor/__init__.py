"""The process that holds one pod: its namespaces, its containers' output, their exit codes.

It is a program of its own (``main.serve`` in an interpreter without site packages, which forks one for each pod): it
must stay small and outlive who started it, so it imports the standard library and its own modules only. It makes the
pod's network, ipc, uts and mount namespaces and lives in them; containers inherit them. Every mount happens in its
private mount namespace, so that nothing is left on the machine when it ends, however it ends. It is the reaper of its
containers, since ``runc`` itself leaves after each command.

Rules:

* Requests and answers are JSON, one per SOCK_SEQPACKET message on ``DIRECTORY/socket``; descriptors travel beside.
  Requests: ``start``, ``signal``, ``exec``, ``kill-exec``, ``attach``, ``detach``, ``close-stdin``, ``stop``. Each has
  an ``id`` that its answer repeats.
* Whoever connects is told the whole state at once and again after each change; ``state.json`` holds the same.
* A command run by ``exec`` lives no longer than the connection that asked for it, nor does an ``attach``; containers
  do.
* It decides nothing: argv, mounts and limits come ready-made in the bundle's ``config.json``.
"""
