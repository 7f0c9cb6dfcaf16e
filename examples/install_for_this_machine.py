"""Which PyTorch to install here and how to start a model: prints the commands, and installs with --run.

    python examples/install_for_this_machine.py
    python examples/install_for_this_machine.py --model qwen3-8b --run
    python examples/install_for_this_machine.py --simulate "RTX 4090" --ram 64GiB

Exit codes: 0 there is a build, 1 there is none or the model does not fit, 2 an argument makes no sense, 3 nobody can
tell.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys

import gpucheck


def main() -> int:
    """Print what to install and start, and install it if that was asked for."""
    options = _options()
    machine = _machine(options)
    build = gpucheck.torch_build(machine)
    if build.pip is None:
        print("\n".join(build.reasons), file=sys.stderr)
        return 1 if build.answer == "no" else 3
    answer = gpucheck.fit(machine, options.model)  # without a quantization the best that fits
    print(f"# {'; '.join(build.reasons)}")
    print(build.pip)
    print(f"# {answer.model} @ {answer.quant}: {answer.verdict}; {'; '.join(answer.reasons)}")
    if answer.command is not None:
        print(answer.command)
    if options.run:
        subprocess.run([sys.executable, "-m", *shlex.split(build.pip)], check=True)
    return {"no": 1, "unknown": 3}.get(answer.fits, 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="llama-3.1-8b", help="a model of `gpucheck models`, a file, or a size")
    parser.add_argument("--run", action="store_true", help="run the command that installs PyTorch")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--machine", metavar="FILE", help="a recording instead of this machine")
    which.add_argument("--simulate", metavar="CARDS", help="cards of the catalogue instead of this machine")
    parser.add_argument("--ram", help="memory of the simulated machine")
    options = parser.parse_args()
    if options.run and (options.machine or options.simulate):
        parser.error("--run installs here, and that machine is another")
    return options


def _machine(options: argparse.Namespace) -> gpucheck.Machine:
    if options.simulate:
        return gpucheck.simulate(options.simulate, ram=options.ram)
    return gpucheck.load(options.machine) if options.machine else gpucheck.inspect()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except gpucheck.GpucheckError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
