"""Five folds of the digits: test accuracy of the main job on every fifth of all 1,797 images, each learned without.

    python benchmarks/digits_folds.py [--epochs N] [--seeds 0 1 2]

Exits with 1 when the mean over the folds is below 0.985. No setting was chosen by looking at one fold alone.
"""
import argparse
import sys
import time

from minilayer import get_num_threads, jobs

TARGET = 0.985


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=jobs.DEFAULTS["digits"]["epochs"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    means = []
    for seed in options.seeds:
        right = total = 0
        for fold in range(5):
            config = {"job": "digits", **jobs.DEFAULTS["digits"], "epochs": options.epochs, "seed": seed, "fold": fold}
            start = time.perf_counter()
            trainer = jobs.trainer_for(config, progress=False)
            record = trainer.fit(config["epochs"])[-1]
            n = len(trainer.test_loader.dataset)
            right, total = right + round(record["test_accuracy"] * n), total + n
            print(f"seed {seed}  fold {fold}  test accuracy {record['test_accuracy']:.4f}  of {n} images  "
                  f"{time.perf_counter() - start:.1f} s on {get_num_threads()} threads", flush=True)
            means.append(record["test_accuracy"])
        print(f"seed {seed}  all folds: {right} of {total} right")
    mean = sum(means) / len(means)
    print(f"mean test accuracy: {mean:.4f} (target {TARGET})")
    return 0 if mean >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
