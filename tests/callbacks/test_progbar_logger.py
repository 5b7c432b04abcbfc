"""The progress bar: the chosen numbers, and no others."""

import re

from fashion_gan.callbacks import ProgbarLogger


def test_it_replaces_keras_own_and_shows_the_chosen_numbers(make_gan, tiny_images, capsys):
    bar = ProgbarLogger(["g_loss", "absent"])
    logs = make_gan().fit(tiny_images, batch_size=8, epochs=2, verbose=1, callbacks=[bar]).history
    shown = capsys.readouterr().out
    assert f"g_loss: {logs['g_loss'][-1]:.4f}" in shown
    assert "d_loss" not in shown
    assert "absent" not in shown
    assert shown.count("Epoch 2/2") == 1
    make_gan().fit(tiny_images, batch_size=8, verbose=0, callbacks=[bar])
    assert capsys.readouterr().out == ""


def test_it_never_counts_more_steps_than_an_epoch_has(make_gan, tiny_images, capsys):
    gan = make_gan()
    gan.compile(steps_per_execution=5)
    gan.fit(tiny_images, batch_size=8, verbose=1, callbacks=[ProgbarLogger()])
    steps = -(-len(tiny_images) // 8)
    assert steps % 5
    counts = re.findall(r"(\d+)/(\d+)", re.sub(r"\x1b\[\d+m", "", capsys.readouterr().out))
    assert {int(whole) for _, whole in counts if int(whole) > 1} == {steps}
    assert max(int(seen) for seen, _ in counts) == steps
