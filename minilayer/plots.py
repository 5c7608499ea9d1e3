"""Pictures of a training run: learning curves, confusion matrix, the mistakes, first-layer filters at work.

Every `draw_*` takes a matplotlib Figure (or SubFigure) and plain arrays, so that each picture stands alone and all of
them fit together on one page. matplotlib is imported when the first picture is drawn: it is the extra `plot`, and
takes longer to import than all of minilayer.
"""
from pathlib import Path
from typing import Any

import numpy as np

TRAIN, TEST, GOOD, INK, PALE = "#8a94a6", "#1f5fa8", "#1f5fa8", "#222b38", "#e6eaf0"
WRONG = "#d1495b"
STYLE: Any = {"font.family": "sans-serif", "font.size": 13, "axes.titlesize": 15, "axes.titleweight": "bold",
         "axes.titlelocation": "left", "axes.titlepad": 12, "axes.labelsize": 13, "axes.labelcolor": INK,
         "axes.edgecolor": "#9aa3b2", "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
         "text.color": INK, "xtick.color": INK, "ytick.color": INK, "xtick.labelsize": 12, "ytick.labelsize": 12,
         "axes.grid": False, "grid.color": PALE, "lines.linewidth": 2.4, "lines.solid_capstyle": "round",
         "figure.facecolor": "white", "savefig.facecolor": "white", "savefig.dpi": 150}


def draw_curves(figure, history: list[dict]) -> None:
    """Loss and error (share of wrong answers) of every epoch, on the data learned from and on the test data."""
    epochs = [record["epoch"] for record in history]
    panels = (("loss", "Loss", lambda record, part: record[f"{part}_loss"]),
              ("error", "Wrong answers, %", lambda record, part: 100 * (1 - record[f"{part}_accuracy"])))
    for axes, (name, title, value) in zip(figure.subplots(1, 2), panels, strict=True):
        floor = 1e-4 if name == "loss" else 0.05           # a log axis has no zero
        for part, color, label in (("train", TRAIN, "train"), ("test", TEST, "test")):
            if f"{part}_loss" in history[0]:
                values = [max(value(record, part), floor) for record in history]
                axes.plot(epochs, values, color=color, label=label, zorder=3 if part == "test" else 2,
                          marker="o" if len(epochs) == 1 else None)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
        axes.grid(axis="y")
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.margins(x=0.02)
        axes.legend(frameon=False, loc="upper right", handlelength=1.4)


