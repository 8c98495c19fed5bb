"""The operator's process: watches, store, queue, leader, HTTP. Knows no kind beyond its name."""
