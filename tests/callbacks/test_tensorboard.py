"""TensorBoard's scalars: their steps, also after interruptions."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fashion_gan.callbacks import ImageGrid, TensorBoard


def steps(folder):
    accumulator = EventAccumulator(str(folder), {"tensors": 0})
    accumulator.Reload()
    return {
        tag: sorted(event.step for event in accumulator.Tensors(tag))
        for tag in accumulator.Tags()["tensors"]
    }


def train(gan, images, folder, **arguments):
    callbacks = [TensorBoard(folder), ImageGrid(folder, num_images=4)]
    gan.fit(images, callbacks=callbacks, validation_data=(images,), verbose=0, **arguments)


def test_scalars_and_images_count_finished_epochs(make_gan, tiny_images, tmp_path):
    train(make_gan(), tiny_images, tmp_path, epochs=3)
    for part in ("train", "validation"):
        assert steps(tmp_path / part)["epoch_d_loss"] == [1, 2, 3]
    assert steps(tmp_path / "images")["samples/fixed_latents"] == [0, 1, 2, 3]


def test_epochs_that_are_done_again_have_no_step_twice(make_gan, tiny_images, tmp_path):
    train(make_gan(), tiny_images, tmp_path, epochs=3)
    train(make_gan(), tiny_images, tmp_path, initial_epoch=1, epochs=4)
    assert steps(tmp_path / "train")["epoch_d_loss"] == [1, 2, 3, 4]
    assert steps(tmp_path / "images")["samples/fixed_latents"] == [0, 1, 2, 3, 4]
    train(make_gan(), tiny_images, tmp_path, epochs=2)
    assert steps(tmp_path / "train")["epoch_d_loss"] == [1, 2]
    assert steps(tmp_path / "images")["samples/fixed_latents"] == [0, 1, 2]


def test_numbers_that_count_train_steps_are_kept_up_to_the_step_of_the_resumption(
    make_gan, tiny_images, tmp_path
):
    gan, arguments = make_gan(), {"batch_size": 8}  # 4 steps an epoch
    for epochs in (2, 4):
        train(gan, tiny_images, tmp_path, initial_epoch=epochs - 2, epochs=epochs, **arguments)
    assert steps(tmp_path / "validation")["evaluation_d_loss_vs_iterations"] == [4, 8, 12, 16]
    gan._random_state.assign([0, 12])  # as a backup after the third epoch has it
    train(gan, tiny_images, tmp_path, initial_epoch=3, epochs=4, **arguments)
    assert steps(tmp_path / "validation")["evaluation_d_loss_vs_iterations"] == [4, 8, 12, 16]


def test_a_torn_event_is_dropped_and_the_ones_before_it_are_kept(make_gan, tiny_images, tmp_path):
    train(make_gan(), tiny_images, tmp_path, epochs=3)
    (file,) = (tmp_path / "train").iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    train(make_gan(), tiny_images, tmp_path, initial_epoch=2, epochs=3)
    assert steps(tmp_path / "train")["epoch_d_loss"] == [1, 2, 3]
