"""Custom resources' schemas, pure: what makes one structural, and what it means for an object.

``schema`` is a schema made for walking; ``rules`` and ``declared`` say what is wrong with one. Of an object ``prune``
takes away what the schema does not know, ``default`` fills in, ``validate`` and ``listtype`` judge; ``objectmeta`` sees
to the metadata of embedded resources, ``shape`` to who owns which field, ``publish`` to OpenAPI. The walks follow
k8s.io/apiextensions-apiserver and k8s.io/kube-openapi, and their words are kept.
"""
