"""Benchmarks: operators driven side by side, each a process of its own, on a control plane of the bench's own.

``__main__`` reads the command line; ``suite`` says what is measured in which order. A ``session`` is the surroundings:
devcluster, client, kinds. A ``system`` is one operator under test (``operatorprocess``). What is measured is in one
module each: ``single`` (one event at a time), ``burst`` (many objects at once), ``baseline`` (bare ansible-runner),
``noop`` (roles of several sizes), ``startup``, ``growth``. They measure by ``watching`` (when an object got its
status), ``cost`` (CPU and memory of a process tree) and ``scrape`` (the operator's own metrics), and hand figures to a
``report``, which ``table`` and ``picture`` show. docs/benchmarks/benchmarks.md says what each row means.
"""
