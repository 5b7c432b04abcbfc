"""The progress bar: the chosen numbers, and no others."""

from fashion_gan.callbacks import Progress


def test_it_replaces_keras_own_and_shows_the_chosen_numbers(make_gan, tiny_images, capsys):
    bar = Progress(["g_loss", "absent"])
    logs = make_gan().fit(tiny_images, batch_size=8, epochs=2, verbose=1, callbacks=[bar]).history
    shown = capsys.readouterr().out
    assert f"g_loss: {logs['g_loss'][-1]:.4f}" in shown
    assert "d_loss" not in shown
    assert "absent" not in shown
    assert shown.count("Epoch 2/2") == 1
    make_gan().fit(tiny_images, batch_size=8, verbose=0, callbacks=[bar])
    assert capsys.readouterr().out == ""
