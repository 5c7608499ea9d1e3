"""Holds every layer, function, loss, optimiser and schedule to PyTorch, over all pairs of their arguments' values.

    python tests/agreement/run.py                    all rows, and docs/agreement.md is written
    python tests/agreement/run.py conv loss          these families
    python tests/agreement/run.py --only Conv2d      these names
    python tests/agreement/run.py --goldens          writes what PyTorch gives, in short, for the tests without it

float64 must agree to 1e-10. A float32 result may be off the float64 one, norm-wise, by twice what PyTorch's is, or 1e-6.
What PyTorch refuses, minilayer has to refuse.
"""
import argparse
import importlib
import json
import pkgutil
import sys
import time
import warnings
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from agreement.compare import Library, difference, error_of, pairwise, run, seeded, unlisted  # noqa: E402
from agreement.trajectory import optimizer_run, schedule_run  # noqa: E402

TOOLS = {"row", "compare", "run", "trajectory"}
GOLDENS = HERE.parent / "goldens" / "agreement.json"
PAGE = HERE.parent.parent / "docs" / "agreement.md"


def families():
    return sorted(m.name for m in pkgutil.iter_modules([str(HERE)]) if m.name not in TOOLS)


def rows_of(family):
    return importlib.import_module(f"agreement.{family}").ROWS


def runner_of(row):
    return (optimizer_run if row.name.startswith("optim.") else schedule_run if row.name.startswith("lr_scheduler.")
            else run)


def cases_of(row, is_layer):
    """(options, mode, sample) of every run of a row."""
    for options in pairwise(row):
        for mode in row.modes if is_layer else ("",):
            for sample in range(row.samples):
                yield options, mode, sample


def is_layer(row):
    return "." not in row.name


def shown(case):
    options, mode, sample = case
    return ", ".join([*(f"{k}={v!r}" for k, v in options.items()), *filter(None, [mode]), f"sample {sample}"])


def compare(row, ours, torch, failures):
    """Every case of a row: (cases, refused alike, worst float64 difference, worst float32 ratio to what is allowed)."""
    cases = refused = 0
    worst64 = worst32 = 0.0
    once = runner_of(row)
    for case in cases_of(row, is_layer(row)):
        cases += 1
        theirs, mine = once(row, case[0], torch, "float64", *case[1:]), once(row, case[0], ours, "float64", *case[1:])
        if theirs.error is not None or mine.error is not None:
            if (theirs.error is None) != (mine.error is None):
                failures.append(f"{row.name}({shown(case)}): PyTorch {theirs.error!r}, minilayer {mine.error!r}")
            refused += 1
            continue
        if set(theirs.arrays) != set(mine.arrays) or theirs.arrays.get("state names") != mine.arrays.get("state names"):
            failures.append(f"{row.name}({shown(case)}): PyTorch alone gives {sorted(set(theirs.arrays) - set(mine.arrays))}, "
                            f"minilayer alone {sorted(set(mine.arrays) - set(theirs.arrays))}; state "
                            f"{theirs.arrays.get('state names')} and {mine.arrays.get('state names')}")
            continue
        by_chance = row.draws and case[1] != "eval"
        for name, exact in theirs.arrays.items():
            if name == "state names":
                continue
            if by_chance:
                d = 0.0 if np.shape(exact) == np.shape(mine.arrays[name]) else np.inf
            else:
                d = difference(mine.arrays[name], exact)
            worst64 = max(worst64, d)
            if d > row.bound[0]:
                failures.append(f"{row.name}({shown(case)}): {name} differs by {d:.3g} in float64")
        if by_chance:
            continue
        theirs32, mine32 = once(row, case[0], torch, "float32", *case[1:]), once(row, case[0], ours, "float32", *case[1:])
        if mine32.error is not None or theirs32.error is not None:
            if theirs32.error is None:
                failures.append(f"{row.name}({shown(case)}): float32 raises {mine32.error!r}")
            continue
        for name, exact in theirs.arrays.items():
            exact = np.asarray(exact)
            if name == "state names" or np.asarray(mine32.arrays[name]).dtype != np.float32:
                continue
            mine_error, allowed = error_of(mine32.arrays[name], exact), max(2 * error_of(theirs32.arrays[name], exact), 1e-6)
            if row.bound[1]:
                allowed = max(allowed, row.bound[0])
            worst32 = max(worst32, mine_error / allowed)
            if not mine_error <= allowed:
                failures.append(f"{row.name}({shown(case)}): {name} is off by {mine_error:.3g} in float32, allowed {allowed:.3g}")
    if cases and refused == cases:
        failures.append(f"{row.name}: both refuse every case: {theirs.error!r}")
    return cases, refused, worst64, worst32


