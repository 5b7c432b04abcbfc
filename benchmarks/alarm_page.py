"""Writes docs/alarm.md from docs/results/alarm.json and alarm-dense.json.

python benchmarks/alarm_page.py
"""

import dataclasses
import json
from pathlib import Path

from fashion_gan import metrics

DOCS = Path(__file__).parent.parent / "docs"
EPOCHS = (1, 2, 3, 4, 5, 10, 20, 30, 40, 50)
ABSENT = 0.01
LOGGED = {"oscillation": "loss_oscillation", "rise": "loss_rise"}
INTRODUCTION = """# The alarm

`callbacks.ModeCollapseMonitor` compares samples with real images after each epoch, watches the
losses, and says in words what is wrong and what helps. This page is made by
`python benchmarks/alarm_page.py`.

```python
monitor = callbacks.ModeCollapseMonitor(fashion.train_images, features.load(), data.CLASS_NAMES)
monitor = callbacks.ModeCollapseMonitor(images)  # any images, without labels
```

It warns (`warnings.warn`) when two evaluations in a row agree, once of each finding: again only if
that went away for two evaluations and came back, or with a further class. `monitor.findings` is
what was wrong at the last evaluation, `monitor.warned` all that was said. `action="stop"` also ends
training. `action="restore"` puts networks, optimisers and random state back to the end of the last
epoch without any finding, goes on with other latents, and stops after three such restorations, or
where no epoch was without a finding. Put it before `TensorBoard` and `MetricsFile` in the list of
callbacks.

What it remembers from epoch to epoch is kept in `state_file`, written atomically after each epoch,
for the last ten epochs. With it, a resumed run warns as an uninterrupted one does; without it, a
resumed run begins to watch anew. The state that `"restore"` goes back to lies beside it as `.npz`.

## What is watched

| number in the logs | meaning | a finding, if |
|---|---|---|
"""
NUMBERS = (
    (
        "`missing_classes`",
        "classes, or clusters, that have vanished: by the classifier's labels of the samples, and "
        "by the label of the real image that is nearest to each in 64 principal components of the "
        "pixels. Both have to agree: a classifier errs on unclear images, pixels do not tell a "
        "shirt from a coat",
        "vanished: a class's share of the samples is below {vanished:g} times that of the reals, "
        "and below {vanished_nearby:g} times by the nearest reals; without labels, below "
        "{u.vanished:g} times in a cluster. Classes under {sizeable:.1%} of the reals are left out",
    ),
    (
        "`largest_class_share`, `share_…`",
        "share of the samples in the most frequent class or cluster, and in each class",
        "dominant: more than {dominant:.0%} of the samples too many in a class, to both witnesses",
    ),
    (
        "`class_imbalance`",
        "share of the samples that would have to change class for the shares of the real images, "
        "beyond what chance explains",
        "unbalanced: only without labels, above {u.imbalance:g}",
    ),
    (
        "`diversity`",
        "median distance of a sample to the nearest other one, over that of as many real images, "
        "in the features: 1 is as it should be, 0 are copies",
        "repetitive: below {diversity:g}; without labels, below {u.diversity:g}",
    ),
    (
        "`rotation`",
        "share of the samples in another class than at the evaluation before (total variation "
        "between both histograms), beyond what chance explains",
        "rotating: above {rotation:g}",
    ),
    (
        "`loss_oscillation`",
        "standard deviation of a loss around its straight line over ten epochs, over its mean "
        "size, or over log 2 if that is larger; of both losses the larger one",
        "oscillating: above {oscillation:g}",
    ),
    (
        "`loss_rise`",
        "mean loss of the last three of ten epochs less that of the first three, over the latter, "
        "or over log 2 if that is larger; of both losses the larger one",
        "diverging: above {rise:g}, or a loss or a sample is not finite",
    ),
    (
        "`d_accuracy_real`, `d_accuracy_fake`, `d_logit_real`, `d_logit_fake`, `g_gradient_left`",
        "what the model logs; and the norm of the generator's gradient over its largest one in ten "
        "epochs, if the model logs `g_gradient_norm`",
        "discriminator won: right on more than {won:.0%} of both, and less than {gradient:.0%} of "
        "the gradient is left, or, if that is not known, the mean logits are more than {won_gap:g} "
        "apart. Discriminator blind: the mean of both accuracies within {blind:g} of 0.5, and the "
        "logits less than {blind_gap:g} apart",
    ),
    ("`findings`", "how many findings stand that were warned of", "—"),
)
CASES = """
The first four rows' thresholds were fitted, as told below. Those of rotation, the losses and the
discriminator were not: they were set by hand, and how often they are right was not measured; the
tests show each one fire on a made-up case and stay silent on its healthy neighbour. Losses near 0
or of both signs, as a critic's, are the reason for log 2 in the denominator.

## How often it is right

{cases} sets of {samples:,} images, each compared with {real_images:,} training images by one
evaluation. They are made from the test images: a set is **collapsed** if a class has less than 1 %
or more than 30 % of it, or if it repeats at most 50 different images under noise and shifts;
**healthy** if every class has 4 to 25 % and nothing is repeated, be it blurred, noisy or distorted.
Between lies a grey zone, left out. Snapshots of trainings are labelled by the classes that the
classifier sees in 10,000 other samples; {grey} of them were grey.

Half of each group, by chance, served to choose the thresholds: of those with at most 2 % of false
alarms the ones that detect most, and of several the median. The other half is what is reported:

| | thresholds | collapsed, detected | healthy, false alarms | on the half that was fitted |
|---|---|---|---|---|
"""


