"""Which checkpoint a training goes on from: rank 0 chooses, and every other rank loads exactly that one or fails.

A rank that went on from an older checkpoint would train a different model with the gradients of the others.
"""

from __future__ import annotations

import errno

import torch

from storage.folder import Folder
from trainers.checkpoint import Checkpoint, StoredCheckpoint, find_newest, read_checkpoint
from trainers.checkpoint_json import DamageError
from trainers.rank_context import RankContext


def load_agreed_checkpoint(folder: Folder, device: torch.device, rank_context: RankContext) -> Checkpoint | None:
    """The newest intact checkpoint that rank 0 finds under `folder`, with the model on `device`; None if it finds none.

    OSError if this rank cannot read that checkpoint, ValueError if it reads another one: both name folder and epoch.
    """
    stored = find_newest(folder) if rank_context.rank == 0 else None
    epoch, digest = _broadcast(stored, device, rank_context)
    if epoch == 0:
        return None
    if rank_context.rank != 0:
        stored = _read_exactly(folder, epoch, digest, rank_context.rank)
    assert stored is not None
    return stored.load(device)


def require_same_epoch(completed: int, newest: int, device: torch.device, rank_context: RankContext) -> None:
    """ValueError in one line unless every rank has completed as many epochs, with the same number for the newest."""
    numbers = torch.tensor([completed, newest, -completed, -newest], device=device)
    most, last, fewest, first = rank_context.max(numbers).tolist()
    if (most, last) != (-fewest, -first):
        raise ValueError(
            f"the ranks disagree: rank {rank_context.rank} has completed {completed} epochs, "
            f"others between {-fewest} and {most}"
        )


def _broadcast(stored: StoredCheckpoint | None, device: torch.device, rank_context: RankContext) -> tuple[int, bytes]:
    """The epoch of rank 0's checkpoint, or 0 for none, and its digest."""
    message = torch.zeros(1 + 16, dtype=torch.int64, device=device)
    if stored is not None:
        message[0] = stored.epoch
        message[1:] = torch.tensor(list(bytes.fromhex(stored.digest)))
    epoch, *digest = rank_context.broadcast(message).tolist()
    return epoch, bytes(digest)


def _read_exactly(folder: Folder, epoch: int, digest: bytes, rank: int) -> StoredCheckpoint:
    """The checkpoint of `epoch` if it is the one that rank 0 reads."""
    where = f"the checkpoint of epoch {epoch} in {folder}"
    try:
        stored = read_checkpoint(folder, epoch)
    except OSError as error:  # also where the file is not there yet: a shared folder shows it late
        number = error.errno if error.errno not in (None, errno.ENOENT) else errno.ESTALE
        raise OSError(number, f"rank {rank} cannot read {where}, which rank 0 reads: {error}") from error
    except DamageError as error:
        raise ValueError(f"rank {rank} finds {where} damaged, which rank 0 does not: {error}") from error
    if bytes.fromhex(stored.digest) != digest:
        raise ValueError(f"rank {rank} reads another content of {where} than rank 0")
    return stored
