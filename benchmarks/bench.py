"""minilayer against PyTorch on the yardstick rows, as a ratio measured in one run.

For each row the sides (workloads.py) take turns, each in a process of its own, `--rounds` times; a round's time is the
median step, a side's time its best round. That is repeated `--runs` times and the worst ratio counts: it is what is
printed last, and what may be claimed. It is against the faster of PyTorch eager and compiled; without PyTorch installed
only minilayer's times are shown. Memory is the growth of the peak resident size while stepping, the largest of all rounds.

    python benchmarks/bench.py                      all rows
    python benchmarks/bench.py lenet gemm           rows whose names begin so (kernels.py has the kernels')
    python benchmarks/bench.py --compare FILE       and what got slower than in a file that --json wrote
"""
import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from workloads import WORKLOADS, YARDSTICK

HERE = Path(__file__).resolve().parent
OURS, THEIRS = ("minilayer", "captured"), ("torch", "torch.compile")


def measure(side, workload, options):
    """{"ms": the median step, "bytes": memory}, from a process that does nothing else; None where that side fails."""
    command = [sys.executable, str(HERE / "workloads.py"), side, workload, "--seconds", str(options.seconds),
               "--threads", str(options.threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench: {side} {workload} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def sides_of(name, options):
    """The sides that a row has here."""
    installed = {"torch": importlib.util.find_spec("torch"), "jax": importlib.util.find_spec("jax")}
    kernel = name not in YARDSTICK
    sides = ["minilayer"] if kernel else ["minilayer", "captured"]
    if installed["torch"]:
        sides += ["torch"] if kernel or name == "chain1000" or options.eager else ["torch", "torch.compile"]
    if installed["jax"] and name == "mlp_small":
        sides.append("jax")
    return sides


def ratio(run, ours):
    """How many times as fast as the faster PyTorch."""
    theirs = [run[s]["ms"] for s in THEIRS if s in run]
    return min(theirs) / run[ours]["ms"] if theirs and ours in run else None


def row_of(name, options):
    """All runs of a row: [{side: {"ms", "bytes"}}, ...]."""
    sides, runs = sides_of(name, options), []
    for _ in range(options.runs):
        rounds = [{side: measure(side, name, options) for side in sides} for _ in range(options.rounds)]
        runs.append({side: {"ms": min(r[side]["ms"] for r in rounds), "bytes": max(r[side]["bytes"] for r in rounds)}
                     for side in sides})
    return runs


def rate(workload, ms):
    """GFLOP/s or GB/s, where the row has a count."""
    if hasattr(workload, "flops"):
        return f" {workload.flops / ms / 1e6:.0f} GF/s"
    return f" {workload.bytes / ms / 1e6:.1f} GB/s" if hasattr(workload, "bytes") else ""


def peaks(threads):
    """What peak.c finds this machine to reach: (GFLOP/s, GB/s), or None without a compiler."""
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "peak")
        try:
            subprocess.run(["cc", "-O3", "-march=native", "-ffp-contract=fast", str(HERE / "peak.c"), "-o", program, "-lpthread"],
                           check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        done = subprocess.run([program, str(threads)], check=True, capture_output=True, text=True)
        return tuple(map(float, done.stdout.split()))


def line_of(name, runs):
    """A row as text: the times of its worst run, and the worst ratios."""
    worst = min(runs, key=lambda r: ratio(r, "minilayer") or -r["minilayer"]["ms"])
    text = f"{name:<20}" + "".join(f" {side} {found['ms']:.3f} ms" + (
        rate(WORKLOADS[name], found["ms"])) for side, found in worst.items())
    for ours in OURS:
        ratios = [ratio(r, ours) for r in runs]
        if None not in ratios:
            text += f" | {ours} {min(ratios):.2f} times ({', '.join(f'{r:.2f}' for r in ratios)})"
    if "jax" in worst and "captured" in worst:
        text += f" | captured {min(r['jax']['ms'] / r['captured']['ms'] for r in runs):.2f} times JAX"
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", help="names, or beginnings of names (default: all)")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--eager", action="store_true", help="leave torch.compile out")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--compare", type=Path, help="a file that --json wrote: say which rows got slower than there")
    options = parser.parse_args()
    names = [n for n in WORKLOADS if not options.rows or any(n.startswith(r) for r in options.rows)]
    if not names:
        parser.error(f"no row begins with {' or '.join(options.rows)}; the rows: {', '.join(WORKLOADS)}")
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed here: minilayer's times alone (pip install torch==2.13.0 to compare)")
    peak = peaks(options.threads)
    print(f"{platform.machine()}, {options.threads} threads, {options.runs} runs of {options.rounds} rounds"
          + (f"; at most {peak[0]:.0f} GF/s and {peak[1]:.1f} GB/s" if peak else ""))
    rows = {}
    for name in names:
        rows[name] = row_of(name, options)
        print(line_of(name, rows[name]), flush=True)
    for ours in OURS:
        worst = [min(ratio(r, ours) for r in rows[n]) for n in names if n in YARDSTICK and ratio(rows[n][0], ours)]
        if len(worst) == len(YARDSTICK):
            print(f"geometric mean of the worst ratios, {ours}: {statistics.geometric_mean(worst):.2f}")
    if options.json:
        figures = {"machine": platform.machine(), "threads": options.threads, "peak": peak, "rows": rows}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.compare:
        compare(rows, json.loads(options.compare.read_text())["rows"])


def compare(rows, before):
    """Print which rows got slower, by more than the runs of either measurement differ among themselves."""
    for name in rows:
        for side in OURS:
            now, then = ([r[side]["ms"] for r in found.get(name, []) if side in r] for found in (rows, before))
            if now and then and min(now) > max(then):
                print(f"slower: {name} {side}: {min(now):.3f} ms, was {max(then):.3f} ms at most")


if __name__ == "__main__":
    main()
