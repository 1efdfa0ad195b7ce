"""The training loop: steps, validation, checkpoints and the log. Needs torch.

A checkpoint is one file without pickles that holds all a run needs to go on as if it had never stopped.
Randomness is no state: every draw comes from a generator seeded by (seed, purpose, epoch or step), so the
step number is all that a resumed run needs to draw the same numbers, whatever the number of processes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyhere._io import write_atomically
from whyhere.errors import MissingFileError, UsageError
from whyhere.geo import great_circle_km
from whyhere.training import _distributed as parallel
from whyhere.training._config import TrainConfig
from whyhere.training._data import (
    BATCH_NOISE,
    QUEUE_NOISE,
    Examples,
    Negatives,
    epoch_order,
    generator,
    jitter,
    same_place,
    split,
    thinned,
)
from whyhere.training._module import (
    DIVERGENCES,
    Encoder,
    LocationNet,
    Trainee,
    contrastive_loss,
    median_distance,
    start_trainee,
)

Doubles = NDArray[np.float64]

_MOST_PHOTOS, _MOST_PLACES = 2048, 4096  # that validation looks at


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
    kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
    learned = [parameter for parameter in trainee.parameters() if parameter.requires_grad]
    optimiser: torch.optim.Optimizer = kind(
        learned, lr=config.learning_rate, weight_decay=config.weight_decay
    )
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

    def judge() -> dict[str, float]:
        """Measure the weights on the held-out photos and keep them where they are the best so far."""
        figures = _figures(trainee, examples, training, held_out, config)
        if log is not None and figures:
            log.write("validation", step=state.step, epoch=state.epoch, **figures)
        if not figures or figures["loss"] < state.best_loss:
            state.best_loss, state.best_step, state.bad_epochs = figures.get("loss", 0.0), state.step, 0
            best.clear()
            best.update(_weights(trainee))
        else:
            state.bad_epochs += 1
        return figures

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
            state.at_start = judge()
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
            judge()
            stopped = config.patience > 0 and state.bad_epochs >= config.patience
            state.finished = state.step >= total or stopped
            save()
    trainee.load_state_dict(best)
    at_best = _figures(trainee, examples, training, held_out, config)
    return Fitted(trainee, state, training, held_out, at_best)


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
    learned = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    parallel.sum_gradients(learned)
    if config.clip_norm > 0:
        torch.nn.utils.clip_grad_norm_(learned, config.clip_norm)
    optimiser.step()
    values = {"loss": float(loss.detach())} | {name: float(value.detach()) for name, value in terms.items()}
    if not np.isfinite(values["loss"]):
        raise UsageError(f"the loss is {values['loss']} at step {step + 1}; lower learning_rate in --config")
    return values


def _weights(trainee: Trainee) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in trainee.state_dict().items()}


def _figures(
    trainee: Trainee,
    examples: Examples,
    training: NDArray[np.int64],
    held_out: NDArray[np.int64],
    config: TrainConfig,
) -> dict[str, float]:
    """Rank, for every held-out photo, the places of held-out and of training photos.

    Returns:
        Loss, median error and shares near the best-scored place; nothing where no photo is held out.
    """
    rows = thinned(held_out, _MOST_PHOTOS)
    if not len(rows):
        return {}
    around = np.concatenate((rows, thinned(training, _MOST_PLACES)))
    lat, lon = examples.lat[around], examples.lon[around]
    own_lat, own_lon = lat[: len(rows)], lon[: len(rows)]
    left_out = torch.from_numpy(same_place(own_lat, own_lon, lat, lon, km=config.same_place_km))
    with torch.no_grad():
        module = trainee.alignment
        images = module.encode_images(torch.from_numpy(examples.take(rows)).to(module.delta.device))
        places = module.encode_places(trainee.embed(lat, lon))
        terms = [term for term in module.logits(images, places) if term is not None]
        logits: Tensor = torch.stack(terms).sum(dim=0).cpu()
        loss = float(contrastive_loss(logits, left_out=left_out))
    best = logits.argmax(dim=1).numpy()
    error_km = great_circle_km(own_lat, own_lon, lat[best], lon[best])
    return {
        "loss": loss,
        "median_km": float(np.median(error_km)),
        "within_750_km": float(np.mean(error_km <= 750)),
        "within_2500_km": float(np.mean(error_km <= 2500)),
    }


@dataclass(slots=True)
class RunState:
    """Where a run stands, apart from weights and optimiser.

    Attributes:
        step: Steps done.
        epoch: Epochs done.
        step_in_epoch: Steps done of the running epoch.
        best_loss: Best validation loss so far; infinity before the first.
        best_step: Step at which it was reached.
        bad_epochs: Epochs since then.
        finished: Whether the run has ended, by its last epoch or by early stopping.
        at_start: Validation figures before the first step; empty without validation photos.
    """

    step: int = 0
    epoch: int = 0
    step_in_epoch: int = 0
    best_loss: float = float("inf")
    best_step: int = 0
    bad_epochs: int = 0
    finished: bool = False
    at_start: dict[str, float] = field(default_factory=dict)


def save_checkpoint(
    path: Path,
    *,
    state: RunState,
    module: nn.Module,
    best: Mapping[str, Tensor],
    optimiser: torch.optim.Optimizer,
    queue: Tensor,
    identity: Mapping[str, Any],
) -> None:
    """Write a checkpoint; a kill leaves the one before.

    `queue` are the coordinates of the negatives, shape (q, 2); `identity` is what must be the same when the
    run goes on: configuration, data.
    """
    from safetensors.torch import save

    tensors = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for number, values in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": torch.as_tensor(value) for name, value in values.items()}
    tensors["queue"] = queue
    # Copies: safetensors refuses tensors that share memory, as best and module do right after an epoch.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    words = json.dumps({"state": asdict(state), "identity": dict(identity)})
    write_atomically(path, save(tensors, metadata={"whyhere": words}))


def load_checkpoint(
    path: Path, *, module: nn.Module, optimiser: torch.optim.Optimizer, identity: Mapping[str, Any]
) -> tuple[RunState, dict[str, Tensor], Tensor]:
    """Read a checkpoint into a module and its optimiser; return run state, best weights and queue.

    Raises:
        MissingFileError: The file is damaged, or belongs to another run; the message says what differs.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            words = json.loads(file.metadata()["whyhere"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise MissingFileError(
            f"{path}: not a checkpoint of whyhere ({error}); start again without --resume"
        ) from error
    saved = words["identity"]
    odd = sorted(key for key in saved.keys() | identity.keys() if saved.get(key) != identity.get(key))
    if odd:
        changes = ", ".join(f"{key} was {saved.get(key)!r} and is {identity.get(key)!r}" for key in odd)
        raise MissingFileError(f"{path} belongs to another run: {changes}; give the same data and --config")
    module.load_state_dict(_part(tensors, "module."))
    weights = optimiser.state_dict()
    weights["state"] = {}
    for name, tensor in _part(tensors, "optimiser.").items():
        number, _, key = name.partition(".")
        weights["state"].setdefault(int(number), {})[key] = tensor
    optimiser.load_state_dict(weights)
    return RunState(**words["state"]), _part(tensors, "best."), tensors["queue"]


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


class TrainingLog:
    """Appends records to `log.jsonl`, and to TensorBoard files where the package is installed and wanted.

    Args:
        folder: Where the files lie.
        step: The step from which the run goes on; later records, of steps that a kill has undone, are
            dropped. 0 starts a new log.
        tensorboard: Whether TensorBoard files are wanted.
    """

    def __init__(self, folder: Path, *, step: int = 0, tensorboard: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path, kept = folder / "log.jsonl", []
        if step and path.is_file():
            whole = path.read_text(encoding="utf-8").split("\n")[:-1]
            kept = [line for line in whole if line.endswith("}") and json.loads(line)["step"] <= step]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")
        self._writer: Any = None
        if tensorboard:
            with suppress(ImportError):
                from torch.utils.tensorboard import SummaryWriter

                purge = step + 1 if step else None
                self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=purge)

    def write(self, kind: str, *, step: int, **values: float) -> None:
        """Append a record, of kind "train" for a step or "validation" for the end of an epoch."""
        self._file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        self._file.flush()
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._writer is not None:
            self._writer.close()
