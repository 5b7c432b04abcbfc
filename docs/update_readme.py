"""Puts a run of the dense preset into README: its pictures, its logged numbers and its scores.

python -m fashion_gan train --preset dense --epochs 50 --run logs/dense
python -m fashion_gan evaluate logs/dense --yardsticks --json > docs/results/dense-scores.json
python docs/update_readme.py logs/dense
"""

import json
import shutil
import sys
from pathlib import Path

DOCS = Path(__file__).parent
README = DOCS.parent / "README.md"
METRICS = DOCS / "results/dense.jsonl"
EPOCHS = (1, 5, 10, 20, 30, 40, 50)
NUMBERS = (
    "d_loss",
    "g_loss",
    "d_accuracy_real",
    "d_accuracy_fake",
    "d_logit_real",
    "d_logit_fake",
)
BEGIN, END = "<!-- from docs/results/dense.jsonl -->\n", "<!-- end -->"
SCORES = DOCS / "results/dense-scores.json"
SCORES_BEGIN = "<!-- from docs/results/dense-scores.json -->\n"
MEASURES = ("frechet_distance", "pixel_frechet_distance", "precision", "recall", "coverage")


def table() -> str:
    """The logged numbers after some of the epochs, as Markdown."""
    epochs = [json.loads(line) for line in METRICS.read_text().splitlines()]
    head = f"| after epoch | {' | '.join(str(epoch) for epoch in EPOCHS)} |\n"
    rule = f"|---|{'---|' * len(EPOCHS)}\n"
    rows = [
        f"| `{name}` | {' | '.join(f'{epochs[epoch - 1][name]:.2f}' for epoch in EPOCHS)} |\n"
        for name in NUMBERS
    ]
    return head + rule + "".join(rows)


def score_table() -> str:
    """The scores of the run and of the yardsticks, and the shares of its classes, as Markdown."""
    scores = json.loads(SCORES.read_text())["scores"]
    run = next(iter(scores))
    lines = [
        f"| 10,000 images | {' | '.join(f'`{name}`' for name in MEASURES)} | classes under 1 % |",
        f"|---|{'---|' * len(MEASURES)}---|",
    ]
    for name, values in scores.items():
        title = "**the book's GAN**" if name == run else name
        numbers = " | ".join(f"{values[measure]:.2f}" for measure in MEASURES)
        missing = values["missing_classes"]
        named = ", ".join(missing).lower() if len(missing) < 6 else f"{len(missing)} of them"
        lines.append(f"| {title} | {numbers} | {named or 'none'} |")
    shares = sorted(scores[run]["class_shares"].items(), key=lambda item: -item[1])
    listed = ", ".join(f"{name.lower()} {100 * share:.1f} %" for name, share in shares)
    return (
        "\n".join(lines) + f"\n\nShares of the classes, of which each should be 10 %: {listed}.\n"
    )


def readme() -> str:
    """README with the tables of today's results."""
    text = README.read_text()
    for begin, content in ((BEGIN, table()), (SCORES_BEGIN, score_table())):
        before, rest = text.split(begin)
        text = before + begin + content + END + rest.split(END, 1)[1]
    return text


def main(run: str) -> None:
    """Copy pictures and metrics from a run, and rewrite README."""
    samples = Path(run) / "samples"
    shutil.copy(samples / "real.png", DOCS / "images/real.png")
    shutil.copy(samples / "epoch_0050.png", DOCS / "images/dense.png")
    shutil.copy(Path(run) / "metrics.jsonl", METRICS)
    README.write_text(readme())


if __name__ == "__main__":
    main(sys.argv[1])
