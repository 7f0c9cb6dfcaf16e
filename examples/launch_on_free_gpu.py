"""Starts a command on the GPUs with the most free memory, and on no others.

    python examples/launch_on_free_gpu.py --min-free 20GiB -- python train.py
    python examples/launch_on_free_gpu.py --count 2 -- torchrun --nproc-per-node 2 train.py

The command takes this process's place, with CUDA_VISIBLE_DEVICES (or what the maker's runtime reads) set. Where there
are not enough free GPUs it is not started: exit code 1. Nothing is reserved: two launchers that look at the same moment
choose the same GPU.
"""

from __future__ import annotations

import argparse
import os
import sys

import gpucheck


def main() -> int:
    """Replace this process by the command, or say why not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1, help="how many GPUs")
    parser.add_argument("--min-free", metavar="SIZE", help="free memory that each must have: 20GiB")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--machine", metavar="FILE", help="a recording instead of this machine")
    which.add_argument("--simulate", metavar="CARDS", help="cards of the catalogue instead of this machine")
    parser.add_argument("command", nargs="+", help="what to start")
    options = parser.parse_args()

    machine = None  # this one
    if options.simulate:
        machine = gpucheck.simulate(options.simulate)
    elif options.machine:
        machine = gpucheck.load(options.machine)
    try:
        picked = gpucheck.pick_devices(options.count, min_free=options.min_free, machine=machine)
    except gpucheck.RequirementsNotMetError as error:
        print(error, file=sys.stderr)
        return 1
    print("; ".join(picked.reasons), file=sys.stderr, flush=True)
    try:
        os.execvpe(options.command[0], options.command, {**os.environ, **picked.environment})
    except OSError as error:
        print(f"{options.command[0]}: {error.strerror}", file=sys.stderr)
        return 127


if __name__ == "__main__":
    try:
        sys.exit(main())
    except gpucheck.GpucheckError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
