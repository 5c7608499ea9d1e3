"""A kernel to PTX and to machine code, without a GPU.

    python -m minilayer.cuda.compile --arch 75,80,90 [--only norm,matmul] [--dtypes float32]

prints a JSON line for each kernel: registers, stack, spills, whether float64 instructions are in it. numba-cuda writes
the PTX, nvJitLink assembles it. Nothing is kept on disk yet; a cache keyed by the PTX's hash belongs here.
"""
import argparse
import functools
import importlib
import json
import re
import sys

import numpy as np

from minilayer.cuda import _nb

ARCHITECTURES = ((7, 5), (8, 0), (9, 0))        # Turing, Ampere, Hopper


def parameter_types(kernel):
    """The numba types of a kernel's parameters."""
    types = _nb.types

    def scalar(dtype):
        return types.uint8 if dtype == np.bool_ else getattr(types, str(dtype))

    table = {"u": types.uint32, "i": types.int64, "d": types.float64, "t": scalar(kernel.dtype),
             "T": types.CPointer(scalar(kernel.dtype)), "S": types.CPointer(scalar(kernel.source)),
             "B": types.CPointer(types.uint8), "I": types.CPointer(types.int64), "D": types.CPointer(types.float64)}
    return [table[letter] for letter in kernel.parameters]


def ptx(kernel, cc):
    """(PTX, name of its entry)."""
    text = _nb.compile_ptx(kernel.function, parameter_types(kernel), cc)
    entry = re.search(r"\.visible \.entry\s+([\w$]+)\s*\((.*?)\)", text, re.S)
    count = 0 if entry is None else len(re.findall(r"\.param", entry[2]))
    if count != len(kernel.parameters):
        raise RuntimeError(f"{kernel}: expected PTX with {len(kernel.parameters)} parameters, got {count}; the launch would "
                           "pass them in the wrong places")
    return text, entry[1]


def link(text, cc):
    """(machine code, what the assembler says of it) of PTX."""
    from cuda.core import Linker, LinkerOptions, ObjectCode
    linker = Linker(ObjectCode.from_ptx(text.encode()),
                    options=LinkerOptions(arch=f"sm_{cc[0]}{cc[1]}", ptxas_options=["-v"]))
    code = linker.link("cubin")
    return code, linker.get_info_log()


@functools.cache
def cubin(kernel, cc):
    """(cuda.core object code, entry name), compiled once a process."""
    text, entry = ptx(kernel, cc)
    return link(text, cc)[0], entry


def report(kernel, cc) -> dict:
    """What a kernel costs on an architecture."""
    text, _ = ptx(kernel, cc)
    _, log = link(text, cc)

    def number(pattern):
        found = re.search(pattern, log)
        return int(found[1]) if found else None

    return {"kernel": kernel.name, "family": kernel.family, "dtype": str(kernel.dtype), "arch": f"sm_{cc[0]}{cc[1]}",
            "registers": number(r"Used (\d+) registers"), "regs_max": kernel.regs_max,
            "stack": number(r"(\d+) bytes stack frame"), "stack_max": kernel.stack_max,
            "spills": number(r"(\d+) bytes spill stores"),
            "f64": bool(re.search(r"\.f64\b", text)), "wide": kernel.wide}


FAMILIES = ("arithmetic", "elementwise", "indexing", "losses", "matmul", "norm", "optimizer", "reduce", "softmax")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m minilayer.cuda.compile", description=__doc__.split("\n")[0])
    parser.add_argument("--arch", default="75,80,90", help="compute capabilities, like 75,80,90")
    parser.add_argument("--only", default="", help="kernels or families, by name; all by default")
    parser.add_argument("--dtypes", default="float32", help="dtypes, like float32,float64")
    options = parser.parse_args(arguments)
    from minilayer.cuda import launch
    for family in FAMILIES:
        importlib.import_module(f"minilayer._ext.{family}_cuda")
    only = set(filter(None, options.only.split(",")))
    for recipe in launch.RECIPES:
        if only and not only & {recipe.family, f"{recipe.family}.{recipe.name}"}:
            continue
        for kernel in recipe.examples(options.dtypes.split(",")):
            for arch in options.arch.split(","):
                print(json.dumps(report(kernel, (int(arch[:-1]), int(arch[-1])))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
