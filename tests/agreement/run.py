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

from agreement.compare import Library, difference, error_of, pairwise, proper, run, seeded, unlisted  # noqa: E402
from agreement.trajectory import optimizer_run, schedule_run  # noqa: E402

TOOLS = {"row", "compare", "run", "trajectory"}
GOLDENS = HERE.parent / "goldens" / "agreement.json"
INERT = 12          # cases in which an option is looked for to act
MORE = 15           # further inputs where one says that float32 is off
HOLDERS = {"Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential", "RNNBase", "RNNCellBase"}
PAGE = HERE.parent.parent / "docs" / "agreement.md"


def families():
    return sorted(m.name for m in pkgutil.iter_modules([str(HERE)]) if m.name not in TOOLS)


def rows_of(family):
    return importlib.import_module(f"agreement.{family}").ROWS


def numbered(rows):
    """(key, row) for each: the name, with a number where several rows have it."""
    seen: dict = {}
    for row in rows:
        seen[row.name] = seen.get(row.name, 0) + 1
        yield row.name + (f" {seen[row.name]}" if seen[row.name] > 1 else ""), row


def runner_of(row):
    return (optimizer_run if row.name.startswith("optim.") else schedule_run if row.name.startswith("lr_scheduler.")
            else run)


def cases_of(row, is_layer):
    """(options, mode, sample) of every run of a row."""
    for options in pairwise(row):
        for mode in row.modes if is_layer else ("",):
            for sample in range(2 if row.name.startswith("lr_scheduler.") else row.samples):
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
    computed = []

    def fail(case, text):
        failures.append(f"{row.name}({shown(case)}): {text}")
    for case in cases_of(row, is_layer(row)):
        cases += 1
        theirs, mine = once(row, case[0], torch, "float64", *case[1:]), once(row, case[0], ours, "float64", *case[1:])
        if theirs.error is not None or mine.error is not None:
            if (theirs.error is None) != (mine.error is None) or not (proper(theirs.error, False) and proper(mine.error, True)):
                fail(case, f"PyTorch {theirs.error!r}, minilayer {mine.error!r}")
            refused += 1
            continue
        computed.append((case, theirs))
        if set(theirs.arrays) != set(mine.arrays) or theirs.arrays.get("state names") != mine.arrays.get("state names"):
            fail(case, f"PyTorch alone gives {sorted(set(theirs.arrays) - set(mine.arrays))}, minilayer alone "
                 f"{sorted(set(mine.arrays) - set(theirs.arrays))}; state {theirs.arrays.get('state names')} and "
                 f"{mine.arrays.get('state names')}")
            continue
        by_chance = row.draws and case[1] != "eval" and case[0].get("p") not in (0, 1, 0.0, 1.0)
        for name, exact in theirs.arrays.items():
            if name == "state names":
                continue
            if by_chance:
                d = 0.0 if np.shape(exact) == np.shape(mine.arrays[name]) else np.inf
            else:
                d = difference(mine.arrays[name], exact)
            worst64 = max(worst64, d)
            if d > row.bound[0]:
                fail(case, f"{name} differs by {d:.3g} in float64")
        if by_chance:
            continue
        theirs32, mine32 = once(row, case[0], torch, "float32", *case[1:]), once(row, case[0], ours, "float32", *case[1:])
        if mine32.error is not None or theirs32.error is not None:
            if (theirs32.error is None) != (mine32.error is None):
                fail(case, f"in float32 PyTorch {theirs32.error!r}, minilayer {mine32.error!r}")
            continue
        odd = [n for n, x in theirs32.arrays.items() if n != "state names" and unlike(x, mine32.arrays[n])]
        if odd:
            fail(case, f"in float32 {', '.join(odd)} differ in type, shape or whole numbers")
            continue
        ratios = float32_ratios(row, [(theirs.arrays, theirs32.arrays, mine32.arrays)])
        if max(ratios.values(), default=0.0) > 1:       # one sum of a few numbers says little: ask more inputs
            more = [[once(row, case[0], lib, dtype, case[1], case[2] + 1000 + i).arrays
                     for lib, dtype in ((torch, "float64"), (torch, "float32"), (ours, "float32"))] for i in range(MORE)]
            ratios = float32_ratios(row, [(theirs.arrays, theirs32.arrays, mine32.arrays), *more])
        worst32 = max([worst32, *ratios.values()])
        for name, ratio in ratios.items():
            if ratio > 1:
                fail(case, f"{name} is off by {ratio:.2f} times what is allowed in float32")
    if cases and not computed:
        failures.append(f"{row.name}: both refuse every case: {theirs.error!r}")
    failures += [f"{row.name}: {text}" for text in unheard(row, computed, once, torch)]
    return cases, refused, worst64, worst32


