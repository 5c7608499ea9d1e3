"""minilayer against PyTorch on the yardstick rows, as a ratio measured in one run.

For each row the two libraries take turns, each in a process of its own, `--rounds` times; a round's time is the median
step, a side's time its best round. That is repeated `--runs` times and the worst ratio counts: it is what is printed
last, and what may be claimed. Without PyTorch installed only minilayer's times are shown.

    python benchmarks/bench.py                      all rows
    python benchmarks/bench.py lenet gemm           rows whose names begin so
"""
import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from workloads import WORKLOADS

HERE = Path(__file__).resolve().parent


def time_of(library, workload, options):
    """Median milliseconds of a step, from a process that does nothing else."""
    command = [sys.executable, str(HERE / "workloads.py"), library, workload, "--seconds", str(options.seconds),
               "--threads", str(options.threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench: {library} {workload} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])["ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", help="names, or beginnings of names (default: all)")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    names = [n for n in WORKLOADS if not options.rows or any(n.startswith(r) for r in options.rows)]
    if not names:
        parser.error(f"no row begins with {' or '.join(options.rows)}; the rows: {', '.join(WORKLOADS)}")
    libraries = ["minilayer", "torch"] if importlib.util.find_spec("torch") else ["minilayer"]
    if len(libraries) == 1:
        print("PyTorch is not installed here: minilayer's times alone (pip install torch==2.13.0 to compare)")
    print(f"{platform.machine()}, {options.threads} threads, {options.runs} runs of {options.rounds} rounds")
    results = []
    for name in names:
        flops = getattr(WORKLOADS[name], "flops", 0)
        runs = []
        for _ in range(options.runs):
            rounds = [{lib: time_of(lib, name, options) for lib in libraries} for _ in range(options.rounds)]
            runs.append({lib: min(r[lib] for r in rounds) for lib in libraries})
        worst = max(runs, key=lambda r: r["minilayer"] / r.get("torch", 1))
        line = f"{name:<22} minilayer {worst['minilayer']:9.3f} ms"
        if flops:
            line += f" {flops / worst['minilayer'] / 1e6:6.0f} GF/s"
        if "torch" in worst:
            line += f"   torch {worst['torch']:9.3f} ms"
            if flops:
                line += f" {flops / worst['torch'] / 1e6:6.0f} GF/s"
            ratios = [r["torch"] / r["minilayer"] for r in runs]
            line += f"   {min(ratios):5.2f} times as fast (runs: {', '.join(f'{r:.2f}' for r in ratios)})"
        print(line, flush=True)
        results.append({"row": name, "runs": runs})
    if options.json:
        options.json.write_text(json.dumps({"machine": platform.machine(), "threads": options.threads,
                                            "rows": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
