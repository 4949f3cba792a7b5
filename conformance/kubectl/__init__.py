"""``make test-kubectl``: what a person types, with nine versions of kubectl, judged by what is printed.

The cases are data: ``cases/*.yaml``, objects they start from in ``given.yaml``.
"""
