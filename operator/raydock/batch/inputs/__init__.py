"""What a BatchJob can read: where it lies, how it is cut into shards, and its rows as Arrow batches."""
