"""What the command line and users' programs do with jobs: synchronous, without rules of the business."""
