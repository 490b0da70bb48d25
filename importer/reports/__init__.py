"""Reports: what a run did and what is to be fixed, from the ledger and the run's spool and nothing else."""
