"""The commands, one file each: what a verb takes, in words. What it shows or does lies in `bench.cli` and below.

A file here is imported when its verb is typed or `--help` lists it, so at its top it imports only what is quick.
"""