def draw_confusion(figure, labels, predicted, classes) -> None:
    """How often each true class (row) was taken for each class (column)."""
    n = len(classes)
    counts = np.zeros((n, n), int)
    np.add.at(counts, (labels, predicted), 1)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes = figure.subplots()
    axes.imshow(_shades(share, np.eye(n, dtype=bool)), aspect="equal")
    for row in range(n):
        for column in range(n):
            if counts[row, column]:
                dark = share[row, column] > 0.45
                axes.text(column, row, counts[row, column], ha="center", va="center", color="white" if dark else INK,
                          fontsize=13 if n <= 10 else 8, fontweight="normal" if row == column else "bold")
    axes.set_xticks(range(n), classes, rotation=0 if max(map(len, classes)) < 3 else 90)
    axes.set_yticks(range(n), classes)
    axes.set_xticks(np.arange(n - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(n - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    right = int((labels == predicted).sum())
    axes.set_title(f"{right} of {len(labels)} test images right")


def _shades(share, diagonal):
    """Blue for right answers, red for wrong ones, on white; (n, n, 3) of colours."""
    def mix(color, weight):
        rgb = np.array([int(color[i:i + 2], 16) for i in (1, 3, 5)]) / 255
        return 1 - weight[..., None] * (1 - rgb)
    wrong = np.where(share > 0, 0.25 + 0.75 * np.sqrt(share), 0)      # a single mistake is seen, too
    return np.where(diagonal[..., None], mix(GOOD, 0.06 + 0.9 * share), np.where((share > 0)[..., None],
                    mix(WRONG, wrong), mix("#e6eaf0", np.full_like(share, 0.45))))


def draw_mistakes(figure, images, labels, probabilities, classes, columns: int = 6, rows: int = 2) -> None:
    """The test images taken for something else, surest first, each above the probabilities of its best answers. With
    no mistake at all: the right answers that were the least sure."""
    predicted = probabilities.argmax(1)
    wrong = np.flatnonzero(predicted != labels)
    sure = probabilities.max(1)
    title = f"The {len(wrong)} mistakes" if len(wrong) != 1 else "The one mistake"
    if len(wrong) > columns * rows:
        title = f"{columns * rows} of {len(wrong)} mistakes"
    chosen = wrong[np.argsort(-sure[wrong], kind="stable")][:columns * rows]
    if len(wrong) == 0:
        title, chosen = "No mistakes; these were the least sure", np.argsort(sure, kind="stable")[:columns * rows]
    figure.suptitle(title, x=0.02, ha="left", fontsize=15, fontweight="bold")
    rows = -(-len(chosen) // columns)
    columns = -(-len(chosen) // rows)           # rows of about the same length
    grid = figure.subplots(2 * rows, columns, squeeze=False, gridspec_kw={"height_ratios": [2.6, 1] * rows})
    for axes in grid.flat:
        axes.set_axis_off()
    for place, i in enumerate(chosen):
        row, column = divmod(place, columns)
        _image(grid[2 * row, column], images[i])
        best = np.argsort(-probabilities[i], kind="stable")[:3]
        if labels[i] not in best:
            best[2] = labels[i]
        axes = grid[2 * row + 1, column]
        axes.barh(range(3), np.ones(3), color=PALE, height=0.78)
        colors = [GOOD if c == labels[i] else WRONG for c in best]
        axes.barh(range(3), probabilities[i][best], color=colors, height=0.78)
        for y, c in enumerate(best):
            axes.text(-0.05, y, classes[c], ha="right", va="center", fontsize=13,
                      fontweight="bold" if c == labels[i] else "normal", color=GOOD if c == labels[i] else INK)
        axes.set_xlim(-0.02, 1)
        axes.invert_yaxis()
    figure.supxlabel("bars: probability of each answer; blue: the truth", fontsize=12, x=0.02, ha="left")


def draw_filters(figure, filters, images, responses, classes, count: int = 6) -> None:
    """First-layer filters (O,K,L), in the left column, and what each answers (M,O,H,W) to M images, in the top row.
    Shown are the `count` filters whose responses vary most."""
    order = np.argsort(-responses.std(axis=(0, 2, 3)), kind="stable")[:count]
    figure.suptitle(f"{len(order)} of {len(filters)} first-layer filters, and where each responds", x=0.02, ha="left",
                    fontsize=15, fontweight="bold")
    grid = figure.subplots(len(order) + 1, len(images) + 1, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for column, image in enumerate(images, 1):
        _image(grid[0, column], image)
    for row, o in enumerate(order, 1):
        bound = np.abs(filters[o]).max()
        _image(grid[row, 0], filters[o], cmap="RdBu", low=-bound, high=bound)
        grid[row, 0].add_patch(_frame(grid[row, 0]))
        for column in range(len(images)):
            _image(grid[row, column + 1], responses[column, o], cmap="Blues", low=0, high=responses[:, o].max())
    figure.supxlabel("left: weights, blue looks for ink, red for none; right: the darker, the stronger the response",
                     fontsize=12, x=0.02, ha="left")


def _image(axes, image, cmap: str = "Greys", low=None, high=None) -> None:
    axes.imshow(image, cmap=cmap, vmin=low, vmax=high, interpolation="nearest")


def _frame(axes):
    from matplotlib.patches import Rectangle
    return Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, edgecolor="#9aa3b2", linewidth=1.2)


def draw_overview(figure, run: dict) -> None:
    """All four pictures on one page."""
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 1.02], hspace=0.04)
    left, right = top.subfigures(1, 2, width_ratios=[1.45, 1], wspace=0.03)
    draw_curves(left, run["history"])
    draw_confusion(right, run["labels"], run["probabilities"].argmax(1), run["classes"])
    left, right = bottom.subfigures(1, 2, width_ratios=[1, 1.25], wspace=0.04)
    draw_mistakes(left, run["images"], run["labels"], run["probabilities"], run["classes"], columns=4)
    draw_filters(right, run["filters"], run["examples"], run["responses"], run["classes"])


PICTURES: dict = {      # file name: (inches, what draws it from the dict that `write_pictures` is given)
    "curves.png": ((11, 4.6), lambda figure, run: draw_curves(figure, run["history"])),
    "confusion.png": ((7.2, 7.2), lambda figure, run: draw_confusion(
        figure, run["labels"], run["probabilities"].argmax(1), run["classes"])),
    "mistakes.png": ((11, 6.2), lambda figure, run: draw_mistakes(
        figure, run["images"], run["labels"], run["probabilities"], run["classes"])),
    "filters.png": ((11, 7.4), lambda figure, run: draw_filters(
        figure, run["filters"], run["examples"], run["responses"], run["classes"])),
    "overview.png": ((14, 10.8), draw_overview)}


def write_pictures(folder, run: dict) -> list[Path]:
    """Draw all pictures of a run into a folder; returns their paths.

    `run` holds history (the Trainer's records), images (N,H,W), labels (N,), probabilities (N,classes), classes
    (names), filters (O,K,L), examples (M,H,W) and responses (M,O,H,W). Raises ImportError where matplotlib is missing.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure  # without pyplot: no window system, and a faster import
    except ImportError as error:
        raise ImportError(f"pictures need matplotlib ({error}); pip install 'minilayer[plot]'") from None
    paths = []
    with matplotlib.rc_context(STYLE):
        for name, (inches, draw) in PICTURES.items():
            figure = Figure(figsize=inches, layout="constrained")
            draw(figure, run)
            paths.append(Path(folder) / name)
            figure.savefig(paths[-1], bbox_inches="tight", pad_inches=0.25)
    return paths
