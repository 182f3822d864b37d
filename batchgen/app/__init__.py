"""What a program does with jobs: load, plan, run, watch, settle and report them. Nothing here prints or asks."""
