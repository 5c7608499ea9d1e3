"""Real MNIST images: learn from 8,000 of the 10,000 test images, test on the other 2,000.

    python benchmarks/mnist_accuracy.py [--data DIR] [--epochs N]

Only the two t10k files are needed: in DIR, in MINILAYER_DATA or in the cache. Exits with 1 below 0.975.
"""
import argparse
import sys
import time

from minilayer import get_num_threads, jobs

TARGET = 0.975


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", metavar="DIR")
    parser.add_argument("--epochs", type=int, default=jobs.DEFAULTS["mnist"]["epochs"])
    options = parser.parse_args()
    config = {"job": "mnist", **jobs.DEFAULTS["mnist"], "epochs": options.epochs, "small": True}
    trainer = jobs.trainer_for(config, root=options.data, progress=True,
                               on_epoch=lambda r: print(f"epoch {r['epoch']}  train loss {r['train_loss']:.4f}  "
                                                        f"test accuracy {r['test_accuracy']:.4f}  {r['seconds']:.1f} s",
                                                        flush=True))
    start = time.perf_counter()
    accuracy = trainer.fit(config["epochs"])[-1]["test_accuracy"]
    print(f"test accuracy: {accuracy:.4f} (target {TARGET}), {time.perf_counter() - start:.1f} s for "
          f"{config['epochs']} epochs of {len(trainer.train_loader.dataset):,} images on {get_num_threads()} threads")
    return 0 if accuracy >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
