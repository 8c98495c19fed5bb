"""The action SDK: what authors of actions subclass and call (contracts/actions.md).

The module tree mirrors that of the package `synapse_sdk`: to move a plugin, swap the prefix of its imports.
It runs inside Ray, and knows no Kubernetes.
"""
