"""`python3 -m hack.node VERB`: what the Makefile's targets call."""

from hack.node.cli import main

raise SystemExit(main())
