"""`dandelion doctor`: probes of the machine give facts, pure checks make findings of them, each with its fix."""
