"""The command line: `minilayer train JOB`, `minilayer sample RUN`, `minilayer doctor`.

Exit status: 0 done, 1 something could not be done (the message says what, and what to do), 2 a wrong command line,
130 stopped by Ctrl-C. A mistake of the user's is never answered with a traceback; MINILAYER_DEBUG=1 shows it.
"""
import argparse
import os
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run a command line (default: this process's); returns the exit status."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        status = options.run(options, parser)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt as stop:
        print(f"\nminilayer: {stop or 'stopped'}", file=sys.stderr)
        return 130
    except BrokenPipeError:                 # the reader of our output has gone (`minilayer doctor | head -1`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ValueError, TypeError, ArithmeticError, ImportError, LookupError, RuntimeError, MemoryError) as error:
        if os.environ.get("MINILAYER_DEBUG", "") not in ("", "0"):
            raise
        print(f"minilayer: error: {_sentence(error)}", file=sys.stderr)
        return 1


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:       # without "[Errno 13]"
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def make_parser() -> argparse.ArgumentParser:
    """The parser; every command's function is its default `run`."""
    parser = argparse.ArgumentParser(prog="minilayer", description="A small layer engine: train a first network, or "
                                     "see what this machine runs it with.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train a small network on handwritten digits, or on text",
                                description="Train a small network and leave its record in a folder: checkpoint, log "
                                "and pictures. Ctrl-C saves; --resume goes on.")
    train.set_defaults(run=run_train)
    train.add_argument("job", choices=("digits", "mnist", "chars", "gpt"),
                       help="digits: 8x8, comes with minilayer, takes seconds; mnist: 28x28, read from MINILAYER_DATA or "
                       "downloaded; chars, gpt: an LSTM or a small transformer that learns to write, take a minute")
    train.add_argument("--epochs", type=_at_least(1), metavar="N",
                       help="passes over the data (digits 20, mnist 8), or of 60 batches (chars 20, gpt 12)")
    train.add_argument("--lr", type=_positive, metavar="X", help="first learning rate (0.003, mnist 0.002, chars 0.005)")
    train.add_argument("--batch-size", type=_at_least(1), metavar="N",
                       help="images, or windows of text, in a step (32, mnist 64, gpt 16)")
    train.add_argument("--seed", type=_at_least(0), metavar="N", help="settles weights, order and dropout (0)")
    train.add_argument("--fold", type=int, choices=range(5), help="digits: the fifth of the images to test on (0)")
    train.add_argument("--small", action="store_true", default=None,
                       help="mnist: learn from 8,000 and test on 2,000 of the 10,000 test images")
    train.add_argument("--data", metavar="DIR", help="mnist: the folder that holds its files")
    train.add_argument("--text", metavar="FILE", help="chars, gpt: the text to learn from, UTF-8 (the reference of the Python "
                       "language, which comes with Python)")
    where = train.add_mutually_exclusive_group()
    where.add_argument("--out", metavar="DIR", help="folder for the record (runs/JOB, or runs/JOB-2, ...)")
    where.add_argument("--resume", metavar="DIR", help="go on with the run whose record is there")
    train.add_argument("--threads", type=_at_least(1), metavar="N",
                       help="threads (all cores); the result does not depend on it")
    train.add_argument("--no-plots", action="store_true", help="draw no pictures")
    train.add_argument("--quiet", action="store_true", help="no progress, only the result")

    sample = commands.add_parser("sample", help="let a model that has learned from text write",
                                 description="Write with the best weights of a run of `minilayer train chars` or `gpt`.")
    sample.set_defaults(run=run_sample)
    sample.add_argument("folder", metavar="RUN", help="the run's folder")
    sample.add_argument("--prompt", metavar="TEXT", help="what to go on from (a new line)")
    sample.add_argument("--length", type=_at_least(1), default=500, metavar="N", help="letters to write (500)")
    sample.add_argument("--temperature", type=_not_negative, default=0.8, metavar="X",
                        help="below 1 for likelier letters, 0 for the likeliest (0.8)")
    sample.add_argument("--top-k", type=_at_least(1), metavar="N", help="choose among the N likeliest letters (all)")
    sample.add_argument("--seed", type=_at_least(0), metavar="N", help="settles what is written (another each time)")

    doctor = commands.add_parser("doctor", help="show versions, instruction set, threads, backends, GPU and cache",
                                 description="Show what minilayer runs with on this machine.")
    doctor.set_defaults(run=run_doctor)
    return parser


def _at_least(least: int):
    def whole(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value < 2**63:
            raise argparse.ArgumentTypeError(f"expected a whole number of {least} or more, got {text!r}")
        return value
    return whole


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def _not_negative(text: str) -> float:
    return 0.0 if text.strip("+-") in ("0", "0.0") else _positive(text)


# ---- minilayer train ----

def run_train(options, parser) -> int:
    """Train, report, draw."""
    from tqdm import tqdm

    import minilayer
    from minilayer import jobs
    from minilayer.train import CHECKPOINT, load_checkpoint

    config = _config(options, parser, jobs.DEFAULTS, load_checkpoint)
    if options.threads is not None:
        minilayer.set_num_threads(options.threads)
    folder = Path(options.resume or options.out or _free_folder(Path("runs") / options.job))
    if not options.resume and (folder / CHECKPOINT).exists():
        raise FileExistsError(f"train: {folder} holds a run already; go on with it (--resume {folder}) or name another "
                              "folder (--out)")

    def say(text: str) -> None:
        if not options.quiet:
            tqdm.write(text)

    def on_epoch(record: dict) -> None:
        parts = ["  ".join([f"{part} loss {record[f'{part}_loss']:.4f}",
                            *(f"{name} {record[f'{part}_{name}']:.4f}" for name in trainer.metrics)])
                 for part in ("train", "test")]
        say(f"epoch {record['epoch']:3}/{config['epochs']}   {'   '.join(parts)}   {record['seconds']:.2f} s")

    again = f"minilayer train {options.job} --resume {folder}" + (f" --data {options.data}" if options.data else "")
    trainer = jobs.trainer_for(config, root=options.data, out=folder, on_epoch=on_epoch, progress=not options.quiet,
                               how_to_resume=again)
    if options.resume:
        trainer.resume()
        say(f"going on after epoch {trainer.epoch} of {config['epochs']}")
    count = sum(p.numel() for p in trainer.model.parameters())
    about_text = options.job in jobs.TEXT_JOBS
    learn, test = ((trainer.text.train, trainer.text.valid) if isinstance(trainer, jobs.TextTrainer)
                   else (trainer.train_loader.dataset, trainer.test_loader.dataset))
    say(f"{options.job}: {len(learn):,} {'letters' if about_text else 'images'} to learn from, {len(test):,} to test on; "
        f"{count:,} parameters; {minilayer.get_num_threads()} threads")
    trainer.fit(config["epochs"])
    if not options.no_plots:
        _draw(trainer, folder, say)
    say(f"record: {folder}/ (checkpoint.safetensors, best.safetensors, log.jsonl)")
    if about_text:
        return _finish_text(trainer, folder, config, say)
    print(f"test accuracy: {trainer.history[-1]['test_accuracy']:.4f}")
    return 0


def _finish_text(trainer, folder: Path, config: dict, say) -> int:
    """A sample, and the loss on all the text held back beside the counted model's."""
    from minilayer import jobs, random
    text = trainer.text
    say("it writes:\n\n" + "".join(jobs.write(config, trainer.model, rng=random.Generator(config["seed"]))).strip() + "\n")
    say(f"more of it: minilayer sample {folder}")
    counted = jobs.trigram_loss(text.train, text.valid, len(text.vocabulary))
    print(f"validation loss: {jobs.validation_loss(trainer):.4f} nats a letter (counted trigrams: {counted:.4f})")
    return 0


def _config(options, parser, defaults: dict, load_checkpoint) -> dict:
    """The numbers that define the run: from the checkpoint, or defaults and options."""
    names = ("epochs", "lr", "batch_size", "seed", "fold", "small", "text")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.resume:
        if given:
            parser.error(f"--resume goes on with the run's own settings; leave out "
                         f"{', '.join('--' + name.replace('_', '-') for name in given)}")
        config = load_checkpoint(options.resume)["config"]
        if not isinstance(config, dict) or set(config) != {"job", *defaults.get(options.job, {})} \
                or config["job"] != options.job:
            raise ValueError(f"train: {options.resume} holds no run of the job {options.job!r}, but of "
                             f"{config.get('job') if isinstance(config, dict) else config!r}")
        return config
    for name in given:
        if name not in defaults[options.job]:
            parser.error(f"--{name} is no option of the job {options.job}")
    if options.data and options.job != "mnist":
        parser.error(f"--data is no option of the job {options.job}, which needs no folder of images")
    return {"job": options.job, **defaults[options.job], **given}


def _free_folder(first: Path) -> Path:
    """runs/digits, or runs/digits-2, ...: the first that is not there yet."""
    folder, n = first, 1
    while os.path.lexists(folder):
        n += 1
        folder = first.with_name(f"{first.name}-{n}")
    return folder


def _draw(trainer, folder: Path, say) -> None:
    from minilayer import jobs, plots
    try:
        if trainer.config["job"] in jobs.TEXT_JOBS:
            paths = plots.write_pictures(folder, jobs.text_report(trainer), plots.TEXT_PICTURES)
        else:
            paths = plots.write_pictures(folder, jobs.report(trainer))
    except ImportError as error:
        say(f"no pictures: {error}")
    else:
        say(f"pictures: {folder}/ ({', '.join(path.name for path in paths)})")


# ---- minilayer sample ----

def run_sample(options, parser) -> int:
    """Write, letter by letter."""
    from minilayer import jobs, load, random
    from minilayer.train import BEST, load_checkpoint
    config = load_checkpoint(options.folder)["config"]
    if not isinstance(config, dict) or config.get("job") not in jobs.TEXT_JOBS:
        raise ValueError(f"sample: {options.folder} holds no run on text ({', '.join(jobs.TEXT_JOBS)}), but of "
                         f"{config.get('job') if isinstance(config, dict) else config!r}")
    jobs.check_config(config)
    if config["vocabulary"] is None:
        raise ValueError(f"sample: expected {options.folder} to hold the vocabulary that its model learned, got None; train "
                         "it anew")
    best = Path(options.folder) / BEST
    if not best.is_file():
        raise FileNotFoundError(f"sample: expected weights {best}, found none; train to the end of an epoch first")
    model = jobs.text_model(config)
    model.load_state_dict(load(best))
    rng = random.Generator(options.seed)
    if options.prompt and options.prompt.strip():
        print(options.prompt, end="")
    for letter in jobs.write(config, model, options.prompt, options.length, options.temperature, options.top_k, rng):
        print(letter, end="", flush=True)
    print()
    return 0


# ---- minilayer doctor ----

def run_doctor(options, parser) -> int:
    """Print the report."""
    from minilayer.doctor import report
    print(report())
    return 0


if __name__ == "__main__":
    sys.exit(main())
