"""Puts a run of the dense preset into README: its pictures, and the numbers of its metrics file.

python -m fashion_gan train --preset dense --epochs 50 --run logs/dense
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


def readme() -> str:
    """README with the table of today's metrics file."""
    before, rest = README.read_text().split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END, 1)[1]


def main(run: str) -> None:
    """Copy pictures and metrics from a run, and rewrite README."""
    samples = Path(run) / "samples"
    shutil.copy(samples / "real.png", DOCS / "images/real.png")
    shutil.copy(samples / "epoch_0050.png", DOCS / "images/dense.png")
    shutil.copy(Path(run) / "metrics.jsonl", METRICS)
    README.write_text(readme())


if __name__ == "__main__":
    main(sys.argv[1])
