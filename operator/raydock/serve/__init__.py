"""What a Deployment runs in Ray: the host that loads the user's app and stands in front of it."""