def fingerprint(result):
    """Three numbers an array, by which it can be known again: sums with weights of our own choice, NaN and inf counted."""
    prints = {}
    for name, x in result.arrays.items():
        if name == "state names":
            continue
        x = np.asarray(x, np.float64).reshape(-1)
        odd = ~np.isfinite(x)
        weights = seeded("print", name).standard_normal((2, x.size))
        finite = np.where(odd, 0.0, x)
        prints[name] = [*(weights @ finite).tolist(), float(odd.sum())]
    return prints


def goldens(rows, torch, per_row=2):
    found = {}
    for row in rows:
        kept = []
        for case in cases_of(row, is_layer(row)):
            result = runner_of(row)(row, case[0], torch, "float64", *case[1:])
            if result.error is None and not (row.draws and case[1] != "eval"):
                kept.append({"case": shown(case), "prints": fingerprint(result)})
            if len(kept) == per_row:
                break
        found[row.name] = kept
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", help=f"of {', '.join(families())}")
    parser.add_argument("--only", nargs="*", help="names of rows")
    parser.add_argument("--goldens", action="store_true", help=f"write {GOLDENS.name}")
    parser.add_argument("--fail", type=int, default=30, help="how many failures to print")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch, ours = Library("torch"), Library("minilayer")
    torch.root.set_num_threads(1)
    chosen = {f: [r for r in rows_of(f) if not options.only or r.name in options.only] for f in options.families or families()}
    if options.goldens:
        made = goldens([r for rows in chosen.values() for r in rows], torch)
        GOLDENS.write_text(json.dumps(made, indent=0, separators=(",", ":")) + "\n")
        print(f"{len(made)} rows in {GOLDENS}")
        return 0
    begin, failures, lines, total = time.perf_counter(), [], [], [0, 0, 0]
    for family, rows in chosen.items():
        for row in rows:
            before = len(failures)
            try:
                theirs, mine = torch.find(row.name), ours.find(row.name)
            except AttributeError as error:
                failures.append(f"{row.name}: {error}")
                continue
            left_out = unlisted(row, theirs, mine)
            if left_out:
                failures.append(f"{row.name}: not tried with two values: {', '.join(left_out)}")
            cases, refused, worst64, worst32 = compare(row, ours, torch, failures)
            total = [total[0] + 1, total[1] + cases, total[2] + refused]
            state = "ok" if len(failures) == before else f"{len(failures) - before} FAILURES"
            print(f"{family:<14} {row.name:<40} {cases:4} cases  {refused:3} refused alike  float64 {worst64:8.1e}  "
                  f"float32 {worst32:5.2f} of its bound  {state}", flush=True)
            lines.append((family, row, cases, refused, worst64, worst32))
    for text in failures[:options.fail]:
        print("FAIL", text[:600])
    print(f"{total[0]} rows, {total[1]} cases ({total[2]} refused by both), {len(failures)} failures, "
          f"{time.perf_counter() - begin:.0f} s")
    if not options.families and not options.only and not failures:
        write_page(lines, total, torch.root.__version__)
    return 1 if failures else 0


def write_page(lines, total, version):
    text = [f"""# Agreement with PyTorch {version.partition('+')[0]}

Made by `./dev agreement`. Each row is a class or function; a case is one choice of its arguments (every pair of their
values meets in some case), inputs, and mode. Compared are outputs, gradients of inputs and parameters, and the state
afterwards. `float64` is the largest difference, relative to the largest value where that is above 1 (allowed: 1e-10);
`float32` is the norm-wise error against the float64 result, as a part of what is allowed: twice PyTorch's own error, or
1e-6. `refused` counts the cases that both libraries refuse with an error.

{total[0]} rows, {total[1]} cases, {total[2]} of them refused by both.
"""]
    family = None
    for f, row, cases, refused, worst64, worst32 in lines:
        if f != family:
            text.append(f"\n## {f}\n\n| name | cases | refused | float64 | float32 |\n|---|---|---|---|---|")
            family = f
        note = "".join(f"; {n} not varied: {why}" for n, why in row.only.items()) + (f"; bound {row.bound[0]:g}: {row.bound[1]}"
                                                                                    if row.bound[1] else "")
        text.append(f"| {row.name}{note} | {cases} | {refused} | {worst64:.0e} | {worst32:.2f} |")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    sys.exit(main())
