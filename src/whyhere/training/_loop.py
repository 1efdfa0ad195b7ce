"""The training loop. Torch is needed from here on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyhere.errors import UsageError
from whyhere.training import _distributed as parallel
from whyhere.training._batches import (
    BATCH_NOISE,
    QUEUE_NOISE,
    Examples,
    Negatives,
    epoch_order,
    generator,
    same_place,
    split,
)
from whyhere.training._checkpoint import RunState, load_checkpoint, save_checkpoint
from whyhere.training._config import TrainConfig
from whyhere.training._location_net import LocationNet
from whyhere.training._log import TrainingLog
from whyhere.training._noise import jitter
from whyhere.training._objectives import DIVERGENCES, contrastive_loss, median_distance
from whyhere.training._trainee import Encoder, Trainee, optimiser_of, start_trainee
from whyhere.training._validation import Validation

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fitted:
    """The end of a run.

    Attributes:
        trainee: The weights of the best validation loss.
        state: Where the run ended.
        training: Rows that were trained on.
        validation: Rows that were held out.
        at_best: Validation figures of the weights returned.
    """

    trainee: Trainee
    state: RunState
    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    at_best: dict[str, float]


def fit(
    examples: Examples,
    directions: NDArray[np.float32],
    encoder: Encoder | LocationNet,
    config: TrainConfig,
    *,
    folder: Path,
    gallery: Doubles | None = None,
    resume: bool = False,
    identity: dict[str, Any] | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
    tensorboard: bool = True,
) -> Fitted:
    """Train the module.

    Args:
        examples: The photos.
        directions: E, unit directions as columns, float32, shape (d, k).
        encoder: Frozen location encoder, or a `LocationNet` that is trained as well.
        config: Choices of the run.
        folder: Where checkpoint and log are written.
        gallery: Places that negatives are drawn from, latitude and longitude in degrees, shape (m, 2);
            without one they come from the training photos.
        resume: Go on from the checkpoint in `folder` if there is one.
        identity: What must be the same when the run is resumed, beside the configuration.
        device: Torch device.
        progress: Called with steps done and steps in all.
        tensorboard: Write TensorBoard files where it is installed.

    Returns:
        The best weights.

    Raises:
        UsageError: Sizes do not fit.
        MissingFileError: The checkpoint belongs to another run.
    """
    _check(examples, directions, config)
    training, held_out = split(
        examples.lat,
        examples.lon,
        share=config.validation_share,
        blocks=config.validation_split == "blocks",
        seed=config.seed,
    )
    trainee = start_trainee(examples, training, directions, encoder, config).to(device)
    optimiser = optimiser_of(trainee, config)
    places = np.stack((examples.lat, examples.lon), axis=1)
    negatives = Negatives(
        size=config.queue_size,
        places=places[training] if gallery is None else gallery,
        from_places=config.negatives == "gallery",
        seed=config.seed,
    )
    state, best = RunState(), _weights(trainee)
    who = {**(identity or {}), "photos": len(examples), "concepts": directions.shape[1]}
    who |= {f"config.{key}": value for key, value in config.to_dict().items()}
    checkpoint = folder / "checkpoint.safetensors"
    if resume and checkpoint.is_file():
        state, best, ring = load_checkpoint(checkpoint, module=trainee, optimiser=optimiser, identity=who)
        negatives.ring = ring.numpy()
    first = parallel.rank() == 0
    validation = Validation(examples, training, held_out, config)

    def save() -> None:
        if first:
            save_checkpoint(
                checkpoint,
                state=state,
                module=trainee,
                best=best,
                optimiser=optimiser,
                queue=torch.from_numpy(negatives.ring),
                identity=who,
            )

    batch = min(config.batch_size, len(training)) // parallel.world_size() * parallel.world_size()
    if batch == 0:
        raise UsageError(f"{len(training)} training photos are too few for {parallel.world_size()} processes")
    steps_in_epoch = len(training) // batch
    total = min(config.epochs * steps_in_epoch, config.max_steps or config.epochs * steps_in_epoch)
    with ExitStack() as stack:
        log = TrainingLog(folder, step=state.step, tensorboard=tensorboard) if first else None
        if log is not None:
            stack.callback(log.close)
        if state.step == 0:
            state.at_start = _judge(trainee, validation, state, best, log)
        while not state.finished:
            order = training[epoch_order(len(training), seed=config.seed, epoch=state.epoch)]
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * config.lr_decay**state.epoch
            while state.step_in_epoch < steps_in_epoch and state.step < total:
                rows = order[state.step_in_epoch * batch :][:batch]
                values = _step(trainee, optimiser, examples, rows, negatives, config, step=state.step)
                state.step += 1
                state.step_in_epoch += 1
                negatives.push(places[rows], step=state.step)
                if log is not None:
                    log.write("train", step=state.step, epoch=state.epoch, **values)
                if progress is not None and first:
                    progress(state.step, total)
                ends_epoch = state.step_in_epoch == steps_in_epoch or state.step == total
                if state.step % config.checkpoint_steps == 0 and not ends_epoch:
                    save()  # an epoch's end is saved once it has been judged
            state.epoch, state.step_in_epoch = state.epoch + 1, 0
            _judge(trainee, validation, state, best, log)
            stopped = config.patience > 0 and state.bad_epochs >= config.patience
            state.finished = state.step >= total or stopped
            save()
    trainee.load_state_dict(best)
    return Fitted(trainee, state, training, held_out, validation.figures(trainee))


def _check(examples: Examples, directions: NDArray[np.float32], config: TrainConfig) -> None:
    if directions.ndim != 2 or directions.shape[0] > examples.features.shape[1]:
        raise UsageError(
            f"the concept directions have {directions.shape[0]} dimensions and the image features "
            f"{examples.features.shape[1]}: they belong to different image towers; set start_release or "
            "directions in --config to match"
        )
    for name in ("batch_size", "queue_size"):
        if getattr(config, name) % parallel.world_size():
            raise UsageError(
                f"{name} {getattr(config, name)} must divide by the number of processes, "
                f"{parallel.world_size()}"
            )


def _step(
    trainee: Trainee,
    optimiser: torch.optim.Optimizer,
    examples: Examples,
    rows: NDArray[np.int64],
    negatives: Negatives,
    config: TrainConfig,
    *,
    step: int,
) -> dict[str, float]:
    """Do one step on a global batch and return its losses."""
    lat, lon = examples.lat[rows], examples.lon[rows]
    noisy = jitter(lat, lon, sigma_m=config.batch_noise_m, rng=generator(config.seed, BATCH_NOISE, step))
    ring = negatives.ring.T
    queue = jitter(*ring, sigma_m=config.queue_noise_m, rng=generator(config.seed, QUEUE_NOISE, step))
    mine, mine_queued = parallel.share_of(len(rows)), parallel.share_of(len(ring[0]))
    module = trainee.alignment
    device = module.delta.device
    features = torch.from_numpy(examples.take(rows[mine])).to(device)
    images = [parallel.gather(z) for z in module.encode_images(features)]
    own = [parallel.gather(z) for z in module.encode_places(trainee.embed(noisy[0][mine], noisy[1][mine]))]
    places = own
    if len(ring[0]):
        embedded = trainee.embed(queue[0][mine_queued], queue[1][mine_queued])
        queued = [parallel.gather(z) for z in module.encode_places(embedded)]
        places = [torch.cat(pair) for pair in zip(own, queued, strict=True)]
    near = same_place(
        lat, lon, np.concatenate((lat, ring[0])), np.concatenate((lon, ring[1])), km=config.same_place_km
    )
    left_out = torch.from_numpy(near).to(device)
    terms: dict[str, Tensor] = {}
    for name, logits in zip(
        ("concept", "feature"), module.logits((images[0], images[1]), (places[0], places[1])), strict=True
    ):
        if logits is not None:
            terms[f"contrast_{name}"] = contrastive_loss(
                logits, left_out=left_out, symmetric=config.symmetric
            )
    if config.divergence != "none" and config.divergence_weight > 0:
        x, y = images[0], own[0]
        sigma = x.new_tensor(config.sigma) if config.sigma > 0 else median_distance(x, y)
        terms["divergence"] = config.divergence_weight * DIVERGENCES[config.divergence](x, y, sigma=sigma)
    if config.drift_weight > 0:
        terms["drift"] = config.drift_weight * module.drift_penalty()
    loss = torch.stack(list(terms.values())).sum()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = [parameter for parameter in trainee.parameters() if parameter.requires_grad]
    parallel.sum_gradients(parameters)
    if config.clip_norm > 0:
        torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)
    optimiser.step()
    values = {"loss": float(loss.detach())} | {name: float(value.detach()) for name, value in terms.items()}
    if not np.isfinite(values["loss"]):
        raise UsageError(f"the loss is {values['loss']} at step {step + 1}; lower learning_rate in --config")
    return values


def _judge(
    trainee: Trainee,
    validation: Validation,
    state: RunState,
    best: dict[str, Tensor],
    log: TrainingLog | None,
) -> dict[str, float]:
    """Measure the weights on the validation photos and keep them where they are the best so far."""
    figures = validation.figures(trainee)
    if log is not None and figures:
        log.write("validation", step=state.step, epoch=state.epoch, **figures)
    if not figures or figures["loss"] < state.best_loss:
        state.best_loss, state.best_step, state.bad_epochs = figures.get("loss", 0.0), state.step, 0
        best.clear()
        best.update(_weights(trainee))
    else:
        state.bad_epochs += 1
    return figures


def _weights(trainee: Trainee) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in trainee.state_dict().items()}
