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
        for part, color, order in (("train", TRAIN, 2), ("test", TEST, 3)):
            if f"{part}_loss" in history[0]:
                axes.plot(epochs, [max(value(record, part), 0) for record in history], color=color, label=part,
                          zorder=order, marker="o" if len(epochs) == 1 else None)
        if name == "loss":
            axes.set_yscale("log")
        else:                       # few are wrong soon, and none in the end, which a logarithm could not show
            axes.set_yscale("function", functions=(_root, np.square))
            axes.set_ylim(0)
            axes.set_yticks([tick for tick in (0, 0.2, 1, 2, 5, 10, 20, 50, 90) if tick <= axes.get_ylim()[1]])
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
        axes.grid(axis="y")
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.margins(x=0.02)
        axes.legend(frameon=False, loc="upper right", handlelength=1.4)


def _root(x):
    return np.sqrt(np.maximum(x, 0))


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
    """The test images taken for something else, surest first, each above the probabilities of its best answers. Where
    there are few, the right answers that were the least sure follow."""
    is_wrong, sure, room = probabilities.argmax(1) != labels, probabilities.max(1), columns * rows
    wrong, right = np.flatnonzero(is_wrong), np.flatnonzero(~is_wrong)
    mistakes = "1 mistake" if len(wrong) == 1 else f"{len(wrong) or 'No'} mistakes"
    chosen = wrong[np.argsort(-sure[wrong], kind="stable")][:room]
    title = mistakes if len(wrong) <= room else f"{room} of {mistakes}"
    if len(wrong) < room // 2:
        chosen = np.concatenate([chosen, right[np.argsort(sure[right], kind="stable")][:room - len(wrong)]])
        title = f"{mistakes}, then the least sure right answers"
    axes = _sheet(figure, title, "bars: probability of each answer; blue: the truth")
    columns = -(-len(chosen) // -(-len(chosen) // columns))         # rows of about the same length
    for place, i in enumerate(chosen):
        row, column = divmod(place, columns)
        left, top = 1.25 * column, 1.85 * row
        _tile(axes, images[i], left, top, 1)
        best = np.argsort(-probabilities[i], kind="stable")[:3]
        if labels[i] not in best:
            best[2] = labels[i]
        for c, y in zip(best, (top + 1.16, top + 1.34, top + 1.52), strict=True):
            true = c == labels[i]
            axes.barh(y, 1, left=left, height=0.14, color=PALE)
            axes.barh(y, probabilities[i, c], left=left, height=0.14, color=GOOD if true else WRONG)
            axes.text(left - 0.04, y, classes[c], ha="right", va="center", fontsize=13,
                      fontweight="bold" if true else "normal", color=GOOD if true else INK)
    axes.set_xlim(-0.16, 1.25 * columns - 0.25)
    axes.set_ylim(1.85 * -(-len(chosen) // columns) - 0.25, 0)


def draw_filters(figure, filters, images, responses, classes, count: int = 6) -> None:
    """First-layer filters (O,K,L), in the left column, and what each answers (M,O,H,W) to M images, in the top row.
    Shown are the `count` filters whose responses vary most."""
    from matplotlib.patches import Rectangle
    order = np.argsort(-responses.std(axis=(0, 2, 3)), kind="stable")[:count]
    axes = _sheet(figure, f"{len(order)} of {len(filters)} first-layer filters, and where each responds",
                  "left: weights, blue looks for ink, red for none; right: the darker, the stronger the response")
    for column, image in enumerate(images):
        _tile(axes, image, 1.2 + 1.1 * column, 0, 1)
    for row, o in enumerate(order, 1):
        bound = np.abs(filters[o]).max()
        _tile(axes, filters[o], 0, 1.1 * row, 1, cmap="RdBu", low=-bound, high=bound)
        axes.add_patch(Rectangle((0, 1.1 * row), 1, 1, fill=False, edgecolor="#9aa3b2", linewidth=1.2))
        for column in range(len(images)):
            _tile(axes, responses[column, o], 1.2 + 1.1 * column, 1.1 * row, 1, cmap="Blues", low=0,
                  high=responses[:, o].max())
    axes.set_xlim(-0.02, 1.1 * len(images) + 1.12)
    axes.set_ylim(1.1 * len(order) + 1.02, 0)


def _sheet(figure, title: str, caption: str):
    """One set of axes, without any, for pictures that are placed by hand; x to the right and y down, to one scale."""
    figure.suptitle(title, x=0.02, ha="left", fontsize=15, fontweight="bold")
    figure.supxlabel(caption, fontsize=12, x=0.02, ha="left")
    axes = figure.subplots()
    axes.set_axis_off()
    return axes


def _tile(axes, image, left: float, top: float, side: float, cmap: str = "Greys", low=None, high=None) -> None:
    axes.imshow(image, cmap=cmap, vmin=low, vmax=high, extent=(left, left + side, top + side, top),
                interpolation="nearest")


def draw_overview(figure, run: dict) -> None:
    """All four pictures on one page."""
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 1.02], hspace=0.04)
    left, right = top.subfigures(1, 2, width_ratios=[1.45, 1], wspace=0.03)
    draw_curves(left, run["history"])
    draw_confusion(right, run["labels"], run["probabilities"].argmax(1), run["classes"])
    left, right = bottom.subfigures(1, 2, width_ratios=[1, 1.25], wspace=0.04)
    draw_mistakes(left, run["images"], run["labels"], run["probabilities"], run["classes"], columns=4)
    draw_filters(right, run["filters"], run["examples"], run["responses"], run["classes"])


def draw_text_curves(figure, history: list[dict], trigram: float) -> None:
    """Loss of every epoch, beside that of a model that counts three letters."""
    epochs = [record["epoch"] for record in history]
    axes = figure.subplots()
    for part, color, order in (("train", TRAIN, 2), ("test", TEST, 3)):
        axes.plot(epochs, [record[f"{part}_loss"] for record in history], color=color, label=part, zorder=order,
                  marker="o" if len(epochs) == 1 else None)
    axes.axhline(trigram, color=WRONG, linewidth=1.6, linestyle=(0, (4, 3)), label="counted trigrams")
    axes.grid(axis="y")
    axes.set_title("Loss, nats a letter")
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.margins(x=0.02)
    axes.legend(frameon=False, loc="upper right", handlelength=1.4)


def draw_surprise(figure, letters: list[str], surprise) -> None:
    """Rows of text from what was held back, each letter the redder the less the model expected it (N,T)."""
    axes = _sheet(figure, "What surprises the model",
                  "text it never saw; white: expected, red: it gave the letter a chance of 1 in 50 or less")
    rows, columns = surprise.shape
    shade = np.clip(surprise / np.log(50), 0, 1)[..., None]
    red = np.array([int(WRONG[i:i + 2], 16) for i in (1, 3, 5)]) / 255
    axes.imshow(1 - shade * (1 - red) * 0.85, extent=(0, columns, rows, 0), aspect=1.7, interpolation="nearest")
    shown = {"\n": "\u21b5", "\t": "\u2192", "$": "\\$"}
    for row, line in enumerate(letters):
        for column, letter in enumerate(line):
            axes.text(column + 0.5, row + 0.55, shown.get(letter, letter), ha="center", va="center", fontsize=8.5,
                      family="monospace")


TEXT_PICTURES: dict = {
    "curves.png": ((8, 4.6), lambda figure, run: draw_text_curves(figure, run["history"], run["trigram"])),
    "surprise.png": ((11, 5.6), lambda figure, run: draw_surprise(figure, run["letters"], run["surprise"]))}

PICTURES: dict = {      # file name: (inches, what draws it from the dict that `write_pictures` is given)
    "curves.png": ((11, 4.6), lambda figure, run: draw_curves(figure, run["history"])),
    "confusion.png": ((7.2, 7.2), lambda figure, run: draw_confusion(
        figure, run["labels"], run["probabilities"].argmax(1), run["classes"])),
    "mistakes.png": ((10, 5.6), lambda figure, run: draw_mistakes(
        figure, run["images"], run["labels"], run["probabilities"], run["classes"])),
    "filters.png": ((11, 7.4), lambda figure, run: draw_filters(
        figure, run["filters"], run["examples"], run["responses"], run["classes"])),
    "overview.png": ((14, 10.8), draw_overview)}


def write_pictures(folder, run: dict, pictures: dict | None = None) -> list[Path]:
    """Draw all pictures of a run into a folder (`pictures`: PICTURES, or TEXT_PICTURES); returns their paths.

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
        for name, (inches, draw) in (PICTURES if pictures is None else pictures).items():
            figure = Figure(figsize=inches, layout="constrained")
            draw(figure, run)
            paths.append(Path(folder) / name)
            figure.savefig(paths[-1], bbox_inches="tight", pad_inches=0.25)
    return paths
