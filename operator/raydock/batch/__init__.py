"""The driver of a BatchJob, inside Ray: plan shards, run the model over them, commit each once, publish.

    job file → `plan` (shards, from metadata) → `engine` (Ray Data over shard descriptors) → `worker` (one
    shard: read, predict, write, commit) → `ledger` (first record of a shard wins; publish; `_SUCCESS` last)

`driver` holds the steps, `storage` what the output's storage must be able to do, `report` tells the operator.
"""
