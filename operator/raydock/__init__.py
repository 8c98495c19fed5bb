"""raydock: models on Ray in Kubernetes, from plain YAML.

The way of the data through the operator, room by room:

    watch → key (`runtime`) → fetch (`reconcile`) → what is seen (`facts`) → does it fit (`capacity`)
    → what should exist (`plan`) → make it so (`kube`) → what may be claimed (`status`)

Inside Ray's pods: `serve` or `batch` → `sdk` → `models`. Both processes speak `wire`, and share nothing else.
"""
