"""Tests ProgbarLogger: the chosen numbers, and no others."""

import re

from fashion_gan.callbacks import ProgbarLogger


def test_progbar_logger_replaces_keras_progbar_and_shows_the_chosen_metrics(
    make_gan, tiny_images, capsys
):
    bar, gan = ProgbarLogger(["g_loss", "absent"]), make_gan()
    logs = gan.fit(tiny_images, batch_size=8, epochs=2, verbose=1, callbacks=[bar]).history
    shown = capsys.readouterr().out
    assert f"g_loss: {logs['g_loss'][-1]:.4f}" in shown
    assert "d_loss" not in shown
    assert "absent" not in shown
    assert shown.count("Epoch 2/2") == 1
    gan.fit(tiny_images, batch_size=8, verbose=0, callbacks=[bar])
    assert capsys.readouterr().out == ""


def test_progbar_logger_counts_at_most_the_steps_of_an_epoch(make_gan, tiny_images, capsys):
    gan = make_gan(steps_per_execution=5)
    gan.fit(tiny_images, batch_size=8, verbose=1, callbacks=[ProgbarLogger()])
    steps = -(-len(tiny_images) // 8)
    assert steps % 5
    counts = re.findall(r"(\d+)/(\d+)", re.sub(r"\x1b\[\d+m", "", capsys.readouterr().out))
    assert {int(whole) for _, whole in counts if int(whole) > 1} == {steps}
    assert max(int(seen) for seen, _ in counts) == steps
