"""The command line: options, exit codes, and the only printer."""
