"""All benchmarks, by `make bench`."""

from benchmarks.checks import main

main()