def unlike(theirs, ours):
    """Do two results in float32 differ in type or shape, or, where they are whole numbers or bools, in value?"""
    theirs, ours = np.asarray(theirs), np.asarray(ours)
    return theirs.dtype != ours.dtype or theirs.shape != ours.shape or theirs.dtype.kind != "f" and not np.array_equal(theirs, ours)


def unheard(row, computed, once, torch):
    """Options of which a value is never computed, and options that change nothing in PyTorch's results: they would hide a
    mistake."""
    for name, values in row.options.items():
        seen = {repr(case[0][name]) for case, _ in computed}
        lost = [v for v in values if repr(v) not in seen]
        if lost and name not in row.refused:
            yield f"{name}={lost} is refused in every case that tries it"
        if len(values) > 1 and name not in row.inert and not row.draws and not any(
                acts(row, case, base, name, v, once, torch) for case, base in computed[:INERT] for v in values):
            yield f"{name} alone changes nothing in the first {INERT} cases"


def acts(row, case, base, name, value, once, torch):
    """Does another value of one option change what PyTorch gives, or whether it does?"""
    options = {**case[0], name: value}
    if repr(value) == repr(case[0][name]) or not row.valid(options):
        return False
    other = once(row, options, torch, "float64", *case[1:])
    if other.error is not None:
        return True
    return set(other.arrays) != set(base.arrays) or any(
        np.shape(other.arrays[n]) != np.shape(x) or np.asarray(other.arrays[n]).dtype != np.asarray(x).dtype
        or not np.array_equal(other.arrays[n], x, equal_nan=np.asarray(x).dtype.kind == "f")
        for n, x in base.arrays.items() if n != "state names")


def float32_ratios(row, runs):
    """For each float32 array, its norm-wise error over some runs as a part of what is allowed.

    runs holds (PyTorch's float64 arrays, its float32 arrays, ours) for each.
    """
    ratios = {}
    for name, x in runs[0][2].items():
        if name == "state names" or np.asarray(x).dtype != np.float32:
            continue
        exact, theirs, ours = (np.concatenate([np.reshape(run[i][name], -1) for run in runs]) for i in range(3))
        allowed = max(2 * error_of(theirs, exact), row.bound[0] if row.bound[1] else 1e-6)
        ratios[name] = error_of(ours, exact) / allowed
    return ratios


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
        prints[name] = [*(float(f"{v:.12g}") for v in weights @ finite), int(odd.sum())]
    return prints


def goldens(rows, torch, per_row=1):
    found = {}
    for key, row in numbered(rows):
        kept = []
        for case in cases_of(row, is_layer(row)):
            result = runner_of(row)(row, case[0], torch, "float64", *case[1:])
            if result.error is None and not (row.draws and case[1] != "eval"):
                kept.append({"case": shown(case), "prints": fingerprint(result)})
            if len(kept) == per_row:
                break
        found[key] = kept
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
        lines = [f"{json.dumps(key)}:{json.dumps(kept, separators=(',', ':'))}" for key, kept in made.items()]
        GOLDENS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
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
    if not options.families and not options.only:
        named = {row.name for rows in chosen.values() for row in rows}
        failures += [f"{name}: no row" for name in sorted(layers_of(torch)) if name not in named | HOLDERS and hasattr(ours.nn, name)]
    for text in failures[:options.fail]:
        print("FAIL", text[:600])
    tried = [line[1] for line in lines]
    print(f"{sum(map(is_layer, tried))} layer classes, {sum(not is_layer(row) for row in tried)} functions, optimizers and schedules; "
          f"{sum(len(row.options) for row in tried)} options at {sum(len(v) for row in tried for v in row.options.values())} values")
    print(f"{total[0]} rows, {total[1]} cases ({total[2]} refused by both), {len(failures)} failures, "
          f"{time.perf_counter() - begin:.0f} s")
    if not options.families and not options.only and not failures:
        write_page(lines, total, torch.root.__version__)
    return 1 if failures else 0


def layers_of(library):
    """The public layer classes of a library."""
    return {n for n, c in vars(library.nn).items() if isinstance(c, type) and issubclass(c, library.nn.Module)}


def write_page(lines, total, version):
    text = [f"""# Agreement with PyTorch {version.partition('+')[0]}

Made by `./dev agreement`. Each row is a class or function; a case is one choice of its arguments (every pair of their
values meets in some case), inputs, and mode. Compared are outputs, gradients of inputs and parameters, and the state
afterwards. `float64` is the largest difference, relative to the largest value where that is above 1 (allowed: 1e-10);
`float32` is the norm-wise error against the float64 result, as a part of what is allowed: twice PyTorch's own error, or
1e-6; where one input's few numbers say more than that, over {MORE + 1} inputs. `refused` counts the cases that both libraries refuse with an error.

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
