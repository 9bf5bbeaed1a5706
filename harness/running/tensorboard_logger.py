"""Runs as TensorBoard event files, a folder a run: `tensorboard --logdir logs`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from harness.registry.cells import Run, display_spec
from harness.store.record import Record

from .loggers import RunLogger, curve_of, facts_of, results_of


class TensorBoard(RunLogger):
    """Loss and accuracy while a run goes on; its curve, results and specs when it has ended.

    Args:
        folder: of the event files; made when it is not there.
    """

    def __init__(self, folder: str):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._writers: dict[str, Any] = {}

    def on_progress(self, run: Run, step: int, steps: int, loss: float, accuracy: float | None) -> None:
        cell = run.cell
        writer = self._writer(run.key, cell.task, cell.architecture, cell.scan, run.seed)
        writer.add_scalar("live/training loss", loss, step)
        if accuracy is not None:
            writer.add_scalar("live/validation accuracy", accuracy, step)

    def on_record(self, record: Record) -> None:
        writer = self._writer(*(record[name] for name in ("key", "task", "architecture", "scan", "seed")))
        for name, step, value in curve_of(record):
            writer.add_scalar(f"curve/{name}", value, step)
        if record["reason"]:
            writer.add_text("reason", record["reason"])
        writer.add_hparams(facts_of(record), results_of(record), run_name=".")
        writer.close()
        del self._writers[record["key"]]

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()

    def _writer(self, key: str, task: str, architecture: str, scan: str, seed: int) -> Any:
        if key not in self._writers:
            specs = (("task", task), ("architecture", architecture), ("scan", scan))
            name = f"{' '.join(display_spec(*spec) for spec in specs)} seed {seed}"
            # A spec may hold what a file name may not; the key keeps runs of one name apart.
            folder = re.sub(r"[^\w.,=+-]+", "_", name)[:150]
            self._writers[key] = SummaryWriter(str(self.folder / f"{folder}_{key[:8]}"))
        return self._writers[key]
