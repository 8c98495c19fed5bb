"""What a replica of a Serve class does for its requests: models by token, files, answers that come later."""
