"""Many version changes of one Deployment under load: what fails, and how long each way takes."""