def number_table() -> str:
    limits = dataclasses.asdict(metrics.LABELLED)
    return "".join(
        f"| {name} | {meaning} | {rule.format(**limits, u=metrics.UNLABELLED)} |\n"
        for name, meaning, rule in NUMBERS
    )


def quality(results: dict) -> str:
    text = CASES.format(**results)
    for mode, title in (("labelled", "with the classifier"), ("unlabelled", "without labels")):
        half, fitted = results[mode]["reported"], results[mode]["fitted"]
        listed = ", ".join(f"`{n}` {v:g}" for n, v in results[mode]["thresholds"].items())
        text += (
            f"| **{title}** | {listed} | {half['detection']:.1%} of {half['collapsed']} | "
            f"{half['false_alarms']:.1%} of {half['healthy']} | {fitted['detection']:.1%} and "
            f"{fitted['false_alarms']:.1%} |\n"
        )
    text += "\nBoth halves, by group:\n\n| sets | | with the classifier | without labels |\n"
    text += "|---|---|---|---|\n"
    both = zip(results["labelled"]["groups"], results["unlabelled"]["groups"], strict=True)
    for one, other in both:
        ill = "collapsed" if one["collapsed"] else "healthy"
        text += (
            f"| {one['group']} | {ill} | {one['alarms']} of {one['cases']} alarm | "
            f"{other['alarms']} of {other['cases']} |\n"
        )
    for mode, title in (("labelled", "With the classifier"), ("unlabelled", "Without labels")):
        for ill, what in ((True, "missed"), (False, "false alarms")):
            wrong = [w for w in results[mode]["wrong"] if w["collapsed"] == ill]
            listed = "; ".join(f"{w['group']}: {w['name']} ({w['half']} half)" for w in wrong)
            text += f"\n{title}, {what}: {listed or 'none'}.\n"
    return text + LIMITS.format(sha=results["classifier"][:8])


LIMITS = """
What this does not show. The sets made from real images are independent draws from the same 10,000
images; the snapshots of one training resemble each other, and the healthy ones are all of one
recipe, `dense_modern`. Their labels come from the classifier (SHA-256 {sha}…) that the alarm uses
too. Without labels, clusters of pixels do not
separate pullovers, coats and shirts: the loss of one of them alone goes unseen.
The reported half is not wholly untouched: the limit of false alarms, the number of draws, and the
largest share that counts as healthy (25 %, at first 20 %) were changed after one had been seen.
`python benchmarks/alarm_quality.py RUN…` takes the run folders of other trainings in.
"""
DENSE = """
## The book's GAN

By `python benchmarks/alarm_dense.py`, seed {seed}: shares of the classes among 10,000 other
samples, and what the alarm logged, after some of the epochs. The classifier takes many speckled
samples for shirts; the nearest real images do not, so that the alarm says nothing of them.

"""


def runs(epochs: list[dict], index: int) -> list[tuple[int, int]]:
    """First and last epoch of each stretch with less than 1 % of a class."""
    found: list[tuple[int, int]] = []
    for entry in epochs:
        if entry["shares"][index] < ABSENT:
            number = entry["epoch"]
            if found and found[-1][1] == number - 1:
                found[-1] = (found[-1][0], number)
            else:
                found.append((number, number))
    return found


def dense(results: dict) -> str:
    names, epochs = results["class_names"], results["epochs"]
    text = DENSE.format(**results)
    text += f"| after epoch | {' | '.join(map(str, EPOCHS))} |\n|---|{'---|' * len(EPOCHS)}\n"
    for index, name in enumerate(names):
        shares = " | ".join(f"{100 * epochs[e - 1]['shares'][index]:.1f} %" for e in EPOCHS)
        text += f"| {name.lower()} | {shares} |\n"
    for name in ("diversity", "rotation", "oscillation", "rise"):
        values = " | ".join(f"{epochs[e - 1]['labelled'][name]:.2f}" for e in EPOCHS)
        text += f"| `{LOGGED.get(name, name)}` | {values} |\n"
    text += (
        "\n| class | epochs in which it has less than 1 % | named as vanished after epoch |\n"
        "|---|---|---|\n"
    )
    for index, name in enumerate(names):
        stretches = ", ".join(f"{a} to {b}" if a < b else str(a) for a, b in runs(epochs, index))
        named = [
            str(warning["epoch"])
            for warning in results["labelled"]
            if warning["kind"] == "vanished" and name in warning["classes"]
        ]
        if stretches or named:
            text += f"| {name.lower()} | {stretches or 'none'} | {', '.join(named) or 'never'} |\n"
    for mode, title in (("labelled", "With the classifier"), ("unlabelled", "Without labels")):
        text += f"\n{title}, it said:\n\n"
        for warning in results[mode]:
            text += f"- after {warning['epoch']} epochs: {warning['text']}\n"
    return text


def page() -> str:
    """docs/alarm.md by today's results."""
    quality_results = json.loads((DOCS / "results/alarm.json").read_text())
    dense_results = json.loads((DOCS / "results/alarm-dense.json").read_text())
    return INTRODUCTION + number_table() + quality(quality_results) + dense(dense_results)


if __name__ == "__main__":
    (DOCS / "alarm.md").write_text(page())
