"""The command line: one file a command, no rules of the business."""
