"""The action SDK: what authors of actions subclass and call (contracts/actions.md).

The module tree mirrors that of the package `synapse_sdk`: a plugin moves by a swap of the prefix of its imports.
It runs inside Ray, and knows no Kubernetes.
"""
